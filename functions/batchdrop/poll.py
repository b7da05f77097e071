"""Poll: which of a provider's batches have ended? One round at a time, in as few calls as can be."""

from itertools import islice

from aws_lambda_powertools import Logger

from batchdrop.admit import admit_batches
from batchdrop.errors import AccountRefused, NotMyTurn, Transient
from batchdrop.providers.api import BatchApi, Missing, ProviderBatch
from batchdrop.services import Services
from batchdrop.states import BatchState
from batchdrop.store import Due, release
from batchdrop.submit import pause_provider

logger = Logger(child=True)

_LONGEST_INTERVAL = 600  # seconds between two looks at a batch
_AGE_SHARE = 20  # a batch is asked for about every twentieth of its age
_PAGE = 100  # the smaller of the two protocols' pages
_LEASE_SECONDS = 120  # longer than the function's time limit


def poll_provider(provider: str, services: Services) -> None:
    """Ask a provider for its batches, unless another run is at it, and let waiting ones follow those that ended."""
    lease = f"poll#{provider}"
    if not services.store.lease(lease, _LEASE_SECONDS):
        return
    try:
        _poll(provider, services)
        admit_batches(provider, services)
    finally:
        services.store.end_lease(lease)


def is_asked(age: int, now: int, tick: int) -> bool:
    """Whether a batch of this age (seconds) is asked for in the round at `now`: young ones often, old ones seldom."""
    interval = max(tick, min(age // _AGE_SHARE, _LONGEST_INTERVAL))
    return now // interval != (now - tick) // interval


def _poll(provider: str, services: Services) -> None:
    now, tick = services.now(), services.settings.tick_seconds
    in_flight = services.store.in_flight(provider)
    asked = {
        each.batch_id: each
        for each in in_flight
        if each.batch_id and is_asked(now - (each.submitted_at or now), now, tick)
    }
    if not asked:
        return
    try:
        for found in _look(services.apis[provider], set(asked)):
            if found.ended_as is not None:
                _ended(asked[found.id], found, services)
    except AccountRefused as error:
        if not services.apis.renew(provider):
            pause_provider(provider, str(error), services)
    except Transient as error:
        logger.warning("provider not polled", provider=provider, reason=str(error))


def _look(api: BatchApi, wanted: set[str]) -> list[ProviderBatch]:
    """The provider's word on these batches: from its list while that is cheaper, then one by one."""
    found = []
    for each in islice(api.newest(), len(wanted) // 2 * _PAGE):
        if each.id in wanted:
            wanted.discard(each.id)
            found.append(each)
        if not wanted:
            break
    for batch_id in sorted(wanted):
        try:
            found.append(api.retrieve(batch_id))
        except Missing:
            logger.warning("batch not known at the provider", batch_id=batch_id)
    return found


def _ended(due: Due, found: ProviderBatch, services: Services) -> None:
    batch = services.store.batch(due.job, due.batch)
    if batch is None or batch.state is not BatchState.IN_FLIGHT:
        return
    now = services.now()
    try:
        services.store.move(
            batch,
            BatchState.ENDED,
            also=[release(batch.ledger, batch.cost)],
            ended_as=found.ended_as,
            ended_at=now,
            output_file_id=found.output_file_id,
            error_file_id=found.error_file_id,
            failure_code=found.failures[0].code if found.failures else None,
            failure=found.failures[0].message[:500] if found.failures else None,
            due_at=now + services.settings.lease_seconds,
        )
    except NotMyTurn:
        return
    logger.info("batch ended", job=batch.job, batch=batch.id, batch_id=found.id, ended_as=found.ended_as)
    services.queues.collect(batch.job, batch.id)

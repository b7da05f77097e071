"""Poll: which of a provider's batches have ended? One round at a time, in as few calls as can be."""

from collections.abc import Iterator
from itertools import islice

from aws_lambda_powertools import Logger

from batchdrop.admit import admit_batches
from batchdrop.cancel import cancel_at_provider, give_up
from batchdrop.errors import AccountRefused, NotMyTurn, Refused, Transient
from batchdrop.pauses import account_refused
from batchdrop.providers.api import BatchApi, Missing, ProviderBatch
from batchdrop.services import Services
from batchdrop.states import BatchState
from batchdrop.store import Due
from batchdrop.writes import release

logger = Logger(child=True)

_LONGEST_INTERVAL = 600  # seconds between two looks at a batch
_AGE_SHARE = 20  # a batch is asked for about every twentieth of its age
_PAGE = 100  # the smaller of the two protocols' pages
OVERDUE_SECONDS = 26 * 3_600  # both providers end a batch within 24 hours, and two more are patience
STUCK_SECONDS = 2 * 3_600  # a cancel takes ten minutes at most (OpenAI's documentation)
_LEASE_SECONDS = 120  # longer than the function's time limit


def poll_provider(provider: str, services: Services) -> None:
    """Ask a provider for its batches, unless another run is at it, and let waiting ones follow those that ended."""
    lease = services.store.lease(f"poll#{provider}", _LEASE_SECONDS)
    if lease is None:
        return
    try:
        _poll(provider, lease.last, services)
        admit_batches(provider, services)
    finally:
        services.store.end_lease(lease)


def is_asked(age: int, now: int, last: int) -> bool:
    """Whether a batch of this age (seconds) is asked for now, when the round before was at `last`.

    Young ones are asked for often, old ones seldom.
    """
    interval = max(1, min(age // _AGE_SHARE, _LONGEST_INTERVAL))
    return now // interval != last // interval


def _poll(provider: str, last: int, services: Services) -> None:
    now = services.now()
    in_flight = services.store.in_flight(provider)
    asked = {
        each.batch_id: each
        for each in in_flight
        if each.batch_id and is_asked(now - (each.submitted_at or now), now, last)
    }
    if not asked:
        return
    try:
        unknown = set(asked)
        for found in _look(services.apis[provider], unknown):
            if found.ended_as is not None:
                _ended(asked[found.id], found, services)
            else:
                _live(asked[found.id], services)
        for batch_id in unknown:
            _live(asked[batch_id], services)
    except AccountRefused as error:
        account_refused(provider, error, services)
    except Transient as error:
        logger.warning("provider not asked for now", provider=provider, reason=str(error))


def _look(api: BatchApi, wanted: set[str]) -> Iterator[ProviderBatch]:
    """The provider's word on these batches: from its list while that is cheaper, then one by one.

    What it knows nothing of, or does not tell now, is left in `wanted`.
    """
    try:
        for each in islice(api.newest(), len(wanted) // 2 * _PAGE):
            if each.id in wanted:
                wanted.discard(each.id)
                yield each
            if not wanted:
                return
    except (Missing, Refused, Transient) as error:
        logger.warning("batches not listed", reason=type(error).__name__)
    for batch_id in sorted(wanted):
        try:
            found = api.retrieve(batch_id)
        except (Missing, Refused, Transient) as error:
            logger.warning("batch not told", batch_id=batch_id, reason=type(error).__name__)
        else:
            wanted.discard(batch_id)
            yield found


def _live(due: Due, services: Services) -> None:
    """Watch a batch that has not ended: past the provider's window it is cancelled, and given up at last."""
    if services.now() - (due.submitted_at or services.now()) < OVERDUE_SECONDS:
        return
    batch = services.store.batch(due.job, due.batch)
    if batch is None or batch.state is not BatchState.IN_FLIGHT:
        return
    if batch.cancel_asked_at is None:
        logger.error("batch overdue", job=batch.job, batch=batch.id, batch_id=batch.batch_id)
        cancel_at_provider(batch, services)
    elif services.now() - batch.cancel_asked_at > STUCK_SECONDS:
        logger.error("batch stuck", job=batch.job, batch=batch.id, batch_id=batch.batch_id)
        give_up(batch, services)


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
            due_at=now + services.settings.lease_seconds,
        )
    except NotMyTurn:
        return
    logger.info("batch ended", job=batch.job, batch=batch.id, batch_id=found.id, ended_as=found.ended_as)
    services.queues.collect(batch.job, batch.id)

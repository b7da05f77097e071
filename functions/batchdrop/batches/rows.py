"""The rows of a plan's batches, and when each may be sent."""

from collections.abc import Iterable, Iterator

from batchdrop.batches.packing import ledger_of
from batchdrop.batches.split_plan import PlannedBatch
from batchdrop.limits.last_safe_moment import may_be_called
from batchdrop.limits.ledgers import estimate_of
from batchdrop.records import Batch, Job, Split
from batchdrop.services import Services
from batchdrop.states import BatchState

LOST_TICKS = 2  # after which a message that was sent does not come any more
_DOUBLINGS, _LONGEST_DELAY = 12, 3_600  # seconds


def batch_rows(job: Job, split: Split, planned: list[PlannedBatch], services: Services) -> Iterator[Batch]:
    """The rows of a plan's batches: the same whoever makes them, the time aside."""
    return (as_realtime(job, _row(job, split, each, services), services) for each in planned)


def _row(job: Job, split: Split, planned: PlannedBatch, services: Services) -> Batch:
    group, provider = planned.group, services.providers[planned.group.provider]
    return Batch(
        job=job.id,
        state=BatchState.WAITING,
        due_at=services.now() + delay_of(group.waits, services.settings.tick_seconds),
        id=planned.id,
        split=split.index,
        round=int(planned.id.split("-")[1]),
        token=planned.token,
        provider=provider.name,
        endpoint=group.endpoint,
        model=group.model,
        requests=planned.requests,
        bytes=planned.bytes,
        tokens=planned.tokens,
        cost=estimate_of(provider.protocol, requests=planned.requests, tokens=planned.tokens),
        attempt=group.attempt,
        waits=group.waits,
        ledger=ledger_of(group),
        requests_key=planned.requests_key,
        members_key=planned.members_key,
        priority=job.settings.priority,
        api_version=group.api_version,
        betas=group.betas,
        is_fallback=group.is_fallback,
        stays=group.stays,
        has_schema=group.has_schema,
    )


def as_realtime(job: Job, batch: Batch, services: Services) -> Batch:
    """The batch of a job whose rest is called at real time: it waits for no limit. Any other, as it is."""
    if job.finishing_at is None or not may_be_called(batch):
        return batch
    due_at = services.now() + LOST_TICKS * services.settings.tick_seconds
    return batch.with_(state=BatchState.ADMITTED, is_realtime=True, cost=0, due_at=due_at)


def delay_of(waits: int, tick: int) -> int:
    """Return how long a batch waits that was sent without a result before: ever longer, up to an hour."""
    return min(tick * 2 ** min(waits, _DOUBLINGS), _LONGEST_DELAY) if waits else 0


def call_batches(batches: Iterable[Batch], services: Services) -> None:
    """Have the requests of real-time batches called: one message for each provider, whose worker goes on by itself."""
    first = {each.provider: each for each in reversed(list(batches)) if each.is_realtime}
    for each in first.values():
        services.queues.finish(each.job, each.id)

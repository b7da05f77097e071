"""Cancel: waiting batches are never sent, sent ones are cancelled at the provider, received answers are published."""

from functools import partial
from itertools import takewhile

import msgspec
from aws_lambda_powertools import Logger

from batchdrop.aws import keys
from batchdrop.aws.guards import guard
from batchdrop.aws.provider_items import Release
from batchdrop.aws.table_items import key_of
from batchdrop.batches.restored_batches import take_sent
from batchdrop.batches.retry_rounds import close_batch
from batchdrop.batches.split_plan import lines_before
from batchdrop.batches.transitions import cancel_at_provider, give_up
from batchdrop.deadlines import collection_deadline, given_up_at, last_moment
from batchdrop.errors import ClaimLost
from batchdrop.failures import failures_of
from batchdrop.jobs import add_missing_splits, fail_job, give_up_job
from batchdrop.limits.restore_hold import is_held
from batchdrop.records import Batch, Job, Split
from batchdrop.services import Services
from batchdrop.states import BatchState, JobState, SplitState
from batchdrop.worker import Minute

logger = Logger(child=True)

_CHECK_TICKS = 5  # ticks
_FAILED_PLANS = 3  # in a row: a worker dies now and then, and the lines of its split still end with `cancelled`
_UNSENT = frozenset({BatchState.WAITING, BatchState.ADMITTED})
_AT_PROVIDER = frozenset({BatchState.SUBMITTING, BatchState.IN_FLIGHT, BatchState.ENDED})


def continue_cancelling(job: Job, services: Services, *, minute: Minute) -> None:
    """One look at a job that is being cancelled: whatever can be stopped now is."""
    try:
        if services.now() > collection_deadline(job):
            give_up_job(job, services)
            return
        numbered = _with_line_numbering(job, services)
        if numbered is None:
            return
        # First: whatever comes, others have their turn.
        checked = services.store.release(numbered, _soon(services), failures=numbered.failures)
        is_over = services.now() > given_up_at(job)
        for batch in takewhile(lambda _: minute.has_time(), services.store.readable_batches(job.id)):
            failed = partial(services.store.count_unit_failure, job.id, key_of(batch)[1], _lease(services))
            with guard("cancel", failed=failed, job=job.id, unit=batch.id):
                _end_or_stop(batch, minute, services, is_over=is_over)
        for split in services.store.splits(job.id):
            if split.state is SplitState.PLANNED and not split.open:
                services.queues.assemble(job.id, split.index)
        if not minute.has_time():
            services.store.release(checked, services.now())
        elif checked.failures:
            services.store.release(checked, _soon(services))
    except ClaimLost:
        return


def _end_or_stop(batch: Batch, minute: Minute, services: Services, *, is_over: bool) -> None:
    if is_over and batch.state in _AT_PROVIDER:
        give_up(batch, services)
    elif minute.may_ask(batch.provider):
        with minute.asking(batch.provider):
            _stop(batch, services)


def _lease(services: Services) -> int:
    return services.settings.lease_seconds


def _with_line_numbering(job: Job, services: Services) -> Job | None:
    """A job that was never numbered is still planned to its end, so that its lines can be numbered."""
    if job.line_numbering_key is not None:
        return job
    if job.unplanned and services.now() > last_moment(job):
        fail_job(job, f"It could not be read within {job.settings.max_age} (max_age).", services)
        return None
    splits = list(services.store.splits(job.id))
    if job.unplanned and any(_fails_at_plan(each, services.now()) for each in splits):
        _end_unread(job, services)
        return None
    if job.unplanned:
        add_missing_splits(job, services)
        services.store.release(job, _soon(services))
        return None
    failed = [split for split in splits if split.state is SplitState.FAILED]
    if failed:
        fail_job(job, failed[0].reason or "A part of the file could not be planned.", services)
        return None
    key = keys.line_numbering_key(job.id)
    services.files.put_first(key, msgspec.json.encode(lines_before(splits)))
    return services.store.release(job, _soon(services), line_numbering_key=key)


def _fails_at_plan(split: Split, now: int) -> bool:
    return split.state is SplitState.PENDING and failures_of(split, now) >= _FAILED_PLANS


def _end_unread(job: Job, services: Services) -> None:
    """A job that is cancelled does not wait for a plan that fails: nothing of it was sent."""
    now = services.now()
    services.store.move(
        job,
        JobState.PUBLISHING,
        outcome=JobState.CANCELLED,
        reason=job.reason or "It was cancelled before its file could be read: nothing was sent.",
        published_at=now,
        due_at=now + services.settings.lease_seconds,
    )
    services.queues.publish(job.id)


def _stop(batch: Batch, services: Services) -> None:
    now = services.now()
    if batch.state in _UNSENT and (is_held(batch.provider, services) or take_sent(batch, services)):
        return  # it may have been sent, or was
    match batch.state:
        case BatchState.WAITING:
            _close(batch, services)
        case BatchState.ADMITTED if batch.called:
            services.queues.finish(batch.job, batch.id)  # what was called may be answered
        case BatchState.ADMITTED if batch.claimed_until <= now:
            _close(batch, services)
        case BatchState.IN_FLIGHT if batch.cancel_asked_at is None:
            cancel_at_provider(batch, services)
        case _:
            return


def _close(batch: Batch, services: Services) -> None:
    is_held = batch.state is BatchState.ADMITTED and not batch.is_realtime
    held = (Release(batch.ledger, batch.cost),) if is_held else ()
    try:
        close_batch(batch, BatchState.CANCELLED, services, also=held, due_at=None)
    except ClaimLost:
        return  # it is being submitted, or was stopped already: the next look tells


def _soon(services: Services) -> int:
    return services.now() + _CHECK_TICKS * services.settings.tick_seconds

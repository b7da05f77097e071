"""Cancel: what waits is never sent, what was sent is stopped at the provider, and what was answered is published."""

from functools import partial
from itertools import takewhile

import msgspec
from aws_lambda_powertools import Logger

from batchdrop.aws import bucket
from batchdrop.aws.guards import guard
from batchdrop.aws.metrics import Alert, count
from batchdrop.aws.store import Store
from batchdrop.aws.table_items import Release, free_slot, key_of
from batchdrop.batches.restored_batches import take_sent
from batchdrop.batches.retry_rounds import close_batch
from batchdrop.batches.transitions import slot
from batchdrop.deadlines import end_of_patience, given_up_at, last_moment
from batchdrop.errors import AccountRefused, NotMyTurn, Refused, Transient
from batchdrop.failures import failures_of
from batchdrop.inputs.splits import add_missing_splits
from batchdrop.limits.restore_hold import is_held
from batchdrop.providers.clients import Missing
from batchdrop.records import Batch, Job, Split
from batchdrop.result_line import ErrorCode
from batchdrop.services import Services
from batchdrop.states import BatchState, JobState, SplitState
from batchdrop.steps.plan import fail_job, lines_before
from batchdrop.worker import Minute

logger = Logger(child=True)

_LOOK_AGAIN = 5  # ticks
_FAILED_PLANS = 3  # in a row: a worker dies now and then, and the lines of its split still end with `cancelled`
KEPT_SECONDS = 90 * 86_400  # as long as `work/` is kept by the bucket's lifecycle
_UNSENT = frozenset({BatchState.WAITING, BatchState.ADMITTED})
_AT_PROVIDER = frozenset({BatchState.SUBMITTING, BatchState.IN_FLIGHT, BatchState.ENDED})


class TooLate(Exception):  # noqa: N818 - an answer to who asked
    """The job is over, or its results are being written."""


def ask_to_cancel(job_id: str, store: Store, *, now: int, reason: str | None = None) -> Job:
    """Mark a job as to be cancelled; sweep does the rest. Twice is as good as once.

    Raises:
        LookupError: There is no such job.
        TooLate: It is published, or about to be.
    """
    while True:
        job = store.job(job_id)
        if job is None:
            raise LookupError(job_id)
        if job.state is JobState.CANCELLING:
            return job
        if job.state not in {JobState.PLANNING, JobState.RUNNING}:
            raise TooLate(job.state)
        try:
            return store.move(job, JobState.CANCELLING, reason=job.reason or reason, due_at=now)
        except NotMyTurn:
            continue


def go_on_cancelling(job: Job, services: Services, *, minute: Minute) -> None:
    """One look at a job that is being cancelled: whatever can be stopped now is."""
    try:
        if services.now() > end_of_patience(job):
            give_up_job(job, services)
            return
        opened = _opened(job, services)
        if opened is None:
            return
        # First: whatever comes, others have their turn.
        looked_at = services.store.let_go(opened, _soon(services), failures=opened.failures)
        is_over = services.now() > given_up_at(job)
        for batch in takewhile(lambda _: minute.has_time(), services.store.readable_batches(job.id)):
            failed = partial(services.store.count_unit_failure, job.id, key_of(batch)[1], _lease(services))
            with guard("cancel", failed=failed, job=job.id, unit=batch.id):
                _end_or_stop(batch, minute, services, is_over=is_over)
        for split in services.store.splits(job.id):
            if split.state is SplitState.PLANNED and not split.open:
                services.queues.assemble(job.id, split.index)
        if not minute.has_time():
            services.store.let_go(looked_at, services.now())
        elif looked_at.failures:
            services.store.let_go(looked_at, _soon(services))
    except NotMyTurn:
        return


def _end_or_stop(batch: Batch, minute: Minute, services: Services, *, is_over: bool) -> None:
    if is_over and batch.state in _AT_PROVIDER:
        give_up(batch, services)
    elif minute.may_ask(batch.provider):
        with minute.asking(batch.provider):
            _stop(batch, services)


def _lease(services: Services) -> int:
    return services.settings.lease_seconds


def _opened(job: Job, services: Services) -> Job | None:
    """A job that was never opened is still planned to its end, so that its lines can be numbered."""
    if job.opened_key is not None:
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
        services.store.let_go(job, _soon(services))
        return None
    failed = [split for split in splits if split.state is SplitState.FAILED]
    if failed:
        fail_job(job, failed[0].reason or "A part of the file could not be planned.", services)
        return None
    key = bucket.opened_key(job.id)
    services.files.put_first(key, msgspec.json.encode(lines_before(splits)))
    return services.store.let_go(job, _soon(services), opened_key=key)


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
        case BatchState.ADMITTED if batch.claimed_until <= now:
            _close(batch, services)
        case BatchState.IN_FLIGHT if batch.cancel_asked_at is None:
            cancel_at_provider(batch, services)
        case _:
            return


def _close(batch: Batch, services: Services) -> None:
    held = (Release(batch.ledger, batch.cost),) if batch.state is BatchState.ADMITTED else ()
    try:
        close_batch(batch, BatchState.CANCELLED, services, also=held, due_at=None)
    except NotMyTurn:
        return  # it is being submitted, or was stopped already: the next look tells


def cancel_at_provider(batch: Batch, services: Services) -> None:
    """Ask the provider to stop a batch that is proven ours; what it answered before is collected as ever."""
    try:
        if not batch.adopted:
            _ask(batch, services)
        services.store.move(batch, BatchState.IN_FLIGHT, cancel_asked_at=services.now(), due_at=services.now())
    except NotMyTurn:
        return
    except (AccountRefused, Transient) as error:
        logger.warning("batch not cancelled yet", batch=batch.id, reason=type(error).__name__)
    else:
        logger.info("batch cancelled at the provider", batch=batch.id, batch_id=batch.batch_id)


def give_up(batch: Batch, services: Services, *, code: ErrorCode = ErrorCode.PROVIDER_STUCK) -> None:
    """End a batch that never ends at the provider, or never tells its results: its lines are not sent again."""
    is_held = batch.state in {BatchState.ADMITTED, BatchState.SUBMITTING, BatchState.IN_FLIGHT}
    freed = slot(batch, free_slot) if batch.state is BatchState.SUBMITTING else []
    try:
        close_batch(
            batch,
            BatchState.FAILED,
            services,
            also=(*([Release(batch.ledger, batch.cost)] if is_held else []), *freed),
            failure_code=code,
            ended_at=services.now(),
            due_at=None,
        )
    except NotMyTurn:
        return
    count(Alert.BATCH_GIVEN_UP)
    logger.error("batch given up", batch=batch.id, batch_id=batch.batch_id, code=code)


def give_up_job(job: Job, services: Services, *, why: str | None = None) -> None:
    """End a job as FAILED whose answers cannot be put together, or published; what it paid for stays where it is."""
    now = services.now()
    where = f"s3://{job.bucket}/{bucket.work_prefix(job.id)}"
    done = "published" if job.state is JobState.PUBLISHING else "put together"
    late = f"Its answers could not be {done} within {job.settings.max_age} (max_age) and a few days more."
    services.store.move(
        job,
        JobState.PUBLISHING,
        outcome=JobState.FAILED,
        reason=f"{why or late} What was answered and paid for stays under {where} until 90 days after it was written.",
        published_at=now,
        kept_until=now + KEPT_SECONDS,
        is_given_up=True,
        failures=0,
        due_at=now + services.settings.lease_seconds,
    )
    services.queues.publish(job.id)
    count(Alert.JOB_GIVEN_UP)
    logger.error("job given up", state=job.state)


def _ask(batch: Batch, services: Services) -> None:
    try:
        services.apis[batch.provider].cancel(batch.batch_id or "")
    except (Missing, Refused) as error:  # it will not be stopped; the clock goes on all the same
        logger.warning("batch cannot be cancelled", batch=batch.id, reason=type(error).__name__)


def _soon(services: Services) -> int:
    return services.now() + _LOOK_AGAIN * services.settings.tick_seconds

"""Failed units: one that fails every time is given up, and its job ends FAILED with a reason that says where to look.

What it does not touch goes on: the job's other batches are sent and collected, and what was answered is published.
"""

import msgspec
from aws_lambda_powertools import Logger

from batchdrop.aws import keys
from batchdrop.aws.exception_log import log_exception
from batchdrop.aws.keys import MANIFEST
from batchdrop.aws.metrics import Alert, count
from batchdrop.aws.optimistic import until_unchanged
from batchdrop.aws.table_items import key_of
from batchdrop.batches.job_start import fail_split
from batchdrop.batches.transitions import give_up
from batchdrop.deadlines import ROWS_LIVE, last_moment
from batchdrop.errors import ClaimLost, Gone
from batchdrop.failures import LAST, MOST_PAID, failures_of, most_failures
from batchdrop.jobs import KEPT_SECONDS, fail_job, give_up_job, settle_split
from batchdrop.limits.last_safe_moment import next_check
from batchdrop.manifest import Manifest
from batchdrop.records import Batch, Job, Split
from batchdrop.result_line import ErrorCode
from batchdrop.row_changes import JobChanges
from batchdrop.services import Services
from batchdrop.states import TERMINAL_JOBS, BatchState, JobState, SplitState, State
from batchdrop.texts import cut

logger = Logger(child=True)

_NEVER_SENT = frozenset({BatchState.WAITING, BatchState.ADMITTED})
_MODEL_BYTES = 100  # of a model's name in a reason

# The function that does a state's work, as its logs are named.
_FUNCTIONS: dict[State, str] = {
    SplitState.PENDING: "Plan",
    BatchState.WAITING: "Submit or Sweep",
    BatchState.ADMITTED: "Submit",
    BatchState.IN_FLIGHT: "Poll",
    BatchState.ENDED: "Collect",
    SplitState.PLANNED: "Assemble",
    JobState.PUBLISHING: "Publish",
}


def has_failed_for_good(row: Job | Split | Batch, now: int) -> bool:
    """Return whether a unit is given up. A job that is over is cleaned up for as long as its row lives."""
    return row.state not in TERMINAL_JOBS and failures_of(row, now) >= most_failures(row.state, _called(row))


def _called(row: Job | Split | Batch) -> int:
    return row.called if isinstance(row, Batch) else 0


def end_failed_unit(row: Job | Split | Batch, services: Services) -> None:
    """Give up a unit; where that fails each time too, its job is given up as a whole."""
    failures, sk = failures_of(row, services.now()), key_of(row)[1]
    reason = _reason(row, failures)
    logger.error("unit given up", unit=sk, state=row.state, failures=failures)
    count(Alert.JOB_GIVEN_UP)
    if services.store.count_unit_failure(row.job, sk, services.settings.lease_seconds) > LAST:
        give_up_whole_job(row.job, reason, services)
        return
    match row:
        case Job():
            _end_job(row, reason, services)
        case Split(state=SplitState.PENDING):
            fail_split(row, reason, services)
        case Split():
            fail_running_job(row.job, reason, services, is_paid=True)
            settle_split(row, SplitState.FAILED, services, reason=reason)
        case Batch(state=BatchState.COLLECTED):
            services.store.clear_due(row)  # the provider drops its files by itself, in a month
        case Batch():
            _end_batch(row, reason, services)


def give_up_whole_job(job_id: str, reason: str, services: Services) -> None:
    """End a job of which something cannot even be ended for itself."""
    job = services.store.job(job_id)
    if job is None or job.state in TERMINAL_JOBS:
        return
    if job.is_given_up:
        _end_unpublished(job, services)
    else:
        give_up_job(job, services, why=reason)


def fail_running_job(job_id: str, reason: str, services: Services, *, is_paid: bool) -> None:
    """Let a job go on to its end, which is FAILED; `work/` stays a while where answers may lie in it."""

    def fail() -> None:
        job = services.store.job(job_id)
        if job is None or job.state not in {JobState.RUNNING, JobState.CANCELLING}:
            return
        changes: JobChanges = {} if job.outcome else {"outcome": JobState.FAILED, "reason": reason}
        if is_paid and job.kept_until is None:
            changes["kept_until"] = services.now() + KEPT_SECONDS
        if changes:
            services.store.move(job, job.state, **changes)

    until_unchanged(fail, on=ClaimLost)


def _end_batch(batch: Batch, reason: str, services: Services) -> None:
    is_called = batch.state is BatchState.ADMITTED and batch.called > 0
    is_paid = batch.state not in _NEVER_SENT or is_called
    fail_running_job(batch.job, reason, services, is_paid=is_paid)
    if is_called and failures_of(batch, services.now()) <= MOST_PAID:
        services.queues.finish(batch.job, batch.id)  # once: what was answered is written, and nothing more is called
        return
    give_up(batch, services, code=ErrorCode.COLLECT_FAILED if is_paid else ErrorCode.SUBMIT_FAILED)


def _end_job(job: Job, reason: str, services: Services) -> None:
    match job.state:
        case JobState.PLANNING | JobState.HELD:
            fail_job(job, reason, services)
        case JobState.RUNNING if services.now() < last_moment(job):
            _end_or_announce(job, services)
        case JobState.PUBLISHING:
            _end_publishing(job, reason, services)
        case _:
            give_up_job(job, services, why=reason)


def _end_or_announce(job: Job, services: Services) -> None:
    """Only an event was not sent: the job goes on, and so does the keeping of its deadline."""
    now, tick = services.now(), services.settings.tick_seconds
    is_over = job.is_past_deadline or (job.deadline_at is not None and job.deadline_at <= now)
    announced = job.with_(is_late=True, is_past_deadline=is_over)
    services.store.release(job, next_check(announced, now=now, tick=tick), is_late=True, is_past_deadline=is_over)


def _end_publishing(job: Job, reason: str, services: Services) -> None:
    """A manifest that is there says how the job ended: only its event, or its row, was still missing."""
    try:
        services.files.get(_manifest_key(job))
    except Gone:
        if not job.is_given_up:
            give_up_job(job, services, why=reason)
            return
    _end_unpublished(job, services)


def _end_unpublished(job: Job, services: Services) -> None:
    """The last resort: the row alone says that a job is over, with what its manifest says if there is one.

    Raises:
        Transient: S3 does not tell now whether there is one; sweep tries again.
    """
    now = services.now()
    status, key = JobState.FAILED, None
    try:
        status = msgspec.json.decode(services.files.get(_manifest_key(job)), type=Manifest).status
        key = _manifest_key(job)
    except (Gone, msgspec.DecodeError) as error:
        log_exception(logger, "job ends without a manifest", error)
    expires_at = max(now, job.kept_until or 0) + ROWS_LIVE
    services.store.move(job, status, manifest_key=key, due_at=now, expires_at=expires_at)


def _manifest_key(job: Job) -> str:
    return f"{keys.output_prefix(job)}{MANIFEST}"


def _reason(row: Job | Split | Batch, failures: int) -> str:
    is_finishs = isinstance(row, Batch) and row.is_realtime and row.state is BatchState.ADMITTED
    function = "Finish" if is_finishs else _FUNCTIONS.get(row.state, "Sweep")
    return (
        f"{_name(row)} failed {failures} times in a row: look for {row.job} in the log group of the function "
        f'{function} ("unit failed", a timeout, or too little memory).'
    )


def _name(row: Job | Split | Batch) -> str:
    match row:
        case Job():
            return f"The job, in the state {row.state},"
        case Split():
            return f"Split {row.index} of the file (bytes {row.start:,} to {row.end:,})"
        case Batch():
            model = f", {cut(row.model, _MODEL_BYTES)}" if row.model else ""
            return f"Batch {row.id} ({row.provider}{model}, {row.requests:,} requests)"

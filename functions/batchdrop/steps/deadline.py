"""Deadline: one look at the clock of a running job. When its last safe moment comes, what is left is called.

Until then its batches run. Then what was not sent becomes real-time batches in place, what was sent is cancelled and
collected as ever, and what that leaves forms real-time batches of the next round.
"""

from functools import partial
from itertools import takewhile

from aws_lambda_powertools import Logger

from batchdrop.aws.guards import guard
from batchdrop.aws.table_items import key_of
from batchdrop.batches.finishing import begin_finishing, take_to_real_time
from batchdrop.batches.rows import call_batches
from batchdrop.deadlines import expected_at, last_moment, next_deadline
from batchdrop.jobs import ask_to_cancel
from batchdrop.limits.last_safe_moment import last_safe_moment, wants_calls
from batchdrop.manifest import timestamp
from batchdrop.outputs.manifest_builder import late_event
from batchdrop.records import Batch, Job
from batchdrop.services import Services
from batchdrop.worker import Minute

logger = Logger(child=True)


def look_at_clock(job: Job, services: Services, *, minute: Minute) -> None:
    """A job that is late is told once; one that is too old is ended, with what was answered."""
    now = services.now()
    if now >= last_moment(job):
        reason = f"It was not done within {job.settings.max_age} (max_age)."
        ask_to_cancel(job.id, services.store, now=now, reason=reason)
        return
    job = _tell_deadline(_tell_expected(job, now, services), now, services)
    if job.finishing_at is not None:
        _finish(job, minute, services)
    elif wants_calls(job) and not job.is_past_deadline:
        _keep_deadline(job, minute, services)


def _tell_expected(job: Job, now: int, services: Services) -> Job:
    expected = expected_at(job)
    if expected is None or now < expected or job.is_late:
        return job
    services.events.job_late(late_event(job, f"It is not done by {job.settings.expected_by} (expected_by)."))
    return services.store.release(job, next_deadline(job.with_(is_late=True)), is_late=True)


def _tell_deadline(job: Job, now: int, services: Services) -> Job:
    if job.deadline_at is None or now < job.deadline_at or job.is_past_deadline:
        return job
    services.events.job_late(late_event(job, why_late(job)))
    return services.store.release(job, next_deadline(job.with_(is_past_deadline=True)), is_past_deadline=True)


def why_late(job: Job) -> str:
    """Why a job is not done by its deadline, in words."""
    missed = f"It is not done by {timestamp(job.deadline_at or 0)} (deadline = {job.settings.deadline!r})."
    if job.settings.realtime == "off":
        return f'{missed} Nothing was called at real time (realtime = "off").'
    return missed if job.late_reason is None else f"{missed} {job.late_reason}"


def _keep_deadline(job: Job, minute: Minute, services: Services) -> None:
    batches = list(services.store.readable_batches(job.id))
    tick, now = services.settings.tick_seconds, services.now()
    moment = last_safe_moment(job, batches, services.providers, tick=tick)
    if moment is None:  # its results are being put together, or a round begins
        services.store.release(job, min(now + tick, next_deadline(job)))
    elif now < moment:
        services.store.release(job, min(moment, next_deadline(job)), last_safe_at=moment)
    else:
        begun = begin_finishing(job, batches, services)
        if begun.finishing_at is not None:
            _finish(begun, minute, services)


def _finish(job: Job, minute: Minute, services: Services) -> None:
    """One look at all batches: whatever can be called now is."""
    services.store.release(job, services.now() + services.settings.tick_seconds)  # first: others have their turn
    called: list[Batch] = []
    for batch in takewhile(lambda _: minute.has_time(), services.store.readable_batches(job.id)):
        failed = partial(services.store.count_unit_failure, job.id, key_of(batch)[1], services.settings.lease_seconds)
        with guard("deadline", failed=failed, job=job.id, unit=batch.id), minute.asking(batch.provider):
            called += take_to_real_time(batch, services) if minute.may_ask(batch.provider) else []
    call_batches(called, services)

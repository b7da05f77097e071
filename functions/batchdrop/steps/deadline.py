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
from batchdrop.limits.last_safe_moment import is_kept, last_safe_moment, next_check
from batchdrop.manifest import timestamp
from batchdrop.outputs.manifest_builder import late_event
from batchdrop.records import Batch, Job
from batchdrop.services import Services
from batchdrop.worker import Minute

logger = Logger(child=True)


def check_deadlines(job: Job, services: Services, *, minute: Minute) -> None:
    """Announce a late job once; end one that is too old, with its answers."""
    now = services.now()
    if now >= last_moment(job):
        reason = f"It was not done within {job.settings.max_age} (max_age)."
        ask_to_cancel(job.id, services.store, now=now, reason=reason)
        return
    if not is_kept(job, now):
        announced = _announce(job, services)
        if announced is job:
            services.store.release(job, next_deadline(job))
        return
    job = _finish(job, minute, services) if job.finishing_at is not None else _keep_deadline(job, minute, services)
    with guard("late job", job=job.id):  # an event that fails costs no deadline
        _announce(job, services)


def _announce(job: Job, services: Services) -> Job:
    """Announce once that a job is late, and once that its deadline is over; return the job as it is then."""
    now, expected = services.now(), expected_at(job)
    if expected is not None and now >= expected and not job.is_late:
        services.events.job_late(late_event(job, f"It is not done by {job.settings.expected_by} (expected_by)."))
        job = services.store.release(job, _next_check(job.with_(is_late=True), services), is_late=True)
    if job.deadline_at is not None and now >= job.deadline_at and not job.is_past_deadline:
        services.events.job_late(late_event(job, why_late(job)))
        over = job.with_(is_past_deadline=True)
        job = services.store.release(job, _next_check(over, services), is_past_deadline=True)
    return job


def _next_check(job: Job, services: Services) -> int:
    return next_check(job, now=services.now(), tick=services.settings.tick_seconds)


def why_late(job: Job) -> str:
    """Return why a job is not done by its deadline, in words."""
    missed = f"It is not done by {timestamp(job.deadline_at or 0)} (deadline = {job.settings.deadline!r})."
    if job.settings.realtime == "off":
        return f'{missed} Nothing was called at real time (realtime = "off").'
    return missed if job.late_reason is None else f"{missed} {job.late_reason}"


def _keep_deadline(job: Job, minute: Minute, services: Services) -> Job:
    """Begin to finish a job when its last safe moment has come; the job as it is then."""
    batches = list(services.store.readable_batches(job.id))
    tick, now = services.settings.tick_seconds, services.now()
    moment = last_safe_moment(job, batches, services.providers, tick=tick)
    if moment is None:  # its results are being put together, or a round begins
        return services.store.release(job, min(now + tick, next_deadline(job)))
    if now < moment:
        return services.store.release(job, min(moment, next_deadline(job)), last_safe_at=moment)
    begun = begin_finishing(job, batches, services)
    return begun if begun.finishing_at is None else _finish(begun, minute, services)


def _finish(job: Job, minute: Minute, services: Services) -> Job:
    """One look at all batches: whatever can be called now is. The job as it is then."""
    job = services.store.release(job, services.now() + services.settings.tick_seconds)  # first: others have their turn
    called: list[Batch] = []
    for batch in takewhile(lambda _: minute.has_time(), services.store.readable_batches(job.id)):
        failed = partial(services.store.count_unit_failure, job.id, key_of(batch)[1], services.settings.lease_seconds)
        with guard("deadline", failed=failed, job=job.id, unit=batch.id), minute.asking(batch.provider):
            called += take_to_real_time(job, batch, services) if minute.may_ask(batch.provider) else []
    call_batches(called, services)
    return job

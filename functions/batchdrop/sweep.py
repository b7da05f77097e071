"""Sweep: whatever stands still is sent again, and what fits is admitted. Messages make it fast; this makes it sure."""

from collections.abc import Callable

from aws_lambda_powertools import Logger

from batchdrop.admit import admit_batches
from batchdrop.collect import delete_from_provider
from batchdrop.intake import splits_of
from batchdrop.plan import open_job
from batchdrop.publish import clean_up
from batchdrop.records import Batch, Job, Split
from batchdrop.services import Services
from batchdrop.states import TERMINAL_JOBS, BatchState, JobState, SplitState
from batchdrop.store import Due

logger = Logger(child=True)

_LEASE_SECONDS = 120  # longer than the function's time limit
_LONGEST_BACKOFF = 6  # doublings: a unit that fails each time is sent again ever more seldom


def sweep(services: Services) -> None:
    """One round over everything that is due, unless another run is at it."""
    if not services.store.lease("sweep", _LEASE_SECONDS):
        return
    try:
        _sweep_jobs(services)
        _sweep_splits(services)
        for provider in services.providers:
            _sweep_batches(provider, services)
            admit_batches(provider, services)
    finally:
        services.store.end_lease("sweep")


def _sweep_jobs(services: Services) -> None:
    now = services.now()
    for state in (JobState.PLANNING, JobState.PUBLISHING, *sorted(TERMINAL_JOBS)):
        for due in services.store.due(state, by=now):
            job = services.store.job(due.job)
            if job is not None and job.state is state:
                _JOBS[state](job, services)


def _sweep_splits(services: Services) -> None:
    now = services.now()
    for due in services.store.due(SplitState.PENDING, by=now):
        split = services.store.split(due.job, due.split)
        if split is not None and split.state is SplitState.PENDING and _send(split, services):
            services.queues.plan(split.job, split.index)
    for due in services.store.due(SplitState.PLANNED, by=now):
        _assemble(due, services)


def _sweep_batches(provider: str, services: Services) -> None:
    now = services.now()
    for state, again in _BATCHES.items():
        for due in services.store.due(state, provider=provider, by=now):
            batch = services.store.batch(due.job, due.batch)
            if batch is not None and batch.state is state:
                again(batch, services)


def _plan_on(job: Job, services: Services) -> None:
    """A job that is planned is opened; one whose intake died gets its splits."""
    if job.unplanned == 0:
        open_job(job, services)
    elif _send(job, services):
        for split in splits_of(job, due_at=services.now()):
            services.store.add(split)


def _publish(job: Job, services: Services) -> None:
    if _send(job, services):
        services.queues.publish(job.id)


def _assemble(due: Due, services: Services) -> None:
    split, job = services.store.split(due.job, due.split), services.store.job(due.job)
    if split is None or job is None or split.state is not SplitState.PLANNED or split.open:
        return
    if job.state in {JobState.RUNNING, JobState.CANCELLING} and _send(split, services):
        services.queues.assemble(split.job, split.index)


def _submit(batch: Batch, services: Services) -> None:
    if _send(batch, services):
        services.queues.submit(batch.job, batch.id)


def _collect(batch: Batch, services: Services) -> None:
    if _send(batch, services):
        services.queues.collect(batch.job, batch.id)


def _send(row: Job | Split | Batch, services: Services) -> bool:
    """Whether this run is the one to send a unit again; the next time is later each time."""
    lease = services.settings.lease_seconds
    sent = services.store.sending(row, services.now() + lease * 2 ** min(row.sends, _LONGEST_BACKOFF))
    if sent:
        logger.warning("sent again", job=row.job, unit=type(row).__name__, state=row.state, sends=row.sends + 1)
    return sent


_JOBS: dict[JobState, Callable[[Job, Services], None]] = {
    JobState.PLANNING: _plan_on,
    JobState.PUBLISHING: _publish,
    **dict.fromkeys(TERMINAL_JOBS, clean_up),
}
_BATCHES: dict[BatchState, Callable[[Batch, Services], None]] = {
    BatchState.ADMITTED: _submit,
    BatchState.ENDED: _collect,
    BatchState.COLLECTED: delete_from_provider,
}

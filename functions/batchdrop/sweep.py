"""Sweep: whatever stands still is sent again, and what fits is admitted. Messages make it fast; this makes it sure."""

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools import Logger

from batchdrop.admit import admit_batches
from batchdrop.collect import delete_from_provider
from batchdrop.doubt import resolve_batch, watch_creates
from batchdrop.intake import splits_of
from batchdrop.plan import open_job
from batchdrop.publish import clean_up
from batchdrop.records import Batch, Job, Split
from batchdrop.services import Services
from batchdrop.states import TERMINAL_JOBS, BatchState, JobState, SplitState, State

logger = Logger(child=True)

_LEASE_SECONDS = 120  # longer than the function's time limit
_LONGEST_BACKOFF = 6  # doublings: a unit that fails each time is sent again ever more seldom


def sweep(services: Services) -> None:
    """One round over everything that is due, unless another run is at it."""
    if not services.store.lease("sweep", _LEASE_SECONDS):
        return
    try:
        for row in services.store.due(by=services.now()):
            heal = _HEAL.get((type(row), row.state))
            if heal is not None:
                heal(row, services)
        for provider in services.providers:
            admit_batches(provider, services)
            watch_creates(provider, services)
    finally:
        services.store.end_lease("sweep")


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


def _plan(split: Split, services: Services) -> None:
    if _send(split, services):
        services.queues.plan(split.job, split.index)


def _assemble(split: Split, services: Services) -> None:
    """A split is assembled when its batches are closed and its job is open: until then its time comes again."""
    job = services.store.job(split.job)
    if split.open or job is None or job.state not in {JobState.RUNNING, JobState.CANCELLING}:
        return
    if _send(split, services):
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


# What a state waits for when its time has come.
_HEAL: dict[tuple[type, State], Callable[[Any, Services], None]] = {
    (Job, JobState.PLANNING): _plan_on,
    (Job, JobState.PUBLISHING): _publish,
    (Split, SplitState.PENDING): _plan,
    (Split, SplitState.PLANNED): _assemble,
    (Batch, BatchState.ADMITTED): _submit,
    (Batch, BatchState.SUBMITTING): resolve_batch,
    (Batch, BatchState.ENDED): _collect,
    (Batch, BatchState.COLLECTED): delete_from_provider,
    **{(Job, state): clean_up for state in TERMINAL_JOBS},
}

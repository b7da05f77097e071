"""A job's own moves, whichever step makes them: its splits are sent, it is cancelled, failed, given up, or over."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Unpack

import msgspec
from aws_lambda_powertools import Logger

from batchdrop.aws import keys
from batchdrop.aws.keys import MANIFEST
from batchdrop.aws.metrics import Alert, count
from batchdrop.aws.optimistic import until_unchanged
from batchdrop.aws.store import Store
from batchdrop.aws.table_items import Write, move_in_transaction, update_counter
from batchdrop.errors import ClaimLost, Gone
from batchdrop.inputs.splits import splits_of
from batchdrop.manifest import Manifest
from batchdrop.records import Batch, Job, Split
from batchdrop.row_changes import SplitChanges
from batchdrop.services import Services
from batchdrop.states import JobState, SplitState

logger = Logger(child=True)

KEPT_SECONDS = 90 * 86_400  # as long as `work/` is kept by the bucket's lifecycle
CANCELLABLE = frozenset({JobState.PLANNING, JobState.HELD, JobState.RUNNING})
PLANNED_IN = {JobState.PLANNING, JobState.CANCELLING}
ASSEMBLED_IN = {JobState.RUNNING, JobState.CANCELLING}


def send_splits(job: Job, services: Services, *, first: int = 0) -> None:
    """Add the rows of a job's splits from `first` on, and have them planned. Twice is as good as once."""
    _send(splits_of(job, due_at=_due_at(services))[first:], services)


def add_missing_splits(job: Job, services: Services) -> None:
    """Add the rows of splits that are not there, since intake or inflating died, and have them planned."""
    found = {split.index for split in services.store.splits(job.id)}
    _send([split for split in splits_of(job, due_at=_due_at(services)) if split.index not in found], services)


def _send(splits: list[Split], services: Services) -> None:
    # Of 2,000 splits: 20 calls for the rows and 200 for the messages, a few seconds.
    services.store.add_all(splits)
    services.queues.plan_all((split.job, split.index) for split in splits)


def _due_at(services: Services) -> int:
    return services.now() + services.settings.lease_seconds


def published_as(job: Job, services: Services) -> dict[str, Any] | None:
    """Return the row changes of a job that is published already, by its manifest; None where there is none.

    Publishing then finds the manifest, which stays, and the job ends as that says.
    """
    try:
        manifest = msgspec.json.decode(services.files.get(f"{keys.output_prefix(job)}{MANIFEST}"), type=Manifest)
    except (Gone, msgspec.DecodeError):
        return None
    return {
        "state": JobState.PUBLISHING,
        "outcome": manifest.status,
        "reason": manifest.reason,
        "published_at": int(datetime.fromisoformat(manifest.times.published_at).timestamp()),
        "is_given_up": True,  # its parts are gone: there is nothing to be put together once more
    }


class TooLate(Exception):  # noqa: N818 - an answer to who asked
    """The job is over, or its results are being written."""


def ask_to_cancel(job_id: str, store: Store, *, now: int, reason: str | None = None) -> Job:
    """Mark a job as to be cancelled; sweep does the rest. Twice is as good as once.

    Raises:
        LookupError: There is no such job.
        TooLate: It is published, or about to be.
    """

    def ask() -> Job:
        job = store.job(job_id)
        if job is None:
            raise LookupError(job_id)
        if job.state is JobState.CANCELLING:
            return job
        if job.state not in CANCELLABLE:
            raise TooLate(job.state)
        return store.move(job, JobState.CANCELLING, reason=job.reason or reason, due_at=now)

    return until_unchanged(ask, on=ClaimLost)


class NotHeld(Exception):  # noqa: N818 - an answer to who asked
    """The job is not held for its budget: there is nothing to decide."""


def approve_job(job_id: str, store: Store, *, now: int) -> Job:
    """Let a held job be sent whatever its budget; sweep does the rest. Twice is as good as once.

    Raises:
        LookupError: There is no such job.
        NotHeld: It is not held, and was not approved before.
    """

    def approve() -> Job:
        job = _held_job(job_id, store, decided=True)
        return job if job.is_approved else store.move(job, JobState.HELD, is_approved=True, reason=None, due_at=now)

    return until_unchanged(approve, on=ClaimLost)


def reject_job(job_id: str, store: Store, *, now: int) -> Job:
    """End a held job with nothing paid; sweep has it published. Twice is as good as once.

    Raises:
        LookupError: There is no such job.
        NotHeld: It is not held, and was not rejected before.
    """

    def reject() -> Job:
        job = _held_job(job_id, store, decided=False)
        if job.is_approved is False:
            return job
        return store.move(
            job,
            JobState.PUBLISHING,
            is_approved=False,
            outcome=JobState.CANCELLED,
            reason="It was held for its budget, and rejected: nothing was sent.",
            published_at=now,
            due_at=now,
        )

    return until_unchanged(reject, on=ClaimLost)


def _held_job(job_id: str, store: Store, *, decided: bool) -> Job:
    """A job that is held, or of which the same was decided before."""
    job = store.job(job_id)
    if job is None:
        raise LookupError(job_id)
    if job.state is not JobState.HELD and job.is_approved is not decided:
        raise NotHeld(job.state)
    return job


def give_up_job(job: Job, services: Services, *, why: str | None = None) -> None:
    """End a job as FAILED whose answers cannot be put together, or published; what it paid for stays where it is."""
    now = services.now()
    where = f"s3://{job.bucket}/{keys.work_prefix(job.id)}"
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


def fail_job(job: Job, reason: str, services: Services) -> None:
    """End a job that cannot be processed; nothing of it was paid."""
    now = services.now()
    services.store.move(
        job,
        JobState.PUBLISHING,
        outcome=JobState.FAILED,
        reason=reason,
        published_at=now,
        due_at=now + services.settings.lease_seconds,
    )
    services.queues.publish(job.id)


def settle_plan(
    split: Split, services: Services, state: SplitState, *, held: Job | None = None, **changes: Unpack[SplitChanges]
) -> tuple[Job, Split]:
    """Move the split and lower the job's count in one transaction; the last one makes the job due.

    Args:
        split: As it is claimed.
        services: The services.
        state: The split's new state.
        held: The job as it was read before: believed where this split is its last, for nobody else counts then.
        changes: Attributes of the split.
    """
    settled: SplitChanges = {"due_at": None, "refused_at": 0, **changes}
    first = [held] if held is not None and held.unplanned == 1 else []

    def settle() -> tuple[Job, Split]:
        job = first.pop() if first else services.store.job(split.job)
        if job is None or job.state not in PLANNED_IN:
            raise ClaimLost
        left = job.unplanned - 1
        due = {} if left else {"due_at": services.now()}
        count = update_counter(job, "unplanned", job.unplanned, to=left, **due)
        moved = services.store.move(split, state, also=[count], **settled)
        return job.with_(unplanned=left), moved

    job, moved = until_unchanged(settle)
    logger.info("split planned", split=split.index, state=state, left=job.unplanned)
    return job, moved


def settle_split(
    split: Split,
    state: SplitState,
    services: Services,
    *,
    held: Job | None = None,
    batches: Sequence[Batch] | None = None,
    **changes: Unpack[SplitChanges],
) -> None:
    """Move the split and lower the job's count in one transaction; the last one fixes outcome and times.

    Args:
        split: As it is claimed.
        state: Its new state.
        services: The services.
        held: The job as it was read before: believed where this split is its last, for nobody else counts then.
        batches: All of the job's, which are closed, where they are known.
        changes: Attributes of the split.
    """
    settled: SplitChanges = {**changes, "due_at": None}
    first = [held] if held is not None and held.unassembled == 1 else []

    def settle() -> Job:
        job = first.pop() if first else services.store.job(split.job)
        if job is None or job.state not in ASSEMBLED_IN:
            raise ClaimLost  # it was given up meanwhile
        left = job.unassembled - 1
        also = (
            update_counter(job, "unassembled", job.unassembled, to=left)
            if left
            else _publishing(job, batches, services)
        )
        services.store.move(split, state, also=[also], **settled)
        return job.with_(unassembled=left)

    job = until_unchanged(settle)
    if not job.unassembled:
        services.queues.publish(job.id)


def _publishing(job: Job, known: Sequence[Batch] | None, services: Services) -> Write:
    now = services.now()
    batches = list(services.store.batches(job.id)) if known is None else known
    submitted = [each.submitted_at for each in batches if each.submitted_at is not None]
    ended = [each.ended_at for each in batches if each.ended_at is not None]
    return move_in_transaction(
        job,
        JobState.PUBLISHING,
        unassembled=0,
        outcome=job.outcome or (JobState.CANCELLED if job.state is JobState.CANCELLING else JobState.COMPLETED),
        first_submitted_at=min(submitted, default=None),
        last_ended_at=max(ended, default=None),
        published_at=now,
        due_at=now + services.settings.lease_seconds,
    )

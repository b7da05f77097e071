"""Decisions of a person on a job: to cancel it, or to approve or reject one that is held for its budget."""

import time

from batchdrop.jobs import NotHeld, TooLate, approve_job, ask_to_cancel, reject_job
from batchdrop.manifest import timestamp
from batchdrop.records import Job

from batchdrop_cli import jobs
from batchdrop_cli.cloud import Cloud
from batchdrop_cli.say import count
from batchdrop_cli.user_errors import UserError


def describe_cancel(cloud: Cloud, job: Job, by: str | None) -> list[str]:
    """Return the text before a job is stopped: its file, its dropper, and the answers that stay.

    Args:
        cloud: Where it is.
        job: As it was read.
        by: Who dropped it.
    """
    done = jobs.ended_requests(list(cloud.store.batches(job.id)))
    return [
        f"Job {job.id}: s3://{cloud.bucket}/{job.key}",
        f"dropped {timestamp(job.dropped_at)} by {by or 'an unknown user'}",
        (
            f"{done.ended:,} of {count(done.total, 'request')} have ended: their results are published; all that was "
            "sent is paid"
        ),
    ]


def cancel(cloud: Cloud, job: Job) -> Job:
    """Ask to stop a job; answers received before are still published.

    Raises:
        UserError: It is over, or its results are being written.
    """
    try:
        return ask_to_cancel(job.id, cloud.store, now=int(time.time()))
    except TooLate as error:
        raise UserError(f"Job {job.id} is {error}: it is too late to cancel it.") from error


def approve(cloud: Cloud, job: Job) -> Job:
    """Let a held job be sent whatever its budget.

    Raises:
        UserError: It is not held.
    """
    try:
        return approve_job(job.id, cloud.store, now=int(time.time()))
    except NotHeld as error:
        raise _not_held(cloud, job, error, "approve") from error


def reject(cloud: Cloud, job: Job) -> Job:
    """End a held job with nothing paid.

    Raises:
        UserError: It is not held.
    """
    try:
        return reject_job(job.id, cloud.store, now=int(time.time()))
    except NotHeld as error:
        raise _not_held(cloud, job, error, "reject") from error


def _not_held(cloud: Cloud, job: Job, error: NotHeld, wanted: str) -> UserError:
    see = cloud.command(f"show {job.id}")
    return UserError(f"Job {job.id} is {error}, not held for its budget: there is nothing to {wanted}. See: {see}")

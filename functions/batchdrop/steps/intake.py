"""Intake: one dropped version of a file becomes a job with its splits; nothing of it is read."""

from datetime import UTC, datetime

import msgspec
from aws_lambda_powertools import Logger

from batchdrop.aws import keys
from batchdrop.aws.bucket import Head
from batchdrop.aws.keys import is_job
from batchdrop.aws.metrics import Alert, count
from batchdrop.aws.row_versions import NewerRow
from batchdrop.aws.table_items import Write, add_retry, put_version_pointer
from batchdrop.correlation import name_job
from batchdrop.deadlines import ROWS_LIVE, last_moment
from batchdrop.errors import Gone, Locked, Transient, Unprocessable
from batchdrop.inputs.job_settings import own_metadata
from batchdrop.inputs.retry_lineage import find_misfit
from batchdrop.inputs.splits import splitting_of
from batchdrop.jobs import published_as, send_splits
from batchdrop.limits.drop_settings import (
    may_pass,
    settings_files,
    with_deadline,
    with_fallback,
    with_output_schema,
    with_settings,
    with_template,
)
from batchdrop.limits.restore_hold import restored_at
from batchdrop.records import Job, JobSettings
from batchdrop.services import Services
from batchdrop.states import JobState

logger = Logger(child=True)


class Dropped(msgspec.Struct, frozen=True, kw_only=True):
    """An object as an event names it. `version_id` is None where the event has none."""

    key: str
    version_id: str | None
    etag: str | None
    bytes: int
    time: int


def take_object(dropped: Dropped, services: Services, *, receives: int = 1) -> Job | None:
    """Make the job of an object, or find the one that is there; None for what is no job.

    The same event twice is the same job: its id is made of the version. One that comes again and again, whether its
    worker raised or died, becomes a job that failed.

    Args:
        dropped: What the event says.
        services: The services.
        receives: How often the event's message was received.
    """
    if not is_job(dropped.key):
        return None
    digest = keys.version_digest(services.files.bucket, dropped.key, dropped.version_id)
    if receives > 1 and services.store.has_failed_at_intake(digest):
        return _take_failed(dropped, services)
    try:
        head = services.files.head(dropped.key, dropped.version_id)
    except Gone as error:
        return _job_of_deleted_object(dropped, error, services)
    job = _as_published(_new_job(dropped, head, services), services)
    name_job(job.id)
    if not services.store.add(job, also=_beside(job, services)):
        found = services.store.job(job.id)
        if found is None or found.state is not JobState.PLANNING:
            return found
        job = found
    logger.info("job taken", bytes=job.bytes, splits=job.splits, state=job.state)
    dispatch_job(job, services)
    return job


def dispatch_job(job: Job, services: Services) -> None:
    """Send a job on its way: plan its splits, or publish its failure. Twice is as good as once."""
    if job.state is JobState.PUBLISHING:
        services.queues.publish(job.id)
        return
    send_splits(job, services)


def _as_published(job: Job, services: Services) -> Job:
    """A job that ended after its table's restore point ends as it did: it is not planned, and paid, once more."""
    if job.dropped_at > restored_at(services):
        return job
    published = published_as(job, services)
    return job if published is None else job.with_(**published)


def _job_of(  # noqa: PLR0913 - what an event and a HEAD both say
    key: str, version_id: str | None, services: Services, *, etag: str | None, size: int, at: int
) -> Job:
    """The job of a version of an object, which was written then."""
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
    return Job(
        job=keys.job_id(services.files.bucket, key, version_id, stamp),
        state=JobState.PLANNING,
        bucket=services.files.bucket,
        key=key,
        version_id=version_id,
        etag=etag,
        bytes=size,
        dropped_at=at,
        settings=JobSettings(),
        due_at=services.now() + services.settings.lease_seconds,
    )


def _new_job(dropped: Dropped, head: Head, services: Services) -> Job:
    version_id = dropped.version_id or head.version_id
    job = _job_of(dropped.key, version_id, services, etag=head.etag, size=head.bytes, at=head.last_modified)
    try:
        job = _with_lineage(job, own_metadata(head.metadata), services)
        return _with_settings(job, head, services)
    except Unprocessable as error:
        return _failed_job(job, str(error), services)


def _with_settings(job: Job, head: Head, services: Services) -> Job:
    _refuse_unreadable(job)
    files = settings_files(job, head.metadata, services)
    job = with_deadline(with_settings(job, files, head.metadata, services), services)
    job = with_template(with_fallback(job, services), files, services)
    job = with_output_schema(job, files, head.metadata, services)
    # What a compressed file or a table holds is known when it is rewritten: by the plan of its only split.
    split_bytes = job.bytes if keys.is_rewritten(job.key) else services.settings.split_bytes
    return job.with_(**splitting_of(job.bytes, split_bytes))


def _refuse_unreadable(job: Job) -> None:
    if not job.key.endswith(keys.ENDINGS):
        raise Unprocessable(
            "Only .jsonl files are processed, one JSON object per line, and tables, .csv and .tsv; each of them also "
            "compressed, as .gz or .zst."
        )
    if not job.bytes:
        raise Unprocessable("The file is empty.")


def _with_lineage(job: Job, metadata: dict[str, str], services: Services) -> Job:
    """Name the job that this one retries, where it does.

    A retry that could never be merged is refused before it is paid for, and never named among another job's retries.
    """
    retry_of, lines = metadata.get("retry_of"), metadata.get("retry_lines")
    if retry_of is None and lines is None:
        return job
    if retry_of is not None and not keys.is_job_id(retry_of):
        example = "20261105T091412Z-7f3a9c2e51"
        raise Unprocessable(f"batchdrop-retry-of = {retry_of!r:.100}: it must be a job's id, such as {example}.")
    if retry_of is None or lines is None:
        raise Unprocessable(
            "batchdrop-retry-of and batchdrop-retry-lines must be set together: one of them is missing."
        )
    retry = job.with_(retry_of=retry_of, retry_lines=lines)
    misfit = find_misfit(retry, _retried(retry_of, services))
    if misfit is not None:
        raise Unprocessable(f"The file is not a retry of job {retry_of}: {misfit}.")
    return retry


def _retried(job_id: str, services: Services) -> Job | None:
    try:
        return services.store.job(job_id)
    except NewerRow:  # it would end the drop's own message, and nothing else knows of the drop
        raise Unprocessable(
            f"Job {job_id}, which the file retries, was written by a newer version of batchdrop: deploy that version "
            "again, then upload the file again."
        ) from None


def _beside(job: Job, services: Services) -> list[Write]:
    """Return the writes beside a new job's row: which version it is, and which job it retries."""
    expires_at = max(last_moment(job), services.now()) + ROWS_LIVE
    named = put_version_pointer(job, keys.version_digest(job.bucket, job.key, job.version_id), expires_at)
    return [named] if job.retry_of is None else [named, add_retry(job, job.retry_of, expires_at)]


def _failed_job(job: Job, reason: str, services: Services) -> Job:
    return job.with_(state=JobState.PUBLISHING, outcome=JobState.FAILED, reason=reason, published_at=services.now())


def _job_of_deleted_object(dropped: Dropped, gone: Gone, services: Services) -> Job | None:
    """The version was deleted before it was looked at, or cannot be: unless this is a late repetition, the job fails.

    Raises:
        Transient: It may not be seen yet.
    """
    digest = keys.version_digest(services.files.bucket, dropped.key, dropped.version_id)
    if not services.store.is_known_version(digest) and may_pass(gone, dropped.time, digest, services):
        raise Transient("the dropped version is not seen yet")
    reason = gone.reason if isinstance(gone, Locked) else "The file was deleted before it could be read."
    return _fail_dropped(dropped, reason, services)


def _take_failed(dropped: Dropped, services: Services) -> Job | None:
    reason = (
        'Every attempt to take the file failed: look for "unit failed", or for a timeout, at the time of the drop '
        "in the log group of the function Intake. Then upload the file again."
    )
    job = _fail_dropped(dropped, reason, services)
    logger.error("drop given up", bytes=dropped.bytes)
    count(Alert.JOB_GIVEN_UP)
    return job


def _fail_dropped(dropped: Dropped, reason: str, services: Services) -> Job | None:
    # Looked up by the version: an upload in parts bears the time at which it began, its event the one when it ended.
    bucket, version_id = services.files.bucket, dropped.version_id
    digest = keys.version_digest(bucket, dropped.key, version_id)
    if services.store.is_known_version(digest):
        known = services.store.job_of(digest)  # none where it was forgotten
        name_job(None if known is None else known.id)
        return known
    job = _job_of(dropped.key, version_id, services, etag=dropped.etag, size=dropped.bytes, at=dropped.time)
    job = _failed_job(job, reason, services)
    name_job(job.id)
    if services.store.add(job, also=_beside(job, services)):
        dispatch_job(job, services)
    return job

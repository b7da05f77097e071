"""Dropping a file: the upload, the job it becomes, and not paying twice for the same bytes by accident."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from batchdrop.aws.bucket import Head
from batchdrop.aws.keys import INPUT, SCHEMA_ENDING, SETTINGS_FILE, is_job, job_id
from batchdrop.aws.leases import DropClaim
from batchdrop.errors import Gone
from batchdrop.manifest import File
from batchdrop.records import Job
from batchdrop.states import TERMINAL_JOBS
from botocore.exceptions import BotoCoreError, ClientError

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.exit_codes import WRONG_USE
from batchdrop_cli.fingerprints import PART_BYTES, Fingerprint, fingerprint_of
from batchdrop_cli.jobs import recent
from batchdrop_cli.row_settings import OwnSettings
from batchdrop_cli.settings_names import content_of
from batchdrop_cli.table_files import as_dropped, dropped_name, is_converted
from batchdrop_cli.uploads import Upload, send
from batchdrop_cli.user_errors import AlreadyRunning, UserError
from batchdrop_cli.whose import mark

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CopySourceTypeDef

_OBJECT_WRITES = ("PutObject", "CopyObject", "CompleteMultipartUpload")  # each answers the version that it wrote
_SLOWEST_UPLOAD = 500_000  # bytes a second: a command that died holds its claim no longer than that would take
_INTAKE_SECONDS = 900  # a drop that has not become a job by then has lost its event

_AGAIN = "repeat the command within a week."  # as long as the bucket keeps parts

_DAYS = 31  # a job ends within 30 days by default
_JOBS = 200  # that are looked at before a drop; a few milliseconds each
_ONE_WRITE = Lock()  # threads that drop at once would read each other's versions, and make clients at once

Progressed = Callable[[int], None]
"""Told the bytes of each piece that went out; from several threads."""
Showing = Callable[[str, int], AbstractContextManager[Progressed]]
"""Shows the upload of a file of this name and so many bytes."""


def default_key(path: Path) -> str:
    return INPUT + dropped_name(path)


def choose_key(path: Path, key: str | None) -> str:
    """The key for a file that can be read: the one that was asked for, or its name under `input/`.

    Raises:
        OSError: There is no such file.
        UserError: Neither a job nor settings would come of an object at this key.
    """
    path.open("rb").close()
    if key is not None and is_converted(path) and not key.endswith(".jsonl"):
        raise UserError(f"{path} is dropped as JSON lines: end its --key in .jsonl, not as {key}.", code=WRONG_USE)
    return check_key(default_key(path) if key is None else key)


def check_key(key: str) -> str:
    """The key, which makes an object a job, or settings.

    Raises:
        UserError: No job would come of an object at this key.
    """
    if not key.startswith(INPUT) or key.endswith("/"):
        raise UserError(f"--key {key}: a key must begin with {INPUT} and name a file.", code=WRONG_USE)
    if not is_job(key) and not is_settings(key):
        name = key.rpartition("/")[2]
        raise UserError(
            f"{key} would not become a job: tools write files named like {name}. Choose another key with --key.",
            code=WRONG_USE,
        )
    return key


def is_settings(key: str) -> bool:
    """Whether a file is a folder's settings, or an output schema that they name, by its name."""
    return key.rpartition("/")[2] == SETTINGS_FILE or key.endswith(SCHEMA_ENDING)


def put_settings(cloud: Cloud, path: Path, key: str) -> None:
    cloud.s3.put_object(Bucket=cloud.bucket, Key=key, Body=path.read_bytes())


def same_running(cloud: Cloud, key: str, fingerprint: Fingerprint) -> str | None:
    """The unfinished job of the same bytes; None when there is none.

    Looks at the object that lies at this key, which may be too young to be a job yet, and at the newest jobs, whatever
    their keys.
    """
    return _at_key(cloud, key, fingerprint) or _among(cloud, recent(cloud, days=_DAYS, limit=_JOBS), fingerprint)


@contextmanager
def only_drop(cloud: Cloud, key: str, fingerprint: Fingerprint, *, again: bool) -> Iterator[list[str]]:
    """Be the only command that drops these bytes; what it drops, the caller appends: the job's id.

    A look at what is running misses what begins at the same moment: of two, one finds the other's claim. With `again`
    nobody is asked.

    Raises:
        UserError: They are running already, or another command drops them now.
    """
    if again:
        yield []
        return
    running = partial(already_running_error, cloud)
    with only_command(
        cloud, fingerprint.digest, size=fingerprint.bytes, what="the same bytes", running=running
    ) as dropped:
        if (found := same_running(cloud, key, fingerprint)) is not None:
            raise running(found)
        yield dropped


@contextmanager
def only_command(
    cloud: Cloud, digest: str, *, size: int, what: str, running: Callable[[str], UserError]
) -> Iterator[list[str]]:
    """Hold the claim on what a digest names; the caller appends the id of the job that came of it.

    Args:
        cloud: Whose table has the claims.
        digest: Names what is dropped.
        size: How many bytes are uploaded.
        what: It is in words, for a message.
        running: What to say where a job that is not over has come of it.

    Raises:
        UserError: Another command holds the claim, or its job runs.
    """
    dropped: list[str] = []
    claim = _claim(cloud, digest, _INTAKE_SECONDS + size // _SLOWEST_UPLOAD, what, running)
    try:
        yield dropped
    finally:
        if claim is not None:
            cloud.store.leases.end_drop(claim, dropped[0] if dropped else None, _INTAKE_SECONDS)


def _claim(cloud: Cloud, digest: str, seconds: int, what: str, running: Callable[[str], UserError]) -> DropClaim | None:
    """The claim; None for who may not write to the table, and has to do with the look."""
    try:
        claim = cloud.store.leases.claim_drop(digest, seconds)
        if claim.job is not None and _is_over(cloud, claim.job):
            claim = cloud.store.leases.claim_drop(digest, seconds, after=claim.job)
    except ClientError as error:
        if error.response["Error"]["Code"] != "AccessDeniedException":
            raise
        return None
    if claim.is_held:
        return claim
    if claim.job is not None:
        raise running(claim.job)
    raise UserError(f"Another command is dropping {what} right now. To drop and pay for them anyway: --again")


def _is_over(cloud: Cloud, job_id: str) -> bool:
    job = cloud.store.job(job_id)
    return job is not None and job.state in TERMINAL_JOBS


def already_running_error(cloud: Cloud, job_id: str) -> UserError:
    see = cloud.command(f"show {job_id}")
    return AlreadyRunning(
        f"Job {job_id} is already processing the same bytes. See: {see} - to send and pay for them again: --again",
        job_id=job_id,
    )


def _among(cloud: Cloud, jobs: Iterable[Job], fingerprint: Fingerprint) -> str | None:
    for job in jobs:
        if job.state in TERMINAL_JOBS or not fingerprint.matches(job.bytes, job.etag):
            continue
        try:
            head = cloud.files.head(job.key, job.version_id)
        except Gone:  # its settings are not known: rather ask than pay twice
            return job.id
        if content_of(head.metadata) == fingerprint.settings:
            return job.id
    return None


def _at_key(cloud: Cloud, key: str, fingerprint: Fingerprint) -> str | None:
    try:
        head = cloud.files.head(key)
    except Gone:
        return None
    is_same = fingerprint.matches(head.bytes, head.etag) and content_of(head.metadata) == fingerprint.settings
    return unfinished(cloud, key, head) if is_same else None


def unfinished(cloud: Cloud, key: str, head: Head) -> str | None:
    """The job of an object, which may be too young to be one yet; None when it is over, or its event is lost."""
    job_id = _job_of(cloud, key, head)
    job = cloud.store.job(job_id)
    if job is None:
        return job_id if time.time() - head.last_modified < _INTAKE_SECONDS else None
    return None if job.state in TERMINAL_JOBS else job_id


@contextmanager
def unseen(_name: str, _bytes: int) -> Iterator[Progressed]:
    """An upload that nobody watches."""
    yield lambda _: None


def drop_file(  # noqa: PLR0913 - what a drop is
    cloud: Cloud,
    path: Path,
    key: str,
    *,
    again: bool,
    metadata: Mapping[str, str] | None = None,
    settings: OwnSettings | None = None,
    showing: Showing = unseen,
) -> str:
    """Upload a file unless the same bytes are running; the id of its job.

    Args:
        cloud: Where to.
        path: The file.
        key: Under `input/`.
        again: Ask nobody, and pay for the same bytes again.
        metadata: The object's, beside who drops it.
        settings: The file's own, which are laid beside it.
        showing: Entered with the file's name and bytes when the upload begins.

    Raises:
        UserError: The same bytes are running, or another command drops them now.
    """
    metadata = {**(metadata or {}), **(settings.metadata if settings else {})}
    with as_dropped(path) as stored:
        fingerprint = replace(fingerprint_of(stored), settings=content_of(metadata))
        with only_drop(cloud, key, fingerprint, again=again) as dropped:
            if settings is not None:
                cloud.s3.put_object(Bucket=cloud.bucket, Key=settings.key, Body=settings.text)
            with showing(path.name, fingerprint.bytes) as progressed:
                job_id = upload(cloud, stored, key, progressed, metadata)
            dropped.append(job_id)
    cloud.tell(f"Dropped {path} at s3://{cloud.bucket}/{key} ({cloud.title}).")
    return job_id


def upload(
    cloud: Cloud, path: Path, key: str, progressed: Progressed, metadata: Mapping[str, str] | None = None
) -> str:
    """Stream the file to the bucket, in parts where it is large: an upload that broke off goes on where it broke.

    Args:
        cloud: Where to.
        path: The file.
        key: Under `input/`.
        progressed: Told the bytes of each piece that went out; from several threads.
        metadata: The object's, beside who drops it.

    Returns:
        The id of the job that intake makes of it.
    """
    with _ONE_WRITE, _versions_written(cloud) as versions:
        own = {**(metadata or {}), **mark(cloud)}
        if path.stat().st_size < PART_BYTES:
            cloud.s3.upload_file(str(path), cloud.bucket, key, ExtraArgs={"Metadata": own}, Callback=progressed)
        else:
            _send_in_parts(Upload(cloud=cloud, path=path, key=key, metadata=own), progressed)
    return _job_of(cloud, key, cloud.files.head(key, versions[-1]))


def _send_in_parts(upload: Upload, progressed: Progressed) -> None:
    try:
        send(upload, progressed)
    except (KeyboardInterrupt, BotoCoreError, ClientError):
        upload.cloud.tell(f"The upload of {upload.path} broke off, and nothing was dropped. To go on with it, {_AGAIN}")
        raise


def copy(cloud: Cloud, source: File, key: str, metadata: Mapping[str, str]) -> str:
    """Drop an output as it is; S3 copies it by itself.

    Returns:
        The id of the job that intake makes of it.
    """
    origin: CopySourceTypeDef = {"Bucket": cloud.bucket, "Key": source.key}
    if source.version_id is not None:
        origin["VersionId"] = source.version_id
    with _ONE_WRITE, _versions_written(cloud) as versions:
        extra = {"Metadata": {**metadata, **mark(cloud)}, "MetadataDirective": "REPLACE"}
        cloud.s3.copy(origin, cloud.bucket, key, ExtraArgs=extra)
    return _job_of(cloud, key, cloud.files.head(key, versions[-1]))


@contextmanager
def _versions_written(cloud: Cloud) -> Iterator[list[str | None]]:
    """The version ids that S3 answers to the writes in the block, in their order; None where it keeps no versions.

    boto3's transfers return nothing, and the newest version of the key may be someone else's by the time it is asked
    for: two people may drop under one key at once.
    """
    versions: list[str | None] = []

    def record(parsed: Mapping[str, str], **_: object) -> None:
        versions.append(parsed.get("VersionId"))

    answers = [f"after-call.s3.{operation}" for operation in _OBJECT_WRITES]
    for answer in answers:
        cloud.s3.meta.events.register(answer, record)
    try:
        yield versions
    finally:
        for answer in answers:
            cloud.s3.meta.events.unregister(answer, record)


def _job_of(cloud: Cloud, key: str, head: Head) -> str:
    modified = datetime.fromtimestamp(head.last_modified, UTC).strftime("%Y%m%dT%H%M%SZ")
    return job_id(cloud.bucket, key, head.version_id, modified)

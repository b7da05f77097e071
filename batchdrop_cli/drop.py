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
from batchdrop.errors import Gone
from batchdrop.manifest import File
from batchdrop.records import Job
from batchdrop.states import TERMINAL_JOBS
from botocore.exceptions import BotoCoreError, ClientError

from batchdrop_cli.claims import INTAKE_SECONDS, Dropping, only_command
from batchdrop_cli.cloud import Cloud
from batchdrop_cli.exit_codes import WRONG_USE
from batchdrop_cli.fingerprints import PART_BYTES, Fingerprint, fingerprint_of
from batchdrop_cli.jobs import recent
from batchdrop_cli.row_settings import OwnSettings
from batchdrop_cli.settings_names import content_of
from batchdrop_cli.table_files import as_dropped, dropped_name, is_converted
from batchdrop_cli.uploads import Upload, check_unchanged, send
from batchdrop_cli.user_errors import AlreadyRunning, UserError
from batchdrop_cli.whose import mark

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CopySourceTypeDef

_AGAIN = "repeat the command within a week."  # as long as the bucket keeps parts

_DAYS = 31  # a job ends within 30 days by default
_JOBS = 200  # that are looked at before a drop; a few milliseconds each
_ONE_WRITE = Lock()  # threads that drop at once would make clients at once

Progressed = Callable[[int], None]
"""Called with the bytes of each piece that went out; from several threads."""
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
    """Return whether a file is a folder's settings, or an output schema that they name, by its name."""
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
def only_drop(cloud: Cloud, key: str, fingerprint: Fingerprint, *, again: bool) -> Iterator[Dropping]:
    """Be the only command that drops these bytes; the caller says which job came of them.

    A look at what is running misses what begins at the same moment: of two, one finds the other's claim. With `again`
    nobody is asked.

    Raises:
        UserError: They are running already, or another command drops them now.
    """
    if again:
        yield Dropping()
        return
    running = partial(already_running_error, cloud)
    digest, size = fingerprint.digest, fingerprint.bytes
    with only_command(cloud, digest, place=key, size=size, what="the same bytes", running=running) as dropping:
        if (found := same_running(cloud, key, fingerprint)) is not None:
            raise running(found)
        yield dropping


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
        return job_id if time.time() - head.last_modified < INTAKE_SECONDS else None
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
    ending: Callable[[], None] = lambda: None,
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
        ending: Called before S3 is asked to make an object of its parts.

    Raises:
        UserError: The same bytes are running, another command drops them now, or the file changes meanwhile.
    """
    metadata = {**(metadata or {}), **(settings.metadata if settings else {})}
    with as_dropped(path) as stored:
        fingerprint = replace(fingerprint_of(stored), settings=content_of(metadata))
        with only_drop(cloud, key, fingerprint, again=again) as dropping:
            if settings is not None:
                cloud.s3.put_object(Bucket=cloud.bucket, Key=settings.key, Body=settings.text)
            with showing(path.name, fingerprint.bytes) as progressed:
                ends = (dropping.ending, ending)
                job_id = upload(cloud, stored, key, progressed, metadata, fingerprint=fingerprint, ends=ends)
            dropping.job = job_id
    cloud.notify(f"Dropped {path} at s3://{cloud.bucket}/{key} ({cloud.title}).")
    return job_id


def upload(  # noqa: PLR0913 - what an upload is
    cloud: Cloud,
    path: Path,
    key: str,
    progressed: Progressed,
    metadata: Mapping[str, str] | None = None,
    *,
    fingerprint: Fingerprint | None = None,
    ends: Iterable[Callable[[], None]] = (),
) -> str:
    """Stream the file to the bucket, in parts where it is large: an upload that broke off goes on where it broke.

    Args:
        cloud: Where to.
        path: The file.
        key: Under `input/`.
        progressed: Called with the bytes of each piece that went out; from several threads.
        metadata: The object's, beside who drops it.
        fingerprint: The file's, where it was read already.
        ends: Called before S3 is asked to make an object of its parts.

    Returns:
        The id of the job that intake makes of it.

    Raises:
        UserError: The file changes meanwhile: a mixture of two versions would be paid.
    """
    fingerprint = fingerprint or fingerprint_of(path)
    with _ONE_WRITE, path.open("rb") as file:
        own = {**(metadata or {}), **mark(cloud)}
        sent = Upload(cloud=cloud, path=path, file=file, key=key, metadata=own, fingerprint=fingerprint)
        is_small = fingerprint.bytes < PART_BYTES
        version = _send_whole(sent, progressed) if is_small else _send_in_parts(sent, progressed, ends)
    return _job_of(cloud, key, cloud.files.head(key, version))


def _send_whole(upload: Upload, progressed: Progressed) -> str | None:
    body = upload.file.read(PART_BYTES)
    check_unchanged(upload)
    made = upload.cloud.s3.put_object(
        Bucket=upload.cloud.bucket, Key=upload.key, Body=body, Metadata=dict(upload.metadata)
    )
    progressed(len(body))
    return made.get("VersionId")


def _send_in_parts(upload: Upload, progressed: Progressed, ends: Iterable[Callable[[], None]]) -> str | None:
    try:
        return send(upload, progressed, ends)
    except (KeyboardInterrupt, BotoCoreError, ClientError):
        upload.cloud.notify(
            f"The upload of {upload.path} broke off, and nothing was dropped. To go on with it, {_AGAIN}"
        )
        raise


def copy(cloud: Cloud, source: File, key: str, metadata: Mapping[str, str]) -> str:
    """Drop an output as it is; S3 copies it by itself.

    Returns:
        The id of the job that intake makes of it.
    """
    origin: CopySourceTypeDef = {"Bucket": cloud.bucket, "Key": source.key}
    if source.version_id is not None:
        origin["VersionId"] = source.version_id
    with _ONE_WRITE:
        client = cloud.new_s3()
        versions = _versions_written(client)
        extra = {"Metadata": {**metadata, **mark(cloud)}, "MetadataDirective": "REPLACE"}
        client.copy(origin, cloud.bucket, key, ExtraArgs=extra)
    return _job_of(cloud, key, cloud.files.head(key, versions[-1]))


def _versions_written(client: "S3Client") -> list[str | None]:
    """The version ids that S3 answers to this client's copies, in their order; None where it keeps no versions.

    boto3's copy returns nothing, and the newest version of the key may be someone else's by the time it is asked for:
    two people may drop under one key at once. Nobody else uses the client: botocore may pass by what is registered
    while another thread calls.
    """
    versions: list[str | None] = []

    def record(parsed: Mapping[str, str], **_: object) -> None:
        versions.append(parsed.get("VersionId"))

    for operation in ("CopyObject", "CompleteMultipartUpload"):
        client.meta.events.register(f"after-call.s3.{operation}", record)
    return versions


def _job_of(cloud: Cloud, key: str, head: Head) -> str:
    modified = datetime.fromtimestamp(head.last_modified, UTC).strftime("%Y%m%dT%H%M%SZ")
    return job_id(cloud.bucket, key, head.version_id, modified)

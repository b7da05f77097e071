"""Sending a large file in parts, so that an upload that broke off goes on where it broke.

What is sent is noted in a file on this machine: for each part the MD5 of its bytes, and what S3 answered. A part is
passed over only if S3 still lists it and the file still has these bytes there. S3 deletes uploads that nobody ends.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec
from botocore.exceptions import ClientError

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.fingerprints import PART_BYTES, Fingerprint, state_of
from batchdrop_cli.state_dir import forget_old, states
from batchdrop_cli.user_errors import UserError
from local_cloud.state import PRIVATE_FILE, PRIVATE_FOLDER

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

_MOST_PARTS = 10_000  # S3's limit
_AT_ONCE = 4  # parts, each in memory while it is sent: 32 MiB; Ctrl-C waits for them

Progressed = Callable[[int], None]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part that was sent: the MD5 of its bytes, and what names it when the upload is ended."""

    number: int
    bytes: int
    md5: str
    etag: str
    crc32: str | None = None


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """An upload that was begun, and the parts of it that were sent."""

    upload_id: str
    parts: dict[int, Part] = {}


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A file on its way to a key: the same bytes, key and metadata are the same upload, whatever the file's name."""

    cloud: Cloud
    path: Path
    file: BinaryIO
    key: str
    metadata: Mapping[str, str]
    fingerprint: Fingerprint

    @property
    def size(self) -> int:
        return self.fingerprint.bytes

    @cached_property
    def part_bytes(self) -> int:
        return max(PART_BYTES, -(-self.size // _MOST_PARTS))

    @property
    def numbers(self) -> range:
        return range(1, -(-self.size // self.part_bytes) + 1)

    @cached_property
    def note_path(self) -> Path:
        names = [self.cloud.bucket, self.key, self.fingerprint.digest, sorted(self.metadata.items())]
        return states() / "uploads" / f"{hashlib.sha256(json.dumps(names).encode()).hexdigest()[:24]}.jsonl"

    def read(self, number: int) -> bytes:
        return os.pread(self.file.fileno(), self.part_bytes, (number - 1) * self.part_bytes)


def check_unchanged(upload: Upload) -> None:
    """Raises: UserError, when the file is another than the one whose fingerprint was taken."""
    if state_of(upload.file) != upload.fingerprint.state:
        raise UserError(f"{upload.path} changed while it was sent: nothing was dropped. Repeat the command.")


def send(upload: Upload, progressed: Progressed, ends: Iterable[Callable[[], None]] = ()) -> str | None:
    """Send what S3 does not have yet, and end the upload; `ends` are called before its end.

    Returns:
        The version that was made; None where S3 keeps none.

    Raises:
        UserError: The file changed meanwhile: the upload is given up.
    """
    with _notes(upload.note_path) as notes:
        noted = (notes and _resume(upload, notes)) or _begin(upload, notes)
        progressed(sum(part.bytes for part in noted.parts.values()))
        sent = noted.parts | {part.number: part for part in _sent(upload, noted, notes, progressed)}
        _give_up_if_changed(upload, noted)
        for end in ends:
            end()
        made = upload.cloud.s3.complete_multipart_upload(
            Bucket=upload.cloud.bucket,
            Key=upload.key,
            UploadId=noted.upload_id,
            MultipartUpload={"Parts": [_named(sent[number]) for number in upload.numbers]},
        )
        if notes is not None:
            upload.note_path.unlink(missing_ok=True)
        return made.get("VersionId")


def _give_up_if_changed(upload: Upload, noted: Noted) -> None:
    try:
        check_unchanged(upload)
    except UserError:
        upload.note_path.unlink(missing_ok=True)
        with suppress(ClientError):  # S3 deletes it by itself in a week
            upload.cloud.s3.abort_multipart_upload(Bucket=upload.cloud.bucket, Key=upload.key, UploadId=noted.upload_id)
        raise


@contextmanager
def _notes(path: Path) -> Iterator[BinaryIO | None]:
    """The file of notes, for this command alone; None where it cannot be written, or another command has it."""
    try:
        path.parent.mkdir(PRIVATE_FOLDER, parents=True, exist_ok=True)
        forget_old(path.parent)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
    except OSError:
        yield None
        return
    with os.fdopen(handle, "r+b", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield file


def _begin(upload: Upload, notes: BinaryIO | None) -> Noted:
    answer = upload.cloud.s3.create_multipart_upload(
        Bucket=upload.cloud.bucket, Key=upload.key, Metadata=dict(upload.metadata), ChecksumAlgorithm="CRC32"
    )
    noted = Noted(upload_id=answer["UploadId"])
    if notes is not None:
        notes.truncate(0)
        notes.seek(0)
        notes.write(msgspec.json.encode(noted) + b"\n")
    return noted


def _resume(upload: Upload, notes: BinaryIO) -> Noted | None:
    """The upload that broke off, with the parts that S3 has and that the file still has; None where there is none."""
    noted = _read_notes(notes.read())
    if noted is None:
        return None
    try:
        listed = dict(_listed(upload, noted.upload_id))
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"NoSuchUpload", "AccessDenied"}:
            raise
        return None
    same = {
        number: part
        for number, part in noted.parts.items()
        if listed.get(number) == part.etag and _md5(upload.read(number)) == part.md5
    }
    upload.cloud.notify(
        f"An upload of {upload.path} broke off: {len(same):,} of {len(upload.numbers):,} parts are there."
    )
    return Noted(upload_id=noted.upload_id, parts=same)


def _read_notes(text: bytes) -> Noted | None:
    """Return the notes; a last line that was cut is passed over, and its part sent again."""
    try:
        first, *lines = text.splitlines()
        noted = msgspec.json.decode(first, type=Noted)
    except ValueError:
        return None
    parts = {}
    for line in lines:
        try:
            part = msgspec.json.decode(line, type=Part)
        except msgspec.DecodeError:
            continue
        parts[part.number] = part
    return Noted(upload_id=noted.upload_id, parts=parts)


def _listed(upload: Upload, upload_id: str) -> Iterator[tuple[int, str]]:
    pages = upload.cloud.s3.get_paginator("list_parts")
    for page in pages.paginate(Bucket=upload.cloud.bucket, Key=upload.key, UploadId=upload_id):
        yield from ((each["PartNumber"], each["ETag"]) for each in page.get("Parts", []))


def _sent(upload: Upload, noted: Noted, notes: BinaryIO | None, progressed: Progressed) -> Iterator[Part]:
    """The parts that are not there yet, each noted once it is sent."""
    left = [number for number in upload.numbers if number not in noted.parts]
    with ThreadPoolExecutor(_AT_ONCE) as sending:
        for part in sending.map(partial(_send_part, upload, noted.upload_id), left):
            if notes is not None:
                notes.write(msgspec.json.encode(part) + b"\n")
            progressed(part.bytes)
            yield part


def _send_part(upload: Upload, upload_id: str, number: int) -> Part:
    body = upload.read(number)
    answer = upload.cloud.s3.upload_part(
        Bucket=upload.cloud.bucket,
        Key=upload.key,
        UploadId=upload_id,
        PartNumber=number,
        Body=body,
        ChecksumAlgorithm="CRC32",
    )
    crc32 = answer.get("ChecksumCRC32")
    return Part(number=number, bytes=len(body), md5=_md5(body), etag=answer["ETag"], crc32=crc32)


def _named(part: Part) -> "CompletedPartTypeDef":
    named: CompletedPartTypeDef = {"PartNumber": part.number, "ETag": part.etag}
    return named if part.crc32 is None else {**named, "ChecksumCRC32": part.crc32}


def _md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()

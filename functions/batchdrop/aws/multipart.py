"""Writes objects by multipart uploads: from a stream, or joined from objects that exist.

S3's rules: a part has 5 MiB to 5 GiB, the last one may have less; an object has 10,000 parts at most.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from itertools import pairwise
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from botocore.exceptions import ClientError

from batchdrop.errors import OutOfTime, Transient
from batchdrop.temporary_files import temporary_file

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART_MIN = 5 * 1024 * 1024
PART_MAX = 5 * 1024 * 1024 * 1024
MAX_PARTS = 10_000
CONTENT_TYPE = "application/jsonl"
_PART = 8 * 1024 * 1024  # at least, of an upload whose size is not known before: 80 GB at most
_LOST = {"PreconditionFailed", "412", "NoSuchUpload"}  # another run was faster


class Upload:
    """An object that is written as its bytes come in, and is there when the `with` ends without an error."""

    def __init__(self, client: "S3Client", bucket: str, key: str) -> None:
        self._client = client
        self._where: Any = {"Bucket": bucket, "Key": key}
        self._upload: Any = {}
        self._parts: list[Any] = []
        self._held = BytesIO()  # sent as it is: joining pieces would hold a part twice
        self.bytes = 0
        self.answer: Any = None

    def write(self, chunk: bytes) -> None:
        if self._held.tell() >= _PART:
            self._put_part()
        self._held.write(chunk)
        self.bytes += len(chunk)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del error, trace
        try:
            if kind is None:
                self._finish()
        except BaseException:
            self._abort()
            raise
        if kind is not None:
            self._abort()

    def _finish(self) -> None:
        if not self._upload:
            self.answer = self._client.put_object(**self._where, Body=self._taken(), ContentType=CONTENT_TYPE)
            return
        self._put_part()
        self.answer = self._client.complete_multipart_upload(**self._upload, MultipartUpload={"Parts": self._parts})

    def _put_part(self) -> None:
        if not self._upload:
            started = self._client.create_multipart_upload(**self._where, ContentType=CONTENT_TYPE)
            self._upload = {**self._where, "UploadId": started["UploadId"]}
        number = len(self._parts) + 1
        answer = self._client.upload_part(**self._upload, PartNumber=number, Body=self._taken())
        self._held = BytesIO()
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})

    def _taken(self) -> BytesIO:
        self._held.seek(0)
        return self._held

    def _abort(self) -> None:
        if self._upload:
            with suppress(ClientError):  # gone when its completion went through and only the reply was lost
                self._client.abort_multipart_upload(**self._upload)


class Piece(NamedTuple):
    """Bytes of an object, `end` exclusive."""

    key: str
    start: int
    end: int

    @property
    def bytes(self) -> int:
        return self.end - self.start


def copy_plan(
    sources: Sequence[tuple[str, int]],
    *,
    least: int = PART_MIN,
    most: int = PART_MAX,
    max_parts: int = MAX_PARTS,
) -> list[list[Piece]]:
    """The parts of an object that is to hold all sources (key, bytes) in order: the same for the same sources.

    A part of one piece is copied by S3 itself; one of several small pieces passes through here. `least` grows when
    there would be too many parts.
    """
    parts = _parts(sources, least, most)
    if len(parts) <= max_parts:
        return parts
    total = sum(size for _, size in sources)
    return _parts(sources, max(least, -(-total // (max_parts - 1))), most)


def _parts(sources: Sequence[tuple[str, int]], least: int, most: int) -> list[list[Piece]]:
    parts: list[list[Piece]] = []
    rest: list[Piece] = []  # less than a part
    for key, size in sources:
        at = 0
        if rest:
            at = min(size, least - _bytes(rest))
            rest.append(Piece(key, 0, at))
            if _bytes(rest) == least:
                parts.append(rest)
                rest = []
        if size - at >= least:
            parts += ([piece] for piece in _even(key, at, size, most))
        elif size > at:
            rest = [Piece(key, at, size)]
    return [*parts, rest] if rest else parts


def _even(key: str, start: int, end: int, most: int) -> Iterator[Piece]:
    count = -(-(end - start) // most)
    edges = [start + (end - start) * number // count for number in range(count + 1)]
    return (Piece(key, *edge) for edge in pairwise(edges))


def _bytes(part: list[Piece]) -> int:
    return sum(piece.bytes for piece in part)


class Joining:
    """One object out of many. A run that dies, or ends for lack of time, leaves its parts to the next one."""

    part_min = PART_MIN
    at_once = 8  # copies: S3 makes them, at about 100 MB/s each; botocore keeps ten connections

    def __init__(self, client: "S3Client", bucket: str, key: str, read: Callable[[Piece], Iterator[bytes]]) -> None:
        self._client, self._bucket, self._key, self._read = client, bucket, key, read
        self._where: Any = {"Bucket": bucket, "Key": key}

    def run(self, sources: Sequence[tuple[str, int]], has_time: Callable[[], bool]) -> Any:  # noqa: ANN401 - one of several of boto3's answers
        """Make the object, if it is not there; one of boto3's answers about it.

        Raises:
            OutOfTime: Parts are missing, and there is no time left to make them.
            Transient: Another run is in the way.
        """
        sources = [(key, size) for key, size in sources if size]
        total = sum(size for _, size in sources)
        try:
            return (
                self._small(sources) if total <= self.part_min else self._found(total) or self._large(sources, has_time)
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in _LOST:
                raise
            found = self._found(total)
            if found is None:
                raise Transient(f"the upload of {self._key} was ended by another run") from error
            return found

    def _found(self, total: int) -> Any:  # noqa: ANN401 - the same
        try:
            head = self._client.head_object(**self._where)
        except ClientError as error:
            if error.response["Error"]["Code"] == "404":
                return None
            raise
        if head["ContentLength"] != total:
            raise ValueError(f"{self._key} exists and is another: {head['ContentLength']} bytes")
        self._abort_all()
        return head

    def _small(self, sources: Sequence[tuple[str, int]]) -> Any:  # noqa: ANN401 - the same
        body = b"".join(chunk for key, size in sources for chunk in self._read(Piece(key, 0, size)))
        return self._client.put_object(**self._where, Body=body, ContentType=CONTENT_TYPE, IfNoneMatch="*")

    def _large(self, sources: Sequence[tuple[str, int]], has_time: Callable[[], bool]) -> Any:  # noqa: ANN401 - the same
        plan = copy_plan(sources, least=self.part_min)
        upload, etags = self._unfinished(plan) or self._begin()
        missing = [number for number in range(1, len(plan) + 1) if number not in etags]

        def make(number: int) -> str:
            if not has_time():
                raise OutOfTime(self._key)
            return self._make(upload, number, plan[number - 1])

        with ThreadPoolExecutor(self.at_once) as pool:
            made = (pool.map if self.at_once > 1 else map)(make, missing)
            etags |= dict(zip(missing, made, strict=True))
        self._abort_all(but=upload)  # of a beginning whose reply was lost, several may be there
        parts: Any = [{"PartNumber": number, "ETag": etags[number]} for number in sorted(etags)]
        return self._client.complete_multipart_upload(
            **self._where, UploadId=upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
        )

    def _begin(self) -> tuple[str, dict[int, str]]:
        return self._client.create_multipart_upload(**self._where, ContentType=CONTENT_TYPE)["UploadId"], {}

    def _unfinished(self, plan: list[list[Piece]]) -> tuple[str, dict[int, str]] | None:
        """An earlier run's upload of this plan: its id, and the ETags of the parts that are there."""
        for upload in self._uploads():
            pages = self._client.get_paginator("list_parts").paginate(**self._where, UploadId=upload)
            found = [part for page in pages for part in page.get("Parts", [])]
            sizes = {number: _bytes(part) for number, part in enumerate(plan, start=1)}
            if all(sizes.get(part["PartNumber"]) == part["Size"] for part in found):
                return upload, {part["PartNumber"]: part["ETag"] for part in found}
            self._abort(upload)
        return None

    def _uploads(self) -> list[str]:
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket, Prefix=self._key)
        return [each["UploadId"] for page in pages for each in page.get("Uploads", []) if each["Key"] == self._key]

    def _abort_all(self, *, but: str | None = None) -> None:
        for upload in self._uploads():
            if upload != but:
                self._abort(upload)

    def _abort(self, upload: str) -> None:
        with suppress(ClientError):  # another run was faster
            self._client.abort_multipart_upload(**self._where, UploadId=upload)

    def _make(self, upload: str, number: int, part: list[Piece]) -> str:
        where: Any = {**self._where, "UploadId": upload, "PartNumber": number}
        if len(part) == 1 and part[0].bytes >= self.part_min:
            key, start, end = part[0]
            source: Any = {"Bucket": self._bucket, "Key": key}
            span = f"bytes={start}-{end - 1}"
            copied = self._client.upload_part_copy(**where, CopySource=source, CopySourceRange=span)
            return copied["CopyPartResult"]["ETag"]
        with temporary_file() as file:
            for piece in part:
                file.writelines(self._read(piece))
            file.seek(0)
            return self._client.upload_part(**where, Body=file)["ETag"]

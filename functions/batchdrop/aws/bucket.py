"""The bucket: every byte passes here as a stream; `keys` builds the keys."""

import heapq
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from urllib3.exceptions import HTTPError

from batchdrop.aws.keys import INPUT
from batchdrop.aws.multipart import Joining, Piece, Upload
from batchdrop.aws.retrying import retry
from batchdrop.downloads import resumed
from batchdrop.errors import Gone, Locked, Transient

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK = 1024 * 1024
_CONFLICT_ATTEMPTS = 5
_CUTS = (BotoCoreError, HTTPClientError, HTTPError)  # botocore lets urllib3's own through where a body is cut
_GONE = {"NoSuchKey", "NoSuchVersion", "404", "MethodNotAllowed", "405"}
_CONFLICTS = {"ConditionalRequestConflict", "409"}  # S3 asks to repeat the conditional write, or the whole upload
_LATER = {"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "OperationAborted", "500", "503"}

# S3's words for objects that cannot be read: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, and
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/troubleshoot-403-errors.html for KMS keys.
_SAY_NOTHING = frozenset({"400", "403"})
_DENIED = frozenset({"AccessDenied", "AllAccessDisabled", "403"})
# KMS's own words for keys that nobody can use: https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html
_DEAD_KEYS = frozenset(
    f"KMS.{each}" for each in ("DisabledException", "NotFoundException", "KMSInvalidStateException")
) | {"KMS.InvalidKeyUsageException"}
_WRONG = frozenset({"InvalidRequest", "InvalidArgument", "400"})
_ARCHIVED = (
    "The file is archived (in Glacier or an archive tier): restore it, copy it to S3 Standard, and drop the copy."
)
_OTHERS_KEY = (
    "The file is encrypted with a KMS key that batchdrop may not use: name the key's ARN in the context value "
    "readable_kms_keys and deploy, allow the functions' roles in the key's policy, and upload the file again; or "
    "upload it without that key."
)
_CUSTOMERS_KEY = (
    "The file is encrypted with a key of your own that S3 does not keep (SSE-C): nobody else can read it. Upload it "
    "without that key."
)
_FORBIDDEN = (
    "S3 denies batchdrop access to the file: a policy of the bucket, the organization or the endpoint forbids it. Fix "
    "the policy, and upload the file again."
)


class _Conflict(Transient):
    """Two conditional writes of one key met: the same one may go through in a moment."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    version_id: str | None
    etag: str | None
    bytes: int
    last_modified: int
    metadata: dict[str, str]


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A version of an object, or a delete marker, as a listing shows it; whether its object is deleted now."""

    key: str
    version_id: str | None
    etag: str
    bytes: int
    last_modified: int
    is_deleted: bool


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """An object as it was written."""

    key: str
    version_id: str | None
    etag: str | None
    bytes: int


class Files:
    """One bucket. Reads raise `Gone` where there is nothing, `Transient` where S3 does not answer."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self.bucket = bucket

    def head(self, key: str, version_id: str | None = None) -> Head:
        try:
            answer = self._client.head_object(Bucket=self.bucket, Key=key, **_version(version_id))
        except ClientError as error:
            if error.response["Error"]["Code"] in _SAY_NOTHING:  # a HEAD has no body that could say more
                next(self.stream(key, end=1, version_id=version_id), b"")
            raise _reading(error, key) from error
        return Head(
            version_id=answer.get("VersionId"),
            etag=answer["ETag"].strip('"'),
            bytes=answer["ContentLength"],
            last_modified=int(answer["LastModified"].timestamp()),
            metadata=answer.get("Metadata", {}),
        )

    def get(self, key: str, version_id: str | None = None) -> bytes:
        """A small object, whole."""
        return b"".join(self.stream(key, version_id=version_id))

    def stream(
        self, key: str, *, start: int = 0, end: int | None = None, version_id: str | None = None
    ) -> Iterator[bytes]:
        """The bytes of an object from `start` to `end` (exclusive; None for its end), in pieces.

        A read that is cut goes on where it stopped.

        Raises:
            Gone: There is no such object.
            Transient: It was cut again and again, and nothing came in between.
        """
        what = f"reading s3://{self.bucket}/{key}"
        return resumed(lambda at: self._read(key, start + at, end, version_id), cuts=_CUTS, what=what)

    def _read(self, key: str, start: int, end: int | None, version_id: str | None) -> Iterator[bytes]:
        if end is not None and start >= end:
            return
        span: Any = {"Range": f"bytes={start}-{'' if end is None else end - 1}"} if start or end is not None else {}
        try:
            answer = self._client.get_object(Bucket=self.bucket, Key=key, **span, **_version(version_id))
            yield from answer["Body"].iter_chunks(_CHUNK)
        except ClientError as error:
            if error.response["Error"]["Code"] != "InvalidRange":  # nothing lies behind `start`
                raise _reading(error, key) from error

    def reader(self, key: str, version_id: str | None = None) -> Callable[[int, int], Iterator[bytes]]:
        """Reads an object from a start to an end, in pieces."""
        return lambda start, end: self.stream(key, start=start, end=end, version_id=version_id)

    def download(self, key: str, path: Path) -> None:
        with path.open("wb") as out:
            out.writelines(self.stream(key))

    def put(self, key: str, body: bytes | Path, *, content_type: str = "application/jsonl") -> Stored:
        """Write an object whose key nobody else uses."""
        if isinstance(body, Path):
            with body.open("rb") as file, _meant(key):
                answer = self._client.put_object(Bucket=self.bucket, Key=key, Body=file, ContentType=content_type)
            size = body.stat().st_size
        else:
            with _meant(key):
                answer = self._client.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType=content_type)
            size = len(body)
        return _stored(key, answer, size)

    @contextmanager
    def writer(self, key: str) -> Iterator[Upload]:
        """Write an object of any size whose key nobody else uses, as its bytes come in."""
        with _meant(key), Upload(self._client, self.bucket, key) as upload:
            yield upload

    def put_first(self, key: str, body: bytes, *, content_type: str = "application/json") -> bytes:
        """Write an object if there is none; what the first writer wrote is returned, and stays."""
        return body if self._try_put_first(key, body, content_type) is not None else self.get(key)

    def put_first_version(self, key: str, body: bytes) -> tuple[bytes, str | None]:
        """The same, with the version's id."""
        put = self._try_put_first(key, body, "application/json")
        return (body, put.version_id) if put is not None else (self.get(key), self.head(key).version_id)

    def put_first_stored(self, key: str, body: bytes, *, content_type: str) -> Stored:
        """The same, as it is stored."""
        put = self._try_put_first(key, body, content_type)
        if put is not None:
            return put
        found = self.head(key)
        return Stored(key=key, version_id=found.version_id, etag=found.etag, bytes=found.bytes)

    @retry(on=_Conflict, attempts=_CONFLICT_ATTEMPTS)
    def _try_put_first(self, key: str, body: bytes, content_type: str) -> Stored | None:
        where: Any = {"Bucket": self.bucket, "Key": key, "IfNoneMatch": "*"}
        try:
            answer = self._client.put_object(**where, Body=body, ContentType=content_type)
        except ClientError as error:
            if not _exists_already(error):
                raise _meaning(error, key) from error
            return None
        return _stored(key, answer, len(body))

    @retry(on=_Conflict, attempts=_CONFLICT_ATTEMPTS)
    def join(self, sources: list[tuple[str, int]], key: str, has_time: Callable[[], bool]) -> Stored:
        """Join objects (key, bytes) into one that did not exist, copied by S3 itself where its rules allow.

        A second run goes on with what the first one left, and leaves what it finished.

        Raises:
            Gone: One of the sources is not there.
            OutOfTime: It is not done, and there is no time left.
        """
        with _meant(key):
            answer = Joining(self._client, self.bucket, key, self._piece).run(sources, has_time)
        return _stored(key, answer, sum(size for _, size in sources))

    def keys(self, prefix: str) -> list[str]:
        """The keys under a prefix, in their order."""
        with _meant(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
            return [each["Key"] for page in pages for each in page.get("Contents", [])]

    def stored(self, prefix: str) -> dict[str, Stored]:
        """Return the objects under a prefix, by key."""
        with _meant(prefix):
            pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=prefix)
            versions = [each for page in pages for each in page.get("Versions", []) if each["IsLatest"]]
        return {each["Key"]: _stored(each["Key"], each, each["Size"]) for each in versions}

    def versions(self, prefix: str, *, after: str = "") -> Iterator[Version]:
        """The versions under a prefix whose keys come after one, by key, the newest first within each.

        Delete markers are among them, so that whoever reads on may stop anywhere.
        """
        behind: Any = {"KeyMarker": after} if after else {}
        deleted: set[str] = set()
        with _meant(prefix):
            paginator = self._client.get_paginator("list_object_versions")
            for page in paginator.paginate(Bucket=self.bucket, Prefix=prefix, **behind):
                # A key whose versions go on here may have been deleted on the page before.
                deleted = {key for key in deleted if key == page.get("KeyMarker")}
                deleted |= {each["Key"] for each in page.get("DeleteMarkers", []) if each["IsLatest"]}
                shown = heapq.merge(page.get("DeleteMarkers", []), page.get("Versions", []), key=itemgetter("Key"))
                yield from (_listed(each, deleted) for each in shown if each["Key"] != after)

    def _piece(self, piece: Piece) -> Iterator[bytes]:
        return self.stream(piece.key, start=piece.start, end=piece.end)

    def delete_version(self, key: str, version_id: str | None) -> None:
        """Delete one version of an object, None the one from before versioning; one that is gone already is fine."""
        # without an id, S3 would only lay a delete marker upon it
        self._client.delete_object(Bucket=self.bucket, Key=key, VersionId=version_id or "null")

    def delete_all(self, prefix: str, has_time: Callable[[], bool] = lambda: True) -> bool:
        """Delete every version under a prefix, as long as there is time. False when some are left."""
        with _meant(prefix):
            return self._delete_versions(prefix, has_time) and self._abort_uploads(prefix, has_time)

    def _delete_versions(self, prefix: str, has_time: Callable[[], bool]) -> bool:
        clean = True
        for page in self._client.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=prefix):
            if not has_time():
                return False
            doomed = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            objects: Any = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in doomed]
            if objects:
                answer = self._client.delete_objects(Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True})
                clean = clean and not answer.get("Errors")
        return clean

    def _abort_uploads(self, prefix: str, has_time: Callable[[], bool]) -> bool:
        for page in self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=prefix):
            for upload in page.get("Uploads", []):
                if not has_time():
                    return False
                self._client.abort_multipart_upload(Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        return True


def _version(version_id: str | None) -> dict[str, Any]:
    return {"VersionId": version_id} if version_id else {}


def _listed(version: Any, deleted: Container[str]) -> Version:  # noqa: ANN401 - boto3's own
    return Version(
        key=version["Key"],
        version_id=None if version["VersionId"] == "null" else version["VersionId"],
        etag=version.get("ETag", "").strip('"'),
        bytes=version.get("Size", 0),
        last_modified=int(version["LastModified"].timestamp()),
        is_deleted=version["Key"] in deleted or "ETag" not in version,
    )


def _stored(key: str, answer: Any, size: int) -> Stored:  # noqa: ANN401 - one of several of boto3's answers
    return Stored(key=key, version_id=answer.get("VersionId"), etag=answer["ETag"].strip('"'), bytes=size)


def _meaning(error: ClientError, key: str) -> Exception:
    code = error.response["Error"]["Code"]
    if code in _GONE:
        headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        return Gone(key, is_certain=headers.get("x-amz-delete-marker") == "true")
    if code in _CONFLICTS:
        return _Conflict(f"another write of {key} is under way: {code}")
    return Transient(f"S3 does not take {key} now: {code}") if code in _LATER else error


def _reading(error: ClientError, key: str) -> Exception:
    """Return our error for one of a read: a dropped object may be one that nobody here can read."""
    code, words = error.response["Error"]["Code"], error.response["Error"].get("Message", "").lower()
    if not key.startswith(INPUT):
        return _meaning(error, key)
    if code == "InvalidObjectState":
        return Locked(key, _ARCHIVED, is_certain=True)
    if code.startswith("KMS."):
        dead = Locked(key, _OTHERS_KEY, is_certain=True)
        return dead if code in _DEAD_KEYS else Transient(f"KMS does not decrypt {key} now: {code}")
    if code in _DENIED:
        return Locked(key, _OTHERS_KEY if "kms:" in words else _FORBIDDEN, is_certain=False)
    if code in _WRONG and ("server side encryption" in words or code == "400"):
        return Locked(key, _CUSTOMERS_KEY, is_certain=True)
    return _meaning(error, key)


@contextmanager
def _meant(key: str) -> Iterator[None]:
    """Say what S3's errors mean."""
    try:
        yield
    except ClientError as error:
        raise _meaning(error, key) from error


def _exists_already(error: ClientError) -> bool:
    return error.response["Error"]["Code"] in {"PreconditionFailed", "412"}

"""What S3 refuses for the moment is tried again, or left for later; it never ends a unit for good."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import stamina
from batchdrop.aws.bucket import Files
from batchdrop.errors import Transient
from botocore.exceptions import ClientError
from faking.cloud import BUCKET, Cloud
from urllib3.exceptions import ProtocolError

LARGE = b"x" * 6_000_000  # more than S3's smallest part: the outputs are joined by S3 itself


class Refusing:
    """An S3 client that refuses one operation so many times."""

    def __init__(self, client: Any, operation: str, error: Exception, times: int) -> None:
        self._client, self._operation, self._error, self.times = client, operation, error, times

    def __getattr__(self, name: str) -> Any:
        return self._refuse if name == self._operation and self.times else getattr(self._client, name)

    def _refuse(self, **_: Any) -> Any:
        self.times -= 1
        raise self._error


def files(cloud: Cloud, operation: str, code: str, times: int = 1_000) -> Files:
    error = ClientError({"Error": {"Code": code, "Message": code}}, operation)
    return Files(Refusing(cloud.s3, operation, error, times), BUCKET)  # type: ignore[arg-type]  # a stand-in by shape


def test_a_refusal_that_is_cut_is_asked_for_again(cloud: Cloud) -> None:
    cloud.services.files.put("work/a", b"there")
    cut = ProtocolError("Response ended prematurely")
    once = Files(Refusing(cloud.s3, "get_object", cut, 1), BUCKET)  # type: ignore[arg-type]  # a stand-in by shape
    assert once.get("work/a") == b"there"
    always = Files(Refusing(cloud.s3, "get_object", cut, 1_000), BUCKET)  # type: ignore[arg-type]  # the same
    with pytest.raises(Transient):
        always.get("work/a")


class Cutting:
    """An S3 client whose downloads end after so many bytes; from `stuck_at` on nothing comes at all."""

    def __init__(self, whole: bytes, *, after: int, stuck_at: int | None = None) -> None:
        self._whole, self._after, self._stuck_at = whole, after, stuck_at
        self.calls = 0

    def get_object(self, *, Range: str = "bytes=0-", **_: Any) -> Any:  # noqa: N803 - boto3's name
        self.calls += 1
        self._at = int(Range.removeprefix("bytes=").split("-")[0])
        return {"Body": self}

    def iter_chunks(self, _: int) -> Iterator[bytes]:
        piece = self._whole[self._at : self._at + self._after]
        if self._stuck_at is None or self._at < self._stuck_at:
            yield piece
        if self._at + len(piece) < len(self._whole) or self._at == self._stuck_at:
            raise ProtocolError("Connection broken")


def test_a_download_that_gets_on_is_never_cut_too_often() -> None:
    whole = bytes(range(256)) * 10
    s3 = Cutting(whole, after=100)
    assert Files(s3, BUCKET).get("work/a") == whole  # type: ignore[arg-type]  # a stand-in by shape
    assert s3.calls == 26


def test_a_download_that_is_cut_five_times_at_one_byte_is_left_for_later() -> None:
    s3 = Cutting(bytes(1_000), after=100, stuck_at=300)
    with pytest.raises(Transient, match=r"work/a was cut 5 times at byte 300"):
        Files(s3, BUCKET).get("work/a")  # type: ignore[arg-type]  # a stand-in by shape
    assert s3.calls == 8  # three that brought something


CONFLICTS: list[tuple[str, Callable[[Files], object], bytes]] = [
    ("put_object", lambda it: it.put_first("work/a", b"first"), b"first"),
    ("put_object", lambda it: it.join([("work/small", 5)], "work/a", lambda: True), b"small"),
    ("complete_multipart_upload", lambda it: it.join([("work/large", len(LARGE))], "work/a", lambda: True), LARGE),
]


@pytest.mark.parametrize(("operation", "write", "written"), CONFLICTS)
def test_a_conditional_write_that_meets_another_is_repeated(
    cloud: Cloud, operation: str, write: Callable[[Files], object], written: bytes
) -> None:
    cloud.services.files.put("work/small", b"small")
    cloud.services.files.put("work/large", LARGE)
    with stamina.set_testing(True, attempts=5, cap=True):
        write(files(cloud, operation, "ConditionalRequestConflict", 2))
        assert cloud.read("work/a") == written
        with pytest.raises(Transient, match="another write of work/b is under way"):
            files(cloud, "put_object", "ConditionalRequestConflict").put_first("work/b", b"")
    assert not cloud.s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads")


@pytest.mark.parametrize("code", ["SlowDown", "503", "InternalError"])
@pytest.mark.parametrize(
    ("operation", "call"),
    [
        ("head_object", lambda it: it.head("work/a")),
        ("get_object", lambda it: it.get("work/a")),
        ("put_object", lambda it: it.put("work/a", b"")),
        ("put_object", lambda it: it.put_first("work/a", b"")),
        ("put_object", lambda it: it.join([], "work/a", lambda: True)),
        ("delete_objects", lambda it: it.delete_all("work/")),
    ],
)
def test_what_s3_has_no_time_for_is_left_for_later(
    cloud: Cloud, operation: str, call: Callable[[Files], object], code: str
) -> None:
    cloud.services.files.put("work/there", b"")
    with pytest.raises(Transient):
        call(files(cloud, operation, code))

"""Sealed pieces become one object: in parts that S3 allows, in one run or in several, once."""

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from batchdrop.errors import OutOfTime, Transient
from faking.cloud import BUCKET, Cloud

MIB = 1024 * 1024
SIZES = (6 * MIB, 0, 100, 7 * MIB, MIB, MIB, 9 * MIB, 3)
KEY = "output/joined.jsonl"


@pytest.fixture
def sources(cloud: Cloud) -> list[tuple[str, int]]:
    draw = random.Random(1)  # noqa: S311 - bytes that repeat
    for number, size in enumerate(SIZES):
        cloud.services.files.put(f"work/{number}", draw.randbytes(size))
    return [(f"work/{number}", size) for number, size in enumerate(SIZES)]


def whole(cloud: Cloud, sources: list[tuple[str, int]]) -> bytes:
    return b"".join(cloud.read(key) for key, _ in sources)


def join(cloud: Cloud, sources: list[tuple[str, int]], has_time: Callable[[], bool] = lambda: True) -> Any:
    return cloud.services.files.join(sources, KEY, has_time)


def calls(cloud: Cloud) -> list[str]:
    """The calls to S3 that write, as they come."""
    made: list[str] = []
    client = cloud.services.files._client  # noqa: SLF001 - where the outside begins
    for name in ("CreateMultipartUpload", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload", "PutObject"):
        client.meta.events.register(f"before-call.s3.{name}", lambda name=name, **_: made.append(name))
    return made


def uploads(cloud: Cloud) -> list[Any]:
    return cloud.s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])


def test_pieces_are_joined_and_large_ones_do_not_pass_through(cloud: Cloud, sources: list[tuple[str, int]]) -> None:
    made = calls(cloud)
    stored = join(cloud, sources)
    assert cloud.read(KEY) == whole(cloud, sources)
    assert stored.bytes == sum(SIZES)
    assert {name: made.count(name) for name in made} == {
        "CreateMultipartUpload": 1,
        "UploadPartCopy": 2,
        "UploadPart": 3,
        "CompleteMultipartUpload": 1,
    }


def test_uploads_that_were_begun_without_success_are_aborted(cloud: Cloud, sources: list[tuple[str, int]]) -> None:
    for _ in range(3):  # S3's client repeats a beginning whose reply was lost
        cloud.s3.create_multipart_upload(Bucket=BUCKET, Key=KEY)
    join(cloud, sources)
    assert (cloud.read(KEY), uploads(cloud)) == (whole(cloud, sources), [])


def test_a_second_run_finds_it_and_writes_nothing(cloud: Cloud, sources: list[tuple[str, int]]) -> None:
    first = join(cloud, sources)
    made = calls(cloud)
    assert join(cloud, sources) == first
    assert made == []


def test_a_run_without_time_leaves_its_parts_to_the_next(cloud: Cloud, sources: list[tuple[str, int]]) -> None:
    made = calls(cloud)
    for _ in range(4):
        left = iter([True])
        with pytest.raises(OutOfTime):
            join(cloud, sources, lambda left=left: next(left, False))  # type: ignore[misc]  # a default holds it
    assert len(uploads(cloud)) == 1
    join(cloud, sources)
    assert cloud.read(KEY) == whole(cloud, sources)
    assert {name: made.count(name) for name in made} == {
        "CreateMultipartUpload": 1,
        "UploadPartCopy": 2,
        "UploadPart": 3,
        "CompleteMultipartUpload": 1,
    }
    assert uploads(cloud) == []


class Died(BaseException):
    """The worker is gone."""


@pytest.mark.parametrize("name", ["CreateMultipartUpload", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload"])
def test_a_death_anywhere_leaves_what_the_next_run_needs(
    cloud: Cloud, sources: list[tuple[str, int]], name: str
) -> None:
    client = cloud.services.files._client  # noqa: SLF001 - where the outside begins

    def die(**_: object) -> None:
        raise Died

    client.meta.events.register(f"before-call.s3.{name}", die)
    with pytest.raises(Died):
        join(cloud, sources)
    client.meta.events.unregister(f"before-call.s3.{name}", die)
    join(cloud, sources)
    assert cloud.read(KEY) == whole(cloud, sources)
    assert uploads(cloud) == []
    assert len(cloud.keys("output/")) == 1


def test_a_death_right_after_the_completion_leaves_no_upload(cloud: Cloud, sources: list[tuple[str, int]]) -> None:
    client = cloud.services.files._client  # noqa: SLF001 - where the outside begins

    def die(**_: object) -> None:
        raise Died

    for _ in range(2):  # one is gone on with
        cloud.s3.create_multipart_upload(Bucket=BUCKET, Key=KEY)
    client.meta.events.register("after-call.s3.CompleteMultipartUpload", die)
    with pytest.raises(Died):
        join(cloud, sources)
    assert (cloud.read(KEY), uploads(cloud)) == (whole(cloud, sources), [])


def test_an_upload_of_other_parts_is_not_gone_on_with(cloud: Cloud, sources: list[tuple[str, int]]) -> None:
    upload = cloud.s3.create_multipart_upload(Bucket=BUCKET, Key=KEY)["UploadId"]
    cloud.s3.upload_part(Bucket=BUCKET, Key=KEY, UploadId=upload, PartNumber=1, Body=b"another")
    join(cloud, sources)
    assert cloud.read(KEY) == whole(cloud, sources)
    assert uploads(cloud) == []


def test_two_runs_at_once_make_one_object(cloud: Cloud, sources: list[tuple[str, int]]) -> None:
    client = cloud.services.files._client  # noqa: SLF001 - where the outside begins
    inner = []

    def again(**_: object) -> None:
        if not inner:
            inner.append(True)
            join(cloud, sources)

    client.meta.events.register("before-call.s3.CompleteMultipartUpload", again)
    assert join(cloud, sources).bytes == sum(SIZES)
    assert cloud.keys("output/") == [KEY]
    assert uploads(cloud) == []


def test_an_upload_that_another_ended_is_begun_again_by_the_next_run(
    cloud: Cloud, sources: list[tuple[str, int]]
) -> None:
    client = cloud.services.files._client  # noqa: SLF001 - where the outside begins

    def ended(**_: object) -> tuple[Any, dict[str, Any]]:
        for upload in uploads(cloud):
            cloud.s3.abort_multipart_upload(Bucket=BUCKET, Key=KEY, UploadId=upload["UploadId"])
        return SimpleNamespace(status_code=404), {"Error": {"Code": "NoSuchUpload"}}  # moto's own answer is a bug

    event = "before-call.s3.CompleteMultipartUpload"
    client.meta.events.register(event, ended)
    with pytest.raises(Transient):
        join(cloud, sources)
    client.meta.events.unregister(event, ended)
    join(cloud, sources)
    assert cloud.read(KEY) == whole(cloud, sources)


def test_what_is_written_as_it_comes_is_there_only_when_it_is_whole(cloud: Cloud) -> None:
    pieces = [bytes([number]) * 3 * MIB for number in range(7)]
    with cloud.services.files.writer("work/a") as out:
        for piece in pieces:
            out.write(piece)
    assert cloud.read("work/a") == b"".join(pieces)
    with pytest.raises(Died):
        write_and_die(cloud)
    assert cloud.keys("work/b") == []
    assert uploads(cloud) == []


def write_and_die(cloud: Cloud) -> None:
    with cloud.services.files.writer("work/b") as out:
        out.write(b"x" * 20 * MIB)
        raise Died

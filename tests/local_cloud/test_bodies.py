"""The emulator's objects: saved bodies leave its memory, and a range reads no more than itself."""
# ruff: noqa: SLF001 - ministack's own names

import mmap
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from local_cloud.emulator_objects import cut_versions, keep_bodies_on_disk

OBJECT = {"body": b"0123456789", "version_id": "v1"}


class S3(ModuleType):
    """What is used of ministack's module: an object lies in a file of its key, and so does a version of its id."""

    def __init__(self, folder: Path) -> None:
        super().__init__("s3")
        self._object_versions: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self._folder = folder

    def _object_disk_path(self, bucket: str, key: str) -> str:
        return str(self._folder / f"{bucket}-{key}")

    def _version_disk_path(self, bucket: str, key: str, version_id: str) -> str:
        return str(self._folder / f"{bucket}-{key}-{version_id}")

    def _persist_object(self, bucket: str, key: str, record: dict[str, Any]) -> None:
        new = self._folder / "new"
        new.write_bytes(record["body"])
        new.replace(self._object_disk_path(bucket, key))
        record["body"] = None

    def _read_body(self, bucket: str, key: str, record: dict[str, Any]) -> bytes:
        raise AssertionError(f"{bucket}/{key} is read whole: {record}")

    def _version_body(self, _objects: Any, bucket: str, key: str, version: dict[str, Any]) -> Any:
        return version["data"] or self._read_body(bucket, key, {"body": None})

    def _get_object_data(self, bucket: str, key: str) -> Any:
        return self._read_body(bucket, key, {"body": None})

    def _get_object(self, bucket: str, key: str, _headers: dict[str, str], _query: Any = None) -> Any:
        return 200, {}, self._version_body({}, bucket, key, self._object_versions[bucket, key][0])

    def _parse_range(self, text: str, _size: int) -> tuple[int, ...]:
        return tuple(map(int, text.removeprefix("bytes=").split("-")))


@pytest.fixture
def s3(tmp_path: Path) -> S3:
    """One object of one version, saved."""
    found = S3(tmp_path)
    found._object_versions["b", "k"] = [{"version_id": "v1", "data": b"0123456789"}]
    keep_bodies_on_disk(found)
    cut_versions(found)
    found._persist_object("b", "k", dict(OBJECT))
    return found


def test_a_saved_version_is_in_memory_no_more(s3: S3) -> None:
    assert s3._object_versions["b", "k"] == [{"version_id": "v1", "data": None}]


def test_a_version_that_was_not_saved_stays(tmp_path: Path) -> None:
    s3 = S3(tmp_path)
    s3._object_versions["b", "k"] = [{"version_id": "v0", "data": b"older"}, {"version_id": "v1", "data": b"newer"}]
    keep_bodies_on_disk(s3)
    s3._persist_object("b", "k", dict(OBJECT))
    assert [each["data"] for each in s3._object_versions["b", "k"]] == [b"older", None]


def test_a_range_reads_a_file_that_is_mapped(s3: S3) -> None:
    assert isinstance(s3._read_body("b", "k", {"body": None}), mmap.mmap)
    assert s3._get_object("b", "k", {"range": "bytes=2-4"})[2] == b"234"


def test_what_is_read_whole_is_bytes(s3: S3) -> None:
    assert (s3._get_object("b", "k", {})[2], s3._get_object_data("b", "k")) == (b"0123456789", b"0123456789")


def test_a_read_sees_the_object_as_it_was(s3: S3) -> None:
    before = s3._read_body("b", "k", {"body": None})
    s3._persist_object("b", "k", {"body": b"another", "version_id": "v2"})
    assert (before[:], s3._read_body("b", "k", {"body": None})[:]) == (b"0123456789", b"another")

"""Objects of the emulator: they lie on the disk alone, and versions have ranges and are named in events."""
# ruff: noqa: SLF001 - ministack offers no other way in; its version is pinned

import json
import mmap
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import Any

HTTP_OK, HTTP_PART, HTTP_NO_SUCH_RANGE = 200, 206, 416


def keep_bodies_on_disk(s3: ModuleType) -> None:
    """Let bodies go from memory once they are saved, and map their files where they are read."""
    persist, read, read_version = s3._persist_object, s3._read_body, s3._version_body
    get_data = s3._get_object_data

    def persist_and_release(bucket: str, key: str, record: dict[str, Any]) -> None:
        persist(bucket, key, record)
        for version in s3._object_versions.get((bucket, key)) or []:
            if record.get("body") is None and version["version_id"] == record.get("version_id"):
                version["data"] = None

    def read_mapped(bucket: str, key: str, record: dict[str, Any]) -> Any:  # noqa: ANN401 - ministack's
        found = _mapped(s3._object_disk_path(bucket, key)) if record.get("body") is None else None
        return read(bucket, key, record) if found is None else found

    def read_version_mapped(objects: Any, bucket: str, key: str, version: dict[str, Any]) -> Any:  # noqa: ANN401 - ministack's
        path = s3._version_disk_path(bucket, key, version["version_id"])
        found = _mapped(path) if version.get("data") is None else None
        return read_version(objects, bucket, key, version) if found is None else found

    def data_in_memory(*given: Any, **named: Any) -> bytes | None:
        body = get_data(*given, **named)
        return body if body is None else body[:]

    s3._persist_object = persist_and_release  # type: ignore[attr-defined]
    s3._read_body, s3._version_body = read_mapped, read_version_mapped  # type: ignore[attr-defined]
    s3._get_object_data = data_in_memory  # type: ignore[attr-defined]


def _mapped(name: str | None) -> mmap.mmap | None:
    """A file of which only what is used is read; it stays as it is when another takes its place."""
    path = Path(name or "")
    if not path.is_file() or not path.stat().st_size:
        return None
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def cut_versions(s3: ModuleType) -> None:
    """Let a read of a version give the range that it asks for, as a read without a version does."""
    get = s3._get_object

    def get_range(bucket: str, key: str, headers: dict[str, str], query: Any = None) -> Any:  # noqa: ANN401 - ministack's
        status, answer, body = get(bucket, key, headers, query)
        asked = headers.get("range", "")
        if status != HTTP_OK or not asked:
            return status, answer, body[:]
        span = s3._parse_range(asked, len(body))
        if span is None:
            return (
                HTTP_NO_SUCH_RANGE,
                {"Content-Type": "application/xml"},
                s3._xml_body(s3._range_error_xml(bucket, key)),
            )
        first, last = span
        whole = {name: value for name, value in answer.items() if not name.lower().startswith("x-amz-checksum-")}
        part = {"Content-Length": str(last + 1 - first), "Content-Range": f"bytes {first}-{last}/{len(body)}"}
        return HTTP_PART, whole | part, body[first : last + 1]

    s3._get_object = get_range  # type: ignore[attr-defined]


def name_versions(s3: ModuleType, eventbridge: ModuleType) -> None:
    """Add the version that was written to the event that EventBridge gets of it.

    ministack hands it to the function that makes the event, which leaves it out. Every event is made in a context of
    its own, so that the version that is sent is that of the event being dispatched.
    """
    fire, dispatch = s3._fire_s3_event, eventbridge._dispatch_event
    version_being_sent: ContextVar[str | None] = ContextVar("version", default=None)

    def fire_with_version(*given: Any, version_id: str | None = None, **named: Any) -> None:
        token = version_being_sent.set(version_id)
        try:
            fire(*given, version_id=version_id, **named)
        finally:
            version_being_sent.reset(token)

    def dispatch_with_version(event: dict[str, Any], *given: Any) -> Any:  # noqa: ANN401 - ministack's
        version_id = version_being_sent.get()
        if version_id and event["Source"] == "aws.s3":
            detail = json.loads(event["Detail"])
            detail["object"]["version-id"] = version_id
            event = event | {"Detail": json.dumps(detail)}
        return dispatch(event, *given)

    s3._fire_s3_event = fire_with_version  # type: ignore[attr-defined]
    eventbridge._dispatch_event = dispatch_with_version  # type: ignore[attr-defined]

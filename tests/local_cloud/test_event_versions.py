"""The emulator's events: each names the version that was written."""
# ruff: noqa: SLF001 - ministack's own names

import json
from contextvars import copy_context
from types import ModuleType
from typing import Any

from local_cloud.emulator_objects import name_versions


class EventBridge(ModuleType):
    """Keeps what is dispatched."""

    def __init__(self) -> None:
        super().__init__("eventbridge")
        self.dispatched: list[dict[str, Any]] = []

    def _dispatch_event(self, event: dict[str, Any]) -> None:
        self.dispatched.append(event)


class S3(ModuleType):
    """Makes an event of an object's key, and leaves its version out, as ministack does."""

    def __init__(self, eventbridge: EventBridge) -> None:
        super().__init__("s3")
        self._eventbridge = eventbridge

    def _fire_s3_event(self, key: str, version_id: str | None = None) -> None:
        del version_id
        self._eventbridge._dispatch_event({"Source": "aws.s3", "Detail": json.dumps({"object": {"key": key}})})


def test_an_event_names_the_version_that_was_written() -> None:
    eventbridge = EventBridge()
    s3 = S3(eventbridge)
    name_versions(s3, eventbridge)
    for version in ("v1", None, "v2"):
        copy_context().run(s3._fire_s3_event, "k", version_id=version)
    eventbridge._dispatch_event({"Source": "batchdrop", "Detail": "{}"})
    assert [json.loads(each["Detail"]) for each in eventbridge.dispatched] == [
        {"object": {"key": "k", "version-id": "v1"}},
        {"object": {"key": "k"}},
        {"object": {"key": "k", "version-id": "v2"}},
        {},
    ]

"""The events on EventBridge's default bus, for consumers and operators. At least once."""

from typing import TYPE_CHECKING

import msgspec

from batchdrop.errors import Transient
from batchdrop.manifest import ActionEvent, DuplicateBatch, HeldEvent, JobEvent, ProviderEvent
from batchdrop.states import JobState

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE = "batchdrop"
_DETAIL_TYPES = {
    JobState.COMPLETED: "Job Completed",
    JobState.FAILED: "Job Failed",
    JobState.CANCELLED: "Job Cancelled",
}


class Events:
    def __init__(self, client: "EventBridgeClient") -> None:
        self._client = client

    def job_over(self, event: JobEvent) -> None:
        self._put(_DETAIL_TYPES[event.status], event)

    def job_late(self, event: JobEvent) -> None:
        self._put("Job Late", event)

    def job_held(self, event: HeldEvent) -> None:
        self._put("Job Held", event)

    def job_approved(self, event: HeldEvent) -> None:
        self._put("Job Approved", event)

    def provider_paused(self, provider: str, reason: str) -> None:
        self._put("Provider Paused", ProviderEvent(provider=provider, reason=reason))

    def provider_resumed(self, provider: str) -> None:
        self._put("Provider Resumed", ProviderEvent(provider=provider, reason="It takes batches again."))

    def duplicate_batch(self, event: DuplicateBatch) -> None:
        self._put("Duplicate Batch", event)

    def console_action(self, event: ActionEvent) -> None:
        self._put("Console Action", event)

    def _put(self, detail_type: str, detail: msgspec.Struct) -> None:
        answer = self._client.put_events(
            Entries=[
                {
                    "Source": SOURCE,
                    "DetailType": detail_type,
                    "Detail": msgspec.json.encode(detail).decode(),
                }
            ]
        )
        if answer["FailedEntryCount"]:  # a refusal comes inside a 200
            code = answer["Entries"][0].get("ErrorCode")
            raise Transient(f"EventBridge did not take {detail_type!r}: {code}")

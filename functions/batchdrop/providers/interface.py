"""The calls that make a batch, whichever protocol carries them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol as Interface

import msgspec

from batchdrop.protocols.outcome import Failure
from batchdrop.records import Batch


class ProviderBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's batch, in our words.

    Attributes:
        ended_as: `completed`, `expired`, `cancelled` or `failed` when the provider is done with it; else None.
        failures: Why it failed as a whole.
        rows: How many of its requests it says to have a result of; None where it does not say.
        input_tokens: Those of all its requests; None until all are answered, or where the server does not say.
    """

    id: str
    ended_as: str | None
    created_at: int | None = None
    requests: int = 0
    input_file_id: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    metadata: dict[str, str] = {}
    failures: tuple[Failure, ...] = ()
    rows: int | None = None
    input_tokens: int | None = None


class ProviderFile(msgspec.Struct, frozen=True, kw_only=True):
    """A request file at the provider."""

    id: str
    name: str
    created_at: int


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The reply to a call at real time, whatever its status; `retry_after` is in seconds, None where it is not said."""

    status: int
    body: bytes
    request_id: str | None = None
    retry_after: float | None = None


class BatchApi(Interface):
    """The calls of both protocols. They raise `AccountRefused`, `Refused`, `Transient` or `Missing`."""

    needs_upload: bool

    def upload(self, requests: Path, *, name: str) -> str:
        """Upload a request file; its id."""
        ...

    def create(self, batch: Batch, requests: Path | None, *, deployment: str, seconds: float) -> str:
        """Create the batch, with no retry; its id. The call ends within `seconds`.

        Raises:
            OutcomeUnknown: It may have been created.
        """
        ...

    def retrieve(self, batch_id: str) -> ProviderBatch: ...

    def page(self, after: str | None) -> list[ProviderBatch]:
        """One page of the account's batches, the newest first: those created before `after`, if it is given."""
        ...

    def newest(self) -> Iterator[ProviderBatch]:
        """All batches of the account, the newest first; a page is asked for when it is needed."""
        ...

    def results(self, batch: ProviderBatch) -> list[str]:
        """The names of the streams that hold the batch's results."""
        ...

    def stream(self, name: str) -> Iterator[bytes]:
        """The bytes of one of them, whole: its length is checked, and a cut download goes on."""
        ...

    def length(self, name: str) -> int | None:
        """Return how many bytes a stream has, as the provider says; None where it does not."""
        ...

    def cancel(self, batch_id: str) -> None: ...

    def delete(self, batch: ProviderBatch) -> None:
        """Delete what the provider keeps of an ended batch; what is gone already is fine."""
        ...

    def call(self, batch: Batch, body: bytes, *, seconds: float) -> Reply:
        """Send one request of a batch by itself, with no retry; the wait for each piece of its reply is limited.

        Raises:
            OutcomeUnknown: There is no reply, and it may have been answered.
            Unreachable: It was not sent.
        """
        ...

    def uploads(self) -> Iterator[ProviderFile]:
        """All request files of the account; none where there are no uploads."""
        ...

    def delete_upload(self, upload: str) -> None:
        """Delete a request file; one that is gone already is fine."""
        ...

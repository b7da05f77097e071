"""Anthropic's Message Batches through the official SDK. Only this module imports `anthropic`."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import msgspec

from batchdrop.errors import OutcomeUnknown, Transient
from batchdrop.protocols.anthropic import DEFAULT_VERSION
from batchdrop.providers.answers import is_undecided, refusal, whole_stream
from batchdrop.providers.api import Missing, ProviderBatch, Upload
from batchdrop.providers.config import ProviderConfig
from batchdrop.providers.keys import Key
from batchdrop.records import Batch

_BATCHES = "/v1/messages/batches"
_PAGE = 1000  # Anthropic's largest
_TIMEOUT = httpx2.Timeout(15)  # of a call without a large body: poll and sweep make many within their minute
_TRANSFER = httpx2.Timeout(120, connect=15)  # of an upload or a download, for each piece
_ANSWER_SECONDS = 120
_CHUNK = 256 * 1024
_STREAMED = {"X-Stainless-Raw-Response": "stream"}  # the SDK's own way to ask for a body that is not read yet


class _Counts(msgspec.Struct):
    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0


class _Batch(msgspec.Struct):
    id: str
    processing_status: str
    created_at: str | None = None
    request_counts: _Counts | None = None


class _Page(msgspec.Struct):
    data: list[_Batch]
    has_more: bool = False
    last_id: str | None = None


class _Id(msgspec.Struct):
    id: str


class AnthropicBatches:
    """`BatchApi` of the protocol `anthropic`. Results are fetched from the configured address only."""

    needs_upload = False

    def __init__(self, provider: ProviderConfig, key: Key, http_client: httpx2.Client | None = None) -> None:
        self._client = anthropic.Anthropic(
            api_key=key.value,
            base_url=provider.base_url,
            timeout=_TIMEOUT,
            max_retries=1,
            default_headers={"anthropic-version": provider.api_version or DEFAULT_VERSION},
            http_client=http_client,
        )
        self._name = provider.name

    def upload(self, requests: Path, *, name: str) -> str:
        raise ValueError(f"{self._name} takes no upload of {name} ({requests.name})")

    def create(self, batch: Batch, requests: Path | None, *, deployment: str, seconds: float) -> str:  # noqa: ARG002 - there is no metadata
        if requests is None:
            raise ValueError("a create carries its requests")
        headers = {"Content-Type": "application/json"}
        if batch.api_version:
            headers["anthropic-version"] = batch.api_version
        if batch.betas:
            headers["anthropic-beta"] = ",".join(batch.betas)
        upload_seconds = seconds / 2  # the other half is the answer's
        client = self._client.with_options(max_retries=0, timeout=min(_ANSWER_SECONDS, upload_seconds))
        try:
            answer = client.post(
                _BATCHES,
                cast_to=httpx2.Response,
                content=_Body(requests, time.monotonic() + upload_seconds),
                options={"headers": headers},
            )
            return msgspec.json.decode(answer.content, type=_Id).id
        except anthropic.APIStatusError as error:
            if is_undecided(error.status_code):
                raise OutcomeUnknown(f"{self._name} answered {error.status_code} to a create") from None
            raise refusal(error.status_code, error.response.content) from None
        except (anthropic.AnthropicError, httpx2.HTTPError, msgspec.DecodeError) as error:
            raise OutcomeUnknown(f"{self._name}: no usable answer to a create: {type(error).__name__}") from None

    def retrieve(self, batch_id: str) -> ProviderBatch:
        return _in_our_words(self._get(f"{_BATCHES}/{batch_id}", _Batch))

    def page(self, after: str | None) -> list[ProviderBatch]:
        return [_in_our_words(each) for each in self._page(after).data]

    def newest(self) -> Iterator[ProviderBatch]:
        after: str | None = None
        while True:
            page = self._page(after)
            yield from map(_in_our_words, page.data)
            if not page.has_more or not page.data:
                return
            after = page.last_id or page.data[-1].id

    def _page(self, after: str | None) -> _Page:
        return self._get(_BATCHES, _Page, {"limit": _PAGE} | ({"after_id": after} if after else {}))

    def results(self, batch: ProviderBatch) -> list[str]:
        return [batch.id]

    def stream(self, name: str) -> Iterator[bytes]:
        @contextmanager
        def opened(at: int) -> Iterator[httpx2.Response]:
            headers = {"Accept": "application/binary", "Accept-Encoding": "identity", **_STREAMED}
            if at:
                headers["Range"] = f"bytes={at}-"
            response = self._client.get(
                f"{_BATCHES}/{name}/results",
                cast_to=httpx2.Response,
                options={"headers": headers, "timeout": _TRANSFER},
            )
            try:
                yield response
            finally:
                response.close()

        with self._translated():
            yield from whole_stream(opened, (httpx2.TransportError,))

    def length(self, name: str) -> int | None:  # noqa: ARG002 - Anthropic tells none
        return None

    def cancel(self, batch_id: str) -> None:
        with self._translated():
            self._client.post(f"{_BATCHES}/{batch_id}/cancel", cast_to=httpx2.Response)

    def delete(self, batch: ProviderBatch) -> None:
        try:
            with self._translated():
                self._client.delete(f"{_BATCHES}/{batch.id}", cast_to=httpx2.Response)
        except Missing:
            return

    def uploads(self) -> Iterator[Upload]:
        return iter(())  # a create carries its requests

    def delete_upload(self, upload: str) -> None:
        raise ValueError(f"{self._name} has no upload {upload}")

    def _get[T](self, path: str, kind: type[T], query: dict[str, Any] | None = None) -> T:
        with self._translated():
            answer = self._client.get(path, cast_to=httpx2.Response, options={"params": query or {}})
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except (msgspec.DecodeError, RecursionError):
            raise Transient(f"{self._name} answered what is no {kind.__name__.strip('_')}") from None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except anthropic.APIStatusError as error:
            raise refusal(error.status_code, error.response.content) from None
        except (anthropic.AnthropicError, httpx2.HTTPError) as error:
            raise Transient(f"{self._name} does not answer: {type(error).__name__}") from None


class _Body:
    """The body of a create, read from the request file while it is sent; it ends by the deadline or breaks off."""

    def __init__(self, requests: Path, deadline: float) -> None:
        self._requests = requests
        self._deadline = deadline

    def __iter__(self) -> Iterator[bytes]:
        yield b'{"requests":['
        with self._requests.open("rb") as file:
            size = self._requests.stat().st_size - 1  # without the last line end
            while size > 0:
                if time.monotonic() > self._deadline:
                    raise httpx2.WriteTimeout("the upload took longer than the create may")
                chunk = file.read(min(_CHUNK, size))
                size -= len(chunk)
                yield chunk.replace(b"\n", b",")  # JSON has no raw line ends inside: each one parts two requests
        yield b"]}"


def _in_our_words(read: _Batch) -> ProviderBatch:
    counts = read.request_counts or _Counts()
    ended = counts.succeeded + counts.errored + counts.canceled + counts.expired
    return ProviderBatch(
        id=read.id,
        ended_as="completed" if read.processing_status == "ended" else None,
        created_at=_seconds(read.created_at),
        requests=counts.processing + ended,
    )


def _seconds(timestamp: str | None) -> int | None:
    if timestamp is None:
        return None
    try:
        return int(datetime.fromisoformat(timestamp).timestamp())
    except ValueError:
        return None

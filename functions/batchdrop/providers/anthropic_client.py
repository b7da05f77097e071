"""Anthropic's Message Batches through the official SDK. Only this module imports `anthropic`."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import anthropic
import httpx2
import msgspec
from msgspec import Raw

from batchdrop.errors import Missing
from batchdrop.protocols import lenient_json
from batchdrop.protocols.anthropic import DEFAULT_VERSION
from batchdrop.providers.config import ProviderConfig
from batchdrop.providers.headers import filled
from batchdrop.providers.http_errors import resumable_stream
from batchdrop.providers.interface import ProviderBatch, ProviderFile, Reply
from batchdrop.providers.keys import Key
from batchdrop.providers.sdk_calls import JSON, TIMEOUT, TRANSFER, SdkCalls
from batchdrop.records import Batch

_BATCHES = "/v1/messages/batches"
_PAGE = 1000  # Anthropic's largest
_ANSWER_SECONDS = 120
_CHUNK = 256 * 1024
_BEARER_SINCE = "2026-10-21"
_OMITTED = cast("str", anthropic.omit)  # the SDK takes a header out by it, and types its headers as texts
_STREAMED = {"X-Stainless-Raw-Response": "stream"}  # the SDK's own way to ask for a body that is not read yet


class _Batch(msgspec.Struct):
    id: Raw = lenient_json.NULL
    processing_status: Raw = lenient_json.NULL
    created_at: Raw = lenient_json.NULL
    request_counts: Raw = lenient_json.NULL


class AnthropicBatches:
    """`BatchApi` of the protocol `anthropic`. Results are fetched from the configured address only."""

    needs_upload = False

    def __init__(self, provider: ProviderConfig, key: Key, http_client: httpx2.Client | None = None) -> None:
        self._given, self._key = filled(provider.headers, key.value), key
        self._client = anthropic.Anthropic(
            api_key=key.value,
            base_url=provider.base_url,
            timeout=TIMEOUT,
            max_retries=0,  # a retry would wait as long as the provider says: the steps try again by themselves
            default_headers=self._headers(provider.api_version),
            http_client=http_client
            or anthropic.DefaultHttpxClient(follow_redirects=False),  # the key goes nowhere else
        )
        self._name = provider.name
        self._calls = SdkCalls(provider, anthropic.APIStatusError, anthropic.AnthropicError)

    def _headers(self, version: str | None) -> dict[str, str]:
        version = version or DEFAULT_VERSION
        return _key_headers(version, self._given, self._key) | self._given | {"anthropic-version": version}

    def upload(self, requests: Path, *, name: str) -> str:
        raise ValueError(f"{self._name} takes no upload of {name} ({requests.name})")

    def create(self, batch: Batch, requests: Path | None, *, deployment: str, seconds: float) -> str:  # noqa: ARG002 - there is no metadata
        if requests is None:
            raise ValueError("a create carries its requests")
        upload_seconds = seconds / 2  # the other half is the answer's
        body = _Body(requests, time.monotonic() + upload_seconds)
        headers = JSON | {"Content-Length": str(body.length)} | self._headers_of(batch)
        client = self._client.with_options(timeout=min(_ANSWER_SECONDS, upload_seconds))
        with self._calls.creating():
            answer = client.post(
                _BATCHES,
                cast_to=httpx2.Response,
                content=body,
                options={"headers": headers},
            )
            return self._calls.read_id(answer.content)

    def retrieve(self, batch_id: str) -> ProviderBatch:
        return self._batch(self._get(_path(batch_id)))

    def page(self, after: str | None) -> list[ProviderBatch]:
        return [self._batch(each) for each in self._page(after)[0]]

    def newest(self) -> Iterator[ProviderBatch]:
        return map(self._batch, self._calls.all_pages(self._page))

    def _page(self, after: str | None) -> tuple[list[Raw], bool]:
        return self._calls.read_page(self._get(_BATCHES, {"limit": _PAGE} | ({"after_id": after} if after else {})))

    def results(self, batch: ProviderBatch) -> list[str]:
        return [batch.id]

    def stream(self, name: str) -> Iterator[bytes]:
        @contextmanager
        def opened(at: int) -> Iterator[httpx2.Response]:
            headers = {"Accept": "application/binary", "Accept-Encoding": "identity", **_STREAMED}
            if at:
                headers["Range"] = f"bytes={at}-"
            response = self._client.get(
                f"{_path(name)}/results",
                cast_to=httpx2.Response,
                options={"headers": headers, "timeout": TRANSFER},
            )
            try:
                yield response
            finally:
                response.close()

        with self._calls.translated():
            yield from resumable_stream(opened, (httpx2.TransportError,))

    def length(self, name: str) -> int | None:  # noqa: ARG002 - Anthropic tells none
        return None

    def cancel(self, batch_id: str) -> None:
        with self._calls.translated():
            self._client.post(f"{_path(batch_id)}/cancel", cast_to=httpx2.Response)

    def delete(self, batch: ProviderBatch) -> None:
        try:
            with self._calls.translated():
                self._client.delete(_path(batch.id), cast_to=httpx2.Response)
        except Missing:
            return

    def call(self, batch: Batch, body: bytes, *, seconds: float) -> Reply:
        headers = JSON | self._headers_of(batch)
        options: Any = {"headers": headers, "timeout": httpx2.Timeout(seconds, connect=15)}
        return self._calls.reply_to(
            lambda: self._client.post(batch.endpoint, cast_to=httpx2.Response, content=body, options=options)
        )

    def _headers_of(self, batch: Batch) -> dict[str, str]:
        """The version and the betas that a batch's requests were written for."""
        version = self._headers(batch.api_version) if batch.api_version else {}
        return version | ({"anthropic-beta": ",".join(batch.betas)} if batch.betas else {})

    def uploads(self) -> Iterator[ProviderFile]:
        return iter(())  # a create carries its requests

    def delete_upload(self, upload: str) -> None:
        raise ValueError(f"{self._name} has no upload {upload}")

    def _get(self, path: str, query: dict[str, Any] | None = None) -> bytes:
        with self._calls.translated():
            return self._client.get(path, cast_to=httpx2.Response, options={"params": query or {}}).content

    def _batch(self, content: bytes | Raw) -> ProviderBatch:
        read = self._calls.read(content, _Batch)
        status = self._calls.read_status(read.processing_status)
        counts = {
            name: lenient_json.as_int(count) or 0 for name, count in lenient_json.mapping(read.request_counts).items()
        }
        ended = sum(counts.get(name, 0) for name in ("succeeded", "errored", "canceled", "expired"))
        return ProviderBatch(
            id=self._calls.read_id(content),
            ended_as="completed" if status == "ended" else None,
            created_at=lenient_json.seconds(read.created_at),
            requests=counts.get("processing", 0) + ended,
            rows=ended or None,
        )


class _Body:
    """The body of a create, read from the request file while it is sent; it ends by the deadline or breaks off.

    `length` is its size in bytes: a body of unknown length goes out in chunks, which gateways do not take.
    """

    _BEFORE, _AFTER = b'{"requests":[', b"]}"

    def __init__(self, requests: Path, deadline: float) -> None:
        self._requests = requests
        self._deadline = deadline
        self._size = requests.stat().st_size - 1  # without the last line end
        self.length = len(self._BEFORE) + self._size + len(self._AFTER)

    def __iter__(self) -> Iterator[bytes]:
        yield self._BEFORE
        with self._requests.open("rb") as file:
            size = self._size
            while size > 0:
                if time.monotonic() > self._deadline:
                    raise httpx2.WriteTimeout("the upload took longer than the create may")
                chunk = file.read(min(_CHUNK, size))
                size -= len(chunk)
                yield chunk.replace(b"\n", b",")  # JSON has no raw line ends inside: each one parts two requests
        yield self._AFTER


def _key_headers(version: str, given: Mapping[str, str], key: Key) -> dict[str, str]:
    """Return how a key is sent: in the version's own header, unless `given` holds one of the two and so says how.

    Documented for 2023-06-01 is `x-api-key`; the SDK, which speaks 2026-10-21, sends `Authorization: Bearer`.
    """
    headers = {"authorization": _OMITTED, "x-api-key": _OMITTED}
    if not headers.keys() & {name.lower() for name in given}:
        headers |= {"authorization": f"Bearer {key.value}"} if version >= _BEARER_SINCE else {"x-api-key": key.value}
    return headers


def _path(batch_id: str) -> str:
    return f"{_BATCHES}/{quote(batch_id, safe='')}"

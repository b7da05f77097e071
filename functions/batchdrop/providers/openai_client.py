"""OpenAI's Batch API, and any server's that speaks it, by the official SDK. Only this module imports `openai`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import httpx2
import msgspec
import openai
from msgspec import Raw

from batchdrop.errors import Missing
from batchdrop.protocols import lenient_json
from batchdrop.protocols.outcome import Failure
from batchdrop.providers.config import ProviderConfig
from batchdrop.providers.headers import filled
from batchdrop.providers.http_errors import resumable_stream
from batchdrop.providers.interface import ProviderBatch, ProviderFile, Reply
from batchdrop.providers.keys import Key
from batchdrop.providers.sdk_calls import JSON, TIMEOUT, TRANSFER, SdkCalls
from batchdrop.records import Batch

_FILES_EXPIRE = 30 * 86_400  # seconds; OpenAI's longest; ours are deleted long before
_PAGE = 100  # OpenAI's largest
_FILES_PAGE = 10_000  # the same, of files
_ANSWER_SECONDS = 60
_VERSION = "/v1"  # an endpoint begins with it, and a base_url ends with it
_ENDED_AS = {
    "completed": "completed",
    "failed": "failed",
    "expired": "expired",
    "cancelled": "cancelled",
    "canceled": "cancelled",
}


class _Batch(msgspec.Struct):
    id: Raw = lenient_json.NULL
    status: Raw = lenient_json.NULL
    created_at: Raw = lenient_json.NULL
    input_file_id: Raw = lenient_json.NULL
    output_file_id: Raw = lenient_json.NULL
    error_file_id: Raw = lenient_json.NULL
    metadata: Raw = lenient_json.NULL
    request_counts: Raw = lenient_json.NULL
    usage: Raw = lenient_json.NULL
    errors: Raw = lenient_json.NULL


class _File(msgspec.Struct):
    bytes: Raw = lenient_json.NULL


class OpenAIBatches:
    """`BatchApi` of the protocol `openai`."""

    needs_upload = True

    def __init__(self, provider: ProviderConfig, key: Key, http_client: httpx2.Client | None = None) -> None:
        self._client = openai.OpenAI(
            api_key=key.value,
            base_url=provider.base_url,
            timeout=TIMEOUT,
            max_retries=0,  # a retry would wait as long as the provider says: the steps try again by themselves
            default_headers=filled(provider.headers, key.value),
            http_client=http_client or openai.DefaultHttpxClient(follow_redirects=False),  # the key goes nowhere else
        )
        self._window = provider.completion_window
        self._calls = SdkCalls(provider, openai.APIStatusError, openai.APIError)

    def upload(self, requests: Path, *, name: str) -> str:
        with requests.open("rb") as file, self._calls.translated():
            answer = self._client.files.with_raw_response.create(
                file=(name, file, "application/jsonl"),
                purpose="batch",
                expires_after={"anchor": "created_at", "seconds": _FILES_EXPIRE},
                timeout=TRANSFER,
            )
            return self._calls.read_id(answer.content)

    def create(self, batch: Batch, requests: Path | None, *, deployment: str, seconds: float) -> str:  # noqa: ARG002 - the file was uploaded
        client = self._client.with_options(timeout=min(_ANSWER_SECONDS, seconds))
        with self._calls.creating():
            answer = client.batches.with_raw_response.create(
                input_file_id=batch.input_file_id or "",
                endpoint=cast("Any", batch.endpoint),
                completion_window=cast("Any", self._window),
                metadata={
                    "batchdrop": deployment,
                    "job": batch.job,
                    "batch": batch.id,
                    "token": batch.token,
                },
            )
            return self._calls.read_id(answer.content)

    def retrieve(self, batch_id: str) -> ProviderBatch:
        with self._calls.translated():
            answer = self._client.batches.with_raw_response.retrieve(batch_id)
            return self._batch(answer.content)

    def page(self, after: str | None) -> list[ProviderBatch]:
        return [self._batch(each) for each in self._page(after)[0]]

    def newest(self) -> Iterator[ProviderBatch]:
        return map(self._batch, self._calls.all_pages(self._page))

    def _page(self, after: str | None) -> tuple[list[Raw], bool]:
        with self._calls.translated():
            answer = self._client.batches.with_raw_response.list(limit=_PAGE, **_after(after))
        return self._calls.read_page(answer.content)

    def results(self, batch: ProviderBatch) -> list[str]:
        return [each for each in (batch.output_file_id, batch.error_file_id) if each]

    def stream(self, name: str) -> Iterator[bytes]:
        @contextmanager
        def opened(at: int) -> Iterator[httpx2.Response]:
            headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={at}-"} if at else {})
            with self._client.files.with_streaming_response.content(
                name, extra_headers=headers, timeout=TRANSFER
            ) as answer:
                yield answer.http_response

        with self._calls.translated():
            yield from resumable_stream(opened, (httpx2.TransportError,))

    def length(self, name: str) -> int | None:
        with self._calls.translated():
            answer = self._client.files.with_raw_response.retrieve(name)
        return lenient_json.as_int(self._calls.read(answer.content, _File).bytes)

    def cancel(self, batch_id: str) -> None:
        with self._calls.translated():
            self._client.batches.with_raw_response.cancel(batch_id)

    def delete(self, batch: ProviderBatch) -> None:
        for file_id in (batch.input_file_id, batch.output_file_id, batch.error_file_id):
            if file_id:
                self.delete_upload(file_id)

    def call(self, batch: Batch, body: bytes, *, seconds: float) -> Reply:
        options: Any = {"headers": JSON, "timeout": httpx2.Timeout(seconds, connect=15)}
        path = batch.endpoint.removeprefix(_VERSION)
        return self._calls.reply_to(
            lambda: self._client.post(path, cast_to=httpx2.Response, content=body, options=options)
        )

    def uploads(self) -> Iterator[ProviderFile]:
        return filter(None, map(_upload, self._calls.all_pages(self._page_of_files)))

    def _page_of_files(self, after: str | None) -> tuple[list[Raw], bool]:
        with self._calls.translated():
            answer = self._client.files.with_raw_response.list(purpose="batch", limit=_FILES_PAGE, **_after(after))
        return self._calls.read_page(answer.content)

    def delete_upload(self, upload: str) -> None:
        try:
            with self._calls.translated():
                self._client.files.with_raw_response.delete(upload)
        except Missing:
            return

    def _batch(self, content: bytes | Raw) -> ProviderBatch:
        read = self._calls.read(content, _Batch)
        status = self._calls.read_status(read.status)
        return _in_our_words(self._calls.read_id(content), status, read)


def _after(last: str | None) -> dict[str, Any]:
    return {"after": last} if last else {}


def _in_our_words(batch_id: str, status: str, read: _Batch) -> ProviderBatch:
    metadata = {name: lenient_json.as_str(value) for name, value in lenient_json.mapping(read.metadata).items()}
    return ProviderBatch(
        id=batch_id,
        ended_as=_ENDED_AS.get(status.lower()),
        created_at=lenient_json.seconds(read.created_at),
        requests=_count(read.request_counts, "total") or 0,
        input_file_id=lenient_json.identifier(read.input_file_id),
        output_file_id=lenient_json.identifier(read.output_file_id),
        error_file_id=lenient_json.identifier(read.error_file_id),
        metadata={name: value for name, value in metadata.items() if value is not None},
        failures=_failures(read.errors),
        rows=_rows(read.request_counts),
        input_tokens=_input_tokens(read),
    )


def _count(counts: Raw, name: str) -> int | None:
    return lenient_json.as_int(lenient_json.mapping(counts).get(name, lenient_json.NULL))


def _rows(counts: Raw) -> int | None:
    completed, failed = _count(counts, "completed"), _count(counts, "failed")
    return None if completed is None else completed + (failed or 0)


def _input_tokens(read: _Batch) -> int | None:
    completed, total = _count(read.request_counts, "completed"), _count(read.request_counts, "total")
    return _count(read.usage, "input_tokens") if completed and completed == total else None


def _failures(errors: Raw) -> tuple[Failure, ...]:
    """Documented is `{"data": [{code, message, line}]}`; a list, one error or a text mean the same."""
    nested = lenient_json.mapping(errors).get("data", errors)
    found = lenient_json.items(nested) or [nested]
    read = [
        (lenient_json.parse_error(each), lenient_json.as_int(lenient_json.mapping(each).get("line", lenient_json.NULL)))
        for each in found
        if lenient_json.is_present(each)
    ]
    return tuple(Failure(code=each.code, message=each.message, line=line) for each, line in read)


def _upload(raw: Raw) -> ProviderFile | None:
    """A file of the listing; None for one that does not tell enough to be ours."""
    fields = lenient_json.mapping(raw)
    file_id, name = (
        lenient_json.identifier(fields.get("id", lenient_json.NULL)),
        lenient_json.as_str(fields.get("filename", lenient_json.NULL)),
    )
    created_at = lenient_json.seconds(fields.get("created_at", lenient_json.NULL))
    return ProviderFile(id=file_id, name=name, created_at=created_at) if file_id and name and created_at else None

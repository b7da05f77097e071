"""OpenAI's Batch API, and any server's that speaks it, by the official SDK. Only this module imports `openai`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import httpx2
import msgspec
import openai
from msgspec import Raw

from batchdrop.errors import Missing, OutcomeUnknown, Transient, UnexpectedResponse, Unreachable
from batchdrop.protocols import lenient_json
from batchdrop.protocols.outcome import Failure
from batchdrop.providers.config import ProviderConfig
from batchdrop.providers.headers import filled
from batchdrop.providers.http_errors import is_undecided, refusal, resumable_stream
from batchdrop.providers.interface import ProviderBatch, ProviderFile
from batchdrop.providers.keys import Key
from batchdrop.records import Batch

_FILES_EXPIRE = 30 * 86_400  # seconds; OpenAI's longest; ours are deleted long before
_PAGE = 100  # OpenAI's largest
_FILES_PAGE = 10_000  # the same, of files
_TIMEOUT = httpx2.Timeout(15)  # of a call without a large body: poll and sweep make many within their minute
_TRANSFER = httpx2.Timeout(120, connect=15)  # of an upload or a download, for each piece
_ANSWER_SECONDS = 60
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
    id: Raw = lenient_json.NULL
    bytes: Raw = lenient_json.NULL


class _Page(msgspec.Struct):
    data: list[Raw] | None  # what is no list is no listing: a batch would be taken as never created
    has_more: Raw = lenient_json.NULL


class OpenAIBatches:
    """`BatchApi` of the protocol `openai`."""

    needs_upload = True

    def __init__(self, provider: ProviderConfig, key: Key, http_client: httpx2.Client | None = None) -> None:
        self._client = openai.OpenAI(
            api_key=key.value,
            base_url=provider.base_url,
            timeout=_TIMEOUT,
            max_retries=0,  # a retry would wait as long as the provider says: the steps try again by themselves
            default_headers=filled(provider.headers, key.value),
            http_client=http_client or openai.DefaultHttpxClient(follow_redirects=False),  # the key goes nowhere else
        )
        self._name, self._window = provider.name, provider.completion_window
        self._own_refusals = provider.refusals

    def upload(self, requests: Path, *, name: str) -> str:
        with requests.open("rb") as file, self._translated():
            answer = self._client.files.with_raw_response.create(
                file=(name, file, "application/jsonl"),
                purpose="batch",
                expires_after={"anchor": "created_at", "seconds": _FILES_EXPIRE},
                timeout=_TRANSFER,
            )
            return self._id(answer.content)

    def create(self, batch: Batch, requests: Path | None, *, deployment: str, seconds: float) -> str:  # noqa: ARG002 - the file was uploaded
        client = self._client.with_options(timeout=min(_ANSWER_SECONDS, seconds))
        try:
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
            return self._id(answer.content)
        except openai.APIStatusError as error:
            if is_undecided(error.status_code, error.response.content):
                raise OutcomeUnknown(f"{self._name} answered {error.status_code} to a create") from None
            raise refusal(error.status_code, error.response.content, self._own_refusals) from None
        except (openai.APIError, httpx2.HTTPError, Transient) as error:
            raise OutcomeUnknown(f"{self._name}: no usable answer to a create: {type(error).__name__}") from None

    def retrieve(self, batch_id: str) -> ProviderBatch:
        with self._translated():
            answer = self._client.batches.with_raw_response.retrieve(batch_id)
            return self._batch(answer.content)

    def page(self, after: str | None) -> list[ProviderBatch]:
        return self._page(after)[0]

    def newest(self) -> Iterator[ProviderBatch]:
        after: str | None = None
        while True:
            found, has_more = self._page(after)
            yield from found
            if not found or not has_more:
                return
            after = self._next(after, found[-1].id)

    def _page(self, after: str | None) -> tuple[list[ProviderBatch], bool]:
        more: dict[str, Any] = {"after": after} if after else {}
        with self._translated():
            answer = self._client.batches.with_raw_response.list(limit=_PAGE, **more)
        page = self._read(answer.content, _Page)
        return [self._batch(each) for each in page.data or []], lenient_json.is_present(page.has_more)

    def results(self, batch: ProviderBatch) -> list[str]:
        return [each for each in (batch.output_file_id, batch.error_file_id) if each]

    def stream(self, name: str) -> Iterator[bytes]:
        @contextmanager
        def opened(at: int) -> Iterator[httpx2.Response]:
            headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={at}-"} if at else {})
            with self._client.files.with_streaming_response.content(
                name, extra_headers=headers, timeout=_TRANSFER
            ) as answer:
                yield answer.http_response

        with self._translated():
            yield from resumable_stream(opened, (httpx2.TransportError,))

    def length(self, name: str) -> int | None:
        with self._translated():
            answer = self._client.files.with_raw_response.retrieve(name)
        return lenient_json.as_int(self._read(answer.content, _File).bytes)

    def cancel(self, batch_id: str) -> None:
        with self._translated():
            self._client.batches.with_raw_response.cancel(batch_id)

    def delete(self, batch: ProviderBatch) -> None:
        for file_id in (batch.input_file_id, batch.output_file_id, batch.error_file_id):
            if file_id:
                self.delete_upload(file_id)

    def uploads(self) -> Iterator[ProviderFile]:
        after: str | None = None
        while True:
            with self._translated():
                more: dict[str, Any] = {"after": after} if after else {}
                answer = self._client.files.with_raw_response.list(purpose="batch", limit=_FILES_PAGE, **more)
            page = self._read(answer.content, _Page)
            found = page.data or []
            yield from filter(None, map(_upload, found))
            if not found or not lenient_json.is_present(page.has_more):
                return
            after = self._next(after, self._id(found[-1]))

    def delete_upload(self, upload: str) -> None:
        try:
            with self._translated():
                self._client.files.with_raw_response.delete(upload)
        except Missing:
            return

    def _read[T](self, content: bytes | Raw, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(lenient_json.transcode_to_utf8(bytes(content)), type=kind)
        except (ValueError, RecursionError):
            raise UnexpectedResponse(f"{self._name} answered what is no {kind.__name__.strip('_')}") from None

    def _id(self, content: bytes | Raw) -> str:
        found = lenient_json.identifier(self._read(content, _File).id)
        if found is None:
            raise UnexpectedResponse(f"{self._name} answered with no id")
        return found

    def _batch(self, content: bytes | Raw) -> ProviderBatch:
        read = self._read(content, _Batch)
        status = lenient_json.as_str(read.status)
        if status is None:
            raise UnexpectedResponse(f"{self._name} told a batch without its status")
        return _in_our_words(self._id(content), status, read)

    def _next(self, before: str | None, last: str) -> str:
        """Where the next page begins.

        Raises:
            Transient: Where this one began: the server takes no `after`, and its listing is never whole.
        """
        if before == last:
            raise Transient(f"{self._name} lists the same page again and again")
        return last

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except openai.APIStatusError as error:
            raise refusal(error.status_code, error.response.content, self._own_refusals) from None
        except (openai.APIError, httpx2.HTTPError) as error:
            raise Unreachable(f"{self._name} does not answer: {type(error).__name__}") from None


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

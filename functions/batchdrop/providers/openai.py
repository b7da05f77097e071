"""OpenAI's Batch API, and any server's that speaks it, by the official SDK. Only this module imports `openai`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import httpx2
import msgspec
import openai

from batchdrop.errors import OutcomeUnknown, Transient
from batchdrop.protocols.outcome import Failure
from batchdrop.providers.answers import is_undecided, refusal, whole_stream
from batchdrop.providers.api import Missing, ProviderBatch, Upload
from batchdrop.providers.config import ProviderConfig
from batchdrop.providers.keys import Key
from batchdrop.records import Batch

_FILES_EXPIRE = 30 * 86_400  # seconds; OpenAI's longest; ours are deleted long before
_PAGE = 100  # OpenAI's largest
_FILES_PAGE = 10_000  # the same, of files
_TIMEOUT = httpx2.Timeout(15)  # of a call without a large body: poll and sweep make many within their minute
_TRANSFER = httpx2.Timeout(120, connect=15)  # of an upload or a download, for each piece
_ANSWER_SECONDS = 60
_ENDED_AS = {"completed": "completed", "failed": "failed", "expired": "expired", "cancelled": "cancelled"}


class _BatchError(msgspec.Struct):
    code: str | None = None
    message: str | None = None
    line: int | None = None


class _Errors(msgspec.Struct):
    data: list[_BatchError] | None = None


class _Counts(msgspec.Struct):
    total: int = 0
    completed: int = 0
    failed: int = 0


class _Batch(msgspec.Struct):
    id: str
    status: str
    created_at: int | None = None
    input_file_id: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    metadata: dict[str, str] | None = None
    request_counts: _Counts | None = None
    errors: _Errors | None = None


class _File(msgspec.Struct):
    bytes: int | None = None


class _Upload(msgspec.Struct):
    id: str
    filename: str
    created_at: int


class _Uploads(msgspec.Struct):
    data: list[_Upload]
    has_more: bool = False


class _Page(msgspec.Struct):
    data: list[_Batch]
    has_more: bool = False


class _Id(msgspec.Struct):
    id: str


class OpenAIBatches:
    """`BatchApi` of the protocol `openai`."""

    needs_upload = True

    def __init__(self, provider: ProviderConfig, key: Key, http_client: httpx2.Client | None = None) -> None:
        self._client = openai.OpenAI(
            api_key=key.value, base_url=provider.base_url, timeout=_TIMEOUT, max_retries=1, http_client=http_client
        )
        self._name = provider.name

    def upload(self, requests: Path, *, name: str) -> str:
        with requests.open("rb") as file, self._translated():
            answer = self._client.files.with_raw_response.create(
                file=(name, file, "application/jsonl"),
                purpose="batch",
                expires_after={"anchor": "created_at", "seconds": _FILES_EXPIRE},
                timeout=_TRANSFER,
            )
            return self._read(answer.content, _Id).id

    def create(self, batch: Batch, requests: Path | None, *, deployment: str, seconds: float) -> str:  # noqa: ARG002 - the file was uploaded
        client = self._client.with_options(max_retries=0, timeout=min(_ANSWER_SECONDS, seconds))
        try:
            answer = client.batches.with_raw_response.create(
                input_file_id=batch.input_file_id or "",
                endpoint=cast("Any", batch.endpoint),
                completion_window="24h",
                metadata={
                    "batchdrop": deployment,
                    "job": batch.job,
                    "batch": batch.id,
                    "token": batch.token,
                },
            )
            return msgspec.json.decode(answer.content, type=_Id).id
        except openai.APIStatusError as error:
            if is_undecided(error.status_code):
                raise OutcomeUnknown(f"{self._name} answered {error.status_code} to a create") from None
            raise refusal(error.status_code, error.response.content) from None
        except (openai.APIError, httpx2.HTTPError, msgspec.DecodeError) as error:
            raise OutcomeUnknown(f"{self._name}: no usable answer to a create: {type(error).__name__}") from None

    def retrieve(self, batch_id: str) -> ProviderBatch:
        with self._translated():
            answer = self._client.batches.with_raw_response.retrieve(batch_id)
            return _in_our_words(self._read(answer.content, _Batch))

    def page(self, after: str | None) -> list[ProviderBatch]:
        return [_in_our_words(each) for each in self._page(after).data]

    def newest(self) -> Iterator[ProviderBatch]:
        after: str | None = None
        while True:
            page = self._page(after)
            yield from map(_in_our_words, page.data)
            if not page.has_more or not page.data:
                return
            after = page.data[-1].id

    def _page(self, after: str | None) -> _Page:
        more: dict[str, Any] = {"after": after} if after else {}
        with self._translated():
            return self._read(self._client.batches.with_raw_response.list(limit=_PAGE, **more).content, _Page)

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
            yield from whole_stream(opened, (httpx2.TransportError,))

    def length(self, name: str) -> int | None:
        with self._translated():
            return self._read(self._client.files.with_raw_response.retrieve(name).content, _File).bytes

    def cancel(self, batch_id: str) -> None:
        with self._translated():
            self._client.batches.with_raw_response.cancel(batch_id)

    def delete(self, batch: ProviderBatch) -> None:
        for file_id in (batch.input_file_id, batch.output_file_id, batch.error_file_id):
            if file_id:
                self.delete_upload(file_id)

    def uploads(self) -> Iterator[Upload]:
        after: str | None = None
        while True:
            with self._translated():
                more: dict[str, Any] = {"after": after} if after else {}
                answer = self._client.files.with_raw_response.list(purpose="batch", limit=_FILES_PAGE, **more)
                page = self._read(answer.content, _Uploads)
            for each in page.data:
                yield Upload(id=each.id, name=each.filename, created_at=each.created_at)
            if not page.has_more or not page.data:
                return
            after = page.data[-1].id

    def delete_upload(self, upload: str) -> None:
        try:
            with self._translated():
                self._client.files.with_raw_response.delete(upload)
        except Missing:
            return

    def _read[T](self, content: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(content, type=kind)
        except (msgspec.DecodeError, RecursionError):
            raise Transient(f"{self._name} answered what is no {kind.__name__.strip('_')}") from None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except openai.APIStatusError as error:
            raise refusal(error.status_code, error.response.content) from None
        except (openai.APIError, httpx2.HTTPError) as error:
            raise Transient(f"{self._name} does not answer: {type(error).__name__}") from None


def _in_our_words(read: _Batch) -> ProviderBatch:
    counts = read.request_counts or _Counts()
    errors = (read.errors.data if read.errors else None) or []
    return ProviderBatch(
        id=read.id,
        ended_as=_ENDED_AS.get(read.status),
        created_at=read.created_at,
        requests=counts.total,
        input_file_id=read.input_file_id,
        output_file_id=read.output_file_id,
        error_file_id=read.error_file_id,
        metadata=read.metadata or {},
        failures=tuple(Failure(code=each.code, message=each.message or "", line=each.line) for each in errors),
    )

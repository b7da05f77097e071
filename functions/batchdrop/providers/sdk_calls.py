"""Wraps the SDK calls of both clients: errors become ours, answers are read leniently, lists are paged."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import httpx2
import msgspec
from msgspec import Raw

from batchdrop.errors import OutcomeUnknown, Transient, UnexpectedResponse, Unreachable
from batchdrop.protocols import lenient_json
from batchdrop.providers.config import ProviderConfig
from batchdrop.providers.http_errors import is_undecided, refusal
from batchdrop.providers.interface import Reply

TIMEOUT = httpx2.Timeout(15)  # of a call without a large body: poll and sweep make many within their minute
_UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
JSON = {"Content-Type": "application/json"}
TRANSFER = httpx2.Timeout(120, connect=15)  # of an upload or a download, for each piece


class _Named(msgspec.Struct):
    id: Raw = lenient_json.NULL


class _Page(msgspec.Struct):
    data: list[Raw] | None  # what is no list is no listing: a batch would be taken as never created
    has_more: Raw = lenient_json.NULL


class SdkCalls:
    """The calls of one provider.

    Args:
        provider: Whose.
        status_error: What the SDK raises for an error status.
        error: The root of the SDK's errors.
    """

    def __init__(self, provider: ProviderConfig, status_error: type[Exception], error: type[Exception]) -> None:
        self._name, self._own_refusals = provider.name, provider.refusals
        self._status_error, self._error = status_error, error

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise our errors in place of the SDK's."""
        try:
            yield
        except self._status_error as error:
            raise self._refusal(error) from None
        except (self._error, httpx2.HTTPError) as error:
            raise Unreachable(f"{self._name} does not answer: {type(error).__name__}") from None

    @contextmanager
    def creating(self) -> Iterator[None]:
        """The same around a create, the reading of its answer included: whatever is no definite answer is a doubt."""
        try:
            yield
        except self._status_error as error:
            status, body = _answer_of(error)
            if is_undecided(status, body):
                raise OutcomeUnknown(f"{self._name} answered {status} to a create") from None
            raise self._refusal(error) from None
        except (self._error, httpx2.HTTPError, Transient) as error:
            raise OutcomeUnknown(f"{self._name}: no usable answer to a create: {type(error).__name__}") from None

    def reply_to(self, call: Callable[[], httpx2.Response]) -> Reply:
        """Return the reply to a call at real time, an error status included.

        Raises:
            OutcomeUnknown: There is no reply, and it may have been answered.
            Unreachable: It was not sent.
        """
        try:
            answer = call()
        except self._status_error as error:
            answer = cast("Any", error).response
        except (self._error, httpx2.HTTPError) as error:
            if isinstance(error.__cause__ or error, _UNSENT):
                raise Unreachable(f"{self._name} cannot be reached: {type(error).__name__}") from None
            raise OutcomeUnknown(f"{self._name}: no reply to a call: {type(error).__name__}") from None
        return Reply(
            status=answer.status_code,
            body=answer.content,
            request_id=answer.headers.get("x-request-id") or answer.headers.get("request-id"),
            retry_after=_retry_after(answer.headers),
        )

    def _refusal(self, error: Exception) -> Exception:
        return refusal(*_answer_of(error), self._own_refusals)

    def read[T](self, content: bytes | Raw, kind: type[T]) -> T:
        """An answer's fields.

        Raises:
            UnexpectedResponse: It is no such document.
        """
        try:
            return msgspec.json.decode(lenient_json.transcode_to_utf8(bytes(content)), type=kind)
        except (ValueError, RecursionError):
            raise UnexpectedResponse(
                f"{self._name} answered with something that is not a {kind.__name__.strip('_')}"
            ) from None

    def read_id(self, content: bytes | Raw) -> str:
        """The id of the one thing that an answer is about."""
        found = lenient_json.identifier(self.read(content, _Named).id)
        if found is None:
            raise UnexpectedResponse(f"{self._name} answered with no id")
        return found

    def read_status(self, status: Raw) -> str:
        """The status of a batch."""
        found = lenient_json.as_str(status)
        if found is None:
            raise UnexpectedResponse(f"{self._name} returned a batch without its status")
        return found

    def read_page(self, content: bytes) -> tuple[list[Raw], bool]:
        """Return the items of a list's page, and whether more follow."""
        page = self.read(content, _Page)
        return page.data or [], lenient_json.is_present(page.has_more)

    def all_pages(self, page: Callable[[str | None], tuple[list[Raw], bool]]) -> Iterator[Raw]:
        """Yield the items of all pages of a list, one call for each; `page` takes the id that its page follows.

        Raises:
            Transient: A page ends as the one before it: the server takes no such id, and its list is never whole.
        """
        after: str | None = None
        while True:
            found, has_more = page(after)
            yield from found
            if not found or not has_more:
                return
            last = self.read_id(found[-1])
            if last == after:
                raise Transient(f"{self._name} lists the same page again and again")
            after = last


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """In seconds; a date, which neither vendor sends, is not read."""
    for name, unit in (("retry-after-ms", 1_000), ("retry-after", 1)):
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", headers.get(name, "")):
            return float(headers[name]) / unit
    return None


def _answer_of(error: Any) -> tuple[int, bytes]:  # noqa: ANN401 - either SDK's error
    return error.status_code, error.response.content

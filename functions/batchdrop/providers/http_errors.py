"""Translates HTTP statuses into our errors, and resumes downloads that are cut; for both protocols."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from msgspec import Raw

from batchdrop.downloads import resumed
from batchdrop.errors import (
    AccountRefused,
    EndpointNotFound,
    LimitReached,
    Missing,
    Refused,
    RefusedForNow,
    Transient,
    Undecodable,
    Unreachable,
)
from batchdrop.pause_codes import PauseCode
from batchdrop.protocols.lenient_json import ParsedError, parse_error, transcode_to_utf8
from batchdrop.protocols.outcome import QUEUE_FULL, parse_token_limit
from batchdrop.protocols.refusals import RefusalRule, classify
from batchdrop.providers.content_encodings import BadEncodingError, UnknownEncodingError, decode, parse_encodings
from batchdrop.refusal_kinds import Kind

if TYPE_CHECKING:
    import httpx2

_KEY_STATUSES = frozenset({401, 403})
_PAYMENT_REQUIRED = 402
_TIMEOUTS = frozenset(
    {"timeout", "timeout_error", "request_timeout", "gateway_timeout", "Timeout"}
)  # the last: LiteLLM
_MONEY = ("credit", "billing", "quota", "budget", "usage limits", "not active")
_LATER_STATUSES = frozenset({408, 409, 425, 429})
_REDIRECTIONS = range(300, 400)
_PARTIAL = 206
_NOT_FOUND, _NOT_ALLOWED, _SERVER_ERROR = 404, 405, 500


def is_undecided(status: int, body: bytes) -> bool:
    """Return whether a create with this status may have happened all the same: a gateway says so with a 400, too."""
    return status >= _SERVER_ERROR or status in {408, 409} or _read(body).code in _TIMEOUTS


def is_timeout(status: int, body: bytes) -> bool:
    """Return whether a call with this status may have been answered all the same: somebody on the way waited no longer.

    A page with a 5xx is a gateway's, which does not know.
    """
    error = _read(body)
    is_gateways = status >= _SERVER_ERROR and not (error.code or error.type or error.message)
    return status in {408, 504} or error.code in _TIMEOUTS or is_gateways


def _read(body: bytes) -> ParsedError:
    return parse_error(Raw(transcode_to_utf8(body)))


def refusal(status: int, body: bytes, own: Sequence[RefusalRule] = ()) -> Exception:
    """The error of ours that an HTTP error status means.

    The provider's own text may quote a key or a prompt: no error shows it.

    Args:
        status: The status.
        body: What came with it.
        own: The provider's rules in `providers.toml`.
    """
    error = _read(body)
    is_status = (error.code or "").isdigit()  # LiteLLM writes "400", and the type tells
    code, words = (error.type or error.code) if is_status else error.code, error.message
    summary = f"{status} {code}" if code else str(status)
    if status in _REDIRECTIONS:
        return AccountRefused(f"it redirects ({summary}), and the key is sent to base_url only")
    kind = classify(status, code, words, own)
    if kind is Kind.ACCOUNT:
        return _account_refused(status, code, words, summary)
    if status == _NOT_FOUND:
        return Missing(summary)
    if status >= _SERVER_ERROR or status in _LATER_STATUSES or kind is Kind.QUEUE:
        return _passing(status, code, summary, words)
    meant = EndpointNotFound if status == _NOT_ALLOWED else RefusedForNow if kind is Kind.PASSING else Refused
    return meant(status=status, code=code, kind=kind, words=words)


def _passing(status: int, code: str | None, summary: str, words: str) -> Transient:
    if code == QUEUE_FULL:
        return LimitReached(summary, limit=parse_token_limit(words))
    return Unreachable(summary) if status >= _SERVER_ERROR else Transient(summary)


def _account_refused(status: int, code: str | None, words: str, summary: str) -> AccountRefused:
    """Return why an account is refused, in words of ours."""
    trouble = f"{code} {words}".lower()
    if "storage" in trouble:
        return AccountRefused(f"its file storage is full ({summary}): delete files there")
    if status in _KEY_STATUSES:
        return AccountRefused(f"the key was refused ({summary})", PauseCode.KEY_REFUSED)
    is_money = status == _PAYMENT_REQUIRED or any(each in trouble for each in _MONEY)
    return AccountRefused(f"{'no credit' if is_money else 'the account was refused'} ({summary})")


def resumable_stream(
    opened: Callable[[int], "AbstractContextManager[httpx2.Response]"], errors: tuple[type[Exception], ...]
) -> Iterator[bytes]:
    """The bytes of a download, all of them: what is cut goes on where it stopped.

    What a server compresses although it was asked not to is decoded; cut, it is read from its start again, since no
    server need compress twice in the same way.

    Args:
        opened: Opens the download from an offset; the server may ignore the offset and answer 200 from the start.
        errors: What a cut connection raises.

    Raises:
        Undecodable: It is compressed in a way that cannot be decoded.
        Transient: It was cut again and again, and nothing came in between.
    """
    is_plain = True

    def rest(at: int) -> Iterator[bytes]:
        nonlocal is_plain
        with opened(at if is_plain else 0) as response:
            encodings = _encodings_of(response)
            is_plain, is_part = not encodings, response.status_code == _PARTIAL
            if encodings and is_part:
                raise BadEncodingError("a part of other bytes than those before it")
            yield from _skip(0 if is_part else at, decode(response.iter_raw(), encodings))

    return resumed(rest, cuts=(*errors, BadEncodingError), what="a download")


def _skip(left: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk[left:]
        left = max(0, left - len(chunk))


def _encodings_of(response: "httpx2.Response") -> list[str]:
    try:
        return parse_encodings(response.headers.get("content-encoding"))
    except UnknownEncodingError as error:
        raise Undecodable(str(error)) from None

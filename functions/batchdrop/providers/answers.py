"""What both protocols share of reading a provider's answers: statuses into our errors, streams that are cut."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from msgspec import Raw

from batchdrop.errors import AccountRefused, LimitReached, NoSuchCall, Refused, Transient, Unreachable
from batchdrop.protocols.loose import said, transcode_to_utf8
from batchdrop.protocols.outcome import QUEUE_FULL, is_account_error, told_limit
from batchdrop.providers.api import Missing, Undecodable
from batchdrop.providers.encodings import BadEncodingError, UnknownEncodingError, decode, parse_encodings

if TYPE_CHECKING:
    import httpx2

_STREAM_ATTEMPTS = 5
_ACCOUNT_STATUSES = frozenset({401, 402, 403})
_LATER_STATUSES = frozenset({408, 409, 425, 429})
_REDIRECTIONS = range(300, 400)
_PARTIAL = 206
_NOT_FOUND, _NOT_ALLOWED, _SERVER_ERROR = 404, 405, 500


def is_undecided(status: int) -> bool:
    """Whether a create with this status may have happened all the same."""
    return status >= _SERVER_ERROR or status in {408, 409}


def refusal(status: int, body: bytes) -> Exception:
    """The error of ours that an HTTP error status means.

    The provider's own text may quote a key or a prompt: no error holds it.
    """
    error = said(Raw(transcode_to_utf8(body)))
    code, text = error.code, error.message or f"status {status}"
    summary = f"{status} {code}" if code else str(status)
    if status in _REDIRECTIONS:
        return AccountRefused(f"it redirects ({summary}), and the key is sent to base_url only")
    if status not in _ACCOUNT_STATUSES and is_account_error(code, text):
        return AccountRefused(f"no credit ({summary})")
    if status in _ACCOUNT_STATUSES:
        return AccountRefused(f"the key was refused ({summary})")
    if status == _NOT_FOUND:
        return Missing(summary)
    if status >= _SERVER_ERROR or status in _LATER_STATUSES or code == QUEUE_FULL:
        return _passing(status, code, summary, text)
    return (NoSuchCall if status == _NOT_ALLOWED else Refused)(status=status, code=code)


def _passing(status: int, code: str | None, summary: str, text: str) -> Transient:
    if code == QUEUE_FULL:
        return LimitReached(summary, limit=told_limit(text))
    return Unreachable(summary) if status >= _SERVER_ERROR else Transient(summary)


def whole_stream(
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
    cuts: tuple[type[Exception], ...] = (*errors, BadEncodingError)
    at, left, is_plain = 0, _STREAM_ATTEMPTS, True
    while left:
        left -= 1
        try:
            with opened(at if is_plain else 0) as response:
                encodings = _encodings_of(response)
                is_plain = not encodings
                if encodings and response.status_code == _PARTIAL:
                    continue  # a part of other bytes than those before it
                skip = 0 if response.status_code == _PARTIAL else at
                for chunk in decode(response.iter_raw(), encodings):
                    fresh = chunk[skip:]
                    skip = max(0, skip - len(chunk))
                    if fresh:
                        at, left = at + len(fresh), _STREAM_ATTEMPTS
                        yield fresh
        except cuts:
            continue
        else:
            return
    raise Transient(f"a download was cut {_STREAM_ATTEMPTS} times at byte {at:,}")


def _encodings_of(response: "httpx2.Response") -> list[str]:
    try:
        return parse_encodings(response.headers.get("content-encoding"))
    except UnknownEncodingError as error:
        raise Undecodable(str(error)) from None

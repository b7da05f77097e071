"""The outcome of one request, in our words, whichever protocol reported it."""

import re
from typing import Annotated

import msgspec

from batchdrop.manifest import Usage
from batchdrop.result_line import MAX_RAW_BYTES, ErrorCode, Response, ResultError
from batchdrop.texts import cut

_PASSING = frozenset({0, 408, 409, 429})  # 0: the request never reached the model (seen in "completed" batches)
_SERVER_ERROR = 500
_LIMIT = re.compile(r"limit:\s*(\d[\d,]{0,20})\s+enqueued tokens", re.IGNORECASE | re.ASCII)
QUEUE_FULL = "token_limit_exceeded"


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A provider's result line. `error` is None exactly when it is an answer; `custom_id` is ours."""

    id: str | None
    custom_id: str
    response: Response | None
    error: ResultError | None


def unreadable_outcome(text: bytes) -> Outcome:
    """Return the outcome of a request whose row is unreadable: `text` is kept as it came, as far as it is text."""
    raw = cut(text.decode(errors="replace"), MAX_RAW_BYTES)
    message = "The provider's result line cannot be read; it may hold a paid answer, and is not sent again."
    error = ResultError(code=ErrorCode.UNREADABLE_RESULT, message=message, source="provider", retryable=False, raw=raw)
    return Outcome(id=None, custom_id="", response=None, error=error)


EMPTY_ANSWER = ResultError(
    code=ErrorCode.EMPTY_ANSWER,
    message="The provider reports success and sent an empty answer; it may have charged for it, so it was sent once.",
    source="provider",
    retryable=True,  # by hand: collect never sends it again
)


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a provider failed a batch as a whole; `line` counts the request file's lines from 1, where it is known."""

    code: str | None
    message: str
    line: int | None = None


Tokens = Annotated[int, msgspec.Meta(ge=0, le=2**40)] | None  # more is malformed, and spoils every sum


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    usage: Usage
    finish_reason: str | None


def parse_token_limit(message: str) -> int | None:
    """How many enqueued tokens an account may have, where a refusal says so ("Limit: 90,000 enqueued tokens.")."""
    found = _LIMIT.search(message)
    return int(found[1].replace(",", "")) or None if found else None


def retryable_status(status: int | None) -> bool:
    """Return whether the same request may succeed later, by its HTTP status."""
    return status is not None and (status in _PASSING or status >= _SERVER_ERROR)

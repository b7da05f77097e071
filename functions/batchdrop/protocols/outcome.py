"""What became of one request, in our words, whichever protocol said it."""

import msgspec

from batchdrop.manifest import Usage
from batchdrop.results import Response, ResultError

_REQUEST_TIMEOUT, _CONFLICT, _TOO_MANY, _SERVER_ERROR = 408, 409, 429, 500


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A provider's result line. `error` is None exactly when it is an answer; `custom_id` is ours."""

    id: str | None
    custom_id: str
    response: Response | None
    error: ResultError | None


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a provider failed a batch as a whole; `line` counts the request file's lines from 1, where it is known."""

    code: str | None
    message: str
    line: int | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    usage: Usage
    finish_reason: str | None


def retryable_status(status: int | None) -> bool:
    """Whether the same request may succeed later, by its HTTP status."""
    return status is not None and (status in {_REQUEST_TIMEOUT, _CONFLICT, _TOO_MANY} or status >= _SERVER_ERROR)

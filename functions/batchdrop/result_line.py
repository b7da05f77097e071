"""The result lines: their shape, and our own error codes."""

from enum import StrEnum
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

MAX_RAW_BYTES = 64 * 1024  # of what nobody could read, in an error


class ErrorCode(StrEnum):
    """Our own codes: a closed list. The providers' codes pass through beside them."""

    INVALID_JSON = "invalid_json"
    INVALID_UTF8 = "invalid_utf8"
    LINE_TOO_LONG = "line_too_long"
    UNREADABLE_LINE = "unreadable_line"
    TOO_DEEP = "too_deep"
    NOT_A_REQUEST = "not_a_request"
    NO_MODEL = "no_model"
    UNKNOWN_MODEL = "unknown_model"
    UNKNOWN_PROVIDER = "unknown_provider"
    PROVIDER_NOT_ALLOWED = "provider_not_allowed"
    UNKNOWN_ENDPOINT = "unknown_endpoint"
    AMBIGUOUS_ENDPOINT = "ambiguous_endpoint"
    UNSUPPORTED_PARAMETER = "unsupported_parameter"
    MISSING_PARAMETER = "missing_parameter"
    INVALID_PARAMETER = "invalid_parameter"
    UNTRANSLATABLE = "untranslatable"
    BATCH_EXPIRED = "batch_expired"
    REQUEST_LOST = "request_lost"
    NO_RESPONSE = "no_response"
    EMPTY_ANSWER = "empty_answer"
    UNKNOWN_ERROR = "unknown_error"
    UNREADABLE_RESULT = "unreadable_result"
    UNDECODABLE_RESULT = "undecodable_result"
    PROVIDER_STUCK = "provider_stuck"
    REQUEST_TOO_LARGE = "request_too_large"
    PROVIDER_FAILED = "provider_failed"
    NO_SUCH_CALL = "no_such_call"
    NOT_BATCHABLE = "not_batchable"
    SUBMIT_FAILED = "submit_failed"
    COLLECT_FAILED = "collect_failed"
    CANCELLED = "cancelled"
    TOO_MANY_GROUPS = "too_many_groups"
    MISSING_COLUMN = "missing_column"
    TEMPLATE = "template"
    SCHEMA = "schema"
    CUT_OFF = "cut_off"


class ResultError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a line has no answer. `source` says whose fault; `retryable`, whether sending it again may help.

    Both of these are absent where there is nothing to say: `provider_message` holds the provider's own words about the
    batch or the line, 4 kB at most; `raw` what the provider sent and nobody could read, as text, 64 kB at most.
    """

    code: str
    message: str
    source: Literal["input", "provider", "batchdrop"]
    retryable: bool
    provider_message: str | UnsetType = UNSET
    raw: str | UnsetType = UNSET


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """The provider's response to a line; `body` is its own, byte for byte."""

    status_code: int | None
    request_id: str | None
    body: msgspec.Raw


class AnsweredBy(msgspec.Struct, frozen=True, kw_only=True):
    """The fallback, where it has the last word on a line; `model` is its name on the wire."""

    provider: str
    model: str


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One line on its way back. `error` is null exactly when there is an answer.

    `via` says how it was sent, the last time; null where it was not. `answered_by` is the job's fallback, where this
    is what it said, an answer or an error; absent otherwise. `row` holds the columns that the job's template keeps;
    absent where it keeps none. `shared_with` is the number of the line whose request was sent for this one, too, since
    they are equal; absent where the line's own was. All the rest says what became of that request.
    """

    id: str | None
    custom_id: msgspec.Raw  # the user's own, any JSON value; null where there is none
    response: Response | None
    error: ResultError | None
    line: int
    provider: str | None
    model: str | None
    endpoint: str | None
    batch_id: str | None
    attempts: int
    via: Literal["batch", "realtime"] | None = None
    answered_by: AnsweredBy | UnsetType = UNSET
    row: msgspec.Raw | UnsetType = UNSET
    shared_with: int | UnsetType = UNSET


class UsualResult(msgspec.Struct, gc=False):
    """A `Result` of an answer, which is written as one and costs less to make."""

    id: str | None
    custom_id: msgspec.Raw
    response: object
    error: None
    line: int
    provider: str
    model: str
    endpoint: str
    batch_id: str | None
    attempts: int
    via: str | None
    answered_by: AnsweredBy | UnsetType
    row: msgspec.Raw | UnsetType
    shared_with: int | UnsetType = UNSET

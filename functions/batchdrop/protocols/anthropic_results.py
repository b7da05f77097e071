"""Anthropic's batch protocol: what a result line says."""

from typing import Any

import msgspec
from msgspec import Raw

from batchdrop.manifest import Usage
from batchdrop.protocols.lenient_json import NULL, as_str, is_empty, parse_error, read_field, read_row, unwrapped
from batchdrop.protocols.outcome import EMPTY_ANSWER, Answer, Failure, Outcome, Tokens, retryable_status
from batchdrop.result_line import ErrorCode, Response, ResultError


class _Result(msgspec.Struct, gc=False):
    type: str
    message: Raw = NULL
    error: Raw = NULL


class _Line(msgspec.Struct, gc=False):
    custom_id: str
    result: _Result


class _Thinking(msgspec.Struct, gc=False):
    thinking_tokens: Tokens = 0


class MessageUsage(msgspec.Struct, gc=False):
    """The usage of a message; what was read from a cache, and written to it, is not among its input tokens."""

    input_tokens: Tokens = 0
    output_tokens: Tokens = 0
    cache_read_input_tokens: Tokens = 0
    cache_creation_input_tokens: Tokens = 0
    cache_creation: Any = None  # of any type: it must not cost the other numbers
    output_tokens_details: _Thinking | None = None


class _Message(msgspec.Struct, gc=False):
    usage: Raw = NULL
    stop_reason: Raw = NULL


class _UsualMessage(msgspec.Struct, gc=False):
    """The same in Anthropic's types."""

    usage: MessageUsage | None = None
    stop_reason: str | None = None


_line = msgspec.json.Decoder(_Line)
_usual_answer = msgspec.json.Decoder(_UsualMessage)
_answer = msgspec.json.Decoder(_Message)
_usage = msgspec.json.Decoder(MessageUsage, strict=False)

# Anthropic's results carry error types and no status; its documentation gives each type one.
STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_RETRYABLE_TYPES = frozenset({"rate_limit_error", "timeout_error", "api_error", "overloaded_error"})


def read_outcome(line: bytes) -> Outcome:
    """Return the outcome that a line of the results states.

    Raises:
        msgspec.DecodeError: It is not such a line.
        ValueError: Its result has a type that is not known.
    """
    return read_row(_read_line, line)


def _read_line(line: bytes) -> Outcome:
    read = _line.decode(line)
    response, error = _response(read.result)
    return Outcome(id=None, custom_id=read.custom_id, response=response, error=error)


def _response(result: _Result) -> tuple[Response | None, ResultError | None]:
    match result.type:
        case "succeeded" if not is_empty(result.message):
            return Response(status_code=200, request_id=None, body=unwrapped(result.message)), None
        case "succeeded":
            return None, EMPTY_ANSWER
        case "errored":
            return _errored(result.error)
        case "expired":
            message = "Not answered before the batch expired."
            return None, ResultError(code=ErrorCode.BATCH_EXPIRED, message=message, source="batchdrop", retryable=True)
        case "canceled" | "cancelled":
            message = "The batch was cancelled before this request was answered."
            return None, ResultError(code=ErrorCode.CANCELLED, message=message, source="batchdrop", retryable=True)
        case other:
            raise ValueError(f"a result of type {other[:50]!r} is not known")


def _errored(body: Raw) -> tuple[Response, ResultError]:
    error = parse_error(body)
    response = Response(status_code=STATUS_OF_TYPE.get(error.code or "", error.status), request_id=None, body=body)
    return response, ResultError(
        code=error.code or ErrorCode.UNKNOWN_ERROR,
        message=error.message or "The provider gave no reason.",
        source="provider",
        retryable=error.code in _RETRYABLE_TYPES or retryable_status(error.status),
    )


def refused_line(custom_id: str, failure: Failure) -> bytes:
    """A result line, in Anthropic's form, for a request that ended with an error of ours."""
    error = {"type": failure.code or "api_error", "message": failure.message}
    result = {"type": "errored", "error": {"type": "error", "error": error}}
    return msgspec.json.encode({"custom_id": custom_id, "result": result}) + b"\n"


def read_answer(body: Raw) -> Answer:
    """The usage and the stop reason of a message, as far as it tells."""
    try:
        usual = _usual_answer.decode(body)
    except (msgspec.DecodeError, RecursionError):
        read = read_field(_answer, body, _Message())
        return _answer_with(read_field(_usage, read.usage, MessageUsage()), as_str(read.stop_reason))
    return _answer_with(usual.usage or MessageUsage(), usual.stop_reason)


def written_for_an_hour(usage: MessageUsage) -> int:
    """The tokens that are kept for an hour; never more than are written at all."""
    hour = usage.cache_creation.get("ephemeral_1h_input_tokens") if isinstance(usage.cache_creation, dict) else None
    return min(hour, usage.cache_creation_input_tokens or 0) if isinstance(hour, int) and hour > 0 else 0


def _answer_with(usage: MessageUsage, stop_reason: str | None) -> Answer:
    cached, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    thinking = usage.output_tokens_details
    return Answer(
        usage=Usage(
            input_tokens=(usage.input_tokens or 0) + cached + written,
            cached_input_tokens=cached,
            cache_write_tokens=written,
            cache_write_1h_tokens=written_for_an_hour(usage),
            output_tokens=usage.output_tokens or 0,
            reasoning_tokens=(thinking.thinking_tokens or 0) if thinking else 0,
        ),
        finish_reason=stop_reason,
    )

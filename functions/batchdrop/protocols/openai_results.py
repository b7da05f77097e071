"""OpenAI's batch protocol: what a result line says."""

from typing import Annotated

import msgspec
from msgspec import Raw

from batchdrop.manifest import Usage
from batchdrop.protocols.lenient_json import (
    NULL,
    as_int,
    as_str,
    is_empty,
    is_object,
    is_present,
    parse_error,
    read_field,
    read_row,
    unwrapped,
)
from batchdrop.protocols.outcome import (
    EMPTY_ANSWER,
    Answer,
    Failure,
    Outcome,
    Tokens,
    retryable_status,
)
from batchdrop.result_line import ErrorCode, Response, ResultError


class _Response(msgspec.Struct, gc=False):
    status_code: Raw = NULL
    request_id: Raw = NULL
    body: Raw = NULL


class _Line(msgspec.Struct, gc=False):
    custom_id: Raw = NULL
    id: Raw = NULL
    response: _Response | None = None
    error: Raw = NULL


class _UsualResponse(msgspec.Struct, gc=False):
    status_code: Annotated[int, msgspec.Meta(ge=0, le=999)]
    body: Raw
    request_id: str | None = None


class _UsualLine(msgspec.Struct, gc=False):
    """A line with an answer as OpenAI writes it; whatever differs is read field by field."""

    custom_id: str
    response: _UsualResponse
    id: str | None = None
    error: None = None


def refused_line(custom_id: str, failure: Failure) -> bytes:
    """A result line, in the form of an error file, for a request that made its batch fail."""
    error = {"code": failure.code or "invalid_request", "message": failure.message}
    return msgspec.json.encode({"custom_id": custom_id, "response": None, "error": error}) + b"\n"


class _CachedTokens(msgspec.Struct, gc=False):
    cached_tokens: Tokens = 0
    cache_write_tokens: Tokens = 0


class _ReasoningTokens(msgspec.Struct, gc=False):
    reasoning_tokens: Tokens = 0


class TokenUsage(msgspec.Struct, gc=False):
    """The usage of an answer: chats and completions name its fields otherwise than all others."""

    prompt_tokens: Tokens = 0
    completion_tokens: Tokens = 0
    input_tokens: Tokens = 0
    output_tokens: Tokens = 0
    prompt_tokens_details: _CachedTokens | None = None
    input_tokens_details: _CachedTokens | None = None
    completion_tokens_details: _ReasoningTokens | None = None
    output_tokens_details: _ReasoningTokens | None = None


class Choice(msgspec.Struct, gc=False):
    finish_reason: str | None = None


class Incomplete(msgspec.Struct, gc=False):
    reason: str | None = None


class _Error(msgspec.Struct, gc=False):
    error: Raw = NULL


class _Answer(msgspec.Struct, gc=False):
    usage: Raw = NULL
    choices: Raw = NULL
    status: Raw = NULL
    incomplete_details: Raw = NULL


class _UsualAnswer(msgspec.Struct, gc=False):
    """The fields of an answer that are read, in OpenAI's types."""

    usage: TokenUsage | None = None
    choices: list[Choice] | None = None
    status: str | None = None
    incomplete_details: Incomplete | None = None


_line = msgspec.json.Decoder(_Line)
_usual_line = msgspec.json.Decoder(_UsualLine)
_usual_answer = msgspec.json.Decoder(_UsualAnswer)
_error, _NO_ERROR = msgspec.json.Decoder(_Error), _Error()
_answer = msgspec.json.Decoder(_Answer)
_usage = msgspec.json.Decoder(TokenUsage, strict=False)  # servers that speak the protocol write 9.0, too
_choices = msgspec.json.Decoder(list[Choice])
_incomplete = msgspec.json.Decoder(Incomplete)

_OWN_CODES = {
    "batch_expired": (ErrorCode.BATCH_EXPIRED, "Not answered before the batch expired."),
    "batch_cancelled": (ErrorCode.CANCELLED, "The batch was cancelled before this request was answered."),
}


def read_outcome(line: bytes) -> Outcome:
    """Return the outcome of a line of an output or error file; one that names no request has the custom_id "".

    Raises:
        msgspec.DecodeError: It is not such a line.
    """
    return read_row(_read_line, line)


def _read_line(line: bytes) -> Outcome:
    try:
        usual = _usual_line.decode(line)
    except msgspec.ValidationError:
        return _unusual_outcome(line)
    read = usual.response
    response = Response(status_code=read.status_code, request_id=read.request_id, body=unwrapped(read.body))
    return Outcome(id=usual.id, custom_id=usual.custom_id, response=response, error=_problem(response, NULL))


def _unusual_outcome(line: bytes) -> Outcome:
    read = _line.decode(line)
    response = None if read.response is None else _response(read.response)
    return Outcome(
        id=as_str(read.id),
        custom_id=as_str(read.custom_id) or "",
        response=response,
        error=_problem(response, read.error),
    )


def _response(read: _Response) -> Response:
    return Response(status_code=as_int(read.status_code), request_id=as_str(read.request_id), body=unwrapped(read.body))


def _problem(response: Response | None, error: Raw) -> ResultError | None:
    """Why there is no answer: an error beside the response, or within its body; or a status that is no success."""
    status = None if response is None else response.status_code
    is_success = status is not None and 200 <= status < 300  # noqa: PLR2004 - HTTP's success
    if is_present(error):
        return _named(error, None if is_success else status)
    if is_success and response is not None and is_empty(response.body):
        return EMPTY_ANSWER
    if response is None:
        message = "The provider sent neither an answer nor an error."
        return ResultError(code=ErrorCode.NO_RESPONSE, message=message, source="provider", retryable=True)
    has_error = is_present(read_field(_error, response.body, _NO_ERROR).error)
    if is_success or (status is None and is_object(response.body)):
        return _named(response.body, None) if has_error else None
    return _named(response.body if is_object(response.body) else NULL, status)


def _named(error: Raw, status: int | None) -> ResultError:
    read = parse_error(error)
    if read.code in _OWN_CODES:
        own, message = _OWN_CODES[read.code]
        return ResultError(code=own, message=message, source="batchdrop", retryable=True)
    return _result_error(read.code, read.message, status if status is not None else read.status)


def _result_error(code: str | None, message: str, status: int | None) -> ResultError:
    return ResultError(
        code=code or (f"http_{status}" if status else ErrorCode.UNKNOWN_ERROR),
        message=message
        or (f"The provider answered with status {status}." if status else "The provider gave no reason."),
        source="provider",
        retryable=retryable_status(status) or code in {"request_timeout", "server_error", "rate_limit_exceeded"},
    )


def read_answer(body: Raw) -> Answer:
    """The usage and the finish reason of an answer, as far as it tells."""
    try:
        usual = _usual_answer.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return _unusual_answer(body)
    incomplete = usual.incomplete_details
    finish_reason = (incomplete and incomplete.reason) or usual.status
    return _answer_with(usual.usage or TokenUsage(), usual.choices[0].finish_reason if usual.choices else finish_reason)


def _unusual_answer(body: Raw) -> Answer:
    read = read_field(_answer, body, _Answer())
    return _answer_with(read_field(_usage, read.usage, TokenUsage()), _finish_reason(read))


def _answer_with(usage: TokenUsage, finish_reason: str | None) -> Answer:
    cached = usage.prompt_tokens_details or usage.input_tokens_details or _CachedTokens()
    reasoning = usage.completion_tokens_details or usage.output_tokens_details or _ReasoningTokens()
    return Answer(
        usage=Usage(
            input_tokens=usage.prompt_tokens or usage.input_tokens or 0,
            cached_input_tokens=cached.cached_tokens or 0,
            cache_write_tokens=cached.cache_write_tokens or 0,
            output_tokens=usage.completion_tokens or usage.output_tokens or 0,
            reasoning_tokens=reasoning.reasoning_tokens or 0,
        ),
        finish_reason=finish_reason,
    )


def _finish_reason(read: _Answer) -> str | None:
    choices = read_field(_choices, read.choices, [])
    if choices:
        return choices[0].finish_reason
    return read_field(_incomplete, read.incomplete_details, Incomplete()).reason or as_str(read.status)

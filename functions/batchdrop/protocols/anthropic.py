"""Anthropic's batch protocol: the checks of a request, and what a result line says."""

from collections.abc import Collection

import msgspec
from msgspec import UNSET, Raw, UnsetType

from batchdrop.manifest import Usage
from batchdrop.protocols.claude_betas import refuse_missing_betas
from batchdrop.protocols.claude_models import EVERYTHING, ModelRules
from batchdrop.protocols.claude_rules import check_model_rules
from batchdrop.protocols.lenient_json import NULL, as_str, is_empty, parse_error, read_field, read_row, unwrapped
from batchdrop.protocols.outcome import EMPTY_ANSWER, Answer, Failure, Outcome, Tokens, retryable_status
from batchdrop.protocols.request_checks import (
    Body,
    LineProblem,
    as_whole,
    refuse_no_messages,
    reject_sdk_arguments,
    unset_nulls,
)
from batchdrop.records import MESSAGES_ENDPOINT
from batchdrop.result_line import ErrorCode, Response, ResultError

ENDPOINT = MESSAGES_ENDPOINT
DEFAULT_VERSION = "2023-06-01"
_NO_SAMPLING_SINCE = "2026-10-21"  # temperature, top_p and top_k are a 400 from this version on
_SAMPLING = ("temperature", "top_p", "top_k")
CHAT = "/v1/chat/completions"  # OpenAI's: translated


class _ForeignBody(msgspec.Struct, gc=False):
    """What only an OpenAI body has."""

    messages: Raw | UnsetType = UNSET
    input: Raw | UnsetType = UNSET
    max_completion_tokens: Raw | UnsetType = UNSET
    response_format: Raw | UnsetType = UNSET
    n: Raw | UnsetType = UNSET
    stop: Raw | UnsetType = UNSET
    seed: Raw | UnsetType = UNSET
    logprobs: Raw | UnsetType = UNSET
    logit_bias: Raw | UnsetType = UNSET
    reasoning_effort: Raw | UnsetType = UNSET
    presence_penalty: Raw | UnsetType = UNSET
    frequency_penalty: Raw | UnsetType = UNSET
    parallel_tool_calls: Raw | UnsetType = UNSET


FOREIGN_PARAMETERS = _ForeignBody.__struct_fields__[1:]  # all but `messages`


class _Part(msgspec.Struct, gc=False):
    type: str | None = None


class _Message(msgspec.Struct, gc=False):
    role: str | None = None
    content: str | list[_Part] | None = None
    tool_calls: Raw | UnsetType = UNSET


_foreign = msgspec.json.Decoder(_ForeignBody)
_messages = msgspec.json.Decoder(list[_Message])
_FOREIGN_ROLES = frozenset({"developer", "tool", "function"})
_FOREIGN_PARTS = frozenset({"image_url", "input_audio", "file", "input_text", "input_image"})
_SYSTEM_IS_TOP_LEVEL = 'role "system" is OpenAI\'s form; a native body has a top-level "system"'


def endpoint(url: str) -> str:
    """The endpoint of a line's `url`."""
    if url in {ENDPOINT, CHAT}:
        return url
    raise LineProblem(
        ErrorCode.UNKNOWN_ENDPOINT, f'"url" must be "{ENDPOINT}", or "{CHAT}" to be translated, for a Claude model'
    )


def bare_endpoint(body: Raw) -> str:
    """The endpoint of a bare body, which must be a Messages body and nothing else."""
    foreign = _foreign_content(body)
    if foreign is not None:
        raise LineProblem(
            ErrorCode.AMBIGUOUS_ENDPOINT,
            f"{foreign}: a bare Claude body is a Messages body; for OpenAI's form write "
            '{"custom_id", "method": "POST", "url": "/v1/chat/completions", "body": {…}}',
        )
    return ENDPOINT


def _foreign_content(body: Raw) -> str | None:
    fields = _foreign.decode(body)
    unset_nulls(fields, FOREIGN_PARAMETERS)
    for name in FOREIGN_PARAMETERS:
        if getattr(fields, name) is not UNSET:
            return f'"{name}" is OpenAI\'s'
    if fields.messages is UNSET:
        return None
    try:
        messages = _messages.decode(fields.messages)
    except msgspec.DecodeError:
        return None  # whatever is wrong with it, OpenAI's form would not fix it
    return next(filter(None, map(_foreign_message, messages)), None)


def _foreign_message(message: _Message) -> str | None:
    if message.role in _FOREIGN_ROLES or message.tool_calls is not UNSET:
        return f'a message of role "{message.role}" is OpenAI\'s'
    parts = message.content if isinstance(message.content, list) else []
    foreign = next((part.type for part in parts if part.type in _FOREIGN_PARTS), None)
    return f'a part of type "{foreign}" is OpenAI\'s' if foreign else None


def check_body(body: Body, *, api_version: str, betas: Collection[str] = (), rules: ModelRules = EVERYTHING) -> None:
    """What is known to fail a request under this API version, with these betas and for a model of these rules."""
    reject_sdk_arguments(body)
    if body.speed is not UNSET:
        raise LineProblem(ErrorCode.UNSUPPORTED_PARAMETER, '"speed" is not possible in a batch: leave it out')
    if body.max_tokens is UNSET:
        raise LineProblem(ErrorCode.MISSING_PARAMETER, '"max_tokens" is missing')
    max_tokens = bytes(body.max_tokens)
    if not max_tokens.isdigit() or max_tokens == b"0":
        message = f'"max_tokens" must be a whole number above 0{as_whole(body.max_tokens)}'
        raise LineProblem(ErrorCode.INVALID_PARAMETER, message)
    if body.messages is UNSET:
        raise LineProblem(ErrorCode.MISSING_PARAMETER, '"messages" is missing')
    refuse_no_messages(body.messages)
    if not (body.temperature is body.top_p is body.top_k is UNSET):
        _refuse_all_sampling(body, api_version)
    refuse_missing_betas(body, betas)
    if rules is not EVERYTHING:
        check_model_rules(body, rules, betas=betas)


def _refuse_all_sampling(body: Body, api_version: str) -> None:
    for name in _SAMPLING:
        if getattr(body, name) is not UNSET:
            refuse_sampling(name, api_version)


def refuse_sampling(name: str, api_version: str) -> None:
    """Raise for a sampling parameter that is there, if this API version takes none."""
    if api_version >= _NO_SAMPLING_SINCE:
        raise LineProblem(
            ErrorCode.UNSUPPORTED_PARAMETER,
            f'"{name}" is refused by Anthropic\'s API version {api_version}: leave it out, or set anthropic_version',
        )


# Results


class _Result(msgspec.Struct, gc=False):
    type: str
    message: Raw = NULL
    error: Raw = NULL


class _Line(msgspec.Struct, gc=False):
    custom_id: str
    result: _Result


class _Thinking(msgspec.Struct, gc=False):
    thinking_tokens: Tokens = 0


class _Usage(msgspec.Struct, gc=False):
    input_tokens: Tokens = 0
    output_tokens: Tokens = 0
    cache_read_input_tokens: Tokens = 0
    cache_creation_input_tokens: Tokens = 0
    output_tokens_details: _Thinking | None = None


class _Message_(msgspec.Struct, gc=False):  # noqa: N801 - the answer, beside the request's `_Message`
    usage: Raw = NULL
    stop_reason: Raw = NULL


class _UsualMessage(msgspec.Struct, gc=False):
    """The same in Anthropic's types."""

    usage: _Usage | None = None
    stop_reason: str | None = None


_line = msgspec.json.Decoder(_Line)
_usual_answer = msgspec.json.Decoder(_UsualMessage)
_answer = msgspec.json.Decoder(_Message_)
_usage = msgspec.json.Decoder(_Usage, strict=False)

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
    """What a line of the results says.

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
        read = read_field(_answer, body, _Message_())
        return _told(read_field(_usage, read.usage, _Usage()), as_str(read.stop_reason))
    return _told(usual.usage or _Usage(), usual.stop_reason)


def _told(usage: _Usage, stop_reason: str | None) -> Answer:
    cached, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    thinking = usage.output_tokens_details
    return Answer(
        usage=Usage(
            input_tokens=(usage.input_tokens or 0) + cached + written,
            cached_input_tokens=cached,
            cache_write_tokens=written,
            output_tokens=usage.output_tokens or 0,
            reasoning_tokens=(thinking.thinking_tokens or 0) if thinking else 0,
        ),
        finish_reason=stop_reason,
    )

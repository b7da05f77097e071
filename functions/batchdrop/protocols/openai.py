"""OpenAI's batch protocol: endpoints, the checks of a request, and what a result line says."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Annotated

import msgspec
from msgspec import UNSET, Raw

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
    parse_token_limit,
    retryable_status,
)
from batchdrop.protocols.refusals import RefusalRule, classify, parse_request_limit
from batchdrop.protocols.request_checks import (
    Body,
    LineProblem,
    array,
    read_body,
    refuse_no_messages,
    reject_sdk_arguments,
)
from batchdrop.refusal_kinds import Kind
from batchdrop.result_line import ErrorCode, Response, ResultError

CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
EMBEDDINGS = "/v1/embeddings"
COMPLETIONS = "/v1/completions"
MODERATIONS = "/v1/moderations"
IMAGES = "/v1/images/generations"
EDITS = "/v1/images/edits"
VIDEOS = "/v1/videos"
ENDPOINTS = frozenset(
    {CHAT, RESPONSES, EMBEDDINGS, COMPLETIONS, MODERATIONS, IMAGES, EDITS, VIDEOS}
)  # openai 3.54.0, types/batch_create_params.py
MAX_EMBEDDING_INPUTS = 50_000  # in a batch, over all its requests (OpenAI's documentation)

# Which endpoint a bare `input` or `prompt` means, by model; the first pattern that fits.
_INPUT_ENDPOINTS = (
    ("*embedding*", EMBEDDINGS),
    ("*moderation*", MODERATIONS),
    ("gpt-*", RESPONSES),
    ("o[0-9]*", RESPONSES),
    ("chatgpt-*", RESPONSES),
    ("codex-*", RESPONSES),
    ("computer-use-*", RESPONSES),
)
_PROMPT_ENDPOINTS = (
    ("dall-e-*", IMAGES),
    ("chatgpt-image-*", IMAGES),
    ("gpt-image-*", IMAGES),
    ("sora-*", VIDEOS),
    ("*-instruct*", COMPLETIONS),
    ("davinci-*", COMPLETIONS),
    ("babbage-*", COMPLETIONS),
)
_OF_INPUT, _OF_PROMPT = (EMBEDDINGS, MODERATIONS, RESPONSES), (IMAGES, EDITS, COMPLETIONS, VIDEOS)
# Models that are told by their names to have these endpoints and no others; the first pattern that fits.
_WRITES = ENDPOINTS - {EMBEDDINGS, MODERATIONS, IMAGES, EDITS, VIDEOS}
_ONLY_AT = (
    ("text-embedding-*", frozenset({EMBEDDINGS})),
    ("omni-moderation-*", frozenset({MODERATIONS})),
    ("text-moderation-*", frozenset({MODERATIONS})),
    ("dall-e-*", frozenset({IMAGES, EDITS})),
    ("chatgpt-image-*", frozenset({IMAGES, EDITS})),
    ("sora-*", frozenset({VIDEOS})),
    ("gpt-[0-9]*", _WRITES),
    ("chatgpt-*", _WRITES),
    ("o[0-9]", _WRITES),
    ("o[0-9]-*", _WRITES),
)
_MODELS = 1_000  # whose endpoints are remembered
_REQUIRED = {CHAT: "messages", EMBEDDINGS: "input", MODERATIONS: "input", COMPLETIONS: "prompt"}


def endpoint(url: str) -> str:
    """The endpoint of a line's `url`."""
    if url in ENDPOINTS:
        return url
    if url == "/v1/messages":
        raise LineProblem(
            ErrorCode.UNKNOWN_ENDPOINT, "\"/v1/messages\" is Anthropic's, but this model goes to OpenAI's"
        )
    known = ", ".join(sorted(ENDPOINTS))
    raise LineProblem(ErrorCode.UNKNOWN_ENDPOINT, f'"url" must be one of {known}')


def bare_endpoint(body: Body, model: str, configured: tuple[str, ...] = ()) -> str:
    """The endpoint that a bare body means; of those that are configured for its model, the first that takes it."""
    if body.messages is not UNSET:
        return CHAT
    table: tuple[tuple[str, str], ...] = ()
    possible: tuple[str, ...] = ()
    if body.input is not UNSET:
        table, possible = _INPUT_ENDPOINTS, _OF_INPUT
    elif body.prompt is not UNSET:
        table, possible = _PROMPT_ENDPOINTS, _OF_PROMPT
    return next((each for each in configured if each in possible), None) or _endpoint_by_name(table, model)


@lru_cache(_MODELS)
def _endpoint_by_name(table: tuple[tuple[str, str], ...], model: str) -> str:
    for pattern, found in table:
        if fnmatchcase(model, pattern):
            return found
    raise LineProblem(
        ErrorCode.AMBIGUOUS_ENDPOINT,
        'the body does not determine its endpoint: write {"custom_id", "method": "POST", "url": "/v1/…", "body": {…}}',
    )


@lru_cache(_MODELS)
def refuse_wrong_endpoint(endpoint: str, model: str, configured: tuple[str, ...] = ()) -> None:
    """Raise if the model does not answer there: by what is configured for it, else where its name tells for sure."""
    pattern, endpoints = next(
        (guess for guess in _ONLY_AT if fnmatchcase(model, guess[0])), (model, frozenset(ENDPOINTS))
    )
    if endpoint in (configured or endpoints):
        return
    known = ", ".join(sorted(configured or endpoints))
    which = f'model "{model}" does' if configured else f'models "{pattern}" do'
    message = f'{which} not answer at "{endpoint}": the "url" may be {known}'
    raise LineProblem(ErrorCode.UNKNOWN_ENDPOINT, message)


def check_body(body: Body, endpoint: str) -> int:
    """What is known to fail a line, or a whole batch with it. Returns the number of texts to embed, else 0."""
    reject_sdk_arguments(body)
    required = _REQUIRED.get(endpoint)
    if required is not None and getattr(body, required) is UNSET:
        raise LineProblem(ErrorCode.MISSING_PARAMETER, f'"{required}" is missing')
    if endpoint == CHAT:
        refuse_no_messages(body.messages)  # type: ignore[arg-type]  # checked just above
    return _embedding_inputs(body.input) if endpoint == EMBEDDINGS else 0  # type: ignore[arg-type]  # the same


def count_inputs(body: Raw, endpoint: str) -> int:
    """The texts to embed of a request that was checked when it was planned, else 0.

    It is not checked again: a newer release may be stricter, and the request is on its way.
    """
    value = read_body(body).input if endpoint == EMBEDDINGS else UNSET
    if value is UNSET:
        return 0
    is_list = bytes(memoryview(value)[:1]) == b"["
    return _count_texts(array(value, "input")) if is_list else 1


def _count_texts(items: list[Raw]) -> int:
    return len(items) if items and bytes(memoryview(items[0])[:1]) in {b'"', b"["} else 1


def _embedding_inputs(value: Raw) -> int:
    """A string or a list of token numbers is one text; a list of either is as many."""
    if bytes(memoryview(value)[:1]) != b"[":
        return 1
    items = array(value, "input")
    if not items:
        raise LineProblem(ErrorCode.INVALID_PARAMETER, '"input" is empty')
    if len(items) > MAX_EMBEDDING_INPUTS:
        raise LineProblem(
            ErrorCode.INVALID_PARAMETER,
            f'"input" holds {len(items):,} texts; a batch takes {MAX_EMBEDDING_INPUTS:,}: use more lines',
        )
    return _count_texts(items)


# Results


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


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch that failed as a whole means for its requests.

    Attributes:
        kind: What it failed for, those requests aside that it blames.
        refused: The requests that it blames; they end.
        words: What it said of that kind.
        limit: How many enqueued tokens there may be, if a refusal told it.
        most_requests: How many requests a batch may hold, if a refusal told it.
    """

    kind: Kind
    refused: tuple[Failure, ...] = ()
    words: str = ""
    limit: int | None = None
    most_requests: int | None = None


_INCIDENT_TRIES = 5
_ROOM_TRIES = 24  # about a day: from the seventh on they are an hour apart
_BLAMING = frozenset({Kind.LINES, Kind.SIZE})
# What speaks louder than the rest.
_FIRST_KINDS = (Kind.ACCOUNT, Kind.QUEUE, Kind.PASSING, Kind.SIZE, Kind.MODEL, Kind.BATCH)


def judge_failures(failures: tuple[Failure, ...], *, requests: int, own: Sequence[RefusalRule] = ()) -> Judgement:
    """Whose fault a failed batch was; the set of codes is open."""
    kinds = [_kind_of(each, requests, own) for each in failures]
    kind = next((each for each in _FIRST_KINDS if each in kinds), Kind.LINES)
    refused = tuple(
        each
        for each, its in zip(failures, kinds, strict=True)
        if its in _BLAMING and _names_line(each, requests) and kind is not Kind.ACCOUNT
    )
    return Judgement(
        kind=kind,
        refused=refused,
        words=next((each.message for each, its in zip(failures, kinds, strict=True) if its is kind), ""),
        limit=next(filter(None, (parse_token_limit(each.message) for each in failures)), None),
        most_requests=next(filter(None, (parse_request_limit(each.message) for each in failures)), None),
    )


def _names_line(failure: Failure, requests: int) -> bool:
    return bool(failure.line) and failure.line <= requests  # type: ignore[operator]  # it is no None there


def _kind_of(failure: Failure, requests: int, own: Sequence[RefusalRule]) -> Kind:
    """What passes by its words, and is said of one line, is that line's."""
    kind = classify(None, failure.code, failure.message, own)
    return Kind.LINES if kind is Kind.PASSING and _names_line(failure, requests) else kind


def never_fits(limit: int | None, *, requests: int, tokens: int, waits: int) -> bool:
    """Whether a single request is given up that found the queue full each time.

    Its tokens are an estimate, so it is tried. One that should fit is tried longer: others may fill the queue.
    """
    is_larger = limit is not None and tokens > limit
    return requests == 1 and waits >= (_INCIDENT_TRIES if is_larger else _ROOM_TRIES)


def refused_line(custom_id: str, failure: Failure) -> bytes:
    """A result line, in the form of an error file, for a request that made its batch fail."""
    error = {"code": failure.code or "invalid_request", "message": failure.message}
    return msgspec.json.encode({"custom_id": custom_id, "response": None, "error": error}) + b"\n"


class _CachedTokens(msgspec.Struct, gc=False):
    cached_tokens: Tokens = 0
    cache_write_tokens: Tokens = 0


class _ReasoningTokens(msgspec.Struct, gc=False):
    reasoning_tokens: Tokens = 0


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: Tokens = 0
    completion_tokens: Tokens = 0
    input_tokens: Tokens = 0
    output_tokens: Tokens = 0
    prompt_tokens_details: _CachedTokens | None = None
    input_tokens_details: _CachedTokens | None = None
    completion_tokens_details: _ReasoningTokens | None = None
    output_tokens_details: _ReasoningTokens | None = None


class _Choice(msgspec.Struct, gc=False):
    finish_reason: str | None = None


class _Incomplete(msgspec.Struct, gc=False):
    reason: str | None = None


class _Error(msgspec.Struct, gc=False):
    error: Raw = NULL


class _Answer(msgspec.Struct, gc=False):
    usage: Raw = NULL
    choices: Raw = NULL
    status: Raw = NULL
    incomplete_details: Raw = NULL


class _UsualAnswer(msgspec.Struct, gc=False):
    """What tells of an answer, in OpenAI's types."""

    usage: _Usage | None = None
    choices: list[_Choice] | None = None
    status: str | None = None
    incomplete_details: _Incomplete | None = None


_line = msgspec.json.Decoder(_Line)
_usual_line = msgspec.json.Decoder(_UsualLine)
_usual_answer = msgspec.json.Decoder(_UsualAnswer)
_error, _NO_ERROR = msgspec.json.Decoder(_Error), _Error()
_answer = msgspec.json.Decoder(_Answer)
_usage = msgspec.json.Decoder(_Usage, strict=False)  # servers that speak the protocol write 9.0, too
_choices = msgspec.json.Decoder(list[_Choice])
_incomplete = msgspec.json.Decoder(_Incomplete)

_OWN_CODES = {
    "batch_expired": (ErrorCode.BATCH_EXPIRED, "Not answered before the batch expired."),
    "batch_cancelled": (ErrorCode.CANCELLED, "The batch was cancelled before this request was answered."),
}


def read_outcome(line: bytes) -> Outcome:
    """What a line of an output file or an error file says; a line that names no request has the custom_id "".

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
    return _told(usual.usage or _Usage(), usual.choices[0].finish_reason if usual.choices else finish_reason)


def _unusual_answer(body: Raw) -> Answer:
    read = read_field(_answer, body, _Answer())
    return _told(read_field(_usage, read.usage, _Usage()), _finish_reason(read))


def _told(usage: _Usage, finish_reason: str | None) -> Answer:
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
    return read_field(_incomplete, read.incomplete_details, _Incomplete()).reason or as_str(read.status)

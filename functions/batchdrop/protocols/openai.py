"""OpenAI's batch protocol: its endpoints and the checks of a request."""

from fnmatch import fnmatchcase
from functools import lru_cache

import msgspec
from msgspec import UNSET, Raw, UnsetType

from batchdrop.protocols.request_checks import (
    Body,
    LineProblem,
    array,
    read_body,
    refuse_no_messages,
    reject_sdk_arguments,
)
from batchdrop.result_line import ErrorCode

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
# Models that, by their names, have these endpoints and no others; the first pattern that fits.
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
    """Raise for all that is known to fail a line, or its batch. Return the number of texts to embed, else 0."""
    reject_sdk_arguments(body)
    required = _REQUIRED.get(endpoint)
    if required is not None and getattr(body, required) is UNSET:
        raise LineProblem(ErrorCode.MISSING_PARAMETER, f'"{required}" is missing')
    if endpoint == CHAT:
        refuse_no_messages(body.messages)  # type: ignore[arg-type]  # checked just above
    return _embedding_inputs(body.input) if endpoint == EMBEDDINGS else 0  # type: ignore[arg-type]  # the same


def refuse_background(body: Raw, endpoint: str) -> None:
    """Raise for a response in the background: a call for it is answered at once, that the response is queued."""
    if endpoint == RESPONSES and _background.decode(body).background == Raw(b"true"):
        raise LineProblem(
            ErrorCode.UNSUPPORTED_PARAMETER,
            '"background" cannot be true in a job with a deadline, whose rest is called at real time: leave it out, or '
            'set realtime = "off"',
        )


class _Background(msgspec.Struct, gc=False):
    background: Raw | UnsetType = UNSET


_background = msgspec.json.Decoder(_Background)


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

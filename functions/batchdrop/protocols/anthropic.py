"""Anthropic's batch protocol: the checks of a request."""

from collections.abc import Collection

import msgspec
from msgspec import UNSET, Raw, UnsetType

from batchdrop.protocols.claude_betas import refuse_missing_betas
from batchdrop.protocols.claude_models import EVERYTHING, ModelRules
from batchdrop.protocols.claude_rules import check_model_rules
from batchdrop.protocols.request_checks import (
    Body,
    LineProblem,
    as_whole,
    refuse_no_messages,
    reject_sdk_arguments,
    unset_nulls,
)
from batchdrop.records import MESSAGES_ENDPOINT
from batchdrop.result_line import ErrorCode

ENDPOINT = MESSAGES_ENDPOINT
DEFAULT_VERSION = "2023-06-01"
_NO_SAMPLING_SINCE = "2026-10-21"  # temperature, top_p and top_k are a 400 from this version on
_SAMPLING = ("temperature", "top_p", "top_k")
CHAT = "/v1/chat/completions"  # OpenAI's: translated


class _ForeignBody(msgspec.Struct, gc=False):
    """The parameters that only an OpenAI body has."""

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
    """Raise for all that is known to fail under this API version, with these betas and a model of these rules."""
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

"""A chat completion's request as a Messages request, strictly: a parameter is translated, or refused by its name."""

from collections.abc import Callable, Collection
from fnmatch import fnmatchcase
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from batchdrop.protocols.anthropic import refuse_sampling
from batchdrop.protocols.rules import SDK_ARGUMENTS, LineProblem, refuse_sdk_arguments, refuse_stream
from batchdrop.protocols.translate.fields import (
    Fields,
    array,
    flag,
    invalid,
    is_text,
    members,
    number,
    text,
    untranslatable,
)
from batchdrop.protocols.translate.messages import Conversation
from batchdrop.protocols.translate.tools import read_choice, read_tools

# Every Claude that is served writes as much. OpenAI's models write all they can if nobody says how much.
DEFAULT_MAX_TOKENS = 32_000
_MOST_DIGITS = 9  # of max_tokens
_LONGEST_USER_ID = 512  # Anthropic's limit
_SMALLEST_BUDGET = 1_024  # tokens for thinking, fewer than max_tokens (Anthropic's limit)
# Models that think by a budget; no new ones come. The others decide by themselves, guided by an effort.
_BUDGETED = ("claude-3*", "claude-*-4-[0-5]", "claude-*-4-[0-5]-*", "claude-*-4-20*")
_SHARES = {"minimal": 0.1, "low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 0.9, "max": 0.95}  # of max_tokens
_EFFORTS = {"minimal": "low"} | {name: name for name in ("low", "medium", "high", "xhigh", "max")}
_LEAST_WHILE_THINKING = {"temperature": 1, "top_p": 0.95}  # Anthropic's documentation of thinking

type Body = dict[str, Any]


class _Wanted(msgspec.Struct, frozen=True):
    """What a parameter is translated for; `name` is the parameter's."""

    model: str
    api_version: str
    droppable: frozenset[str]
    name: str


def to_messages(body: Raw, *, model: str, api_version: str, drop_params: Collection[str] = ()) -> Raw:
    """The Messages request that asks the same.

    Args:
        body: A request for `/v1/chat/completions`.
        model: The model's name on the wire.
        api_version: Anthropic's; one of them takes no sampling parameters.
        drop_params: Paths without indices (`seed`, `messages.name`) that are left out where they have no equal.

    Raises:
        LineProblem: Something cannot be translated; the message names it.
    """
    fields = Fields(body, "", frozenset(drop_params))
    fields.take("model")
    refuse_stream(fields.take("stream") or UNSET)
    refuse_sdk_arguments((name, fields.take(name) or UNSET) for name in SDK_ARGUMENTS)
    said = Conversation()
    said.read(fields.objects("messages"))
    out: Body = {"model": model, "max_tokens": _max_tokens(fields), "messages": said.turns}
    if said.system:
        out["system"] = said.system
    for name, translate in _PARAMETERS.items():
        value = fields.take(name)
        try:
            if value is not None:
                translate(out, value, _Wanted(model, api_version, fields.droppable, name))
        except LineProblem:
            if name not in fields.droppable:
                raise
    fields.close()
    return Raw(msgspec.json.encode(out))


def _max_tokens(fields: Fields) -> int:
    names = ("max_completion_tokens", "max_tokens")
    asked = {_tokens(value, name) for name in names if (value := fields.take(name)) is not None}
    if len(asked) > 1:
        raise invalid("max_tokens", 'differs from "max_completion_tokens"')
    return asked.pop() if asked else DEFAULT_MAX_TOKENS


def _tokens(value: Raw, name: str) -> int:
    digits = bytes(value)
    if not digits.isdigit() or digits == b"0" or len(digits) > _MOST_DIGITS:
        raise invalid(name, "must be a whole number from 1 to 999,999,999")
    return int(digits)


def _reasoning_effort(out: Body, value: Raw, wanted: _Wanted) -> None:
    effort = text(value, wanted.name)
    if effort == "none":
        out["thinking"] = {"type": "disabled"}
    elif effort not in _EFFORTS:
        raise invalid(wanted.name, f"must be one of none, {', '.join(_EFFORTS)}")
    elif any(fnmatchcase(wanted.model, pattern) for pattern in _BUDGETED):
        if out["max_tokens"] <= _SMALLEST_BUDGET:
            raise invalid(wanted.name, f'needs "max_completion_tokens" above {_SMALLEST_BUDGET:,} for this model')
        budget = max(_SMALLEST_BUDGET, int(out["max_tokens"] * _SHARES[effort]))
        out["thinking"] = {"type": "enabled", "budget_tokens": budget}
    else:
        out["thinking"] = {"type": "adaptive"}
        out["output_config"] = {"effort": _EFFORTS[effort]}


def _thinks(out: Body) -> bool:
    return out.get("thinking", {}).get("type") in {"enabled", "adaptive"}


def _sampling(out: Body, value: Raw, wanted: _Wanted) -> None:
    refuse_sampling(wanted.name, wanted.api_version)
    least = _LEAST_WHILE_THINKING[wanted.name] if _thinks(out) else 0
    if number(value, wanted.name, low=0, high=1) < least:
        raise invalid(wanted.name, f'must be at least {least} beside "reasoning_effort" for Claude')
    out[wanted.name] = value


def _stop(out: Body, value: Raw, wanted: _Wanted) -> None:
    sequences = [value] if is_text(value) else array(value, wanted.name)
    if not all(text(each, wanted.name).strip() for each in sequences):
        raise invalid(wanted.name, "holds a blank sequence: Claude takes none")
    if sequences:
        out["stop_sequences"] = sequences


def _tools(out: Body, value: Raw, wanted: _Wanted) -> None:
    if found := read_tools(value, wanted.name, wanted.droppable):
        out["tools"] = found


def _tool_choice(out: Body, value: Raw, wanted: _Wanted) -> None:
    choice = read_choice(value, wanted.name, wanted.droppable)
    if "tools" not in out:
        if choice != {"type": "none"}:
            raise invalid(wanted.name, 'needs "tools"')
        return
    if choice["type"] in {"any", "tool"} and _thinks(out):
        raise invalid(wanted.name, 'cannot force a call beside "reasoning_effort" for Claude')
    out["tool_choice"] = choice


def _parallel_tool_calls(out: Body, value: Raw, wanted: _Wanted) -> None:
    if flag(value, wanted.name):
        return
    if "tools" not in out:
        raise invalid(wanted.name, 'needs "tools"')
    choice = out.setdefault("tool_choice", {"type": "auto"})
    if choice != {"type": "none"}:
        choice["disable_parallel_tool_use"] = True


def _response_format(out: Body, value: Raw, wanted: _Wanted) -> None:
    asked = Fields(value, wanted.name, wanted.droppable)
    kind = asked.text("type")
    if kind == "text":
        return
    if kind != "json_schema":
        raise untranslatable(f'"{wanted.name}" of type "{str(kind)[:50]}"', 'write one of type "json_schema"')
    inner = asked.object("json_schema")
    for name in ("name", "strict"):
        inner.take(name)  # a label; and Claude always keeps to the schema
    schema = _described(inner.need("schema"), inner)
    for each in (inner, asked):
        each.close()
    out["output_config"] = out.get("output_config", {}) | {"format": {"type": "json_schema", "schema": schema}}


def _described(schema: Raw, inner: Fields) -> Raw:
    """The schema with its description in it; every object in it must be closed."""
    where = inner.path("schema")
    fields = members(schema, where)
    if not _is_closed(msgspec.json.decode(schema)):
        raise invalid(where, 'needs "additionalProperties": false in every object for Claude')
    if "description" in fields or (description := inner.take("description")) is None:
        return schema
    return Raw(msgspec.json.encode({"description": description} | fields))


def _is_closed(schema: object) -> bool:
    if isinstance(schema, list):
        return all(map(_is_closed, schema))
    if not isinstance(schema, dict):
        return True
    is_open = schema.get("type") == "object" and schema.get("additionalProperties") is not False
    return not is_open and all(map(_is_closed, schema.values()))


def _user(out: Body, value: Raw, wanted: _Wanted) -> None:
    user = text(value, wanted.name)
    if len(user) > _LONGEST_USER_ID:
        raise invalid(wanted.name, f"is longer than {_LONGEST_USER_ID} characters")
    if out.setdefault("metadata", {"user_id": user}) != {"user_id": user}:
        raise invalid(wanted.name, 'differs from "safety_identifier"')


# In this order: a later one may depend on what an earlier one became.
_PARAMETERS: dict[str, Callable[[Body, Raw, _Wanted], None]] = {
    "reasoning_effort": _reasoning_effort,
    "temperature": _sampling,
    "top_p": _sampling,
    "stop": _stop,
    "tools": _tools,
    "tool_choice": _tool_choice,
    "parallel_tool_calls": _parallel_tool_calls,
    "response_format": _response_format,
    "safety_identifier": _user,
    "user": _user,
}

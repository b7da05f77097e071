"""A chat completion's request as a Messages request, strictly: a parameter is translated, or refused by its name.

Parameters that are Anthropic's own pass through as they are.
"""

from collections.abc import Callable, Collection
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from batchdrop.protocols.anthropic import refuse_sampling
from batchdrop.protocols.claude_models import EVERYTHING, ModelRules
from batchdrop.protocols.claude_rules import (
    SMALLEST_BUDGET,
    check_effort,
    check_one_sampling,
    check_sampling,
    check_structured_output,
    check_tool_choice,
    check_top_k,
    is_thinking,
)
from batchdrop.protocols.claude_schemas import check_schema
from batchdrop.protocols.request_checks import SDK_ARGUMENTS, LineProblem, as_whole, refuse_stream, reject_sdk_fields
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
from batchdrop.protocols.translate.tools import read_choice, read_functions, read_tools

# Every Claude that is served writes as much. OpenAI's models write all they can if nobody says how much.
DEFAULT_MAX_TOKENS = 32_000
_MOST_DIGITS = 9  # of max_tokens
_LONGEST_USER_ID = 512  # Anthropic's limit
_SHARES = {"minimal": 0.1, "low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 0.9, "max": 0.95}  # of max_tokens
_EFFORTS = {"minimal": "low"} | {name: name for name in ("low", "medium", "high", "xhigh", "max")}
_OFF = ("disabled", "between_tools")  # the types of `thinking` that turn it off, the best first

type Body = dict[str, Any]


class _Wanted(msgspec.Struct, frozen=True):
    """The context in which a parameter is translated; `name` is the parameter's."""

    api_version: str
    rules: ModelRules
    droppable: frozenset[str]
    name: str
    said: Conversation


def to_messages(
    body: Raw, *, model: str, api_version: str, rules: ModelRules = EVERYTHING, drop_params: Collection[str] = ()
) -> Raw:
    """The Messages request that asks the same.

    Args:
        body: A request for `/v1/chat/completions`.
        model: The model's name on the wire.
        api_version: Anthropic's; one of them takes no sampling parameters.
        rules: What the model takes.
        drop_params: Paths without indices (`seed`, `messages.name`) that are left out where they have no equal.

    Raises:
        LineProblem: Something cannot be translated; the message names it.
    """
    fields = Fields(body, "", frozenset(drop_params))
    fields.take("model")
    refuse_stream(fields.take("stream") or UNSET)
    reject_sdk_fields((name, fields.take(name) or UNSET) for name in SDK_ARGUMENTS)
    said = Conversation()
    said.read(fields.objects("messages"))
    out: Body = {"model": model, "max_tokens": _max_tokens(fields), "messages": said.turns}
    if said.system:
        out["system"] = said.system
    for name, translate in _PARAMETERS.items():
        value = fields.take(name)
        try:
            if value is not None:
                translate(out, value, _Wanted(api_version, rules, fields.droppable, name, said))
        except LineProblem:
            if name not in fields.droppable:
                raise
    out |= fields.take_all(_OWN)
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
        raise invalid(name, f"must be a whole number from 1 to 999,999,999{as_whole(value)}")
    return int(digits)


def _thinking(out: Body, value: Raw, wanted: _Wanted) -> None:
    asked = members(value, wanted.name)
    kind = text(asked["type"], f"{wanted.name}.type") if "type" in asked else None
    out["thinking"] = dict(asked) | {"type": kind}


def _output_config(out: Body, value: Raw, wanted: _Wanted) -> None:
    out["output_config"] = dict(members(value, wanted.name))


def _reasoning_effort(out: Body, value: Raw, wanted: _Wanted) -> None:
    effort = text(value, wanted.name)
    if "thinking" in out or "effort" in out.get("output_config", {}):
        raise invalid(
            wanted.name, 'stands beside "thinking" or "output_config.effort", which say the same: leave one out'
        )
    if effort == "none":
        out["thinking"] = {"type": _off(wanted)}
    elif effort not in _EFFORTS:
        raise invalid(wanted.name, f"must be one of none, {', '.join(_EFFORTS)}")
    elif "adaptive" in wanted.rules.thinking:
        check_effort(_EFFORTS[effort], wanted.rules, wanted.name)
        out["thinking"] = {"type": "adaptive"}
        out["output_config"] = out.get("output_config", {}) | {"effort": _EFFORTS[effort]}
    else:
        out["thinking"] = {"type": "enabled", "budget_tokens": _budget(out["max_tokens"], effort, wanted)}


def _off(wanted: _Wanted) -> str:
    kind = next((each for each in _OFF if each in wanted.rules.thinking), None)
    if kind is None:
        raise invalid(wanted.name, 'cannot be "none" for this model, which always thinks: write "low"')
    return kind


def _budget(max_tokens: int, effort: str, wanted: _Wanted) -> int:
    if "enabled" not in wanted.rules.thinking:
        raise invalid(wanted.name, "is not taken by this model, which does not think: leave it out")
    if max_tokens <= SMALLEST_BUDGET:
        raise invalid(wanted.name, f'needs "max_completion_tokens" above {SMALLEST_BUDGET:,} for this model')
    if wanted.said.goes_on_from_results:
        raise invalid(
            wanted.name,
            "cannot be set where the messages end in a tool's result: this model wants its thoughts before the call, "
            "which a chat completion does not hold",
        )
    return max(SMALLEST_BUDGET, int(max_tokens * _SHARES[effort]))


def _thinking_type(out: Body) -> str | None:
    kind: str | None = out.get("thinking", {}).get("type")
    return kind


def _sampling(out: Body, value: Raw, wanted: _Wanted) -> None:
    refuse_sampling(wanted.name, wanted.api_version)
    number(value, wanted.name, low=0, high=1)
    is_on = is_thinking(_thinking_type(out))
    check_sampling(wanted.name, value, wanted.rules, is_thinking=is_on, beside='"reasoning_effort"')
    if "temperature" in out:
        check_one_sampling(wanted.rules)
    out[wanted.name] = value


def _top_k(out: Body, value: Raw, wanted: _Wanted) -> None:
    refuse_sampling(wanted.name, wanted.api_version)
    check_top_k(wanted.rules, is_thinking=is_thinking(_thinking_type(out)))
    out[wanted.name] = value


def _stop(out: Body, value: Raw, wanted: _Wanted) -> None:
    sequences = [value] if is_text(value) else array(value, wanted.name)
    if not all(text(each, wanted.name).strip() for each in sequences):
        raise invalid(wanted.name, "holds a blank sequence: Claude takes none")
    if not sequences:
        return
    if out.setdefault("stop_sequences", sequences) != sequences:
        raise invalid(wanted.name, 'differs from "stop"')


def _system(out: Body, value: Raw, wanted: _Wanted) -> None:
    if "system" in out:
        raise invalid(wanted.name, "stands beside messages of the system: leave one out")
    out["system"] = value


def _tools(out: Body, value: Raw, wanted: _Wanted) -> None:
    if found := read_tools(value, wanted.name, wanted.droppable, wanted.rules):
        out["tools"] = found


def _functions(out: Body, value: Raw, wanted: _Wanted) -> None:
    if not (found := read_functions(value, wanted.name, wanted.droppable, wanted.rules)):
        return
    if "tools" in out:
        raise invalid(wanted.name, 'stands beside "tools", which take its place: leave one out')
    out |= {"tools": found, "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}


def _tool_choice(out: Body, value: Raw, wanted: _Wanted) -> None:
    choice = read_choice(value, wanted.name, wanted.droppable)
    if "tools" not in out:
        if choice["type"] != "none":
            raise invalid(wanted.name, 'needs "tools"')
        return
    check_tool_choice(choice["type"], _thinking_type(out), wanted.rules, wanted.name, beside='"reasoning_effort"')
    if "only" in choice:
        out["tools"] = _those(out["tools"], choice.pop("only"), wanted)
    parallel = {"disable_parallel_tool_use": True} if "tool_choice" in out and choice["type"] != "none" else {}
    out["tool_choice"] = choice | parallel


def _those(tools: list[Body], names: list[str], wanted: _Wanted) -> list[Body]:
    """The tools of these names: Claude knows of no others, so that it can choose among them only."""
    allowed = set(names)
    found = [tool for tool in tools if tool["name"] in allowed]
    if {tool["name"] for tool in found} != allowed:
        raise invalid(wanted.name, 'allows a tool that "tools" does not have')
    return found


def _parallel_tool_calls(out: Body, value: Raw, wanted: _Wanted) -> None:
    if flag(value, wanted.name):
        return
    if "tools" not in out:
        raise invalid(wanted.name, 'needs "tools"')
    choice = out.setdefault("tool_choice", {"type": "auto"})
    if choice["type"] != "none":
        choice["disable_parallel_tool_use"] = True


def _response_format(out: Body, value: Raw, wanted: _Wanted) -> None:
    asked = Fields(value, wanted.name, wanted.droppable)
    kind = asked.text("type")
    if kind == "text":
        return
    if kind != "json_schema":
        raise untranslatable(f'"{wanted.name}" of type "{str(kind)[:50]}"', 'write one of type "json_schema"')
    check_structured_output(wanted.rules, wanted.name)
    inner = asked.object("json_schema")
    for name in ("name", "strict"):
        inner.take(name)  # a label; and Claude always keeps to the schema
    schema = _described(inner.need("schema"), inner)
    for each in (inner, asked):
        each.close()
    if "format" in out.get("output_config", {}):
        raise invalid(wanted.name, 'stands beside "output_config.format": leave one out')
    out["output_config"] = out.get("output_config", {}) | {"format": {"type": "json_schema", "schema": schema}}


def _described(schema: Raw, inner: Fields) -> Raw:
    """The schema with its description in it."""
    where = inner.path("schema")
    fields = members(schema, where)
    check_schema(schema, where)
    if "description" in fields or (description := inner.take("description")) is None:
        return schema
    return Raw(msgspec.json.encode({"description": description} | fields))


def _user(out: Body, value: Raw, wanted: _Wanted) -> None:
    user = text(value, wanted.name)
    if len(user) > _LONGEST_USER_ID:
        raise invalid(wanted.name, f"is longer than {_LONGEST_USER_ID} characters")
    if out.setdefault("metadata", {"user_id": user}) != {"user_id": user}:
        raise invalid(wanted.name, "differs from another parameter that names the user")


def _metadata(out: Body, value: Raw, wanted: _Wanted) -> None:
    """OpenAI's holds anything, Anthropic's the user only."""
    asked = members(value, wanted.name)
    if asked.keys() - {"user_id"}:
        raise untranslatable(f'"{wanted.name}"', f'leave it out, or list "{wanted.name}" in drop_params')
    if "user_id" in asked:
        _user(out, asked["user_id"], wanted)


def _service_tier(out: Body, value: Raw, wanted: _Wanted) -> None:
    tier = text(value, wanted.name)
    if tier == "standard_only":  # Anthropic's
        out[wanted.name] = tier
    elif tier not in {"auto", "default"}:
        raise untranslatable(f'"{wanted.name}"', f'leave it out, or list "{wanted.name}" in drop_params')


# In this order: a later one may depend on what an earlier one became.
_PARAMETERS: dict[str, Callable[[Body, Raw, _Wanted], None]] = {
    "thinking": _thinking,
    "output_config": _output_config,
    "reasoning_effort": _reasoning_effort,
    "temperature": _sampling,
    "top_p": _sampling,
    "top_k": _top_k,
    "stop": _stop,
    "stop_sequences": _stop,
    "system": _system,
    "tools": _tools,
    "functions": _functions,
    "tool_choice": _tool_choice,
    "function_call": _tool_choice,
    "parallel_tool_calls": _parallel_tool_calls,
    "response_format": _response_format,
    "safety_identifier": _user,
    "user": _user,
    "metadata": _metadata,
    "service_tier": _service_tier,
}
# Anthropic's own, which are passed on as they are; what is not possible in a batch or needs a beta is refused there.
_OWN = (
    *("betas", "cache_control", "compaction", "container", "context_management", "diagnostics", "fallbacks"),
    *("fallback_credit_token", "inference_geo", "mcp_servers", "speed", "thread", "user_profile_id"),
)

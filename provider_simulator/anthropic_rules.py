"""Anthropic's refusals where each parameter alone is right: rules between parameters, and by model.

Written from Anthropic's pages, not from batchdrop's own table, so that each checks the other. As of 2026-11-26, under
https://platform.claude.com/docs/en/: build-with-claude/extended-thinking (budgets, what goes with thinking, tool
results), build-with-claude/adaptive-thinking, build-with-claude/effort, build-with-claude/structured-outputs,
about-claude/models/migration-guide (sampling, prefill), models/opus-5-5/migration-guide,
models/fable-5/migration-guide, models/fable-5-1/migration-guide,
models/sonnet-5-5/whats-new-sonnet-5-5 (thinking always on, forced tools),
agents-and-tools/tool-use (results follow their calls), build-with-claude/vision (https).
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from provider_simulator.facts import Json

_MODEL = re.compile(r"claude-([a-z]+)-(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_OLD_MODEL = re.compile(r"claude-(3)(?:[-.](\d))?-([a-z]+)")  # claude-3-5-sonnet-20241022
LEAST_BUDGET = 1024
_LEAST_TOP_P_BESIDE_THINKING = 0.95
_NO_KEYWORDS = {
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "maxItems"),
    *("uniqueItems", "minProperties", "maxProperties", "patternProperties", "not", "if", "then", "else"),
}
_FORCED = {"any", "tool"}


class _Model(NamedTuple):
    family: str
    version: tuple[int, int]

    def at_least(self, **families: tuple[int, int]) -> bool:
        return self.family in families and self.version >= families[self.family]


def refusal(params: Json) -> str | None:
    """The first rule that the parameters of a request break, in words like Anthropic's; None for none.

    They fit the vendor's document already. No rule by model is for one whose name says no version.
    """
    return next((said for rule in _RULES for said in rule(params, _model(params["model"]))), None)


def _model(name: str) -> _Model:
    old = _OLD_MODEL.match(name)
    if old:
        return _Model(old[3], (3, int(old[2] or 0)))
    found = _MODEL.match(name)
    return _Model(found[1], (int(found[2]), int(found[3] or 0))) if found else _Model("", (0, 0))


def _thinking(params: Json) -> str | None:
    kind = (params.get("thinking") or {}).get("type")
    return kind if isinstance(kind, str) else None


def _kinds_of_thinking(params: Json, model: _Model) -> Iterator[str]:
    kind = _thinking(params)
    always = model.at_least(opus=(5, 5), sonnet=(5, 5), fable=(5, 0), mythos=(5, 0))
    adaptive_only = always or model.at_least(opus=(4, 7), sonnet=(5, 0), haiku=(5, 0))
    no_adaptive = model.family in {"opus", "sonnet", "haiku"} and model.version < (4, 6)
    no_thinking = model.family and model.version < (3, 7)
    if (kind == "disabled" and always) or (kind == "enabled" and (adaptive_only or no_thinking)):
        yield f'"thinking.type.{kind}" is not supported for this model.'
    if kind == "adaptive" and no_adaptive:
        yield "adaptive thinking is not supported on this model"


def _budget(params: Json, _: _Model) -> Iterator[str]:
    if _thinking(params) != "enabled":
        return
    budget = params["thinking"].get("budget_tokens", 0)
    if budget < LEAST_BUDGET:
        yield f"thinking.enabled.budget_tokens: Input should be greater than or equal to {LEAST_BUDGET}"
    if budget >= params["max_tokens"]:
        yield "`max_tokens` must be greater than `thinking.budget_tokens`"


def _beside_thinking(params: Json, _: _Model) -> Iterator[str]:
    if _thinking(params) not in {"enabled", "adaptive"}:
        return
    if params.get("temperature", 1) != 1:
        yield "`temperature` may only be set to 1 when thinking is enabled."
    if params.get("top_k") is not None:
        yield "`top_k` must be unset when thinking is enabled."
    if params.get("top_p", 1) < _LEAST_TOP_P_BESIDE_THINKING:
        yield "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled."
    if _thinking(params) == "enabled" and (params.get("tool_choice") or {}).get("type") in _FORCED:
        yield "Thinking may not be enabled when tool_choice forces tool use."


def _sampling(params: Json, model: _Model) -> Iterator[str]:
    given = {name for name in ("temperature", "top_p", "top_k") if params.get(name) is not None}
    if model.at_least(opus=(4, 7), sonnet=(5, 0), haiku=(5, 0), fable=(5, 0), mythos=(5, 0)):
        usual = params.get("temperature", 1) == 1 and params.get("top_p", 1) >= 0.99 and "top_k" not in given  # noqa: PLR2004 - what counts as the default
        if not usual:
            yield f"`{min(given)}` is deprecated for this model."
    elif given >= {"temperature", "top_p"} and model.version >= (4, 1):
        yield "`temperature` and `top_p` cannot both be specified for this model. Please use only one."


def _forced_tools(params: Json, model: _Model) -> Iterator[str]:
    choice = params.get("tool_choice") or {}
    if choice.get("type") in _FORCED and model.at_least(opus=(5, 5), sonnet=(5, 5), fable=(5, 1), mythos=(5, 1)):
        yield f'tool_choice: type "{choice["type"]}" is not supported for this model.'
    if choice and choice.get("type") != "none" and not params.get("tools"):
        yield "tool_choice: may only be specified while providing `tools`"
    names = [tool.get("name") for tool in params.get("tools") or ()]
    if choice.get("type") == "tool" and choice.get("name") not in names:
        yield f"Tool '{choice.get('name')}' not found in provided tools"
    if len(set(names)) < len(names):
        yield "tools: Tool names must be unique."


def _effort(params: Json, model: _Model) -> Iterator[str]:
    effort = (params.get("output_config") or {}).get("effort")
    if effort is None or model.family not in {"opus", "sonnet", "haiku"}:
        return
    has_effort = model.at_least(opus=(4, 5), sonnet=(4, 6), haiku=(5, 0))
    if not has_effort or (effort == "xhigh" and model.version < (4, 7)) or (effort == "max" and model.version < (4, 6)):
        yield f"This model does not support effort level '{effort}'."


def _prefill(params: Json, model: _Model) -> Iterator[str]:
    later = model.at_least(opus=(4, 6), sonnet=(4, 6), haiku=(5, 0), fable=(5, 0), mythos=(5, 0))
    if later and params["messages"][-1]["role"] == "assistant":
        yield "This model does not support assistant message prefill. The conversation must end with a user message."


def _blocks(message: Json) -> list[Json]:
    content = message.get("content")
    return [each for each in content if isinstance(each, dict)] if isinstance(content, list) else []


def _ids(message: Json | None, kind: str, name: str) -> list[Any]:
    return [each.get(name) for each in _blocks(message or {}) if each.get("type") == kind]


def _tool_results(params: Json, _: _Model) -> Iterator[str]:
    """Each call is answered in the message after it, and nothing else is."""
    before: Json | None = None
    for number, message in enumerate([*params["messages"], {}]):
        calls = _ids(before, "tool_use", "id") if before and before["role"] == "assistant" else []
        answered = _ids(message, "tool_result", "tool_use_id")
        if missing := [each for each in calls if each not in answered]:
            said = "`tool_use` ids were found without `tool_result` blocks immediately after"
            yield f"messages.{number - 1}: {said}: {missing[0]}."
        if unknown := [each for each in answered if each not in calls]:
            yield f"messages.{number}: unexpected `tool_use_id` found in `tool_result` blocks: {unknown[0]}."
        if len(set(answered)) < len(answered):
            yield f"messages.{number}: each tool_use must have a single result."
        before = message


def _thinking_after_tools(params: Json, _: _Model) -> Iterator[str]:
    messages = params["messages"]
    if _thinking(params) != "enabled" or not _ids(messages[-1], "tool_result", "tool_use_id"):
        return
    first = next(iter(_blocks(messages[-2])), {}) if len(messages) > 1 else {}
    if first.get("type") not in {"thinking", "redacted_thinking"}:
        yield "Expected `thinking` or `redacted_thinking`, but found `tool_use`."


def _images(params: Json, _: _Model) -> Iterator[str]:
    for number, message in enumerate(params["messages"]):
        for block in _blocks(message):
            source = block.get("source")
            url = source.get("url") if isinstance(source, dict) and source.get("type") == "url" else None
            if isinstance(url, str) and not url.startswith("https://"):
                yield f"messages.{number}: Only HTTPS URLs are supported."


def _schemas(params: Json, _: _Model) -> Iterator[str]:
    wish = (params.get("output_config") or {}).get("format") or {}
    if wish.get("type") == "json_schema":
        yield from (f"output_config.format.schema: {said}" for said in _faults(wish.get("schema")))
    for number, tool in enumerate(params.get("tools") or ()):
        if tool.get("strict"):
            yield from (f"tools.{number}.custom.input_schema: {said}" for said in _faults(tool.get("input_schema")))


def _faults(schema: Any) -> Iterator[str]:  # noqa: ANN401 - whatever a request holds
    """Yield the parts that constrained output does not take, of a schema and those inside it."""
    if not isinstance(schema, dict):
        return
    kinds = schema.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    for name in sorted(_NO_KEYWORDS & schema.keys()):
        yield f"For '{kinds[0]}' type, property '{name}' is not supported"
    if schema.get("minItems", 0) not in {0, 1}:
        yield "For 'array' type, 'minItems' values other than 0 or 1 are not supported"
    if ("object" in kinds or "properties" in schema) and schema.get("additionalProperties") is not False:
        yield "For 'object' type, 'additionalProperties' must be explicitly set to false"
    for name in ("properties", "$defs", "definitions"):
        for inner in (schema.get(name) or {}).values():
            yield from _faults(inner)
    for inner in (schema.get("items"), *(each for name in ("anyOf", "allOf") for each in schema.get(name) or ())):
        yield from _faults(inner)


_RULES: tuple[Callable[[Json, _Model], Iterator[str]], ...] = (
    _kinds_of_thinking,
    _budget,
    _sampling,
    _beside_thinking,
    _forced_tools,
    _effort,
    _prefill,
    _tool_results,
    _thinking_after_tools,
    _images,
    _schemas,
)

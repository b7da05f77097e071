"""Checks a Messages request against its model: a request that would end as a 400 in its batch is rejected before."""

from collections.abc import Collection

import msgspec
from msgspec import UNSET, Raw, UnsetType

from batchdrop.protocols.claude_images import check_sources
from batchdrop.protocols.claude_models import ModelRules
from batchdrop.protocols.claude_schemas import check_schema
from batchdrop.protocols.paths import Path, written
from batchdrop.protocols.request_checks import Body, LineProblem
from batchdrop.result_line import ErrorCode

SMALLEST_BUDGET = 1_024  # tokens for thinking, fewer than max_tokens (Anthropic's limit)
LEAST_WHILE_THINKING = {"temperature": 1.0, "top_p": 0.95}  # Anthropic's documentation of thinking
LEAST_OF_DEFAULT = {"temperature": 1.0, "top_p": 0.99}  # what passes for the default (Anthropic's reference)
_FORCED = frozenset({"any", "tool"})
_THOUGHTS = frozenset({"thinking", "redacted_thinking"})
_INTERLEAVED = "interleaved-thinking-"  # the beta under which a budget may be above max_tokens


class _Thinking(msgspec.Struct, gc=False):
    type: str | None = None
    budget_tokens: int | None = None


class _Choice(msgspec.Struct, gc=False):
    type: str | None = None


class _Format(msgspec.Struct, gc=False):
    schema: Raw | UnsetType = UNSET


class _OutputConfig(msgspec.Struct, gc=False):
    effort: str | None = None
    format: _Format | None = None


class _Tool(msgspec.Struct, gc=False):
    strict: bool | None = None
    input_schema: Raw | UnsetType = UNSET


class _Block(msgspec.Struct, gc=False):
    type: str | None = None


class _Turn(msgspec.Struct, gc=False):
    role: str | None = None
    content: str | list[_Block] | None = None


_thinking, _choice = msgspec.json.Decoder(_Thinking), msgspec.json.Decoder(_Choice)
_output, _tools = msgspec.json.Decoder(_OutputConfig), msgspec.json.Decoder(list[_Tool])
_turns = msgspec.json.Decoder(list[_Turn])
_NO_OUTPUT = _OutputConfig()


def refused(name: str, why: str) -> LineProblem:
    return LineProblem(ErrorCode.UNSUPPORTED_PARAMETER, f'"{name}" {why}')


def check_model_rules(body: Body, rules: ModelRules, *, betas: Collection[str] = ()) -> None:
    """Refuse what the model is known to refuse. What is no valid request at all is left to the provider.

    Raises:
        LineProblem: It names the parameter.
    """
    output = _NO_OUTPUT if body.output_config is UNSET else _read(_output, body.output_config, _NO_OUTPUT)
    thinking = None if body.thinking is UNSET else _read(_thinking, body.thinking, None)
    if output is not _NO_OUTPUT:
        _check_output(output, thinking, rules)
    if thinking is not None:
        _check_thinking(thinking, body, rules, betas)
    if not (body.temperature is body.top_p is body.top_k is UNSET):
        _check_sampling(body, rules, is_thinking=is_thinking(thinking.type if thinking else None))
    if body.tool_choice is not UNSET:
        check_tool_choice(_read(_choice, body.tool_choice, _Choice()).type, thinking.type if thinking else None, rules)
    if body.tools is not UNSET and b'"strict"' in bytes(body.tools):
        _check_strict_tools(body.tools, rules)
    if body.messages is not UNSET:
        _check_turns(body.messages, rules, thinking.type if thinking else None)


def _read[Read, Default](decoder: msgspec.json.Decoder[Read], raw: Raw, otherwise: Default) -> Read | Default:
    try:
        return decoder.decode(raw)
    except msgspec.DecodeError:
        return otherwise


def is_thinking(kind: str | None) -> bool:
    return kind in {"enabled", "adaptive"}


def check_effort(effort: str, rules: ModelRules, name: str = "output_config.effort") -> None:
    if effort not in rules.efforts:
        known = f"be one of {', '.join(rules.efforts)}" if rules.efforts else "not be set"
        raise refused(name, f"must {known} for this model")


def _check_output(output: _OutputConfig, thinking: _Thinking | None, rules: ModelRules) -> None:
    if output.effort is not None:
        check_effort(output.effort, rules)
        is_off = thinking is not None and not is_thinking(thinking.type)
        if is_off and output.effort not in rules.efforts_without_thinking:
            raise refused("output_config.effort", f'"{output.effort}" cannot be beside thinking that is off')
    if output.format is not None and output.format.schema is not UNSET:
        check_structured_output(rules, "output_config.format")
        check_schema(output.format.schema, "output_config.format.schema")


def check_structured_output(rules: ModelRules, name: str) -> None:
    if not rules.structured_output:
        raise refused(name, "is not possible with this model, which has no structured output")


def _check_thinking(thinking: _Thinking, body: Body, rules: ModelRules, betas: Collection[str]) -> None:
    if thinking.type is not None and thinking.type not in rules.thinking:
        known = '", "'.join(rules.thinking)
        raise refused("thinking.type", f'"{thinking.type[:50]}" is not taken by this model: it may be "{known}"')
    budget = thinking.budget_tokens
    if thinking.type != "enabled" or budget is None:
        return
    if budget < SMALLEST_BUDGET:
        raise refused("thinking.budget_tokens", f"must be at least {SMALLEST_BUDGET:,}")
    max_tokens = body.max_tokens
    is_above = max_tokens is not UNSET and bytes(max_tokens).isdigit() and budget >= int(bytes(max_tokens))
    if is_above and not any(beta.startswith(_INTERLEAVED) for beta in betas):
        raise refused("thinking.budget_tokens", 'must be below "max_tokens"')


def _check_sampling(body: Body, rules: ModelRules, *, is_thinking: bool) -> None:
    if body.top_k is not UNSET:
        check_top_k(rules, is_thinking=is_thinking)
    given = [name for name in ("temperature", "top_p") if getattr(body, name) is not UNSET]
    for name in given:
        check_sampling(name, getattr(body, name), rules, is_thinking=is_thinking)
    if len(given) > 1:
        check_one_sampling(rules)


def check_top_k(rules: ModelRules, *, is_thinking: bool) -> None:
    if rules.sampling == "default":
        raise refused("top_k", "is not taken by this model: leave it out")
    if is_thinking:
        raise refused("top_k", "cannot be beside thinking")


def check_sampling(name: str, value: Raw, rules: ModelRules, *, is_thinking: bool, beside: str = "thinking") -> None:
    """Refuse a temperature or top_p that the model does not take."""
    number = _read(_number, value, None)
    if number is None:
        return
    if rules.sampling == "default" and number < LEAST_OF_DEFAULT[name]:
        raise refused(name, "is not taken by this model, which has its own: leave it out")
    if is_thinking and number < LEAST_WHILE_THINKING[name]:
        raise LineProblem(
            ErrorCode.INVALID_PARAMETER,
            f'"{name}" must be at least {LEAST_WHILE_THINKING[name]:g} beside {beside} for Claude',
        )


_number = msgspec.json.Decoder(int | float)


def check_one_sampling(rules: ModelRules) -> None:
    if rules.sampling == "one":
        raise refused("top_p", 'cannot be beside "temperature" for this model: leave one out')


def check_tool_choice(
    kind: str | None,
    thinking: str | None,
    rules: ModelRules,
    name: str = "tool_choice",
    *,
    beside: str = '"thinking" with a budget',
) -> None:
    """Refuse a forced call where the model takes none."""
    if kind not in _FORCED:
        return
    if not rules.forced_tools:
        raise refused(name, "cannot force a call with this model: let it decide, and say so in the prompt")
    if thinking == "enabled":
        raise LineProblem(ErrorCode.INVALID_PARAMETER, f'"{name}" cannot force a call beside {beside} for Claude')


def _check_strict_tools(tools: Raw, rules: ModelRules) -> None:
    read: list[_Tool] = _read(_tools, tools, [])
    for index, tool in enumerate(read):
        if tool.strict and tool.input_schema is not UNSET:
            check_structured_output(rules, f"tools[{index}].strict")
            check_schema(tool.input_schema, f"tools[{index}].input_schema")


def _check_turns(messages: Raw, rules: ModelRules, thinking: str | None) -> None:
    if b"http://" in bytes(messages):
        _check_no_http(msgspec.json.decode(messages))
    check_sources(messages)
    if rules.prefill and thinking != "enabled":
        return
    turns = _read(_turns, messages, [])
    if not turns:
        return
    last = turns[-1]
    if last.role == "assistant" and not rules.prefill and _ends_in_text(last):
        raise LineProblem(
            ErrorCode.INVALID_PARAMETER,
            "the last of \"messages\" is the assistant's, which this model does not continue: end with the user's",
        )
    if thinking == "enabled" and last.role == "user" and _has(last, "tool_result"):
        _check_thoughts(turns)


def _check_thoughts(turns: list[_Turn]) -> None:
    before = next((turn for turn in reversed(turns) if turn.role == "assistant"), None)
    if before is not None and not (
        isinstance(before.content, list) and before.content and before.content[0].type in _THOUGHTS
    ):
        raise LineProblem(
            ErrorCode.INVALID_PARAMETER,
            '"thinking" with a budget cannot go on from a tool\'s result unless the call comes with its thinking block',
        )


def _ends_in_text(turn: _Turn) -> bool:
    return isinstance(turn.content, str) or (
        isinstance(turn.content, list) and turn.content[-1:] != [] and turn.content[-1].type == "text"
    )


def _has(turn: _Turn, kind: str) -> bool:
    return isinstance(turn.content, list) and any(block.type == kind for block in turn.content)


def _check_no_http(messages: object) -> None:
    """Refuse a picture or document at an address that is not https: Anthropic fetches no other."""
    waiting: list[tuple[Path | None, object]] = [(None, messages)]
    while waiting:
        path, each = waiting.pop()
        if isinstance(each, list):
            waiting.extend((Path(path, f"[{index}]"), item) for index, item in reversed([*enumerate(each)]))
        elif isinstance(each, dict):
            source = each.get("source")
            if isinstance(source, dict) and source.get("type") == "url" and _is_http(source.get("url")):
                where = written(path, "messages")
                message = f'"{where}.source.url" must begin with https:// for Claude'
                raise LineProblem(ErrorCode.INVALID_PARAMETER, message)
            waiting.append((Path(path, ".content"), each.get("content")))


def _is_http(url: object) -> bool:
    return isinstance(url, str) and url.lower().startswith("http://")

"""What Claude's models take: a line that its model would refuse is refused before, in each form, by the same table."""

import json
from pathlib import Path
from typing import Any

import pytest
from anthropic.types import ModelParam
from batchdrop.errors import ConfigError
from batchdrop.inputs.request_lines import LineError, LineReader
from batchdrop.protocols.claude_models import EVERYTHING, RULES, RuleChanges, rules_of
from batchdrop.providers.config import Providers, parse_providers

HAIKU, OPUS_46, OPUS_5, OPUS_55, SONNET_55 = (
    f"claude-{name}" for name in ("haiku-4-5", "opus-4-6", "opus-5", "opus-5-5", "sonnet-5-5")
)
HI: list[dict[str, Any]] = [{"role": "user", "content": "Hi"}]
TOOL = {"name": "f", "input_schema": {"type": "object"}}
FORCED = {"tools": [TOOL], "tool_choice": {"type": "any"}}
CALL = {"type": "tool_use", "id": "a", "name": "f", "input": {}}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "r"}]}
BUDGET = {"thinking": {"type": "enabled", "budget_tokens": 1_024}}
OPEN = {"type": ["object", "null"], "properties": {"a": {"type": "integer"}}}
CLOSED = {"type": "object", "properties": {"a": {"enum": [{"type": "object"}]}}, "additionalProperties": False}


def native(model: str, asked: dict[str, Any]) -> dict[str, Any]:
    return {"params": {"model": model, "max_tokens": 4_000, "messages": HI} | asked}


def chat(model: str, asked: dict[str, Any]) -> dict[str, Any]:
    return {"url": "/v1/chat/completions", "body": {"model": model, "max_tokens": 4_000, "messages": HI} | asked}


def problem(providers: Providers, line: dict[str, Any]) -> str | None:
    read = LineReader(providers).read(json.dumps(line).encode())
    return read.message if isinstance(read, LineError) else None


def turn(*content: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": list(content)}


def output(schema: Any) -> dict[str, Any]:
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


@pytest.mark.parametrize("form", [native, chat])
@pytest.mark.parametrize(
    ("model", "asked", "name"),
    [
        # temperature, top_p, top_k
        (HAIKU, {"temperature": 0.2}, None),
        (HAIKU, {"top_k": 5}, None),
        (HAIKU, {"temperature": 0.2, "top_p": 0.5}, "top_p"),
        (OPUS_46, {"temperature": 0.2, "top_p": 0.5}, "top_p"),
        ("claude-sonnet-4-20250514", {"temperature": 0.2, "top_p": 0.5}, None),
        ("claude-opus-4-7", {"temperature": 0.2}, "temperature"),
        (OPUS_5, {"temperature": 0.2}, "temperature"),
        (OPUS_5, {"temperature": 1, "top_p": 0.99}, None),
        (OPUS_5, {"top_p": 0.9}, "top_p"),
        (OPUS_5, {"top_k": 5}, "top_k"),
        (HAIKU, BUDGET | {"temperature": 0.2}, "temperature"),
        (HAIKU, BUDGET | {"top_k": 5}, "top_k"),
        ("claude-of-tomorrow", {"temperature": 0.2, "top_p": 0.1, "top_k": 5}, None),
        # thinking
        (HAIKU, BUDGET, None),
        (OPUS_46, BUDGET, None),
        (OPUS_5, BUDGET, "thinking.type"),
        (HAIKU, {"thinking": {"type": "adaptive"}}, "thinking.type"),
        (OPUS_5, {"thinking": {"type": "adaptive"}}, None),
        (OPUS_5, {"thinking": {"type": "disabled"}}, None),
        (OPUS_55, {"thinking": {"type": "disabled"}}, "thinking.type"),
        (SONNET_55, {"thinking": {"type": "disabled"}}, "thinking.type"),
        (SONNET_55, {"thinking": {"type": "between_tools"}}, None),
        ("claude-fable-5-2", {"thinking": {"type": "disabled"}}, "thinking.type"),
        (HAIKU, {"thinking": {"type": "enabled", "budget_tokens": 1_000}}, "thinking.budget_tokens"),
        (HAIKU, {"thinking": {"type": "enabled", "budget_tokens": 4_000}}, "thinking.budget_tokens"),
        # effort
        (HAIKU, {"output_config": {"effort": "low"}}, "output_config.effort"),
        ("claude-opus-4-5", {"output_config": {"effort": "high"}}, None),
        ("claude-opus-4-5", {"output_config": {"effort": "max"}}, "output_config.effort"),
        (OPUS_46, {"output_config": {"effort": "max"}}, None),
        (OPUS_46, {"output_config": {"effort": "xhigh"}}, "output_config.effort"),
        (OPUS_5, {"output_config": {"effort": "xhigh"}}, None),
        (OPUS_5, {"output_config": {"effort": "xhigh"}, "thinking": {"type": "disabled"}}, "output_config.effort"),
        # forced tools
        (HAIKU, FORCED, None),
        (HAIKU, FORCED | BUDGET, "tool_choice"),
        (OPUS_5, FORCED | {"thinking": {"type": "adaptive"}}, None),
        (OPUS_55, FORCED, "tool_choice"),
        (OPUS_55, {"tools": [TOOL], "tool_choice": {"type": "auto"}}, None),
        (SONNET_55, {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "f"}}, "tool_choice"),
        # structured output
        (HAIKU, output(CLOSED), None),
        (HAIKU, output(OPEN), "output_config.format.schema"),
        ("claude-sonnet-4-20250514", output(CLOSED), "output_config.format"),
        (HAIKU, {"tools": [TOOL | {"strict": True}]}, "tools[0].input_schema"),
        (HAIKU, {"tools": [TOOL | {"strict": True, "input_schema": CLOSED}]}, None),
        (HAIKU, {"tools": [TOOL | {"strict": False}]}, None),
    ],
    ids=json.dumps,
)
def test_a_parameter_that_its_model_refuses_is_named(
    providers: Providers, form: Any, model: str, asked: dict[str, Any], name: str | None
) -> None:
    message = problem(providers, form(model, asked))
    assert (message and message.partition(" ")[0]) == (name and f'"{name}"'), message


@pytest.mark.parametrize(
    ("model", "asked", "is_taken"),
    [
        (HAIKU, {"messages": [*HI, turn({"type": "text", "text": "The"})]}, True),
        (OPUS_46, {"messages": [*HI, turn({"type": "text", "text": "The"})]}, False),
        (OPUS_46, {"messages": [*HI, {"role": "assistant", "content": "The"}]}, False),
        (OPUS_46, {"messages": [*HI, turn({"type": "server_tool_use", "id": "s", "name": "n", "input": {}})]}, True),
        (HAIKU, BUDGET | {"messages": [*HI, turn(CALL), RESULT]}, False),
        (HAIKU, BUDGET | {"messages": [*HI, turn({"type": "thinking"}, CALL), RESULT]}, True),
        (OPUS_46, {"thinking": {"type": "adaptive"}, "messages": [*HI, turn(CALL), RESULT]}, True),
    ],
)
def test_a_conversation_that_its_model_would_not_go_on_with_is_refused(
    providers: Providers, model: str, asked: dict[str, Any], *, is_taken: bool
) -> None:
    assert (problem(providers, native(model, asked)) is None) == is_taken


@pytest.mark.parametrize("url", ["http://example.org/a.png", "https://example.org/http://a.png"])
def test_pictures_are_fetched_by_https_only(providers: Providers, url: str) -> None:
    image = {"type": "image", "source": {"type": "url", "url": url}}
    content = [image, {"type": "tool_result", "tool_use_id": "a", "content": [image]}]
    found = problem(providers, native(HAIKU, {"messages": [{"role": "user", "content": content}]}))
    why = '"messages[0].content[0].source.url" must begin with https:// for Claude'
    assert found == (why if url.startswith("http:") else None)


@pytest.mark.parametrize(
    ("model", "effort", "found"),
    [
        ("claude-haiku-4-5", "none", None),
        (OPUS_5, "none", None),
        (SONNET_55, "none", None),
        (OPUS_55, "none", '"reasoning_effort" cannot be "none" for this model, which always thinks: write "low"'),
        (OPUS_46, "xhigh", '"reasoning_effort" must be one of low, medium, high, max for this model'),
        (
            "claude-3-haiku-20240307",
            "low",
            '"reasoning_effort" is not taken by this model, which does not think: leave it out',
        ),
    ],
)
def test_an_effort_that_a_model_cannot_make_is_refused(
    providers: Providers, model: str, effort: str, found: str | None
) -> None:
    assert problem(providers, chat(model, {"reasoning_effort": effort})) == found


def test_every_model_of_anthropics_sdk_has_its_rules() -> None:
    literal, _ = ModelParam.__args__  # type: ignore[attr-defined]  # a union of the names and any text
    assert [name for name in literal.__args__ if rules_of(name) is EVERYTHING] == []


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("claude-opus-4-5-20251101", "opus-4-5"),
        ("us.anthropic.claude-opus-4-5-20251101-v1:0", "opus-4-5"),
        ("claude-haiku-4-5@20251001", "haiku-4-5"),
        ("claude-sonnet-4-20250514", "sonnet-4"),
        ("claude-3-5-haiku-latest", "haiku-3-5"),
        ("claude-opus-4.7", "opus-4-7"),
        ("claude-opus-5-6", None),
        ("claude-2.1", None),
        ("my-model", None),
    ],
)
def test_a_model_is_known_by_its_family_and_version(model: str, name: str | None) -> None:
    assert rules_of(model) is (RULES[name] if name else EVERYTHING)


TOML = (Path(__file__).parents[2] / "providers.toml").read_text(encoding="utf-8")
CHANGED = (
    TOML
    + """
[providers.anthropic.claude_models."claude-opus-5-5*"]
forced_tools = true
sampling = "any"
"""
)


def test_providers_toml_overrules_the_table_key_by_key() -> None:
    providers = parse_providers(CHANGED)
    asked = FORCED | {"temperature": 0.2}
    assert problem(parse_providers(TOML), native(OPUS_55, asked)) is not None
    assert problem(providers, native(OPUS_55, asked)) is None
    assert problem(providers, chat(OPUS_55, asked)) is None
    assert problem(providers, native(OPUS_55, BUDGET)) is not None
    assert rules_of("x", {"x*": RuleChanges(prefill=False)}).prefill is False


@pytest.mark.parametrize("wrong", ['sampling = "some"', 'thinking = ["never"]', "forced = true", "prefill = 1"])
def test_a_mistake_in_the_overruling_names_the_file(wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"providers.toml: providers.anthropic"):
        parse_providers(TOML + f'\n[providers.anthropic.claude_models."claude-*"]\n{wrong}\n')

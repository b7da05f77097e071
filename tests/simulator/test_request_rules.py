# ruff: noqa: PLR0913, PLR0917 - the arguments of a test are its fixtures and cases
"""Rules between parameters, and by model: what the vendors' pages refuse is refused, and nothing else."""

from collections.abc import Callable
from typing import Any

import pytest
from anthropic import Anthropic
from openai import OpenAI
from openai.types import Batch

from provider_simulator import anthropic_rules, openai_rules

HI = {"role": "user", "content": "Hi"}
TOOL = {"name": "f", "input_schema": {"type": "object"}}
CALL = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}]}
THOUGHT = {"type": "thinking", "thinking": "", "signature": "s"}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "1"}]}
BUDGET = {"type": "enabled", "budget_tokens": 1024}
ANY, NAMED = {"type": "any"}, {"type": "tool", "name": "f"}


def closed(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def output(schema: dict[str, Any]) -> dict[str, Any]:
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


def params(model: str, **more: Any) -> dict[str, Any]:
    return {"model": f"claude-{model}", "max_tokens": 2000, "messages": [HI], **more}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (params("opus-5-5", thinking={"type": "disabled"}), "thinking.type.disabled"),
        (params("fable-5", thinking={"type": "disabled"}), "thinking.type.disabled"),
        (params("opus-4-7", thinking=BUDGET), "thinking.type.enabled"),
        (params("sonnet-4-5-20250929", thinking={"type": "adaptive"}), "adaptive"),
        (params("haiku-4-5", thinking=BUDGET, max_tokens=1024), "max_tokens"),
        (params("haiku-4-5", thinking={"type": "enabled", "budget_tokens": 5}), "greater than or equal to 1024"),
        (params("haiku-4-5", thinking=BUDGET, temperature=0.5), "temperature"),
        (params("haiku-4-5", thinking=BUDGET, top_k=5), "top_k"),
        (params("haiku-4-5", thinking=BUDGET, top_p=0.9), "top_p"),
        (params("haiku-4-5", thinking=BUDGET, tools=[TOOL], tool_choice=ANY), "forces tool use"),
        (params("opus-5", temperature=0.2), "temperature"),
        (params("opus-4-7", top_p=0.5), "top_p"),
        (params("sonnet-5", top_k=5), "top_k"),
        (params("haiku-4-5", temperature=0.5, top_p=0.5), "cannot both"),
        (params("opus-5-5", tools=[TOOL], tool_choice=ANY), "tool_choice"),
        (params("fable-5-1", tools=[TOOL], tool_choice=NAMED), "tool_choice"),
        (params("haiku-4-5", tool_choice=ANY), "tools"),
        (params("haiku-4-5", tools=[TOOL], tool_choice={"type": "tool", "name": "g"}), "not found"),
        (params("haiku-4-5", tools=[TOOL, TOOL]), "unique"),
        (params("haiku-4-5", output_config={"effort": "low"}), "effort"),
        (params("opus-4-5", output_config={"effort": "max"}), "effort"),
        (params("opus-4-6", output_config={"effort": "xhigh"}), "effort"),
        (params("opus-4-6", messages=[HI, {"role": "assistant", "content": "So"}]), "prefill"),
        (params("haiku-4-5", messages=[HI, CALL]), "tool_use"),
        (params("haiku-4-5", messages=[HI, CALL, HI]), "tool_use"),
        (params("haiku-4-5", messages=[HI, RESULT]), "tool_use_id"),
        (params("haiku-4-5", messages=[HI, CALL, RESULT], tools=[TOOL], thinking=BUDGET), "Expected `thinking`"),
        (
            params(
                "haiku-4-5",
                messages=[
                    {
                        "role": "user",
                        "content": [{"type": "image", "source": {"type": "url", "url": "http://example.org/a.png"}}],
                    }
                ],
            ),
            "HTTPS",
        ),
        (params("haiku-4-5", **output(closed(a={"type": "integer", "minimum": 1}))), "minimum"),
        (params("haiku-4-5", **output({"type": ["object", "null"], "properties": {}})), "additionalProperties"),
        (params("haiku-4-5", **output(closed(a={"anyOf": [{"type": "object"}]}))), "additionalProperties"),
        (params("haiku-4-5", **output(closed(a={"type": "array", "minItems": 2}))), "minItems"),
        (params("haiku-4-5", tools=[{**TOOL, "strict": True}]), "tools.0"),
    ],
)
def test_what_anthropic_refuses_by_rule_or_model_is_refused(body: dict[str, Any], said: str) -> None:
    assert said in (anthropic_rules.refusal(body) or "")


@pytest.mark.parametrize(
    "body",
    [
        params("opus-5-5", thinking={"type": "adaptive"}, output_config={"effort": "low"}),
        params("opus-5", thinking={"type": "disabled"}),
        params("opus-4-7", temperature=1, top_p=0.99),
        params("opus-4-7", tools=[TOOL], tool_choice=ANY, output_config={"effort": "xhigh"}),
        params("opus-5-5", tools=[TOOL], tool_choice={"type": "auto"}),
        params("opus-4-6", thinking=BUDGET),
        params("haiku-4-5", thinking=BUDGET, temperature=1, tools=[TOOL], tool_choice={"type": "auto"}),
        params("3-haiku-20240307", temperature=0.2, top_p=0.5, top_k=3),
        params("haiku-4-5", messages=[HI, {"role": "assistant", "content": "So"}]),
        params("haiku-4-5", messages=[HI, CALL, RESULT], tools=[TOOL]),
        params(
            "haiku-4-5",
            messages=[HI, {"role": "assistant", "content": [THOUGHT, *CALL["content"]]}, RESULT],
            tools=[TOOL],
            thinking=BUDGET,
        ),
        params("haiku-4-5", **output(closed(a={"type": ["string", "null"], "enum": ["x", None]}, b=closed()))),
        params("haiku-4-5", tools=[{**TOOL, "strict": True, "input_schema": closed()}], tool_choice=NAMED),
        params("of-tomorrow", temperature=0.2, thinking={"type": "disabled"}),
    ],
)
def test_what_anthropic_takes_breaks_no_rule(body: dict[str, Any]) -> None:
    assert anthropic_rules.refusal(body) is None


CHAT = "/v1/chat/completions"
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
ASKED = {
    "role": "assistant",
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}],
}
TOLD = {"role": "tool", "tool_call_id": "c1", "content": "1"}


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}}


def body(model: str = "gpt-4o-mini", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [HI], **more}


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        (body("o3", max_tokens=5), "max_tokens"),
        (body("gpt-5-mini", temperature=0), "temperature"),
        (body("gpt-5.1", temperature=0.2, reasoning_effort="low"), "temperature"),
        (body("gpt-5", reasoning_effort="none"), "reasoning_effort"),
        (body("gpt-4o", reasoning_effort="low"), "reasoning_effort"),
        (body("o4-mini", logprobs=True), "logprobs"),
        (body(max_tokens=5, max_completion_tokens=5), "max_tokens"),
        (body(top_logprobs=2), "top_logprobs"),
        (body(tool_choice="auto"), "tool_choice"),
        (body(parallel_tool_calls=False), "parallel_tool_calls"),
        (body(stream_options={"include_usage": True}), "stream_options"),
        (body(tools=[FUNCTION], tool_choice={"type": "function", "function": {"name": "g"}}), "tool_choice"),
        (body(messages=[HI, ASKED]), "messages.[2].role"),
        (body(messages=[HI, ASKED, HI]), "messages.[2].role"),
        (body(messages=[HI, TOLD]), "messages.[1].role"),
        (body(response_format={"type": "json_object"}), "messages"),
        (body(**strict({"type": "object"})), "response_format"),
        (body(**strict({**closed(a={"type": "string"}), "required": []})), "response_format"),
        (body(tools=[{"type": "function", "function": {**FUNCTION["function"], "strict": True}}]), "tools"),
    ],
)
def test_what_openai_refuses_by_rule_or_model_is_refused(asked: dict[str, Any], param: str) -> None:
    found = openai_rules.refusal(CHAT, asked)
    assert found is not None
    assert found.param == param


@pytest.mark.parametrize(
    "asked",
    [
        body(temperature=0, max_tokens=5, logprobs=True, top_logprobs=2),
        body("o3", max_completion_tokens=5, temperature=1, reasoning_effort="low"),
        body("gpt-5.1", temperature=0, reasoning_effort="none"),
        body("gpt-5-chat-latest", temperature=0, max_tokens=5),
        body(messages=[HI, ASKED, TOLD], tools=[FUNCTION]),
        body(messages=[{"role": "user", "content": "As JSON"}], response_format={"type": "json_object"}),
        body(**strict(closed(a={"type": ["string", "null"]}, b={"anyOf": [closed(), {"type": "null"}]}))),
        body(tools=[FUNCTION], tool_choice={"type": "function", "function": {"name": "f"}}, parallel_tool_calls=False),
    ],
)
def test_what_openai_takes_breaks_no_rule(asked: dict[str, Any]) -> None:
    assert openai_rules.refusal(CHAT, asked) is None


def test_a_rule_of_responses_is_its_own() -> None:
    asked = {"model": "gpt-5", "input": "x", "temperature": 0.2}
    assert openai_rules.refusal("/v1/responses", asked) is not None
    assert openai_rules.refusal("/v1/responses", {**asked, "temperature": 1, "reasoning": {"effort": "low"}}) is None


def test_a_broken_rule_is_the_requests_error_and_no_other(
    openai: OpenAI,
    anthropic: Anthropic,
    start: Callable[..., Batch],
    read: Callable[..., list[dict[str, Any]]],
    chat: Callable[..., dict[str, Any]],
    message: Callable[..., dict[str, Any]],
) -> None:
    done = openai.batches.retrieve(start([chat(1), chat(2, top_logprobs=2)]).id)
    (failed,) = read(done.error_file_id)
    assert (failed["custom_id"], failed["response"]["body"]["error"]["param"]) == ("r-2", "top_logprobs")
    requests: Any = [message(1), message(2, tool_choice=ANY)]
    batch = anthropic.messages.batches.create(requests=requests).id
    results = {each.custom_id: each.result.type for each in anthropic.messages.batches.results(batch)}
    assert results == {"r-1": "succeeded", "r-2": "errored"}

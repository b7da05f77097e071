"""Answers as the vendors give them: in blocks, with thoughts and calls, for each reason to stop, in a schema."""

import json
from typing import Any

import jsonschema_rs
import pytest
from faking.cloud import Cloud
from faking.lines import CLAUDE, chat, claude, got, wanted

SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "kind": {"enum": ["a", "b"]}},
    "required": ["answer", "kind"],
    "additionalProperties": False,
}
FUNCTION = {"name": "look_up", "description": "Looks it up", "parameters": SCHEMA}
CHAT_TOOLS = {"tools": [{"type": "function", "function": FUNCTION}]}
FORMAT = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": SCHEMA}}}
STOPS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause_turn",
}


def with_body(line: dict[str, Any], **more: Any) -> dict[str, Any]:
    name = "params" if "params" in line else "body"
    return {**line, name: {**line[name], **more}}


def translated(text: str, **more: Any) -> dict[str, Any]:
    return with_body(chat(text, model=CLAUDE), **more)


def test_a_schema_that_is_asked_for_is_answered_in_whichever_form_the_line_has(cloud: Cloud) -> None:
    lines = [
        with_body(chat("one"), **FORMAT),
        translated("two", **FORMAT),
        with_body(claude("three"), output_config={"format": {"type": "json_schema", "schema": SCHEMA}}),
    ]
    results = cloud.run("input/x.jsonl", lines).results
    assert [each["error"] for each in results] == [None] * 3
    assert [got(each) for each in results] == [wanted(each) for each in lines]
    assert all(jsonschema_rs.Draft202012Validator(SCHEMA).is_valid(json.loads(got(each)[1])) for each in results)


def test_texts_thoughts_and_calls_in_many_blocks_come_through_and_back_in_translation(cloud: Cloud) -> None:
    cloud.simulator.shape(blocks=3)
    thinking = {"type": "enabled", "budget_tokens": 1024}
    lines = [
        with_body(claude("one"), thinking=thinking, max_tokens=2000),
        translated("two", reasoning_effort="low", max_tokens=8000),
        with_body(chat("three"), **CHAT_TOOLS, tool_choice="required"),
        translated("four", **CHAT_TOOLS, tool_choice="required"),
    ]
    results = cloud.run("input/x.jsonl", lines).results
    assert [each["error"] for each in results] == [None] * 4
    assert [got(each) for each in results] == [wanted(each) for each in lines]
    native = results[0]["response"]["body"]["content"]
    assert [each["type"] for each in native] == ["thinking", "redacted_thinking", "text", "text", "text"]
    called = results[3]["response"]["body"]["choices"][0]["message"]["tool_calls"]
    assert [each["function"]["name"] for each in called] == ["look_up"]


@pytest.mark.parametrize("stop", STOPS)
def test_each_reason_to_stop_is_an_answer(cloud: Cloud, stop: str) -> None:
    cloud.simulator.shape(provider="anthropic", stops=[stop])
    native, chatted = cloud.run("input/x.jsonl", [claude("one"), translated("two")]).results
    assert [native["error"], chatted["error"]] == [None, None]
    assert native["response"]["body"]["stop_reason"] == stop
    assert chatted["response"]["body"]["choices"][0]["finish_reason"] == STOPS[stop]


def test_a_refusal_is_an_answer_and_says_why(cloud: Cloud) -> None:
    cloud.simulator.shape(provider="anthropic", stops=["refusal"])
    native, chatted = cloud.run("input/x.jsonl", [claude("one"), translated("two")]).results
    assert (native["error"], native["response"]["body"]["content"]) == (None, [])
    choice = chatted["response"]["body"]["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("content_filter", None)
    assert choice["message"]["refusal"] == "I cannot help with that."

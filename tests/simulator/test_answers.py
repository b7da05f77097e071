import base64
import json
import struct
from typing import Any

import jsonschema_rs
import pytest

from provider_simulator import answers
from provider_simulator.answers import content, expected
from provider_simulator.facts import Style
from provider_simulator.says import SENTIMENTS

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say hello"}]}


def test_an_answer_carries_the_digest_of_its_request() -> None:
    assert expected("/v1/chat/completions", CHAT) == f"Answer [{answers.digest(CHAT).hex()[:12]}]"


def test_the_order_of_keys_does_not_change_an_answer() -> None:
    assert expected("openai", dict(reversed(CHAT.items()))) == expected("openai", CHAT)


def test_another_request_gets_another_answer() -> None:
    assert expected("openai", {**CHAT, "temperature": 1}) != expected("openai", CHAT)


@pytest.mark.parametrize(
    ("said", "label"),
    [("I love this, great!", "positive"), ("Terrible. I want a refund", "negative"), ("mauvais, triste", "negative")],
)
def test_a_question_for_sentiment_gets_one_word_for_it(said: str, label: str) -> None:
    body = {
        "model": "claude-haiku-4-5",
        "max_tokens": 5,
        "system": "Reply with the sentiment.",
        "messages": [{"role": "user", "content": [{"type": "text", "text": said}]}],
    }
    assert expected("anthropic", body).split(" ")[0] == label


def test_a_neutral_text_gets_any_of_the_three_words() -> None:
    labels = {
        expected("/v1/responses", {"model": "gpt-5", "input": f"Sentiment of: item {number}"}).split(" ")[0]
        for number in range(40)
    }
    assert labels == set(SENTIMENTS)


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("/v1/chat/completions", CHAT),
        ("/v1/messages", {**CHAT, "max_tokens": 5}),
        ("/v1/responses", {"model": "gpt-5", "instructions": "Be brief", "input": "hello"}),
        ("/v1/completions", {"model": "davinci-002", "prompt": "hello"}),
        ("/v1/embeddings", {"model": "text-embedding-3-small", "input": ["a", "b"], "dimensions": 8}),
        ("/v1/moderations", {"model": "omni-moderation-latest", "input": ["a", "b", "c"]}),
        ("/v1/images/generations", {"model": "gpt-image-1", "prompt": "a cat"}),
    ],
)
def test_the_answer_says_what_is_expected_and_counts_tokens(endpoint: str, body: dict[str, Any]) -> None:
    answer = answers.respond(endpoint, body, created=7)
    assert content(endpoint, answer) == expected(endpoint, body)
    assert answer["model"] == body["model"]
    assert endpoint == "/v1/moderations" or answers.usage_of(answer)[0] == len(answers.canonical(body)) // 4


def test_embeddings_have_one_vector_for_each_input_in_the_asked_for_size() -> None:
    body = {"model": "text-embedding-3-small", "input": ["a", "b"], "dimensions": 5}
    assert [len(vector) for vector in expected("/v1/embeddings", body)] == [5, 5]
    assert len(expected("/v1/embeddings", {"model": "m", "input": [1, 2, 3]})) == 1


def test_embeddings_in_base64_are_floats_of_32_bits() -> None:
    body = {"model": "text-embedding-3-small", "input": "a", "encoding_format": "base64"}
    raw = base64.b64decode(expected("/v1/embeddings", body)[0])
    assert len(struct.unpack(f"<{len(raw) // 4}f", raw)) == answers.DEFAULT_DIMENSIONS


def test_a_request_for_json_gets_json() -> None:
    body = {**CHAT, "response_format": {"type": "json_object"}}
    assert expected("openai", body).startswith('{"answer": ')


def test_a_request_for_one_token_is_marked_as_cut() -> None:
    answer = answers.respond("/v1/chat/completions", {**CHAT, "max_tokens": 1, "n": 2}, created=0)
    assert [choice["finish_reason"] for choice in answer["choices"]] == ["length", "length"]
    claude = answers.respond("/v1/messages", {**CHAT, "max_tokens": 1}, created=0)
    assert claude["stop_reason"] == "max_tokens"


def test_what_strict_parsers_refuse_still_has_a_digest() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "\ud800"}], "seed": 2**80}
    assert expected("openai", body) == f"Answer [{answers.digest(body).hex()[:12]}]"


SCHEMA = {
    "type": "object",
    "properties": {
        "answer": {"type": "string"},
        "score": {"type": "integer", "minimum": 3},
        "kind": {"enum": ["a", "b"]},
    },
    "required": ["answer", "score", "kind"],
    "additionalProperties": False,
}
FUNCTION = {"name": "look_up", "parameters": SCHEMA}
TOOL = {"name": "look_up", "input_schema": SCHEMA}
CLAUDE = {"model": "claude-haiku-4-5", "max_tokens": 5, "messages": CHAT["messages"]}


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        (
            "openai",
            {**CHAT, "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}},
        ),
        (
            "/v1/responses",
            {"model": "gpt-5", "input": "x", "text": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        ),
        ("anthropic", {**CLAUDE, "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}),
    ],
)
def test_a_request_for_a_schema_is_answered_in_it_and_with_its_own_digest(endpoint: str, body: dict[str, Any]) -> None:
    said = json.loads(expected(endpoint, body))
    assert jsonschema_rs.Draft202012Validator(SCHEMA).is_valid(said)
    assert said["answer"] == f"Answer [{answers.digest(body).hex()[:12]}]"
    assert expected(endpoint, body) == expected(endpoint, body)


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("openai", {**CHAT, "tools": [{"type": "function", "function": FUNCTION}], "tool_choice": "required"}),
        (
            "openai",
            {
                **CHAT,
                "tools": [{"type": "function", "function": FUNCTION}],
                "tool_choice": {"type": "function", "function": {"name": "look_up"}},
            },
        ),
        ("openai", {**CHAT, "functions": [FUNCTION], "function_call": {"name": "look_up"}}),
        (
            "/v1/responses",
            {
                "model": "gpt-5",
                "input": "x",
                "tools": [{"type": "function", **FUNCTION}],
                "tool_choice": {"type": "function", "name": "look_up"},
            },
        ),
        ("anthropic", {**CLAUDE, "tools": [TOOL], "tool_choice": {"type": "any"}}),
        ("anthropic", {**CLAUDE, "tools": [TOOL], "tool_choice": {"type": "tool", "name": "look_up"}}),
    ],
)
def test_a_tool_that_must_be_called_is_called_with_valid_arguments(endpoint: str, body: dict[str, Any]) -> None:
    said = expected(endpoint, body)
    ((name, arguments),) = said["calls"]
    assert (said["text"], name) == ("", "look_up")
    assert jsonschema_rs.Draft202012Validator(SCHEMA).is_valid(arguments)
    offered = {key: value for key, value in body.items() if key not in {"tool_choice", "function_call"}}
    assert expected(endpoint, offered).startswith("Answer ")


def test_a_text_in_several_blocks_says_the_same() -> None:
    for endpoint, body in (("/v1/messages", CLAUDE), ("/v1/responses", {"model": "gpt-5", "input": "x"})):
        answer = answers.respond(endpoint, body, created=0, style=Style(blocks=3))
        assert len(answer.get("content") or answer["output"][0]["content"]) == 3
        assert content(endpoint, answer) == expected(endpoint, body)


def test_claude_thinks_before_it_answers_where_it_is_asked_to() -> None:
    body = {**CLAUDE, "thinking": {"type": "adaptive", "display": "omitted"}, "tools": [TOOL]}
    answer = answers.respond("/v1/messages", body, created=0, style=Style(blocks=2, calls_tools=True))
    assert [each["type"] for each in answer["content"]] == ["thinking", "redacted_thinking", "text", "text", "tool_use"]
    assert (answer["content"][0]["thinking"], answer["stop_reason"]) == ("", "tool_use")
    assert answer["usage"]["output_tokens_details"]["thinking_tokens"] > 0

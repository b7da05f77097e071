import base64
import struct
from typing import Any

import pytest

from provider_simulator import answers
from provider_simulator.answers import content, expected

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
    assert labels == set(answers.SENTIMENTS)


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

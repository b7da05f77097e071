from typing import Any

import anthropic.types.beta.message_create_params as beta_messages
import anthropic.types.message_create_params as messages
import openai.types.chat.completion_create_params as chat
import openai.types.completion_create_params as completions
import openai.types.embedding_create_params as embeddings
import openai.types.moderation_create_params as moderations
import openai.types.responses.response_create_params as responses
import pytest

from provider_simulator.vendor_schemas import Violation, batch_create_violation, first_violation, parameters

CHAT = {"model": "gpt-99", "messages": [{"role": "user", "content": "hi"}]}
CLAUDE = {"model": "claude-99", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
# Sent as headers, not in the body.
IN_HEADERS = {"betas", "workspace_id"}


@pytest.mark.parametrize(
    ("endpoint", "params"),
    [
        ("/v1/chat/completions", chat.CompletionCreateParamsNonStreaming),
        ("/v1/responses", responses.ResponseCreateParamsNonStreaming),
        ("/v1/completions", completions.CompletionCreateParamsNonStreaming),
        ("/v1/embeddings", embeddings.EmbeddingCreateParams),
        ("/v1/moderations", moderations.ModerationCreateParams),
        ("/v1/messages", messages.MessageCreateParamsNonStreaming),
        ("beta:/v1/messages", beta_messages.MessageCreateParamsNonStreaming),
    ],
)
def test_every_parameter_of_the_sdks_is_known(endpoint: str, params: Any) -> None:
    assert (params.__required_keys__ | params.__optional_keys__) - IN_HEADERS - parameters(endpoint) == set()


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("/v1/chat/completions", CHAT),
        ("/v1/chat/completions", {**CHAT, "temperature": None, "reasoning_effort": "max"}),
        ("/v1/responses", {"model": "gpt-99", "input": "hi", "tools": [{"type": "tool_of_tomorrow"}]}),
        ("/v1/embeddings", {"model": "text-embedding-9", "input": ["a", "b"]}),
        ("/v1/messages", CLAUDE),
        ("/v1/messages", {**CLAUDE, "thinking": {"type": "between_tools"}}),
        ("/v1/messages", {**CLAUDE, "tools": [{"type": "search_20270101", "name": "search"}]}),
        ("/v1/messages", {**CLAUDE, "tools": [{"name": "f", "input_schema": {"type": "object"}}]}),
        ("/v1/videos", {"anything": "goes"}),
    ],
)
def test_what_the_vendor_takes_passes_however_new_its_model_is(endpoint: str, body: dict[str, Any]) -> None:
    assert first_violation(endpoint, body) is None


@pytest.mark.parametrize(
    ("endpoint", "body", "at"),
    [
        ("/v1/chat/completions", {**CHAT, "messages": []}, "messages"),
        ("/v1/chat/completions", {**CHAT, "temperature": 9}, "temperature"),
        ("/v1/chat/completions", {**CHAT, "messages": [{"role": "wizard", "content": "hi"}]}, "messages.0"),
        ("/v1/chat/completions", {"model": "gpt-99"}, ""),
        ("/v1/embeddings", {"model": "text-embedding-9", "input": []}, "input"),
        ("/v1/messages", {**CLAUDE, "max_tokens": "5"}, "max_tokens"),
        ("/v1/messages", {**CLAUDE, "tools": [{"name": "f"}]}, "tools.0"),
        ("/v1/messages", {**CLAUDE, "messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0"),
    ],
)
def test_what_the_vendor_refuses_is_named(endpoint: str, body: dict[str, Any], at: str) -> None:
    violation = first_violation(endpoint, body)
    assert violation is not None
    assert violation.at.startswith(at)


@pytest.mark.parametrize("endpoint", ["/v1/chat/completions", "/v1/messages"])
def test_a_keyword_of_the_sdk_that_leaked_into_a_body_is_refused(endpoint: str) -> None:
    body = {**CLAUDE, "extra_body": {}}
    assert first_violation(endpoint, body) == Violation("extra_body", "Unknown parameter", unknown=True)


def test_the_body_of_a_batch_create_is_checked() -> None:
    good = {"input_file_id": "file-1", "endpoint": "/v1/responses", "completion_window": "24h"}
    wrong = [{**good, "endpoint": "/v1/nothing"}, {**good, "completion_window": "1h"}, {**good, "metadata": {"a": 1}}]
    assert batch_create_violation(good) is None
    found = [batch_create_violation(body) for body in wrong]
    assert [violation.at if violation else None for violation in found] == [
        "endpoint",
        "completion_window",
        "metadata",
    ]

"""Claude's answer as a chat completion, and its errors as OpenAI's."""

import json
from typing import Any

import msgspec
import pytest
from batchdrop.protocols.anthropic_results import read_outcome
from batchdrop.protocols.outcome import Outcome
from batchdrop.protocols.translate.answer import chat_outcome
from openai.types.chat import ChatCompletion

NOW = 1_790_000_000
USAGE = {"input_tokens": 5, "output_tokens": 7}


def outcome(result: dict[str, Any]) -> Outcome:
    line = msgspec.json.encode({"custom_id": "c", "result": result})
    return chat_outcome(read_outcome(line), created=NOW)


def completion(content: list[dict[str, Any]], stop_reason: str | None = "end_turn", **more: Any) -> dict[str, Any]:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": content}
    result = {"type": "succeeded", "message": message | {"stop_reason": stop_reason, "usage": USAGE} | more}
    found = outcome(result)
    assert found.error is None
    assert found.response is not None
    body: dict[str, Any] = json.loads(bytes(found.response.body))
    ChatCompletion.model_validate(body)
    return body


def choice(content: list[dict[str, Any]], stop_reason: str | None = "end_turn", **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = completion(content, stop_reason, **more)["choices"][0]
    return found


def test_an_answer_is_a_chat_completion() -> None:
    content = [
        {"type": "thinking", "thinking": "Hm", "signature": "s"},
        {"type": "text", "text": "It is "},
        {"type": "text", "text": "noon."},
    ]
    usage = {
        "input_tokens": 5,
        "cache_read_input_tokens": 3,
        "cache_creation_input_tokens": 2,
        "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 4},
    }
    assert completion(content, usage=usage) == {
        "id": "msg_1",
        "object": "chat.completion",
        "created": NOW,
        "model": "claude-x",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "It is noon.", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 7,
            "total_tokens": 17,
            "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 4},
        },
    }


def test_calls_are_tool_calls_with_their_arguments_as_claude_wrote_them() -> None:
    line = (
        b'{"custom_id":"c","result":{"type":"succeeded","message":{"id":"m","model":"x","content":['
        b'{"type":"tool_use","id":"t1","name":"f","input":{"a": 1e2}},'
        b'{"type":"tool_use","id":"t2","name":"g","input":{}}'
        b'],"stop_reason":"tool_use"}}}'
    )
    found = chat_outcome(read_outcome(line), created=NOW)
    assert found.response is not None
    assert json.loads(bytes(found.response.body))["choices"][0] == {
        "index": 0,
        "message": {
            "role": "assistant",
            "content": None,
            "refusal": None,
            "tool_calls": [
                {"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1e2}'}},
                {"id": "t2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        },
        "logprobs": None,
        "finish_reason": "tool_calls",
    }


@pytest.mark.parametrize(
    ("stop_reason", "finish_reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
    ],
)
def test_each_stop_reason_has_its_finish_reason(stop_reason: str, finish_reason: str) -> None:
    assert choice([{"type": "text", "text": "x"}], stop_reason)["finish_reason"] == finish_reason


def test_a_stop_reason_without_an_equal_stays_as_it_is() -> None:
    message = {"id": "m", "model": "x", "content": [], "stop_reason": "pause_turn"}
    found = outcome({"type": "succeeded", "message": message})
    assert found.response is not None
    assert json.loads(bytes(found.response.body))["choices"][0]["finish_reason"] == "pause_turn"


def test_a_refusal_is_told_with_its_explanation() -> None:
    refused = choice([], "refusal", stop_details={"type": "refusal", "category": "bio", "explanation": "Too risky."})
    assert refused["message"] == {"role": "assistant", "content": None, "refusal": "Too risky."}
    begun = choice([{"type": "text", "text": "Well"}], "refusal")
    assert begun["message"] == {"role": "assistant", "content": "Well", "refusal": "Claude refused to answer."}


def test_an_answer_without_content_is_an_empty_text() -> None:
    assert choice([])["message"]["content"] == ""


def test_an_error_keeps_its_code_and_message_and_takes_openais_form() -> None:
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "No."}, "request_id": "req_1"}
    found = outcome({"type": "errored", "error": error})
    assert found.response is not None
    assert found.error is not None
    assert (found.error.code, found.error.message, found.response.status_code) == ("invalid_request_error", "No.", 400)
    assert json.loads(bytes(found.response.body)) == {
        "error": {"message": "No.", "type": "invalid_request_error", "param": None, "code": None}
    }


def test_what_has_no_answer_stays_as_it_is() -> None:
    line = b'{"custom_id":"c","result":{"type":"expired"}}'
    assert chat_outcome(read_outcome(line), created=NOW) == read_outcome(line)


@pytest.mark.parametrize(
    "message", [{"id": "m"}, {"id": 5, "content": []}, {"id": "m", "model": "x", "content": "text"}]
)
def test_an_answer_that_cannot_be_read_is_an_error_and_is_kept(message: object) -> None:
    found = outcome({"type": "succeeded", "message": message})
    assert found.error is not None
    assert found.response is not None
    assert (found.error.code, found.error.retryable) == ("unreadable_result", False)
    assert json.loads(bytes(found.response.body)) == message

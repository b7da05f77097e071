"""Our translation against lm15's, which nobody here wrote, and against the vendors' own documents."""

import json
from typing import Any

from batchdrop.protocols.outcome import Outcome
from batchdrop.protocols.translate.answer import chat_outcome
from batchdrop.protocols.translate.request import to_messages
from batchdrop.result_line import Response
from faking.chat_requests import chat_requests, claude_answers
from hypothesis import given
from lm15.providers.anthropic import AnthropicLM, HttpResponse
from lm15.providers.openai_chat import request_from_openai_chat, response_from_openai_chat
from lm15.types import RefusalPart, TextPart, ThinkingPart
from msgspec import Raw

from provider_simulator.vendor_schemas import answer_violation, first_violation

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
ORACLE = AnthropicLM(api_key="none")


def ours(body: dict[str, Any]) -> dict[str, Any]:
    raw = to_messages(Raw(json.dumps(body).encode()), model=body["model"], api_version="2023-06-01")
    out: dict[str, Any] = json.loads(bytes(raw))
    return out


def theirs(body: dict[str, Any]) -> dict[str, Any]:
    """lm15's request in our spelling: texts as blocks, and no `stream`."""
    built = ORACLE.build_request(request_from_openai_chat(body), stream=False)
    out: dict[str, Any] = json.loads(built.body or b"")
    assert out.pop("stream") is False
    if "system" in out:
        out["system"] = blocks(out["system"])
    for message in out["messages"]:
        for block in message["content"]:
            if block["type"] == "tool_result":
                block["content"] = blocks(block["content"])
    return out


def blocks(content: str | list[Any]) -> list[Any]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


@given(chat_requests())
def test_requests_are_translated_as_lm15_does(body: dict[str, Any]) -> None:
    assert ours(body) == theirs(body)


@given(chat_requests())
def test_requests_are_valid_by_both_vendors_documents(body: dict[str, Any]) -> None:
    assert first_violation(CHAT, body) is None
    assert first_violation(MESSAGES, ours(body)) is None


def completion(message: dict[str, Any]) -> dict[str, Any]:
    response = Response(status_code=200, request_id=None, body=Raw(json.dumps(message).encode()))
    found = chat_outcome(Outcome(id=None, custom_id="c", response=response, error=None), created=0)
    assert found.response is not None
    body: dict[str, Any] = json.loads(bytes(found.response.body))
    return body


def said(parts: Any) -> list[Any]:
    """What was said and called, in order; texts are one text."""
    others = [part for part in parts if not isinstance(part, TextPart | ThinkingPart | RefusalPart)]
    return ["".join(part.text for part in parts if isinstance(part, TextPart)), *others]


@given(claude_answers())
def test_answers_say_what_lm15_reads_in_claudes(message: dict[str, Any]) -> None:
    asked = request_from_openai_chat({"model": message["model"], "messages": [{"role": "user", "content": "x"}]})
    wire = HttpResponse(status=200, reason="OK", headers=[], body=json.dumps(message).encode())
    native, chat = ORACLE.parse_response(asked, wire), response_from_openai_chat(completion(message))
    assert (chat.id, chat.model, chat.finish_reason) == (native.id, native.model, native.finish_reason)
    assert said(chat.message.parts) == said(native.message.parts)
    assert chat.usage.output_tokens == native.usage.output_tokens
    assert chat.usage.reasoning_tokens == native.usage.reasoning_tokens
    assert chat.usage.cache_read_tokens == native.usage.cache_read_tokens
    assert chat.usage.cache_write_tokens == native.usage.cache_write_tokens
    parts = (native.usage.input_tokens, native.usage.cache_read_tokens, native.usage.cache_write_tokens)
    assert chat.usage.input_tokens == sum(part or 0 for part in parts)  # OpenAI counts what was cached as well


@given(claude_answers())
def test_answers_are_valid_by_openais_document(message: dict[str, Any]) -> None:
    reasons = {"stop", "length", "tool_calls", "content_filter"}
    body = completion(message)
    assert body["choices"][0]["finish_reason"] in reasons
    assert answer_violation(body) is None


@given(claude_answers())
def test_an_answer_that_is_put_into_the_next_request_is_what_claude_said(message: dict[str, Any]) -> None:
    answer = completion(message)["choices"][0]["message"]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "done"} for call in answer.get("tool_calls", [])]
    question = {"role": "user", "content": "x"}
    if not (answer["content"] or results or answer["refusal"]):
        return
    body = {"model": message["model"], "messages": [question, answer, *results, question]}
    back = ours(body)["messages"][1]["content"]
    texts = "".join(block["text"] for block in message["content"] if block["type"] == "text")
    assert [block for block in back if block["type"] == "tool_use"] == [
        block for block in message["content"] if block["type"] == "tool_use"
    ]
    assert "".join(block["text"] for block in back if block["type"] == "text") == texts + (answer["refusal"] or "")

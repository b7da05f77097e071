"""The bodies of answers that are texts, as each endpoint has them, and what they say read back from them."""

import json
from collections.abc import Iterator
from itertools import batched
from typing import Any

from provider_simulator.facts import Json, Style
from provider_simulator.says import Called, Said, content_of, say

BYTES_PER_TOKEN = 4
_THOUGHT = "Let me think about it."
_NO = "I cannot help with that."


def tokens(size: int) -> int:
    return max(1, size // BYTES_PER_TOKEN)


def _spent(said: Said) -> int:
    return tokens(len(said.text) + sum(len(json.dumps(each.arguments)) for each in said.calls))


def _is_cut(body: Json) -> bool:
    """A request for a single token is answered whole, and marked as cut."""
    return 1 in (body.get("max_completion_tokens"), body.get("max_tokens"), body.get("max_output_tokens"))


def _copies(body: Json) -> int:
    copies = body.get("n")
    return copies if isinstance(copies, int) else 1


# --- chat completions, and what was there before ---


def chat(body: Json, mark: str, prompt_tokens: int, created: int, style: Style) -> Json:
    said = say(body, mark, body.get("messages"), style)
    finish = style.stop or _chat_finish(body, said)
    choices: list[Json] = [
        {"index": index, "message": _chat_message(body, mark, said, finish), "logprobs": None, "finish_reason": finish}
        for index in range(_copies(body))
    ]
    return {
        "id": f"chatcmpl-{mark[:29]}",
        "object": "chat.completion",
        "created": created,
        "model": body.get("model"),
        "choices": choices,
        "usage": _chat_usage(prompt_tokens, _spent(said) * len(choices)),
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
    }


def _chat_finish(body: Json, said: Said) -> str:
    if _is_cut(body):
        return "length"
    return "tool_calls" if said.calls and not said.is_named else "stop"


def _chat_message(body: Json, mark: str, said: Said, finish: str) -> Json:
    """A model that refuses says so in `refusal`; a filter cuts the text."""
    message: Json = {"role": "assistant", "content": said.text or None, "refusal": None, "annotations": []}
    if finish == "refusal":
        return message | {"content": None, "refusal": _NO}
    calls = [{"name": each.name, "arguments": json.dumps(each.arguments)} for each in said.calls]
    if calls and "functions" in body:
        return message | {"function_call": calls[0]}
    if calls:
        message["tool_calls"] = [
            {"id": f"call_{mark[:24]}{index}", "type": "function", "function": call} for index, call in enumerate(calls)
        ]
    return message


def chat_content(answer: Json) -> Any:  # noqa: ANN401 - a text, or more
    message = answer["choices"][0]["message"]
    calls = [each["function"] for each in message.get("tool_calls") or ()]
    if message.get("function_call"):
        calls = [message["function_call"]]
    read = [Called(each["name"], json.loads(each["arguments"])) for each in calls]
    return content_of(message["content"] or "", read)


def _chat_usage(prompt_tokens: int, completion_tokens: int) -> Json:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def completion(body: Json, mark: str, prompt_tokens: int, created: int, style: Style) -> Json:
    said = say(body, mark, body.get("prompt"), style)
    finish = style.stop or ("length" if _is_cut(body) else "stop")
    choices = [
        {"index": index, "text": said.text, "logprobs": None, "finish_reason": finish} for index in range(_copies(body))
    ]
    return {
        "id": f"cmpl-{mark[:29]}",
        "object": "text_completion",
        "created": created,
        "model": body.get("model"),
        "choices": choices,
        "usage": _chat_usage(prompt_tokens, _spent(said) * len(choices)),
    }


# --- responses ---


def response(body: Json, mark: str, prompt_tokens: int, created: int, style: Style) -> Json:
    said = say(body, mark, [body.get("instructions"), body.get("input")], style)
    cut = style.stop if style.stop != "completed" else None
    cut = cut or ("max_output_tokens" if _is_cut(body) else None)
    status = "incomplete" if cut else "completed"
    return {
        "id": f"resp_{mark[:48]}",
        "object": "response",
        "created_at": created,
        "status": status,
        "error": None,
        "incomplete_details": {"reason": cut} if cut else None,
        "instructions": body.get("instructions"),
        "metadata": body.get("metadata") or {},
        "model": body.get("model"),
        "output": list(_response_items(body, mark, said, status, style)),
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "temperature": body.get("temperature"),
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools", []),
        "top_p": body.get("top_p"),
        "usage": {
            "input_tokens": prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": _spent(said),
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": prompt_tokens + _spent(said),
        },
    }


def _response_items(body: Json, mark: str, said: Said, status: str, style: Style) -> Iterator[Json]:
    if body.get("reasoning"):
        yield {"type": "reasoning", "id": f"rs_{mark[:48]}", "summary": []}
    if said.text:
        texts = _pieces(said.text, style)
        parts = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []} for text in texts]
        message: Json = {"type": "message", "id": f"msg_{mark[:48]}", "status": status, "role": "assistant"}
        yield message | {"content": parts}
    for index, call in enumerate(said.calls):
        yield {
            "type": "function_call",
            "id": f"fc_{mark[:40]}{index}",
            "call_id": f"call_{mark[:24]}{index}",
            "name": call.name,
            "arguments": json.dumps(call.arguments),
            "status": "completed",
        }


def response_content(answer: Json) -> Any:  # noqa: ANN401 - the same
    items = answer["output"]
    texts = [part["text"] for item in items if item["type"] == "message" for part in item["content"]]
    calls = [Called(item["name"], json.loads(item["arguments"])) for item in items if item["type"] == "function_call"]
    return content_of("".join(texts), calls)


def _pieces(text: str, style: Style) -> list[str]:
    """A text in so many blocks, none of them empty."""
    size = max(1, -(-len(text) // style.blocks))
    return ["".join(each) for each in batched(text, size, strict=False)]


# --- messages ---


def message(body: Json, mark: str, prompt_tokens: int, created: int, style: Style) -> Json:  # noqa: ARG001 - Claude's has no time
    said = say(body, mark, body.get("messages"), style)
    stop = style.stop or _stop_reason(body, said)
    thinks = (body.get("thinking") or {}).get("type") in {"enabled", "adaptive"}
    thinking_tokens = tokens(len(_THOUGHT)) if thinks else 0
    sequences = body.get("stop_sequences") or ["\n\nHuman:"]
    return {
        "id": f"msg_{mark[:24]}",
        "type": "message",
        "role": "assistant",
        "model": body.get("model"),
        "content": []
        if stop == "refusal"
        else [*(_thoughts(body, mark, style) if thinks else ()), *_blocks(mark, said, style)],
        "stop_reason": stop,
        "stop_sequence": sequences[0] if stop == "stop_sequence" else None,
        "stop_details": {"type": "refusal", "category": None, "explanation": _NO} if stop == "refusal" else None,
        "container": None,
        "usage": {
            "input_tokens": prompt_tokens,
            "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 0},
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": _spent(said) + thinking_tokens,
            "output_tokens_details": {"thinking_tokens": thinking_tokens},
            "server_tool_use": None,
            "service_tier": style.service_tier,
            "inference_geo": None,
        },
    }


def _stop_reason(body: Json, said: Said) -> str:
    if _is_cut(body):
        return "max_tokens"
    return "tool_use" if said.calls else "end_turn"


def _thoughts(body: Json, mark: str, style: Style) -> list[Json]:
    """Of several blocks, one is redacted."""
    shown = "" if body["thinking"].get("display") == "omitted" else _THOUGHT
    redacted = [{"type": "redacted_thinking", "data": mark}] if style.blocks > 1 else []
    return [{"type": "thinking", "thinking": shown, "signature": mark}, *redacted]


def _blocks(mark: str, said: Said, style: Style) -> list[Json]:
    texts: list[Json] = [{"type": "text", "text": text, "citations": None} for text in _pieces(said.text, style)]
    calls: list[Json] = [
        {
            "type": "tool_use",
            "id": f"toolu_{mark[:22]}{index}",
            "name": call.name,
            "input": call.arguments,
            "caller": {"type": "direct"},
        }
        for index, call in enumerate(said.calls)
    ]
    return [*texts, *calls]


def message_content(answer: Json) -> Any:  # noqa: ANN401 - the same
    blocks = answer["content"]
    texts = [each["text"] for each in blocks if each["type"] == "text"]
    calls = [Called(each["name"], each["input"]) for each in blocks if each["type"] == "tool_use"]
    return content_of("".join(texts), calls)

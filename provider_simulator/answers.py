"""The answers: a function of the request body alone, so that anyone can tell whether a line got its own answer.

`expected(endpoint, request_body)` is what `content(endpoint, answer_body)` must be, whatever the batch, the time or the
`custom_id` was. Text answers carry the first 12 hex digits of the SHA-256 of the request's canonical form.
"""

import base64
import hashlib
import json
import re
import struct
from collections.abc import Callable
from typing import Any

import msgspec

from provider_simulator.facts import Json

SENTIMENTS = ("positive", "neutral", "negative")
_GOOD = """
good great love loved loves excellent amazing best nice wonderful happy perfect awesome enjoy enjoyed fantastic
beautiful brilliant glad pleased recommend lol fun gut schön toll bien bon bueno excelente merci superbe :) :d
"""
_BAD = """
bad terrible hate hated awful worst poor horrible sad broken angry disappointing disappointed never waste boring
sucks ugly annoying wrong fail failed refund schlecht mauvais malo peor triste nul :( :-(
"""
GOOD, BAD = frozenset(_GOOD.split()), frozenset(_BAD.split())
DEFAULT_DIMENSIONS = 16  # small on purpose; a request that says `dimensions` gets what it asks for
BYTES_PER_TOKEN = 4

_canonical = msgspec.json.Encoder(order="sorted")
_words = re.compile(r"[\w']+|[:;]-?[()d]", re.IGNORECASE)


def canonical(body: object) -> bytes:
    """Sorted, compact JSON: the same for any spelling of the same request."""
    try:
        return _canonical.encode(body)
    except (ValueError, OverflowError, TypeError, RecursionError):  # lone surrogates, integers beyond 64 bits
        return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def digest(body: object) -> bytes:
    return hashlib.sha256(canonical(body)).digest()


def tokens(size: int) -> int:
    return max(1, size // BYTES_PER_TOKEN)


def expected(endpoint: str, body: Json) -> Any:  # noqa: ANN401 - text, vectors or verdicts, by endpoint
    """What the answer to this request says: a text, or the vectors, or the verdicts of a moderation.

    `endpoint` is a path such as `/v1/embeddings`, or the protocol: `anthropic`, or `openai` for chat completions.
    """
    endpoint = _endpoint(endpoint)
    return content(endpoint, respond(endpoint, body, created=0))


def content(endpoint: str, answer: Json) -> Any:  # noqa: ANN401 - as above
    """What a provider's answer says, without ids, times and counts."""
    return _CONTENT.get(_endpoint(endpoint), _generic_content)(answer)


def respond(endpoint: str, body: Json, *, created: int) -> Json:
    """The provider's body of an answer; but for `created` it depends on the request alone."""
    form = canonical(body)
    return _RESPOND.get(endpoint, _generic)(body, hashlib.sha256(form).hexdigest(), tokens(len(form)), created)


def _endpoint(endpoint: str) -> str:
    return {"anthropic": "/v1/messages", "openai": "/v1/chat/completions"}.get(endpoint, endpoint)


# --- texts ---


def _text(body: Json, mark: str, prompt: object) -> str:
    said = _prompt_text(prompt)
    label = _sentiment(said, mark) if _asks_for_sentiment(said + _prompt_text(body.get("system"))) else "Answer"
    return f"{label} [{mark[:12]}]"


def _prompt_text(prompt: object) -> str:
    """All text of a prompt, in order, whatever its form."""
    match prompt:
        case str():
            return prompt
        case list():
            return "\n".join(_prompt_text(part) for part in prompt)
        case {"content": inner} | {"text": inner}:
            return _prompt_text(inner)
        case _:
            return ""


def _asks_for_sentiment(said: str) -> bool:
    lowered = said.lower()
    return "sentiment" in lowered or all(word in lowered for word in SENTIMENTS)


def _sentiment(said: str, mark: str) -> str:
    words = [word.lower() for word in _words.findall(said)]
    score = sum(word in GOOD for word in words) - sum(word in BAD for word in words)
    if score:
        return "positive" if score > 0 else "negative"
    return SENTIMENTS[int(mark[:8], 16) % len(SENTIMENTS)]


def _wants_json(body: Json) -> bool:
    for wish in (body.get("response_format"), body.get("text"), body.get("output_config")):
        if isinstance(wish, dict):
            form = wish.get("format", wish)
            if isinstance(form, dict) and form.get("type") in {"json_object", "json_schema"}:
                return True
    return False


def _says(body: Json, mark: str, prompt: object) -> str:
    text = _text(body, mark, prompt)
    return json.dumps({"answer": text}) if _wants_json(body) else text


def _chat(body: Json, mark: str, prompt_tokens: int, created: int) -> Json:
    text = _says(body, mark, body.get("messages"))
    choices: list[Json] = [
        {
            "index": index,
            "message": {"role": "assistant", "content": text, "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": _finish(body, "stop", "length"),
        }
        for index in range(_copies(body))
    ]
    return {
        "id": f"chatcmpl-{mark[:29]}",
        "object": "chat.completion",
        "created": created,
        "model": body.get("model"),
        "choices": choices,
        "usage": _chat_usage(prompt_tokens, tokens(len(text)) * len(choices)),
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
    }


def _copies(body: Json) -> int:
    copies = body.get("n")
    return copies if isinstance(copies, int) else 1


def _finish(body: Json, done: str, cut: str) -> str:
    """A request for a single token is answered whole, and marked as cut."""
    limits = (body.get("max_completion_tokens"), body.get("max_tokens"), body.get("max_output_tokens"))
    return cut if 1 in limits else done


def _chat_usage(prompt_tokens: int, completion_tokens: int) -> Json:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _completion(body: Json, mark: str, prompt_tokens: int, created: int) -> Json:
    text = _says(body, mark, body.get("prompt"))
    finish = _finish(body, "stop", "length")
    choices = [
        {"index": index, "text": text, "logprobs": None, "finish_reason": finish} for index in range(_copies(body))
    ]
    return {
        "id": f"cmpl-{mark[:29]}",
        "object": "text_completion",
        "created": created,
        "model": body.get("model"),
        "choices": choices,
        "usage": _chat_usage(prompt_tokens, tokens(len(text)) * len(choices)),
    }


def _response(body: Json, mark: str, prompt_tokens: int, created: int) -> Json:
    text = _says(body, mark, [body.get("instructions"), body.get("input")])
    cut = _finish(body, "", "max_output_tokens")
    status = "incomplete" if cut else "completed"
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {
        "id": f"resp_{mark[:48]}",
        "object": "response",
        "created_at": created,
        "status": status,
        "error": None,
        "incomplete_details": {"reason": cut} if cut else None,
        "instructions": body.get("instructions"),
        "model": body.get("model"),
        "output": [
            {"type": "message", "id": f"msg_{mark[:48]}", "status": status, "role": "assistant", "content": [part]}
        ],
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "temperature": body.get("temperature"),
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools", []),
        "top_p": body.get("top_p"),
        "usage": {
            "input_tokens": prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": tokens(len(text)),
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": prompt_tokens + tokens(len(text)),
        },
    }


def _message(body: Json, mark: str, prompt_tokens: int, created: int) -> Json:  # noqa: ARG001 - Claude's has no time
    text = _says(body, mark, body.get("messages"))
    return {
        "id": f"msg_{mark[:24]}",
        "type": "message",
        "role": "assistant",
        "model": body.get("model"),
        "content": [{"type": "text", "text": text}],
        "stop_reason": _finish(body, "end_turn", "max_tokens"),
        "stop_sequence": None,
        "usage": {
            "input_tokens": prompt_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": tokens(len(text)),
            "service_tier": "batch",
        },
    }


# --- vectors and verdicts ---


def inputs(body: Json) -> list[object]:
    """The inputs of an embeddings or moderation request: one text or one list of tokens each."""
    given = body.get("input")
    if isinstance(given, list) and given and isinstance(given[0], str | list):
        return given
    return [given]


def _embeddings(body: Json, mark: str, prompt_tokens: int, created: int) -> Json:  # noqa: ARG001 - has no time
    dimensions = body.get("dimensions")
    size = dimensions if isinstance(dimensions, int) else DEFAULT_DIMENSIONS
    vectors = [_vector(mark, index, size) for index in range(len(inputs(body)))]
    encode = _base64 if body.get("encoding_format") == "base64" else list
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": encode(vector)} for index, vector in enumerate(vectors)
        ],
        "model": body.get("model"),
        "usage": {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens},
    }


def _vector(mark: str, index: int, size: int) -> list[float]:
    raw = hashlib.shake_256(f"{mark}:{index}".encode()).digest(size)
    return [(byte - 128) / 128 for byte in raw]  # exact in binary, also as a 32-bit float


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _moderation(body: Json, mark: str, prompt_tokens: int, created: int) -> Json:  # noqa: ARG001 - neither is in it
    score = round(int(mark[:4], 16) / 0x10000, 6)
    result = {
        "flagged": score > 0.5,  # noqa: PLR2004 - an even chance
        "categories": {"harassment": score > 0.5},  # noqa: PLR2004 - the same
        "category_scores": {"harassment": score},
        "category_applied_input_types": {"harassment": ["text"]},
    }
    return {
        "id": f"modr-{mark[:24]}",
        "model": body.get("model"),
        "results": [result] * len(inputs(body)),
    }


def _generic(body: Json, mark: str, prompt_tokens: int, created: int) -> Json:
    """Images, videos and what comes later: enough to tell whose answer it is."""
    return {
        "id": f"sim_{mark[:24]}",
        "created": created,
        "model": body.get("model"),
        "data": [{"b64_json": base64.b64encode(mark[:12].encode()).decode()}],
        "usage": {"input_tokens": prompt_tokens, "output_tokens": 1, "total_tokens": prompt_tokens + 1},
    }


def _generic_content(answer: Json) -> Any:  # noqa: ANN401 - what was put in
    return answer["data"]


_RESPOND: dict[str, Callable[[Json, str, int, int], Json]] = {
    "/v1/chat/completions": _chat,
    "/v1/responses": _response,
    "/v1/completions": _completion,
    "/v1/embeddings": _embeddings,
    "/v1/moderations": _moderation,
    "/v1/messages": _message,
}
_CONTENT: dict[str, Callable[[Json], Any]] = {
    "/v1/chat/completions": lambda answer: answer["choices"][0]["message"]["content"],
    "/v1/responses": lambda answer: answer["output"][0]["content"][0]["text"],
    "/v1/completions": lambda answer: answer["choices"][0]["text"],
    "/v1/embeddings": lambda answer: [each["embedding"] for each in answer["data"]],
    "/v1/moderations": lambda answer: answer["results"],
    "/v1/messages": lambda answer: answer["content"][0]["text"],
}


def usage_of(answer: Json) -> tuple[int, int]:
    """Input and output tokens of an answer, whatever the endpoint calls them."""
    usage = answer.get("usage") or {}
    spent = usage.get("input_tokens", usage.get("prompt_tokens", 0))
    return spent, usage.get("output_tokens", usage.get("completion_tokens", 0))

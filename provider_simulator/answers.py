"""The answers: a function of the request body alone, so that anyone can tell whether a line got its own answer.

`expected(endpoint, request_body)` is what `content(endpoint, answer_body)` must be, whatever the batch, the time or the
`custom_id` was: a text, the vectors, the verdicts, or `{"text", "calls"}` where tools are called. Text answers carry
the first 12 hex digits of the SHA-256 of the request's canonical form.
"""

import base64
import hashlib
import json
import struct
from collections.abc import Callable
from typing import Any

import msgspec

from provider_simulator import replies
from provider_simulator.facts import PLAIN, Json, Style
from provider_simulator.replies import tokens

DEFAULT_DIMENSIONS = 16  # small on purpose; a request that says `dimensions` gets what it asks for

_canonical = msgspec.json.Encoder(order="sorted")


def canonical(body: object) -> bytes:
    """Sorted, compact JSON: the same for any spelling of the same request."""
    try:
        return _canonical.encode(body)
    except (ValueError, OverflowError, TypeError, RecursionError):  # lone surrogates, integers beyond 64 bits
        return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def digest(body: object) -> bytes:
    return hashlib.sha256(canonical(body)).digest()


def body_key(body: object) -> int:
    """Return the key by which charges distinguish requests, whatever their `custom_id`s are."""
    return int.from_bytes(digest(body)[:8])


def body_name(key: int) -> str:
    """Return how charges show it."""
    return f"{key:016x}"


def expected(endpoint: str, body: Json) -> Any:  # noqa: ANN401 - text, vectors or verdicts, by endpoint
    """Return the text of the answer to this request: a text, or the vectors, or the verdicts of a moderation.

    `endpoint` is a path such as `/v1/embeddings`, or the protocol: `anthropic`, or `openai` for chat completions.
    """
    endpoint = _endpoint(endpoint)
    return content(endpoint, respond(endpoint, body, created=0))


def content(endpoint: str, answer: Json) -> Any:  # noqa: ANN401 - as above
    """Return the content of a provider's answer, without ids, times and counts."""
    endpoint = _endpoint(endpoint)
    return _TEXTS[endpoint][1](answer) if endpoint in _TEXTS else _CONTENT.get(endpoint, _generic_content)(answer)


def respond(endpoint: str, body: Json, *, created: int, style: Style = PLAIN) -> Json:
    """The provider's body of an answer; but for `created` and the style it depends on the request alone.

    Raises:
        SchemaError: The request asks for JSON in what is no schema.
    """
    form = canonical(body)
    mark, prompt_tokens = hashlib.sha256(form).hexdigest(), tokens(len(form))
    if endpoint in _TEXTS:
        return _TEXTS[endpoint][0](body, mark, prompt_tokens, created, style)
    return _OTHERS.get(endpoint, _generic)(body, mark, prompt_tokens, created)


def _endpoint(endpoint: str) -> str:
    return {"anthropic": "/v1/messages", "openai": "/v1/chat/completions"}.get(endpoint, endpoint)


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


_TEXTS: dict[str, tuple[Callable[[Json, str, int, int, Style], Json], Callable[[Json], Any]]] = {
    "/v1/chat/completions": (replies.chat, replies.chat_content),
    "/v1/responses": (replies.response, replies.response_content),
    "/v1/completions": (replies.completion, lambda answer: answer["choices"][0]["text"]),
    "/v1/messages": (replies.message, replies.message_content),
}
_OTHERS: dict[str, Callable[[Json, str, int, int], Json]] = {
    "/v1/embeddings": _embeddings,
    "/v1/moderations": _moderation,
}
_CONTENT: dict[str, Callable[[Json], Any]] = {
    "/v1/embeddings": lambda answer: [each["embedding"] for each in answer["data"]],
    "/v1/moderations": lambda answer: answer["results"],
}


def usage_of(answer: Json) -> tuple[int, int]:
    """Input and output tokens of an answer, whatever the endpoint calls them."""
    usage = answer.get("usage") or {}
    spent = usage.get("input_tokens", usage.get("prompt_tokens", 0))
    return spent, usage.get("output_tokens", usage.get("completion_tokens", 0))

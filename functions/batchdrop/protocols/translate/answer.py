"""Claude's answer as a chat completion, and its error as one of OpenAI's.

What Claude thought has no place in a chat completion and is left out; its tokens are counted.
"""

from typing import Any

import msgspec
from msgspec import Raw

from batchdrop.protocols.anthropic_results import read_answer
from batchdrop.protocols.outcome import Outcome
from batchdrop.result_line import ErrorCode, ResultError

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class _Block(msgspec.Struct, gc=False):
    type: str
    text: str = ""
    id: str = ""
    name: str = ""
    input: Raw = Raw(b"{}")


class _StopDetails(msgspec.Struct, gc=False):
    explanation: str | None = None


class _Message(msgspec.Struct, gc=False):
    content: list[_Block]
    id: str = ""
    model: str = ""
    stop_reason: str | None = None
    stop_details: _StopDetails | None = None


_message = msgspec.json.Decoder(_Message)


def chat_outcome(outcome: Outcome, *, created: int) -> Outcome:
    """Return the outcome of a translated request, in the form of its endpoint.

    Args:
        outcome: As Anthropic says it; an error's code and message stay Anthropic's.
        created: The answer's time, in seconds since 1970, since Anthropic tells none.
    """
    if outcome.response is None:
        return outcome
    error, body = outcome.error, outcome.response.body
    try:
        body = _completion(body, created) if error is None else _refusal(error)
    except msgspec.DecodeError:
        error = _UNREADABLE
    response = msgspec.structs.replace(outcome.response, body=body)
    return msgspec.structs.replace(outcome, response=response, error=error)


_UNREADABLE = ResultError(
    code=ErrorCode.UNREADABLE_RESULT,
    message="Claude's answer cannot be translated; it stands here as it came.",
    source="provider",
    retryable=False,
)


def _completion(body: Raw, created: int) -> Raw:
    read = _message.decode(body)
    choice = {
        "index": 0,
        "message": _answer(read),
        "logprobs": None,
        "finish_reason": _FINISH.get(read.stop_reason or "", read.stop_reason),
    }
    completion = {
        "id": read.id,
        "object": "chat.completion",
        "created": created,
        "model": read.model,
        "choices": [choice],
        "usage": _usage(body),
    }
    return Raw(msgspec.json.encode(completion))


def _answer(read: _Message) -> dict[str, Any]:
    texts = [block.text for block in read.content if block.type == "text"]
    calls = [_call(block) for block in read.content if block.type == "tool_use"]
    explanation = read.stop_details.explanation if read.stop_details else None
    is_refused = read.stop_reason == "refusal"
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(texts) if texts or not (calls or is_refused) else None,
        "refusal": (explanation or "Claude refused to answer.") if is_refused else None,
    }
    return message | ({"tool_calls": calls} if calls else {})


def _call(block: _Block) -> dict[str, Any]:
    arguments = bytes(block.input).decode()
    return {"id": block.id, "type": "function", "function": {"name": block.name, "arguments": arguments}}


def _usage(body: Raw) -> dict[str, Any]:
    usage = read_answer(body).usage
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _refusal(error: ResultError) -> Raw:
    said = {"message": error.message, "type": error.code, "param": None, "code": None}
    return Raw(msgspec.json.encode({"error": said}))

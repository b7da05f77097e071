"""Chat completions' requests of every shape, for hypothesis."""

import json
from typing import Any

from hypothesis import strategies as st

type Json = dict[str, Any]

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(
    lambda text: bool(text.strip())
)
NAMES = st.from_regex(r"[a-zA-Z0-9_-]{1,12}", fullmatch=True)
NUMBERS = st.integers(-1000, 1000) | st.floats(-1e6, 1e6, allow_nan=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=5,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=3)
PNG, PDF = "data:image/png;base64,UE5H", "data:application/pdf;base64,UERG"
EFFORTS = ["minimal", "low", "medium", "high", "xhigh", "max"]


def text_part(text: str) -> Json:
    return {"type": "text", "text": text}


def image_part(url: str) -> Json:
    return {"type": "image_url", "image_url": {"url": url}}


TEXTS = WORDS | st.lists(WORDS.map(text_part), min_size=1, max_size=3)
USER_PARTS = st.one_of(
    WORDS.map(text_part),
    st.sampled_from([PNG, "https://example.org/a.webp"]).map(image_part),
    st.just({"type": "file", "file": {"file_data": PDF}}),
)
USERS = st.builds(
    lambda content: {"role": "user", "content": content}, WORDS | st.lists(USER_PARTS, min_size=1, max_size=3)
)


@st.composite
def calls_and_results(draw: st.DrawFn, first: int) -> list[Json]:
    """An assistant's message with calls, and their results in any order."""
    ids = [f"call_{first + index}" for index in range(draw(st.integers(1, 3)))]
    calls = [
        {"id": each, "type": "function", "function": {"name": draw(NAMES), "arguments": json.dumps(draw(OBJECTS))}}
        for each in ids
    ]
    said: Json = {"role": "assistant", "tool_calls": calls}
    if draw(st.booleans()):
        said["content"] = draw(TEXTS)
    answers = [{"role": "tool", "tool_call_id": each, "content": draw(TEXTS)} for each in draw(st.permutations(ids))]
    return [said, *answers]


@st.composite
def conversations(draw: st.DrawFn) -> list[Json]:
    """Messages that Claude would take; at most one of the system, and that first."""
    messages = [{"role": "system", "content": draw(WORDS)}] if draw(st.booleans()) else []
    messages.append(draw(USERS))
    for number in range(draw(st.integers(0, 3))):
        if draw(st.booleans()):
            messages += draw(calls_and_results(10 * number))
        else:
            messages.append({"role": "assistant", "content": draw(TEXTS)})
        messages.append(draw(USERS))
    return messages


@st.composite
def schemas(draw: st.DrawFn) -> Json:
    properties = draw(st.dictionaries(NAMES, st.sampled_from([{"type": "string"}, {"type": "number"}]), max_size=3))
    return {"type": "object", "properties": properties, "additionalProperties": False}


@st.composite
def functions(draw: st.DrawFn) -> list[Json]:
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    return [
        {"type": "function", "function": {"name": name, "description": draw(WORDS), "parameters": draw(schemas())}}
        for name in names
    ]


@st.composite
def with_tools(draw: st.DrawFn) -> Json:
    tools = draw(functions())
    named = {"type": "function", "function": {"name": tools[0]["function"]["name"]}}
    body: Json = {"tools": tools}
    if draw(st.booleans()):
        body["tool_choice"] = draw(st.sampled_from(["auto", "none", "required", named]))
    if draw(st.booleans()) and body.get("tool_choice") != "none":
        body["parallel_tool_calls"] = False
    return body


def output_form(schema: Json, name: str) -> Json:
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": True}}


OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "temperature": st.floats(0, 1),
    "top_p": st.floats(0, 1),
    "stop": WORDS | st.lists(WORDS, min_size=1, max_size=4),
    "user": WORDS,
    "response_format": st.builds(output_form, schemas(), NAMES),
}


@st.composite
def chat_requests(draw: st.DrawFn) -> Json:
    """A request that translates as a whole."""
    body: Json = {
        "model": "claude-opus-5-5",
        "messages": draw(conversations()),
        "max_completion_tokens": draw(st.integers(1, 31_999)),  # 32,000 is what is asked without it
        **draw(st.fixed_dictionaries({}, optional=OPTIONS)),
    }
    if draw(st.booleans()):
        body |= draw(with_tools())
    is_free = body.get("tool_choice", "auto") in ("auto", "none") and not {"temperature", "top_p"} & body.keys()
    if is_free and draw(st.booleans()):
        body["reasoning_effort"] = draw(st.sampled_from(EFFORTS))
    return body


@st.composite
def claude_answers(draw: st.DrawFn) -> Json:
    """A message of Claude's."""
    content: list[Json] = []
    if draw(st.booleans()):
        content.append({"type": "thinking", "thinking": draw(WORDS), "signature": "s"})
    content += [text_part(each) for each in draw(st.lists(WORDS, max_size=2))]
    content += [
        {"type": "tool_use", "id": f"toolu_{index}", "name": draw(NAMES), "input": draw(OBJECTS)}
        for index in range(draw(st.integers(0, 2)))
    ]
    counts = st.integers(0, 10**6)
    usage = {
        name: draw(counts)
        for name in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    }
    is_calling = any(block["type"] == "tool_use" for block in content)
    reasons = ["tool_use"] if is_calling else ["end_turn", "max_tokens", "stop_sequence", "refusal"]
    return {
        "id": "msg_" + draw(NAMES),
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-5-5",
        "content": content,
        "stop_reason": draw(st.sampled_from([*reasons, "model_context_window_exceeded"])),
        "usage": usage | {"output_tokens_details": {"thinking_tokens": draw(counts)}},
    }

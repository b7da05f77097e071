"""The work for a line, and the request that it becomes, grow as the line does: a line may be 32 MB of anything."""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from batchdrop.inputs.request_lines import LineReader, Request
from batchdrop.protocols.lenient_json import repair
from batchdrop.protocols.token_estimates import measure_media
from faking.cloud import TOML, simulated_providers
from faking.work import COUNTER, count_work

READER = LineReader(simulated_providers(TOML.read_text(encoding="utf-8")))
MODEL = "claude-opus-4-5"
HI = {"role": "user", "content": "hi"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
OPEN: dict[str, Any] = {"type": "object", "additionalProperties": False}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAA"}}

type Shape = Callable[[int], dict[str, Any]]


def chat(**body: Any) -> dict[str, Any]:
    body = {"model": MODEL, "messages": [HI], **body}
    return {"custom_id": "x", "method": "POST", "url": "/v1/chat/completions", "body": body}


def native(**params: Any) -> dict[str, Any]:
    return {"custom_id": "x", "params": {"model": MODEL, "max_tokens": 9, "messages": [HI], **params}}


def gpt(content: Any, **body: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": content}], **body}


def tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}


def call(call_id: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "f", "arguments": "{}"}}


def calls(*ids: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "tool_calls": [*map(call, ids)]}, *({**RESULT, "tool_call_id": each} for each in ids)]


RESULT = {"role": "tool", "content": "r"}
LEGACY = [
    {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
    {"role": "function", "name": "f", "content": "r"},
]


def allowed(names: list[str]) -> dict[str, Any]:
    functions = [{"type": "function", "function": {"name": name}} for name in names]
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": functions}}
    return chat(tools=[*map(tool, names)], tool_choice=choice)


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    return native(tools=[{"name": "a", "strict": True, "input_schema": OPEN | schema}])


def chain(length: int) -> dict[str, Any]:
    links = {f"d{at}": {"$ref": f"#/$defs/d{at + 1}"} for at in range(length)}
    return {"$defs": links | {f"d{length}": {"type": "string"}}}


def nested(depth: int, inner: Any) -> Any:
    for _ in range(depth):
        inner = OPEN | {"properties": {"k" * 50: inner}}
    return inner


def blocks(depth: int, inner: Any) -> Any:
    for _ in range(depth):
        inner = [{"type": "tool_result", "content": inner}]
    return inner


SHAPES: dict[str, Shape] = {
    "messages": lambda n: native(messages=[HI] * n),
    "messages, translated": lambda n: chat(messages=[HI] * n),
    "system messages": lambda n: chat(messages=[{"role": "system", "content": "s"}] * n + [HI]),
    "parts": lambda n: chat(messages=[{"role": "user", "content": [{"type": "text", "text": "t"}] * n}]),
    "rounds of calls": lambda n: chat(messages=[HI, *(each for at in range(n) for each in calls(f"c{at}"))]),
    "calls of one message": lambda n: chat(messages=[HI, *calls(*(f"c{at}" for at in range(n)))]),
    "calls of one id": lambda n: chat(messages=[HI, *calls("c") * n]),
    "calls whose ids become one": lambda n: chat(messages=[HI, *calls(*(f"c{chr(0x4E00 + at)}" for at in range(n)))]),
    "calls of ids that others would get": lambda n: chat(
        messages=[HI, *(each for at in range(n) for each in calls(f"c_{at}")), *calls("c") * n]
    ),
    "calls of before tools": lambda n: chat(messages=[HI, *LEGACY * n], functions=[TOOL["function"]]),
    "tools": lambda n: chat(tools=[tool(f"f{at}") for at in range(n)]),
    "tools that are allowed": lambda n: allowed([f"f{at}" for at in range(n)]),
    "parameters": lambda n: chat(**{f"p{at}": 1 for at in range(n)}),
    "stop sequences": lambda n: chat(stop=["s"] * n),
    "definitions, each in the next": lambda n: strict(chain(n)),
    "definitions, each in all": lambda n: strict(
        {"$defs": {f"d{at}": {"type": "string"} for at in range(n)}}
        | {"anyOf": [{"$ref": f"#/$defs/d{at}"} for at in range(n)]}
    ),
    "definitions, translated": lambda n: chat(
        response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": OPEN | chain(n)}}
    ),
    "a definition that is used often": lambda n: strict(
        {"$defs": {"d": {"type": "string"}}, "anyOf": [{"$ref": "#/$defs/d"}] * n}
    ),
    "nested schemas": lambda n: strict(nested(min(n, 100), {"anyOf": [{}] * n})),
    "blocks at http": lambda n: native(messages=[HI | {"content": blocks(50, [{"type": "http://"}] * n)}]),
    "keys": lambda n: gpt("x", metadata={f"k{at}": 1 for at in range(n)}),
    "pictures": lambda n: gpt([PICTURE] * n),
    "references to pictures": lambda n: gpt([{"type": "image_url", "image_url": {"url": "https://a.b"}}] * n),
    "numbers": lambda n: gpt("x", x=[1e9] * n),
    "quotes": lambda n: gpt('"' * n),
    "texts": lambda n: gpt("x", x=['":'] * n),
}


def line(shape: str, size: int) -> bytes:
    return json.dumps(SHAPES[shape](size)).encode()


def read(text: bytes) -> Any:
    found = READER.read(text)
    if isinstance(found, Request):
        measure_media(bytes(found.body), None)
    return found


@pytest.mark.parametrize("shape", SHAPES)
def test_four_times_as_much_takes_four_times_the_work(shape: str) -> None:
    less, more = line(shape, 100), line(shape, 400)
    read(less)  # what is done once is done
    steps = len(more)  # each bracket is counted as soon as there are many
    assert count_work(lambda: read(more)) < 5 * count_work(lambda: read(less)) + steps


def test_counting_ends_with_the_call_and_slows_no_other_test() -> None:
    count_work(lambda: None)
    sys.monitoring.use_tool_id(COUNTER, "another")
    try:
        assert sys.monitoring.get_events(COUNTER) == sys.monitoring.events.NO_EVENTS
    finally:
        sys.monitoring.free_tool_id(COUNTER)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_request_is_no_multiple_of_its_line(shape: str) -> None:
    for size in (100, 400):
        text = line(shape, size)
        found = read(text)
        assert len(bytes(found.body) if isinstance(found, Request) else found.message) < 2 * len(text)


def seconds(text: bytes, call: Callable[[bytes], object] = read) -> float:
    started = time.process_time()
    call(text)
    return time.process_time() - started


@pytest.mark.parametrize(
    "shape",
    ["parameters", "stop sequences", "keys", "pictures", "numbers", "quotes", "texts"],
)
def test_what_is_done_in_c_grows_as_the_line_does(shape: str) -> None:
    less, more = line(shape, 200), line(shape, 3_200)
    slow = max(min(seconds(less) for _ in range(3)), 0.001)
    assert seconds(more) < 64 * slow  # a square would take 256 times as long


def test_a_text_that_never_ends_is_repaired_in_one_go() -> None:
    less, more = (b'{"' + b'\\"' * size for size in (1_000, 16_000))
    slow = max(min(seconds(less, repair) for _ in range(3)), 0.001)
    assert seconds(more, repair) < 64 * slow

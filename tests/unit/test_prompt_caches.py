"""What a batch's requests have in common is marked for Claude's prompt cache; nothing else of a request changes."""

import json
import tracemalloc
from typing import Any

import pytest
from batchdrop.protocols.claude_models import RULES
from batchdrop.protocols.prompt_caches import LEAST_TOKENS, MARKER, MOST_ADDED, Block, CommonPrefixes, marked
from hypothesis import given
from hypothesis import strategies as st

LONG = "Be careful, and kind. " * 1_000
OWN = {"type": "ephemeral"}
HOUR = json.loads(bytes(MARKER))


def text(words: str, **changes: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **changes}


def tool(name: str, **changes: Any) -> dict[str, Any]:
    return {"name": name, "description": LONG, "input_schema": {"type": "object"}, **changes}


def body(*messages: Any, **fields: Any) -> dict[str, Any]:
    said = [each if isinstance(each, dict) else {"role": "user", "content": each} for each in messages]
    return {"model": "claude-sonnet-4-5", "max_tokens": 9, **fields, "messages": said}


def mark(bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    texts, prefixes = [json.dumps(each).encode() for each in bodies], CommonPrefixes()
    for each in texts:
        prefixes.read(each)
    marks = prefixes.marks()
    found = [marked(each, marks) for each in texts]
    assert all(len(after) <= len(before) + MOST_ADDED for before, after in zip(texts, found, strict=True))
    return [json.loads(each) for each in found]


def without_marker(value: Any) -> Any:
    """The same, and a list of one text as the text, which means as much."""
    if isinstance(value, list):
        found = [without_marker(each) for each in value]
        is_text = len(found) == 1 and isinstance(found[0], dict) and found[0].keys() == {"type", "text"}
        return found[0]["text"] if is_text else found
    if isinstance(value, dict):
        return {name: without_marker(each) for name, each in value.items() if name != "cache_control" or each != HOUR}
    return value


def places_of_markers(value: Any, at: str = "") -> list[str]:
    if isinstance(value, dict):
        own = [at] if value.get("cache_control") == HOUR else []
        return own + [each for name, inner in value.items() for each in places_of_markers(inner, f"{at}/{name}")]
    inner_ones = enumerate(value) if isinstance(value, list) else ()
    return [each for number, inner in inner_ones for each in places_of_markers(inner, f"{at}/{number}")]


def of_three(make: Any) -> list[dict[str, Any]]:
    return [make(f"Question {number}") for number in range(3)]


CASES: dict[str, tuple[list[dict[str, Any]], list[str]]] = {
    "a system prompt": (of_three(lambda asked: body(asked, system=LONG)), ["/system/0"]),
    "its last block": (of_three(lambda asked: body(asked, system=[text(LONG), text("b")])), ["/system/1"]),
    "the last that all have": (of_three(lambda asked: body("x", system=[text(LONG), text(asked)])), ["/system/0"]),
    "tools": (of_three(lambda asked: body(asked, tools=[tool("a"), tool("b")])), ["/tools/1"]),
    "tools, but what is loaded later": (
        of_three(lambda asked: body(asked, tools=[tool("a"), tool("b", defer_loading=True)])),
        ["/tools/0"],
    ),
    "a tool of the server": (
        of_three(lambda asked: body(asked, tools=[tool("a"), {"type": "web_search_20250305", "name": "w"}])),
        ["/tools/0"],
    ),
    "a message before the question": (
        of_three(lambda asked: body(LONG, {"role": "assistant", "content": "Yes."}, asked)),
        ["/messages/1/content/0"],
    ),
    "a document within the question": (
        of_three(lambda asked: body([text(LONG), text(asked)])),
        ["/messages/0/content/0"],
    ),
    "not what was thought": (
        of_three(
            lambda asked: body(
                LONG,
                {
                    "role": "assistant",
                    "content": [text("Hm."), {"type": "thinking", "thinking": "x", "signature": "y"}],
                },
                asked,
            )
        ),
        ["/messages/1/content/0"],
    ),
    "not an empty text": (of_three(lambda asked: body(asked, system=[text(LONG), text(" ")])), ["/system/0"]),
    "no short prefix": (of_three(lambda asked: body(asked, system="Be kind.")), []),
    "none of two requests": (of_three(lambda asked: body(asked, system=LONG))[:2], []),
    "none where one differs": (of_three(lambda asked: body(asked, system=asked + LONG)), []),
    "none where one has no such part": ([*of_three(lambda asked: body(asked, system=LONG)), body("x")], []),
    "none where roles differ": (
        [body({"role": role, "content": LONG}) for role in ("user", "assistant", "user")],
        [],
    ),
    "none of what is no prompt": ([body(asked, system=7) for asked in "abc"], []),
}


@pytest.mark.parametrize("name", CASES)
def test_the_last_block_that_all_have_in_common_is_marked(name: str) -> None:
    bodies, places = CASES[name]
    found = mark(bodies)
    assert [places_of_markers(each) for each in found] == [places] * len(bodies)
    assert [without_marker(each) for each in found] == [without_marker(each) for each in bodies]


def test_each_model_has_a_prefix_of_its_own() -> None:
    one, other = ([body(each, system=LONG + name, model=name) for each in "abc"] for name in ("claude-x", "claude-y"))
    mixed = [each for pair in zip(one, other, strict=True) for each in pair]
    assert [places_of_markers(each) for each in mark(mixed)] == [["/system/0"]] * 6


def test_a_request_with_a_marker_of_its_own_is_left_alone() -> None:
    own = body("x", system=[text("Be short.", cache_control=OWN)])
    found = mark([*of_three(lambda asked: body(asked, system=LONG)), own])
    assert [places_of_markers(each) for each in found] == [["/system/0"]] * 3 + [[]]
    assert found[3] == own


@pytest.mark.parametrize(("model", "marks"), [("claude-haiku-4-5", 0), ("claude-sonnet-4-5", 1), ("claude-new-9", 1)])
def test_a_prefix_is_as_long_as_its_model_wants(model: str, marks: int) -> None:
    found = mark([body(each, system="x" * 3_700, model=model) for each in "abc"])  # 1,057 tokens, as they are estimated
    assert len(places_of_markers(found[0])) == marks


def test_the_models_with_a_least_prefix_are_those_of_the_rules() -> None:
    assert LEAST_TOKENS.keys() <= RULES.keys()


MESSAGE = '{"role":"","content":%s}'
TINY = {
    "empty blocks in system": ("system", "{}", 325_000),
    "empty tools": ("tools", "{}", 325_000),
    "messages of nothing": ("messages", MESSAGE % "[]", 40_000),
    "messages of one block": ("messages", MESSAGE % "[{}]", 37_500),
    "messages of empty blocks": ("messages", MESSAGE % f"[{','.join(['{}'] * 13_000)}]", 25),
}


def of_blocks(field: str, block: str, blocks: int) -> bytes:
    return f'{{"model":"claude-sonnet-4-5","max_tokens":9,"{field}":[{",".join([block] * blocks)}]}}'.encode()


def peak_of(request: bytes) -> int:
    """Bytes in memory while three such requests are read and one would be marked; none of them is."""
    marks = {"claude-sonnet-4-5": Block("system", 0, 0, "", b"{}")}
    prefixes = CommonPrefixes()
    tracemalloc.start()
    try:
        for _ in range(3):
            prefixes.read(request)
        is_as_it_was = marked(request, marks) == request  # a comparison of so long texts is not shown in its parts
        assert is_as_it_was
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert prefixes.marks() == {}
    return peak


@pytest.mark.parametrize("name", TINY)
def test_very_many_tiny_blocks_take_little_memory(name: str) -> None:
    request = of_blocks(*TINY[name])
    assert len(request) < peak_of(request) < 12 * len(request)  # 50 MB for the largest that is read


def test_a_request_that_is_too_large_is_not_read() -> None:
    assert peak_of(of_blocks("system", "{}", 1_400_000)) < 100_000


def test_a_request_of_many_commas_and_few_blocks_is_marked() -> None:
    found = mark([body(asked, system="a, b, " * 10_000, tools=[tool("t")]) for asked in "abc"])
    assert [places_of_markers(each) for each in found] == [["/system/0"]] * 3


blocks = st.sampled_from([text("a"), text(LONG), text(""), {"type": "image", "source": {"type": "url", "url": "u"}}])
contents = st.one_of(st.sampled_from(["a", "", LONG]), st.lists(blocks, max_size=3))
prompts = st.builds(
    lambda system, tools, said: {
        "model": "claude-opus-5",
        **({} if system is None else {"system": system}),
        **({} if tools is None else {"tools": tools}),
        "messages": [{"role": "user", "content": each} for each in said],
    },
    st.none() | contents,
    st.none()
    | st.lists(st.sampled_from([tool("a"), tool("b"), {"type": "bash_20250124", "name": "bash"}]), max_size=2),
    st.lists(contents, max_size=3),
)


@given(st.lists(prompts, min_size=1, max_size=2), st.integers(3, 6))
def test_nothing_but_the_marker_changes(kinds: list[dict[str, Any]], count: int) -> None:
    bodies = [kinds[number % len(kinds)] for number in range(count)]
    found = mark(bodies)
    assert [without_marker(each) for each in found] == [without_marker(each) for each in bodies]
    places = [places_of_markers(each) for each in found]
    assert places == [places[0]] * count
    assert len(places[0]) <= 1

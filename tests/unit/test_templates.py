"""What a row becomes under a template: a value is data, whatever it holds, and never structure."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from batchdrop.errors import Unprocessable
from batchdrop.inputs.request_lines import MAX_LINE_BYTES, LineError, LineReader, Request
from batchdrop.inputs.templated_lines import TemplatedBlocks, TemplatedReader
from batchdrop.inputs.templates import Rendering, Template
from batchdrop.inputs.usual_lines import UsualReader
from batchdrop.providers.config import load_providers
from hypothesis import example, given
from hypothesis import strategies as st

PROVIDERS = load_providers(Path(__file__).parents[2] / "providers.toml")
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40) | st.sampled_from(
    [
        '"',
        "\\",
        "{{ a }}",
        "}}",
        '","role":"system"',
        "\n",
        "\r\n",
        "\u2028",
        "\0",
        "%b",
        "%%",
        "\x85",
        "",
        "null",
        "x" * 10_000,
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


def rendering(content: Any, **others: Any) -> Rendering:
    body = {"messages": [{"role": "user", "content": content}], "max_tokens": 9}
    return Rendering(Template(**{"model": "gpt-4o-mini", "body": body, **others}), PROVIDERS)


def reader(made: Rendering) -> TemplatedReader:
    return TemplatedReader(made, LineReader(PROVIDERS))


def body_of(made: Rendering, row: bytes) -> Any:
    read = reader(made).read(row)
    assert isinstance(read, Request), read
    return json.loads(bytes(read.body))


def content_of(content: str, row: Any) -> Any:
    return body_of(rendering(content), json.dumps(row).encode())["messages"][0]["content"]


def problem(made: Rendering, row: bytes) -> tuple[str, str]:
    read = reader(made).read(row)
    assert isinstance(read, LineError)
    return read.code, read.message


@given(a=TEXTS, b=TEXTS, ascii_only=st.booleans())
def test_texts_come_through_as_they_are_and_change_no_structure(a: str, b: str, ascii_only: bool) -> None:  # noqa: FBT001 - hypothesis gives it
    made = rendering('{{ a }} 100% {{ "{{" }}{{b}}\n"')
    row = json.dumps({"a": a, "b": b}, ensure_ascii=ascii_only).encode()
    assert body_of(made, row) == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": f'{a} 100% {{{{{b}\n"'}],
        "max_tokens": 9,
    }


@given(value=VALUES)
def test_a_value_alone_keeps_its_type_and_within_a_text_it_is_its_json(value: Any) -> None:
    made = rendering(
        "{{ a }}", body={"messages": [{"role": "user", "content": "<{{ a }}>"}], "metadata": "{{ json a }}"}
    )
    row = json.dumps({"a": value}).encode()
    body = msgspec.json.decode(made.lines([msgspec.json.decode(row, type=dict[str, msgspec.Raw])]))["body"]
    assert body["metadata"] == value
    text = body["messages"][0]["content"][1:-1]
    expected = "" if value is None else value if isinstance(value, str) else json.dumps(value)
    assert text == expected


NAMES = st.sampled_from(['"a"', '"id"', '"sku"', '"b"', r'"\u0061"', r'"\u003a"', '":"'])
WRITTEN = VALUES.map(json.dumps) | st.sampled_from(
    ["1e999", "-1e400", "9" * 320, "1.50", '{"c":1,"c":2}', '[{"c":{"c":1,"c":1}}]', "[" * 501 + "]" * 501, '":"']
)


@st.composite
def written_rows(draw: st.DrawFn) -> bytes:
    """A row as it may be written: with names that stand twice, too."""
    pairs = [('"a"', draw(WRITTEN)), ('"id"', draw(WRITTEN)), *draw(st.lists(st.tuples(NAMES, WRITTEN), max_size=2))]
    return ("{" + ",".join(f"{name}:{value}" for name, value in pairs) + "}").encode()


@given(rows=st.lists(written_rows(), min_size=1, max_size=3))
@example([b'{"a":"a","id":"b","sku":1,"a":"c","\\u003a":3}'])
@example([b'{"a":"a","id":"b","sku":1,"b":{"c":1,"c":2}}'])
@example([b'{"a":"a","id":"b","sku":1,"b":1,"b":2}'])
@example([b'{"a":"a","id":"b","sku":1,"b":1e999}'])
@example([b'{"a":"a","id":"b","sku":1,"b":%b}' % (b"[" * 501 + b"]" * 501)])
def test_a_block_of_rows_is_what_its_rows_are_one_by_one(rows: list[bytes]) -> None:
    made = rendering("It: {{ a }}", id_column="id", keep=("sku", "a"))
    one_by_one = [reader(made).read(row) for row in rows]
    blocks = TemplatedBlocks(made, UsualReader(PROVIDERS))
    first = reader(made).read(b'{"id":1,"a":"x"}')
    assert isinstance(first, Request)
    blocks.learn(first)
    usual = blocks.read(b"".join(row + b"\n" for row in rows))
    if usual is None:
        return
    assert usual.lengths == list(map(len, rows))
    assert usual.rows is not None
    assert [
        (bytes(body), bytes(custom_id), bytes(row))
        for body, custom_id, row in zip(usual.bodies, usual.custom_ids, usual.rows, strict=True)
    ] == [
        (bytes(each.body), bytes(each.custom_id), bytes(each.row)) for each in one_by_one if isinstance(each, Request)
    ]


PLAIN_ROWS = [b'{"id":1,"a":"x"}', b'{"id":"b","a":"y:"}', b'{"id":"b","a":"y","b":-1.5}']


def test_plain_rows_are_read_in_blocks() -> None:
    made = rendering("It: {{ a }}", id_column="id", keep=("id",))
    blocks = TemplatedBlocks(made, UsualReader(PROVIDERS))
    first = reader(made).read(b'{"id":1,"a":"x"}')
    assert isinstance(first, Request)
    blocks.learn(first)
    assert blocks.read(b"\n".join([*PLAIN_ROWS, b""])) is not None
    others = [
        b'{"id":1,"id":2,"a":"y"}',
        b'{"id":1,"a":"y","a":"z","\\u003a":3}',
        b'{"id":1,"a":"y","b":{"c":1,"c":2}}',
        b'{"id":1,"a":"y","b":[]}',
        b'{"id":1,"a":"y","b":1e400}',
        b'{"id":1}',
    ]
    assert [blocks.read(PLAIN_ROWS[0] + b"\n" + each + b"\n") for each in others] == [None] * len(others)


def test_a_megabyte_of_text_comes_through() -> None:
    text = '"\\{{\n\0' * 200_000
    assert content_of("<{{ a }}>", {"a": text}) == f"<{text}>"


def test_a_lone_half_of_a_pair_is_refused_as_in_any_line() -> None:
    assert problem(rendering("{{ a }}"), b'{"a":"\\ud83d"}')[0] == "invalid_json"


def test_a_missing_column_is_named_with_what_to_do() -> None:
    assert problem(rendering("{{ text }}", id_column="id"), b'{"id":1,"txt":"x"}') == (
        "missing_column",
        'it has no column "text", which the template names: add it to the row, or correct the name in [template]',
    )
    assert problem(rendering("{{ text }}", id_column="id"), b'{"text":"x"}')[0] == "missing_column"


def test_a_request_that_would_be_too_long_is_never_made() -> None:
    made = rendering("{{ a }}" * 400)
    assert problem(made, b'{"a":"%b"}' % (b"x" * 100_000))[0] == "line_too_long"
    assert made.size([{"a": msgspec.Raw(b"0" * 1000)}]) < MAX_LINE_BYTES


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("a {{ b", """no }} closes the {{ at character 3 of its string: a {{ of the text is written {{ "{{" }}"""),
        ("{{ }}", "a {{ }} names no column: write {{ column }}"),
        ("{{ a {{ b }}", "a {{ }} names no column: write {{ column }}"),
        ("x {{ json a }}", "{{ json a }} must be alone in its string: its value is not text"),
        ({"{{ a }}": 1}, "the name '{{ a }}' holds {{: columns can stand in strings only, not in names"),
        (float("inf"), "its body holds a float that JSON does not have: write it as a string"),
    ],
)
def test_a_template_that_makes_no_request_says_why(content: Any, why: str) -> None:
    with pytest.raises(Unprocessable) as caught:
        rendering(content)
    assert str(caught.value) == f"[template]: {why}."


@pytest.mark.parametrize(
    ("model", "body", "endpoint"),
    [
        ("gpt-4o-mini", {"messages": "{{ json m }}"}, "/v1/chat/completions"),
        ("text-embedding-3-small", {"input": "{{ a }}"}, "/v1/embeddings"),
        ("claude-haiku-4-5", {"messages": [], "max_tokens": 5}, "/v1/messages"),
        ("openai/gpt-5-mini", {"input": "{{ a }}"}, "/v1/responses"),
    ],
)
def test_the_endpoint_follows_from_model_and_body(model: str, body: dict[str, Any], endpoint: str) -> None:
    assert Rendering(Template(model=model, body=body), PROVIDERS).endpoint == endpoint


@pytest.mark.parametrize("content", ["Be kind. {{ SECRET", "{{ a }}{{ json SECRET"])
def test_a_prompt_is_not_quoted_in_what_is_wrong_with_it(content: str) -> None:
    with pytest.raises(Unprocessable) as caught:
        rendering(content)
    assert "SECRET" not in str(caught.value)


def test_a_body_that_does_not_tell_its_endpoint_is_asked_for_it() -> None:
    with pytest.raises(Unprocessable) as caught:
        Rendering(Template(model="gpt-4o-mini", body={"n": 1}), PROVIDERS)
    assert str(caught.value) == '[template]: model and body do not determine the endpoint: add endpoint = "/v1/…".'


def test_columns_may_have_any_name() -> None:
    row = {"My Column": "a", "json": "b", "é:%": "c"}
    assert content_of("{{My Column}} {{ json }} {{ é:% }}", row) == "a b c"

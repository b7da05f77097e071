"""Which output schemas are taken, what the vendors are sent of them, and that holding answers against them is safe."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from batchdrop.errors import Unprocessable
from batchdrop.protocols.claude_schemas import for_claude
from batchdrop.protocols.output_schemas import OutputSchema, compile_schema, read_schema
from batchdrop.protocols.request_checks import LineProblem

TEXT = {"type": "string"}
CLOSED = {"type": "object", "properties": {"label": TEXT}, "required": ["label"], "additionalProperties": False}


def an_object(**others: Any) -> dict[str, Any]:
    return {"type": "object"} | others


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = TEXT
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return an_object(properties={"a": schema})


def doubling(levels: int) -> dict[str, Any]:
    """A schema of a few hundred bytes that has 2 ** levels parts with its references written out."""
    definitions = {f"d{at}": {"anyOf": [{"$ref": f"#/$defs/d{at + 1}"}] * 2} for at in range(levels)}
    definitions[f"d{levels}"] = TEXT
    return an_object(properties={"a": {"$ref": "#/$defs/d0"}}, **{"$defs": definitions})


def refusal(schema: Any) -> str:
    with pytest.raises(Unprocessable) as refused:
        read_schema(schema if isinstance(schema, bytes) else json.dumps(schema).encode())
    return str(refused.value)


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (b"{", "output_schema is not JSON"),
        (b"[" * 100_000, "output_schema is not JSON"),
        ({"type": "array"}, 'must be a JSON Schema with "type": "object"'),
        (True, 'must be a JSON Schema with "type": "object"'),
        (an_object(title="x" * 40_000), "at most 32,768 are taken"),
        (an_object(properties={"a": {"type": "strong"}}), 'not a JSON Schema that is taken, at "/properties/a/type"'),
        (an_object(properties={"a": {"$ref": "#"}}), 'refers to itself by "$ref": "#"'),
        (an_object(properties={"a": {"$ref": "#/properties/a"}}), "refers to itself"),
        (an_object(properties={"a": {"$ref": "#/$defs/none"}}), "which is not in it"),
        (an_object(properties={"a": {"$ref": "https://example.com/s"}}), "only its own parts are followed"),
        (an_object(properties={"a": {"$ref": "file:///etc/passwd"}}), "only its own parts are followed"),
        (an_object(properties={"a": {"$ref": "#anchor"}}), "only its own parts are followed"),
        (an_object(properties={"a": {"$dynamicRef": "#x"}}), 'has "$dynamicRef"'),
        (an_object(properties={"a": {"$id": "https://example.com/s"}}), 'has "$id" within it'),
        (an_object(**{"$schema": "http://127.0.0.1:1/own"}), "$schema must be one of the published drafts"),
        (an_object(properties={"a": {"pattern": "(a)\\1"}}), "without look-around and back-references"),
        (an_object(properties={"a": {"pattern": "((a{999}){999}){999}"}}), "and not too large"),
        (an_object(patternProperties={f"^{at}": {} for at in range(200)}), "grows too large"),
        (nested(80), "nested too deeply"),
        (doubling(15), "grows too large"),
        (doubling(200), "nested too deeply"),
    ],
)
def test_a_schema_that_could_do_harm_is_refused_with_its_place(schema: Any, why: str) -> None:
    assert why in refusal(schema)


@pytest.mark.parametrize("schema", [CLOSED, nested(50), doubling(6), an_object(), an_object(**{"$id": "https://a/b"})])
def test_a_schema_of_any_other_kind_is_taken(schema: dict[str, Any]) -> None:
    assert read_schema(msgspec.json.encode(schema)) == schema


class _Counting(http.server.BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[tuple[str, list[str]]]:
    """A server's address, and what it was asked for."""
    handler = type("Handler", (_Counting,), {"asked": []})
    server = http.server.HTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/schema.json", handler.asked
    server.shutdown()
    server.server_close()


def test_no_reference_is_fetched_although_the_library_would(web: tuple[str, list[str]]) -> None:
    address, asked = web
    schema = an_object(properties={"a": {"$ref": address}})
    with pytest.raises(Unprocessable):
        compile_schema(schema)
    assert asked == []
    jsonschema_rs.validator_for(schema)  # as it is by itself: the reason for all of this
    assert asked == ["/schema.json"]


def test_no_file_is_read_although_the_library_would(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text("{}", encoding="utf-8")
    schema = an_object(properties={"a": {"$ref": (tmp_path / "s.json").as_uri()}})
    with pytest.raises(Unprocessable):
        compile_schema(schema)
    jsonschema_rs.validator_for(schema)


def test_patterns_take_linear_time() -> None:
    """`^(a+)+$` takes a backtracking engine longer than the universe has."""
    fits = compile_schema(an_object(properties={"a": {"type": "string", "pattern": "^(a+)+$"}})).is_valid
    assert [fits({"a": "a" * 50_000}), fits({"a": "a" * 50_000 + "!"})] == [True, False]


def sent(schema: dict[str, Any]) -> tuple[Any, Any, Any]:
    read = OutputSchema(json.dumps(schema).encode())
    formats = (read.response_format, read.text_format, read.messages_format())
    return tuple(map(msgspec.json.decode, formats))  # type: ignore[return-value]


def test_each_vendor_is_asked_in_its_own_way() -> None:
    assert sent(CLOSED) == (
        {"type": "json_schema", "json_schema": {"name": "answer", "schema": CLOSED, "strict": True}},
        {"type": "json_schema", "name": "answer", "schema": CLOSED, "strict": True},
        {"type": "json_schema", "schema": CLOSED},
    )


@pytest.mark.parametrize(
    "schema",
    [
        an_object(properties={"a": TEXT}, required=["a"]),
        an_object(properties={"a": TEXT}, required=[], additionalProperties=False),
        CLOSED | {"properties": {"label": an_object()}},
        CLOSED | {"properties": {"label": {}}},
        CLOSED | {"properties": {"label": {"type": "string", "format": "uri"}}},
        CLOSED | {"properties": {"label": {"type": "array", "items": {"type": "string", "maxLength": 3}}}},
        CLOSED | {"allOf": [{}]},
        CLOSED | {"anyOf": [{"type": "object"}]},
        CLOSED | {"properties": {"label": True}},
    ],
)
def test_what_openais_strict_mode_does_not_take_is_sent_without_it(schema: dict[str, Any]) -> None:
    read = OutputSchema(json.dumps(schema).encode())
    assert "strict" not in msgspec.json.decode(read.response_format)["json_schema"]


def test_claude_gets_in_words_what_it_does_not_take_and_answers_are_held_against_all_of_it() -> None:
    schema = an_object(
        **{"$schema": "https://json-schema.org/draft/2020-12/schema"},
        properties={
            "stars": {"type": "integer", "minimum": 1, "maximum": 5, "description": "How many."},
            "tags": {"type": "array", "minItems": 2, "items": {"oneOf": [TEXT, {"type": "null"}]}},
        },
    )
    read = OutputSchema(json.dumps(schema).encode())
    assert msgspec.json.decode(read.messages_format())["schema"] == {
        "type": "object",
        "properties": {
            "stars": {"type": "integer", "description": 'How many.\n\n{"minimum":1,"maximum":5}'},
            "tags": {
                "type": "array",
                "items": {"anyOf": [TEXT, {"type": "null"}]},
                "description": '{"minItems":2}',
            },
        },
        "additionalProperties": False,
    }
    assert read.schema == schema


def test_claude_is_not_asked_for_names_that_nobody_knows() -> None:
    with pytest.raises(LineProblem, match="additionalProperties"):
        for_claude(an_object(properties={"a": {"type": "object", "additionalProperties": TEXT}}))

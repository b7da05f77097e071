"""Schemas of structured output and strict tools: what Anthropic's documentation says it does not take is refused."""

import json
from typing import Any

import pytest
from anthropic import transform_schema
from batchdrop.protocols.claude_schemas import check_schema
from batchdrop.protocols.request_checks import LineProblem
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

TEXT = {"type": "string"}
CLOSED = {"type": "object", "additionalProperties": False}
ITSELF = {"n": {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]}}


def problem(schema: Any) -> str | None:
    try:
        check_schema(Raw(json.dumps(schema).encode()), "s")
    except LineProblem as found:
        return found.message
    return None


@pytest.mark.parametrize(
    "schema",
    [
        CLOSED,
        CLOSED | {"properties": {"a": TEXT | {"format": "date", "pattern": "^x$"}, "b": {"type": ["string", "null"]}}},
        {"type": "array", "items": TEXT, "minItems": 1},
        {"anyOf": [TEXT, {"const": 5}], "default": "x", "title": "t", "description": "d"},
        CLOSED | {"properties": {"k": {"enum": [{"type": "object"}]}, "c": {"const": {"minimum": 1}}}},
        CLOSED | {"examples": [{"type": "object"}], "default": {"properties": {}}},
        CLOSED | {"properties": {"minimum": TEXT, "oneOf": TEXT, "$ref": TEXT}},
        CLOSED
        | {
            "properties": {"a": {"$ref": "#/$defs/A"}, "b": {"$ref": "#/$defs/A"}},
            "$defs": {"A": {"$ref": "#/$defs/B"}, "B": TEXT},
        },
        True,
    ],
    ids=json.dumps,
)
def test_what_structured_output_takes_passes(schema: Any) -> None:
    assert problem(schema) is None


@pytest.mark.parametrize(
    ("schema", "at"),
    [
        (CLOSED | {"properties": {"a": {"type": "integer", "minimum": 1}}}, "s.properties.a"),
        (CLOSED | {"properties": {"a": TEXT | {"maxLength": 5}}}, "s.properties.a"),
        ({"type": "array", "items": TEXT, "minItems": 2}, "s"),
        ({"type": "array", "items": {"type": "object"}}, "s.items"),
        ({"type": ["object", "null"]}, "s"),
        ({"properties": {}}, "s"),
        (CLOSED | {"additionalProperties": TEXT}, "s"),
        ({"anyOf": [TEXT, {"type": "object"}]}, "s.anyOf[1]"),
        ({"oneOf": [TEXT]}, "s"),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"type": "object"}}}, "s.$defs.A"),
        (TEXT | {"format": "regex"}, "s"),
        ({"$ref": "https://example.org/schema"}, "s"),
        ({"$ref": "#/$defs/A", "$defs": {"A": CLOSED | {"properties": ITSELF}}}, "s"),
        (CLOSED | {"properties": {"n": {"$ref": "#"}}}, "s"),
    ],
    ids=json.dumps,
)
def test_what_structured_output_does_not_take_is_refused_by_its_place(schema: Any, at: str) -> None:
    message = problem(schema)
    assert message is not None
    assert message.startswith(f'"{at}" ')


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["object", "#/$defs/A", "string"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "items", "anyOf", "$ref", "$defs", "enum", "minItems", "format", "A"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(VALUES)
def test_no_schema_breaks_the_check(schema: Any) -> None:
    problem(schema)


LEAVES = st.sampled_from(
    [TEXT, {"type": "integer", "minimum": 1}, {"type": "number"}, TEXT | {"format": "email"}, {"enum": ["a", 1]}]
)
OBJECTS = st.recursive(
    LEAVES,
    lambda inner: (
        st.dictionaries(st.sampled_from("abc"), inner, max_size=3).map(
            lambda found: {"type": "object", "properties": found, "required": sorted(found)}
        )
        | inner.map(lambda each: {"type": "array", "items": each, "minItems": 1})
    ),
    max_leaves=6,
)


@given(OBJECTS)
def test_what_anthropics_own_sdk_makes_of_a_schema_passes(schema: dict[str, Any]) -> None:
    assert problem(transform_schema(schema)) is None

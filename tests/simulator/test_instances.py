"""Whatever schema a structured output asks for, the answer is valid, and the same each time."""

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provider_simulator.instances import SchemaError, instance

NODE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "value": {"type": "integer"},
        "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
        "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
    },
    "required": ["value", "next", "children"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "string"},
        {"type": ["object", "null"], "properties": {"a": {"type": "string"}}, "required": ["a"]},
        {"enum": ["red", 7, None]},
        {"const": {"a": [1]}},
        {"type": "string", "minLength": 40, "maxLength": 60},
        {"type": "string", "maxLength": 2},
        *({"type": "string", "format": each} for each in ("date-time", "date", "email", "uuid", "ipv4", "uri")),
        *(
            {"type": "string", "pattern": each}
            for each in (
                r"^[A-Z]{3}-\d+$",
                r"^(a|b)c?$",
                r"^\+?[0-9]{2,4}$",
                r"^[^\s@]+@x\.y$",
                r"^#(?:[0-9a-f]{3}){1,2}$",
            )
        ),
        {"type": "integer", "minimum": 12, "maximum": 13},
        {"type": "integer", "exclusiveMinimum": 0, "multipleOf": 7},
        {"type": "number", "exclusiveMinimum": 0.25, "exclusiveMaximum": 0.5},
        {"type": "number", "minimum": -3, "maximum": -2.5},
        {"type": "number", "multipleOf": 0.25, "minimum": 0.1},
        {"type": "array", "items": {"type": "boolean"}, "minItems": 3},
        {"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True},
        {"type": "array", "items": {"enum": ["a", "b", "c"]}, "minItems": 2, "uniqueItems": True},
        {"type": "array", "maxItems": 0, "items": {"type": "string"}},
        {"type": "array", "prefixItems": [{"type": "string"}, {"type": "null"}], "items": False, "minItems": 2},
        {
            "type": "object",
            "properties": {"a": True},
            "required": ["a", "b"],
            "additionalProperties": {"type": "number"},
        },
        {"allOf": [{"type": "object", "required": ["a"]}, {"properties": {"a": {"type": "null"}}}]},
        {"oneOf": [{"type": "integer"}, {"type": "string"}]},
        {"$ref": "#/$defs/node", "$defs": {"node": NODE}},
        {
            **NODE,
            "properties": {**NODE["properties"], "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
            "$defs": {"node": NODE},
        },
        {"definitions": {"x": {"enum": ["y"]}}, "properties": {"a": {"$ref": "#/definitions/x"}}, "required": ["a"]},
    ],
)
def test_the_instance_of_a_schema_is_valid_and_always_the_same(schema: dict[str, Any]) -> None:
    validator = jsonschema_rs.Draft202012Validator(schema)
    for seed in (0, 5, 999):
        made = instance(schema, "Answer [0123456789ab]", seed)
        assert validator.is_valid(made), made
        assert instance(schema, "Answer [0123456789ab]", seed) == made


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nothing"},
        {"properties": 5},
        False,
        {"$ref": "#/$defs/nowhere"},
        {"type": "integer", "minimum": 5, "maximum": 4},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"type": "string", "pattern": "("},
        7,
    ],
)
def test_what_is_no_schema_or_has_no_instance_is_told(schema: Any) -> None:
    with pytest.raises(SchemaError):
        instance(schema, "x", 0)


SCALARS = st.sampled_from(
    [
        {"type": "string"},
        {"type": "integer"},
        {"type": "number"},
        {"type": "boolean"},
        {"type": "null"},
        {"enum": [1, "a"]},
    ]
)


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    properties = st.dictionaries(st.sampled_from("abcd"), inner, max_size=4)
    objects = properties.map(
        lambda each: {"type": "object", "properties": each, "required": list(each), "additionalProperties": False}
    )
    arrays = st.builds(
        lambda items, least: {"type": "array", "items": items, "minItems": least}, inner, st.integers(0, 3)
    )
    return objects | arrays | st.lists(inner, min_size=1, max_size=3).map(lambda each: {"anyOf": each})


@settings(derandomize=True, database=None, deadline=None, max_examples=200)
@given(st.recursive(SCALARS, nested, max_leaves=12), st.integers(0, 2**32))
def test_any_schema_of_a_structured_output_has_an_instance(schema: dict[str, Any], seed: int) -> None:
    assert jsonschema_rs.Draft202012Validator(schema).is_valid(instance(schema, "text", seed))

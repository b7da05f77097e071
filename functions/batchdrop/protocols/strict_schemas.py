"""Checks schemas against OpenAI's strict structured output: sent any other way, a schema is a wish.

Source: https://platform.openai.com/docs/guides/structured-outputs#supported-schemas (2026-11).
"""

from collections.abc import Iterator
from typing import Any

_KEYWORDS = frozenset(
    {
        *("type", "properties", "required", "additionalProperties", "items", "anyOf", "enum", "const", "$ref", "$defs"),
        *("definitions", "title", "description", "pattern", "format", "multipleOf", "maximum", "exclusiveMaximum"),
        *("minimum", "exclusiveMinimum", "minItems", "maxItems", "$schema", "$id"),
    }
)
_SAY_TYPE = frozenset({"type", "anyOf", "$ref"})
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})
_MOST_PROPERTIES, _MOST_VALUES, _MOST_NESTED, _MOST_CHARACTERS = 5_000, 1_000, 10, 120_000

type _Schema = dict[str, Any]


def is_strict(schema: _Schema) -> bool:
    """Return whether a schema of an object fits; what is not known to be taken is not."""
    found = list(_schemas(schema, 0))
    if any(each is None for each, _ in found) or "anyOf" in schema:
        return False
    parts = [each for each, _ in found if each is not None]
    names = [name for each in parts for name in each.get("properties", {})]
    values = [value for each in parts for value in each.get("enum", ())]
    return (
        all(map(_fits, parts))
        and len(names) <= _MOST_PROPERTIES
        and len(values) <= _MOST_VALUES
        and max(level for _, level in found) <= _MOST_NESTED
        and sum(map(len, (*names, *map(str, values)))) <= _MOST_CHARACTERS
    )


def _schemas(schema: object, level: int) -> Iterator[tuple[_Schema | None, int]]:
    """A schema and those in it, each with the number of objects around it; None for what is no object."""
    if not isinstance(schema, dict):
        yield None, level
        return
    yield schema, level
    inner = level + ("properties" in schema)
    for name in ("properties", "$defs", "definitions"):
        for each in _values(schema.get(name, {})):
            yield from _schemas(each, inner if name == "properties" else 0)
    for each in [*([schema["items"]] if "items" in schema else []), *_values(schema.get("anyOf", []))]:
        yield from _schemas(each, inner)


def _values(found: object) -> list[object]:
    return [*found.values()] if isinstance(found, dict) else found if isinstance(found, list) else [None]


def _fits(schema: _Schema) -> bool:
    if not schema.keys() <= _KEYWORDS or not schema.keys() & _SAY_TYPE:
        return False
    if "format" in schema and schema["format"] not in _FORMATS:
        return False
    if "properties" not in schema and schema.get("type") != "object":
        return True
    properties, required = schema.get("properties"), schema.get("required", [])
    is_closed = schema.get("additionalProperties") is False
    return is_closed and isinstance(properties, dict) and properties.keys() == {*required}

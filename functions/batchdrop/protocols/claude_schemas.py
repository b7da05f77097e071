"""Checks schemas against Anthropic's subset of JSON Schema, for structured output and strict tools.

Source: https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations (2026-11-26).
What stands in `enum`, `const`, `default` and `examples` are values, no schemas.
"""

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any

import msgspec
from msgspec import Raw

from batchdrop.protocols.paths import Path, written
from batchdrop.protocols.request_checks import LineProblem
from batchdrop.result_line import ErrorCode

type Schema = dict[str, Any]

_REFUSED = frozenset(
    {
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"),
        *("maxItems", "uniqueItems", "contains", "minContains", "maxContains", "prefixItems", "unevaluatedItems"),
        *("minProperties", "maxProperties", "patternProperties", "propertyNames", "unevaluatedProperties"),
        *("oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas"),
    }
)
_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid", "text"}
)
_ONE, _MANY, _NAMED = ("items",), ("anyOf", "allOf"), ("properties", "$defs", "definitions")
_MOST_MIN_ITEMS = 1


def check_schema(schema: Raw, where: str) -> None:
    """Refuse a schema that would end its request as a 400.

    Args:
        schema: Any JSON.
        where: Its path in the line's body, for the message.

    Raises:
        LineProblem: It names the keyword and the place in the schema.
    """
    read = msgspec.json.decode(schema)
    for path, each in _schemas(read):
        if (problem := _problem(each)) is not None:
            raise LineProblem(ErrorCode.INVALID_PARAMETER, f'"{written(path, where)}" {problem}')
    if isinstance(read, dict) and _is_recursive(read):
        raise LineProblem(ErrorCode.INVALID_PARAMETER, f'"{where}" refers to itself: Claude takes no recursive schema')


def _schemas(schema: object) -> Iterator[tuple[Path | None, Schema]]:
    """A schema and all that lie in it, with their paths."""
    waiting: list[tuple[Path | None, object]] = [(None, schema)]
    while waiting:
        path, each = waiting.pop()
        if isinstance(each, dict):
            yield path, each
            waiting.extend(reversed([*_inner(each, path)]))


def _inner(schema: Schema, path: Path | None) -> Iterator[tuple[Path, object]]:
    for name in _ONE:
        yield Path(path, f".{name}"), schema.get(name)
    for name in _MANY:
        for index, each in enumerate(_as_list(schema.get(name))):
            yield Path(path, f".{name}[{index}]"), each
    for name in _NAMED:
        for key, each in _as_dict(schema.get(name)).items():
            yield Path(path, f".{name}.{key[:50]}"), each


def _problem(schema: Schema) -> str | None:
    """Return the reason why Claude would refuse one schema, those in it aside."""
    if refused := next((name for name in schema if name in _REFUSED), None):
        return f'has "{refused}", which Claude\'s structured output does not take: leave it out, or say it in words'
    is_object = "object" in (schema.get("type"), *_as_list(schema.get("type"))) or "properties" in schema
    if is_object and schema.get("additionalProperties") is not False:
        return 'needs "additionalProperties": false in every object for Claude'
    if schema.get("minItems", 0) not in (0, _MOST_MIN_ITEMS):
        return 'has a "minItems" above 1, which Claude\'s structured output does not take'
    kind = schema.get("format")
    if isinstance(kind, str) and kind not in _FORMATS:
        return f'has the format "{kind[:50]}"; Claude takes {", ".join(sorted(_FORMATS - {"text"}))}'
    reference = schema.get("$ref")
    if isinstance(reference, str) and not reference.startswith("#"):
        return 'has a "$ref" to another document, which Claude does not follow'
    return None


def _is_recursive(schema: Schema) -> bool:
    """Return whether its references lead back to where they began."""
    targets = {"#": schema} | {
        f"#/{name}/{key}": each for name in _NAMED[1:] for key, each in _as_dict(schema.get(name)).items()
    }
    leads_to = {
        target: {found for _, inner in _own_schemas(each) if isinstance(found := inner.get("$ref"), str)}
        for target, each in targets.items()
    }
    try:
        TopologicalSorter(leads_to).prepare()
    except CycleError:
        return True
    return False


def _own_schemas(schema: object) -> Iterator[tuple[Path | None, Schema]]:
    """A schema and what lies in it, its definitions aside: they count where they are referred to."""
    if isinstance(schema, dict):
        schema = {name: value for name, value in schema.items() if name not in _NAMED[1:]}
    return _schemas(schema)


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _as_dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def for_claude(schema: Schema) -> Schema:
    """A schema as Claude takes it, for answers that are held against the whole schema when they come.

    What only narrows it and Claude does not take stands in the description, as Anthropic's SDKs have it; objects that
    do not say so take no other names; `oneOf` is `anyOf`.

    Raises:
        LineProblem: It asks for what Claude cannot do; the message names the keyword.
    """
    made: Schema = _adapted(schema)
    check_schema(Raw(msgspec.json.encode(made)), "output_schema")
    return made


def _adapted(schema: Any) -> Any:  # noqa: ANN401 - whatever stands where a schema should
    if not isinstance(schema, dict):
        return schema
    made, left = {}, {}
    for name, value in schema.items():
        if name == "oneOf" and "anyOf" not in schema:
            made["anyOf"] = _adapted_all(value)
        elif name in _REFUSED or _is_too_narrow(name, value):
            left[name] = value
        else:
            made[name] = _adapted_in(name, value)
    if "properties" in made or made.get("type") == "object":
        made.setdefault("additionalProperties", False)
    if left:
        words = msgspec.json.encode(left).decode()
        made["description"] = f"{made['description']}\n\n{words}" if made.get("description") else words
    return made


def _adapted_in(name: str, value: Any) -> Any:  # noqa: ANN401 - the same
    if name in _ONE:
        return _adapted(value)
    if name in _MANY:
        return _adapted_all(value)
    if name in _NAMED and isinstance(value, dict):
        return {key: _adapted(each) for key, each in value.items()}
    return value


def _adapted_all(schemas: Any) -> Any:  # noqa: ANN401 - the same
    return [_adapted(each) for each in schemas] if isinstance(schemas, list) else schemas


def _is_too_narrow(name: str, value: object) -> bool:
    return (name == "minItems" and value not in (0, _MOST_MIN_ITEMS)) or (name == "format" and value not in _FORMATS)

"""A valid instance of a JSON schema, always the same one: what a request for structured output is answered with."""

import math
import re
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from itertools import islice, repeat
from re import _parser  # type: ignore[attr-defined]  # its tree of a pattern
from typing import Any

import jsonschema_rs

from provider_simulator.facts import Json

_DEEP = 4  # levels from which on nothing is said that need not be
_SHALLOWEST = 16  # levels from which on a schema that calls itself is given up
_FORMATS = {
    "date-time": "2026-11-26T12:00:00Z",
    "time": "12:00:00Z",
    "date": "2026-11-26",
    "duration": "P1D",
    "email": "someone@example.com",
    "hostname": "example.com",
    "uri": "https://example.com/",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_KINDS = (  # of a schema that names no type, by a keyword that only this type has
    ("object", {"properties", "required", "additionalProperties"}),
    ("array", {"items", "prefixItems", "minItems"}),
    ("string", {"minLength", "maxLength", "pattern", "format"}),
    ("number", {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
)


class SchemaError(ValueError):
    """It is no schema, or nothing that this module makes fits it."""


def instance(schema: object, text: str, seed: int) -> Any:  # noqa: ANN401 - any JSON
    """Return a value that fits the schema.

    Args:
        schema: A JSON Schema (2020-12).
        text: What its texts say, where they may say anything.
        seed: Chooses among the values of an enum, and numbers.

    Raises:
        SchemaError: As above.
    """
    try:
        if not isinstance(schema, dict):
            raise SchemaError("a schema is an object")
        validator = jsonschema_rs.Draft202012Validator(schema)
        for made in islice(_Maker(schema, text, seed).candidates(schema, 0), 50):
            if validator.is_valid(made):
                return made
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, re.error) as error:
        raise SchemaError(str(error)[:200]) from error
    raise SchemaError("no instance of this schema is known")


class _Maker:
    def __init__(self, root: Any, text: str, seed: int) -> None:  # noqa: ANN401 - whatever a request holds
        self._root = root
        self._text = text
        self._seed = seed
        self._makers: dict[str, Callable[[Json, int], Iterator[Any]]] = {
            "null": self._null,
            "boolean": self._boolean,
            "integer": self._integer,
            "number": self._number,
            "string": self._string,
            "array": self._array,
            "object": self._object,
        }

    def candidates(self, schema: Any, depth: int) -> Iterator[Any]:  # noqa: ANN401 - the same
        """Instances to try, the best first; not all are valid."""
        if depth > _SHALLOWEST:
            return
        if not isinstance(schema, dict):
            yield self._text
            return
        if "$ref" in schema:
            yield from self.candidates(self._merged(self._resolve(schema["$ref"]), schema, "$ref"), depth)
            return
        if schema.get("allOf"):
            merged = schema
            for part in schema["allOf"]:
                merged = self._merged(self._resolve(part["$ref"]) if "$ref" in part else part, merged, "allOf")
            yield from self.candidates(merged, depth)
            return
        branches = schema.get("anyOf") or schema.get("oneOf")
        if branches:
            for branch in sorted(branches, key=lambda each: depth >= _DEEP and _calls_others(each)):
                with suppress(SchemaError):
                    yield from self.candidates(self._merged(branch, schema, "anyOf", "oneOf"), depth + 1)
            return
        yield from self._plain(schema, depth)

    def _merged(self, schema: Any, beside: Json, *without: str) -> Any:  # noqa: ANN401 - the same
        if not isinstance(schema, dict):
            return schema
        merged = {name: value for name, value in beside.items() if name not in without} | schema
        for name, union in (("properties", dict), ("required", list)):
            if name in schema and name in beside:
                both = beside[name], schema[name]
                merged[name] = both[0] | both[1] if union is dict else [*both[0], *both[1]]
        return merged

    def _resolve(self, ref: str) -> Any:  # noqa: ANN401 - the same
        found = self._root
        for step in ref.removeprefix("#").strip("/").split("/") if ref != "#" else ():
            found = found[step.replace("~1", "/").replace("~0", "~")]
        return found

    def _plain(self, schema: Json, depth: int) -> Iterator[Any]:
        if "const" in schema:
            yield schema["const"]
            return
        if schema.get("enum"):
            values = schema["enum"]
            start = self._seed % len(values)
            yield from (*values[start:], *values[:start])
            return
        kinds = schema.get("type") or next((kind for kind, names in _KINDS if names & schema.keys()), "string")
        kinds = [kinds] if isinstance(kinds, str) else kinds
        for kind in sorted(kinds, key=lambda each: (each == "null") != (depth >= _DEEP)):
            yield from self._makers[kind](schema, depth)

    def _null(self, _: Json, __: int) -> Iterator[Any]:
        yield None

    def _boolean(self, _: Json, __: int) -> Iterator[Any]:
        yield bool(self._seed % 2)

    def _integer(self, schema: Json, _: int) -> Iterator[Any]:
        step = max(1, int(schema.get("multipleOf", 1)))
        low, high = _bounds(schema, 1)
        least = math.ceil(low / step) * step if math.isfinite(low) else None
        most = math.floor(high / step) * step if math.isfinite(high) else None
        wanted = self._seed % 10 * step
        yield wanted if least is None or wanted >= least else least
        yield from (each for each in (least, most, 0) if each is not None)

    def _number(self, schema: Json, _: int) -> Iterator[Any]:
        yield from self._integer(schema, 0)
        low, high = _bounds(schema, 0)
        if math.isfinite(low) and math.isfinite(high):
            yield (low + high) / 2
        step = schema.get("multipleOf")
        if step:
            yield step * math.ceil(low / step if math.isfinite(low) else 0)
            yield step

    def _string(self, schema: Json, _: int) -> Iterator[Any]:
        if schema.get("format") in _FORMATS:
            yield _FORMATS[schema["format"]]
        if "pattern" in schema:
            yield _matching(schema["pattern"])
        text = self._text.ljust(schema.get("minLength", 0), ".")
        yield text[: schema.get("maxLength", len(text))]

    def _array(self, schema: Json, depth: int) -> Iterator[Any]:
        fixed = [self._first(each, depth) for each in schema.get("prefixItems", ())]
        least = max(schema.get("minItems", 0), 0 if depth >= _DEEP else 1)
        count = min(least, schema.get("maxItems", least)) - len(fixed)
        items, is_set = schema.get("items", {}), schema.get("uniqueItems", False)
        found = islice(self._distinct(items, depth) if is_set else self._same(items, depth), max(0, count))
        yield fixed + list(found)
        yield fixed

    def _same(self, schema: Any, depth: int) -> Iterator[Any]:  # noqa: ANN401 - the same
        yield from repeat(self._first(schema, depth))

    def _distinct(self, schema: Any, depth: int) -> Iterator[Any]:  # noqa: ANN401 - the same
        seen: list[Any] = []
        for shift in range(100):
            made = _Maker(self._root, f"{self._text} {shift}", self._seed + shift)._first(schema, depth)  # noqa: SLF001
            if made not in seen:
                seen.append(made)
                yield made

    def _object(self, schema: Json, depth: int) -> Iterator[Any]:
        properties, required = schema.get("properties", {}), schema.get("required", ())
        names = [name for name in properties if name in required or depth < _DEEP]
        more = [name for name in required if name not in properties]
        made = {}
        for name in names:
            with suppress(SchemaError) if name not in required else nullcontext():
                made[name] = self._first(properties[name], depth)
        yield made | {name: self._first(schema.get("additionalProperties", {}), depth) for name in more}
        yield {name: value for name, value in made.items() if name in required}

    def _first(self, schema: Any, depth: int) -> Any:  # noqa: ANN401 - the same
        """The first instance that fits a schema inside another."""
        if not isinstance(schema, dict):
            return self._text
        validator = None if "'$ref': '#'" in str(schema) else jsonschema_rs.Draft202012Validator(self._whole(schema))
        for made in islice(self.candidates(schema, depth + 1), 20):
            if validator is None or validator.is_valid(made):
                return made
        raise SchemaError("no instance of a schema inside is known")

    def _whole(self, schema: Json) -> Json:
        """A schema inside, with the definitions that it may refer to."""
        return {**{name: self._root[name] for name in ("$defs", "definitions") if name in self._root}, **schema}


def _calls_others(schema: Any) -> bool:  # noqa: ANN401 - the same
    return "$ref" in str(schema)


def _bounds(schema: Json, margin: int) -> tuple[float, float]:
    """The least and the greatest value; `margin` is what lies between an excluded bound and the next value."""
    lows = [schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf) + margin]
    highs = [schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf) - margin]
    return max(lows), min(highs)


def _matching(pattern: str) -> str:
    """A text that a simple pattern finds; empty where it uses what is not known here."""
    return _spelled(_parser.parse(pattern))


def _spelled(parsed: Any) -> str:  # noqa: ANN401 - the standard library's own tree
    return "".join(_SPELL.get(str(kind), lambda _: "")(argument) for kind, argument in parsed)


def _one_of(options: Any) -> str:  # noqa: ANN401 - the same
    """A character of a set."""
    if str(options[0][0]) == "NEGATE":
        named = {chr(argument) for kind, argument in options[1:] if str(kind) == "LITERAL"}
        return next(each for each in "x0-" if each not in named)
    return _spelled(options[:1])


_SPELL: dict[str, Callable[[Any], str]] = {
    "LITERAL": chr,
    "NOT_LITERAL": lambda code: "x" if code != ord("x") else "y",
    "ANY": lambda _: "x",
    "RANGE": lambda ends: chr(ends[0]),
    "CATEGORY": lambda name: {"CATEGORY_DIGIT": "7", "CATEGORY_SPACE": " ", "CATEGORY_NOT_WORD": "-"}.get(
        str(name), "x"
    ),
    "IN": _one_of,
    "BRANCH": lambda branches: _spelled(branches[1][0]),
    "SUBPATTERN": lambda group: _spelled(group[-1]),
    "MAX_REPEAT": lambda repeated: _spelled(repeated[2]) * max(repeated[0], min(1, repeated[1])),
    "MIN_REPEAT": lambda repeated: _spelled(repeated[2]) * repeated[0],
}

"""A job's `output_schema`: which JSON Schemas are taken, and how each vendor is asked for answers that fit. Pure.

A schema comes from outside, and every answer is held against it. So it is small, refers to nothing but itself and never
round, and stays small when its references are written out: no answer then takes long.
"""

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from batchdrop.errors import Unprocessable
from batchdrop.protocols.claude_schemas import for_claude
from batchdrop.protocols.strict_schemas import is_strict
from batchdrop.texts import cut

MAX_SCHEMA_BYTES = 32 * 1024  # it travels with each request
MAX_SCHEMA_LEVELS = 64  # of JSON, references written out: some thirty objects within one another
MAX_SCHEMA_PARTS = 5_000  # objects and lists, references written out
_PATTERN_PARTS, _PATTERN_BYTES = 50, 1024 * 1024  # what a pattern counts, and takes at most
_LONGEST_NAME = 200  # bytes, in a message
_NAME = "answer"  # OpenAI wants one
_LABELS = ("$schema", "$id")  # they say nothing to a model

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError, Validator

type Schema = dict[str, Any]


class OutputSchema:
    """A schema that was read, and what the vendors are sent of it.

    Attributes:
        text: As compact JSON.
        schema: The same as a value.
        is_strict: Whether OpenAI's strict mode takes it.
    """

    def __init__(self, text: bytes) -> None:
        self.schema = read_schema(text)
        self.text = _encoded(self.schema)
        self.is_strict = is_strict(self.schema)
        self._sent = {name: value for name, value in self.schema.items() if name not in _LABELS}
        named = {"name": _NAME, "schema": self._sent} | ({"strict": True} if self.is_strict else {})
        self.response_format = _encoded({"type": "json_schema", "json_schema": named})
        self.text_format = _encoded({"type": "json_schema"} | named)

    def messages_format(self) -> bytes:
        """`output_config.format` for Claude, which takes less of JSON Schema: what it does not take is in words.

        Raises:
            LineProblem: It cannot be said to Claude at all.
        """
        return _encoded({"type": "json_schema", "schema": for_claude(self._sent)})

    def chat_format_for_claude(self) -> bytes:
        """The same as a chat completion's `response_format`, to be translated.

        Raises:
            LineProblem: It cannot be said to Claude at all.
        """
        named = {"name": _NAME, "schema": for_claude(self._sent)}
        return _encoded({"type": "json_schema", "json_schema": named})


def _encoded(value: object) -> bytes:
    return msgspec.json.encode(value)


def read_schema(text: bytes) -> Schema:
    """The schema.

    Raises:
        Unprocessable: It is none, or none that every answer may be held against; the message says why, and where.
    """
    try:
        schema = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unprocessable(f"output_schema is not JSON: {error}.") from None
    size = len(_encoded(schema))
    if size > MAX_SCHEMA_BYTES:
        raise _problem(f"is {size:,} bytes long as compact JSON; at most {MAX_SCHEMA_BYTES:,} are taken")
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise _problem('must be a JSON Schema with "type": "object": the vendors answer with objects')
    _Measure(schema).of(schema, 0)
    compile_schema(schema)
    return schema


def compile_schema(schema: Schema) -> "Validator":
    """Return a validator for a schema: it fetches nothing, and patterns take linear time.

    Raises:
        Unprocessable: It is no JSON Schema; the message names the place.
    """
    import jsonschema_rs  # noqa: PLC0415 - 15 MB that most jobs do not need

    try:
        return jsonschema_rs.validator_for(
            schema,
            offline=True,
            validate_formats=False,
            pattern_options=jsonschema_rs.RegexOptions(size_limit=_PATTERN_BYTES, dfa_size_limit=_PATTERN_BYTES),
        )
    except jsonschema_rs.ValidationError as error:
        raise _problem(f"is not a JSON Schema that is taken, at {pointer(error.instance_path)}{_hint(error)}") from None


def _hint(error: "ValidationError") -> str:
    path = error.instance_path
    if path and path[-1] in {"pattern", "patternProperties"}:
        return ": patterns must be regular expressions without look-around and back-references, and not too large"
    return ": $schema must be one of the published drafts" if not path else ""


def pointer(path: list[str | int]) -> str:
    """A JSON Pointer, quoted and cut."""
    return '"' + cut("".join(f"/{each}" for each in path) or "/", _LONGEST_NAME) + '"'


def _problem(why: str) -> Unprocessable:
    return Unprocessable(f"output_schema {why}.")


def _patterns(value: object) -> int:
    """The regular expressions that a schema itself has."""
    if not isinstance(value, dict):
        return 0
    named = value.get("patternProperties")
    return isinstance(value.get("pattern"), str) + (len(named) if isinstance(named, dict) else 0)


class _Measure:
    """Measures a schema with its references written out: its parts and its levels.

    Whatever is an object or a list counts, also where it is a value (`enum`, `const`): that only refuses more.
    """

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._known: dict[str, tuple[int, int]] = {}
        self._open: set[str] = set()

    def of(self, value: object, level: int) -> tuple[int, int]:
        """The parts of a value, and how many levels it has.

        Raises:
            Unprocessable: These are too many, or a reference cannot be followed.
        """
        if not isinstance(value, dict | list):
            return 0, 0
        if level >= MAX_SCHEMA_LEVELS:
            raise _problem(f"is nested too deeply: more than {MAX_SCHEMA_LEVELS} levels, with its references")
        inner = list(value.values()) if isinstance(value, dict) else value
        measured = [self.of(each, level + 1) for each in inner]
        if isinstance(value, dict):
            measured += self._referred(value, level)
        parts = 1 + _PATTERN_PARTS * _patterns(value) + sum(each[0] for each in measured)
        levels = 1 + max((each[1] for each in measured), default=0)
        if parts > MAX_SCHEMA_PARTS or level + levels > MAX_SCHEMA_LEVELS:
            raise _problem(
                f"grows too large when its references are written out: at most {MAX_SCHEMA_PARTS:,} parts and "
                f"{MAX_SCHEMA_LEVELS} levels are taken"
            )
        return parts, levels

    def _referred(self, value: Schema, level: int) -> list[tuple[int, int]]:
        for name in ("$dynamicRef", "$recursiveRef"):
            if isinstance(value.get(name), str):
                raise _problem(f'has "{name}", which is not taken: write "$ref"')
        if value is not self._root and isinstance(value.get("$id"), str):
            raise _problem('has "$id" within it, which is not taken: leave it out')
        target = value.get("$ref")
        return [self._target(target, level)] if isinstance(target, str) else []

    def _target(self, reference: str, level: int) -> tuple[int, int]:
        if reference in self._known:
            return self._known[reference]
        if reference in self._open:
            raise _problem(f'refers to itself by "$ref": "{cut(reference, _LONGEST_NAME)}": that is not taken')
        self._open.add(reference)
        found = self._known[reference] = self.of(follow(reference, self._root), level + 1)
        self._open.discard(reference)
        return found


def follow(reference: str, root: Schema) -> object:
    """The part of a schema that a reference leads to.

    Raises:
        Unprocessable: It leads elsewhere.
    """
    if reference != "#" and not reference.startswith("#/"):
        raise _problem(
            f'refers to "{cut(reference, _LONGEST_NAME)}": only its own parts are followed, as "#/$defs/name"'
        )
    found: Any = root
    try:
        for step in reference.split("/")[1:]:
            name = unquote(step).replace("~1", "/").replace("~0", "~")
            found = found[int(name)] if isinstance(found, list) else found[name]
    except (LookupError, ValueError, TypeError):
        raise _problem(f'refers to "{cut(reference, _LONGEST_NAME)}", which is not in it') from None
    return found

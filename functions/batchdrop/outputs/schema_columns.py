"""The fields of an output schema as columns: nested ones by dotted names. Pure."""

from collections.abc import Collection, Iterator
from typing import Any

import msgspec
from msgspec import Raw

from batchdrop.protocols.answer_checks import AnswerCheck
from batchdrop.protocols.output_schemas import Schema, follow

type _Path = tuple[str, ...]


class SchemaColumns:
    """Makes cells of answers that fit a job's output schema.

    Args:
        check: The schema.
        taken: The names of other columns: one of these is `out.<name>` here.
    """

    def __init__(self, check: AnswerCheck, taken: Collection[str]) -> None:
        self._check = check
        self._paths: dict[str, _Path] = {}
        for path in _paths(check.schema, check.schema, ()):
            name = ".".join(path)
            while name in self._paths or name in taken:
                name = f"out.{name}"
            self._paths[name] = path
        self.names = tuple(self._paths)

    def cells(self, text: str) -> dict[str, Raw | None] | None:
        """The fields of an answer, as JSON; None where it does not fit."""
        value = self._check.read(text)
        return None if value is None else {name: _cell(value, path) for name, path in self._paths.items()}


def _cell(value: Any, path: _Path) -> Raw | None:  # noqa: ANN401 - any JSON value
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return None
        value = value[name]
    return Raw(msgspec.json.encode(value))


def _paths(schema: object, root: Schema, path: _Path) -> Iterator[_Path]:
    """The paths of what is no object with names of its own."""
    properties = _properties(schema, root)
    if properties:
        for name, each in properties.items():
            yield from _paths(each, root, (*path, name))
    elif path:
        yield path


def _properties(schema: object, root: Schema) -> dict[str, Any]:
    """The names of an object; none where it is something else, or may be."""
    if not isinstance(schema, dict):
        return {}
    if isinstance(reference := schema.get("$ref"), str):
        return _properties(follow(reference, root), root)
    others = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if len(others) == 1:
        return _properties(others[0], root)
    found = schema.get("properties")
    return found if isinstance(found, dict) and "anyOf" not in schema else {}

"""Functions that a model may call, and which of them it must, in Claude's form."""

import re
from typing import Any

from msgspec import Raw

from batchdrop.protocols.translate.fields import Fields, invalid, is_text, members, objects, text, untranslatable

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")  # Anthropic refuses others
_NO_ARGUMENTS = {"type": "object", "properties": {}}
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}


def read_tools(value: Raw, where: str, droppable: frozenset[str]) -> list[dict[str, Any]]:
    return [_tool(each) for each in objects(value, where, droppable)]


def _tool(tool: Fields) -> dict[str, Any]:
    kind = tool.text("type")
    if kind != "function":
        raise untranslatable(f'"{tool.where}", a tool of type "{str(kind)[:50]}",', "make it a function")
    function = tool.object("function")
    out: dict[str, Any] = {"name": _name(function), "input_schema": _schema(function)}
    if (description := function.text("description")) is not None:
        out["description"] = description
    if function.flag("strict"):
        out["strict"] = True
    function.close()
    tool.close()
    return out


def _name(function: Fields) -> str:
    where = function.path("name")
    name = text(function.need("name"), where)
    if not _NAME.fullmatch(name):
        raise invalid(where, "must be up to 128 letters, digits, _ and -")
    return name


def _schema(function: Fields) -> Raw | dict[str, Any]:
    where = function.path("parameters")
    schema = function.take("parameters")
    if schema is None or not (fields := members(schema, where)):
        return _NO_ARGUMENTS
    if fields.get("type") != Raw(b'"object"'):
        raise invalid(where, 'must be a schema of type "object"')
    return schema


def read_choice(value: Raw, where: str, droppable: frozenset[str]) -> dict[str, Any]:
    if is_text(value):
        kind = _CHOICES.get(text(value, where))
        if kind is None:
            raise invalid(where, f"must be one of {', '.join(_CHOICES)}, or name a function")
        return {"type": kind}
    choice = Fields(value, where, droppable)
    kind = choice.text("type")
    if kind != "function":
        raise untranslatable(f'"{where}" of type "{str(kind)[:50]}"', "write a string, or name a function")
    function = choice.object("function")
    name = text(function.need("name"), function.path("name"))
    function.close()
    choice.close()
    return {"type": "tool", "name": name}

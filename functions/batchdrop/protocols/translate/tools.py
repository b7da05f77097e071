"""Functions that a model may call, and which of them it must, in Claude's form."""

import re
from typing import Any

from msgspec import Raw

from batchdrop.protocols.claude_models import ModelRules
from batchdrop.protocols.claude_rules import check_structured_output
from batchdrop.protocols.claude_schemas import check_schema
from batchdrop.protocols.translate.fields import Fields, invalid, is_text, members, objects, text, untranslatable

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")  # Anthropic refuses others
_NO_ARGUMENTS = {"type": "object", "properties": {}}
_OWN = ("cache_control", "input_examples", "defer_loading", "allowed_callers", "eager_input_streaming")  # Anthropic's
_OF_ANTHROPIC = re.compile(r"[a-z_]+_[0-9]{8}|mcp_toolset")  # types of tools: web_search_20260209
_OWN_CHOICES = frozenset({"auto", "any", "tool", "none"})
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}


def read_tools(value: Raw, where: str, droppable: frozenset[str], rules: ModelRules) -> list[dict[str, Any]]:
    return [_tool(each, rules) for each in objects(value, where, droppable)]


def read_functions(value: Raw, where: str, droppable: frozenset[str], rules: ModelRules) -> list[dict[str, Any]]:
    """The functions of a request in the form of before tools."""
    return [_function(each, rules) for each in objects(value, where, droppable)]


def _tool(tool: Fields, rules: ModelRules) -> dict[str, Any]:
    kind = tool.text("type")
    own = members(tool.raw, tool.where)
    if "input_schema" in own or (kind is not None and _OF_ANTHROPIC.fullmatch(kind)):
        return dict(own)
    if kind != "function":
        raise untranslatable(f'"{tool.where}", a tool of type "{str(kind)[:50]}",', "make it a function")
    out = _function(tool.object("function"), rules) | tool.take_all(_OWN)
    tool.close()
    return out


def _function(function: Fields, rules: ModelRules) -> dict[str, Any]:
    out: dict[str, Any] = {"name": _name(function), "input_schema": _schema(function)}
    if (description := function.text("description")) is not None:
        out["description"] = description
    if function.flag("strict"):
        check_structured_output(rules, function.path("strict"))
        out |= {"strict": True, "input_schema": _strict(out["input_schema"], function.path("parameters"))}
    out |= function.take_all(_OWN)
    function.close()
    return out


def _strict(schema: Raw | dict[str, Any], where: str) -> Raw | dict[str, Any]:
    if isinstance(schema, dict):
        return schema | {"additionalProperties": False}
    check_schema(schema, where)
    return schema


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
    """The choice in Claude's form; `only` names the tools that are left of all, where a choice says so."""
    if is_text(value):
        return {"type": _mode(value, where)}
    choice = Fields(value, where, droppable)
    kind = choice.text("type")
    if kind in _OWN_CHOICES:
        return dict(members(value, where)) | {"type": kind}
    if kind == "allowed_tools":
        return _allowed_tools(choice.object("allowed_tools")) | _closed(choice)
    if kind not in {"function", None}:  # in the form of before tools there is a name only
        raise untranslatable(f'"{where}" of type "{str(kind)[:50]}"', "write a string, or name a function")
    function = choice.object("function") if kind else choice
    name = text(function.need("name"), function.path("name"))
    return {"type": "tool", "name": name} | _closed(function) | _closed(choice)


def _mode(value: Raw, where: str) -> str:
    kind = _CHOICES.get(text(value, where))
    if kind is None:
        raise invalid(where, f"must be one of {', '.join(_CHOICES)}, or name a function")
    return kind


def _allowed_tools(allowed: Fields) -> dict[str, Any]:
    only = []
    for tool in allowed.objects("tools"):
        if tool.text("type") != "function":
            raise untranslatable(f'"{tool.where}", a tool of another type than "function",', "name functions")
        function = tool.object("function")
        only.append(text(function.need("name"), function.path("name")))
        function.close()
        tool.close()
    mode = _mode(allowed.need("mode"), allowed.path("mode"))
    return {"type": mode, "only": only} | _closed(allowed)


def _closed(fields: Fields) -> dict[str, Any]:
    fields.close()
    return {}

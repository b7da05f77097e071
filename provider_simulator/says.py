"""Writes the content of an answer, whichever body carries it: a text, or JSON in a given schema, and tool calls."""

import json
import re
from typing import Any, NamedTuple

from provider_simulator.facts import Json, Style
from provider_simulator.instances import instance

SENTIMENTS = ("positive", "neutral", "negative")
_GOOD = """
good great love loved loves excellent amazing best nice wonderful happy perfect awesome enjoy enjoyed fantastic
beautiful brilliant glad pleased recommend lol fun gut schön toll bien bon bueno excelente merci superbe :) :d
"""
_BAD = """
bad terrible hate hated awful worst poor horrible sad broken angry disappointing disappointed never waste boring
sucks ugly annoying wrong fail failed refund schlecht mauvais malo peor triste nul :( :-(
"""
GOOD, BAD = frozenset(_GOOD.split()), frozenset(_BAD.split())
_words = re.compile(r"[\w']+|[:;]-?[()d]", re.IGNORECASE)


class Called(NamedTuple):
    """A tool that the answer calls, in the same form at every endpoint."""

    name: str
    arguments: Any


class Said(NamedTuple):
    text: str
    calls: tuple[Called, ...] = ()
    is_named: bool = False
    """Whether the request named the tool that it calls."""


def content_of(text: str, calls: list[Called]) -> Any:  # noqa: ANN401 - a text, or more
    """Return the content of an answer, as `answers.content` does."""
    return {"text": text, "calls": [list(each) for each in calls]} if calls else text


def say(body: Json, mark: str, prompt: object, style: Style) -> Said:
    """Raises: SchemaError, the schema of a tool or of the output is none."""
    tools = {name: schema for name, schema in map(_function, _listed(body, "tools", "functions")) if name}
    forced = _forced(body)
    text = _text(body, mark, prompt)
    if forced is None and not style.calls_tools:
        return Said(_written(body, mark, text, style))
    named = forced if forced in tools else None
    chosen = [named] if named else list(tools)[: None if forced is None else 1]
    calls = tuple(Called(name, instance(tools[name], text, int(mark[:8], 16))) for name in chosen)
    written = "" if forced is not None and calls else _written(body, mark, text, style)
    return Said(written, calls, is_named=named is not None)


def _listed(body: Json, *names: str) -> list[Any]:
    return [each for name in names if isinstance(body.get(name), list) for each in body[name]]


def _function(tool: Any) -> tuple[str | None, Json]:  # noqa: ANN401 - whatever a request holds
    """The name and the schema of a tool that the user runs, however it is written; no name for a provider's own."""
    tool = tool.get("function", tool) if isinstance(tool, dict) else {}
    schema = tool.get("parameters", tool.get("input_schema"))
    is_custom = schema is not None or tool.get("type") is None
    return (tool.get("name") if is_custom else None), schema or {"type": "object"}


def _forced(body: Json) -> str | None:
    """The tool that must be called; empty for any of them, None for none."""
    for choice in (body.get("tool_choice"), body.get("function_call")):
        match choice:
            case "required" | {"type": "any"} | {"type": "allowed_tools", "mode": "required"}:
                return ""
            case {"type": "allowed_tools", "allowed_tools": {"mode": "required"}}:
                return ""
            case {"type": "tool" | "function", "name": str(name)} | {"function": {"name": str(name)}}:
                return name
            case {"name": str(name)}:
                return name
            case _:
                pass
    return None


def _written(body: Json, mark: str, text: str, style: Style) -> str:
    wish = _format(body)
    match wish:
        case {"type": "json_schema"}:
            schema = wish.get("json_schema", wish).get("schema", {})
            return _said_json(instance(schema, text, int(mark[:8], 16)), style)
        case {"type": "json_object"}:
            return json.dumps({"answer": text})
        case _:
            return text


def _said_json(value: object, style: Style) -> str:
    """JSON; of what is not to fit some is cut short, and some is a list."""
    text = json.dumps(value, ensure_ascii=False)
    if not style.misfits:
        return text
    return json.dumps([text]) if len(text) % 2 else text[: len(text) // 2]


def _format(body: Json) -> Any:  # noqa: ANN401 - the same
    for wish in (body.get("response_format"), body.get("text"), body.get("output_config")):
        if isinstance(wish, dict):
            found = wish.get("format", wish)
            if isinstance(found, dict):
                return found
    return None


def _text(body: Json, mark: str, prompt: object) -> str:
    said = _prompt_text(prompt)
    label = _sentiment(said, mark) if _asks_for_sentiment(said + _prompt_text(body.get("system"))) else "Answer"
    return f"{label} [{mark[:12]}]"


def _prompt_text(prompt: object) -> str:
    """All text of a prompt, in order, whatever its form."""
    match prompt:
        case str():
            return prompt
        case list():
            return "\n".join(_prompt_text(part) for part in prompt)
        case {"content": inner} | {"text": inner}:
            return _prompt_text(inner)
        case _:
            return ""


def _asks_for_sentiment(said: str) -> bool:
    lowered = said.lower()
    return "sentiment" in lowered or all(word in lowered for word in SENTIMENTS)


def _sentiment(said: str, mark: str) -> str:
    words = [word.lower() for word in _words.findall(said)]
    score = sum(word in GOOD for word in words) - sum(word in BAD for word in words)
    if score:
        return "positive" if score > 0 else "negative"
    return SENTIMENTS[int(mark[:8], 16) % len(SENTIMENTS)]

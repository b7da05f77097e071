"""OpenAI's refusals where each parameter alone is right: rules between parameters, and by model.

Written from OpenAI's pages, not from batchdrop's own checks. As of 2026-11-26: the API's reference of chat completions,
and of the guides under https://platform.openai.com/docs/guides/: reasoning (what reasoning models do not take),
latest-model (parameter compatibility: sampling with effort "none" only), structured-outputs (strict schemas, the word
JSON), function-calling (each call has its answer).
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from provider_simulator.facts import Json

_REASONS = re.compile(r"(ft:)?(o\d|gpt-(?:[5-9]|\d\d))(?!.*chat)")
_MAY_NOT_REASON = re.compile(r"(ft:)?gpt-(?:5\.[1-9]|[6-9]|\d\d)")  # effort "none" is 5.1's, and the default there
_SAMPLING = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "logit_bias")
_USUAL = {"temperature": 1, "top_p": 1}


class Broken(NamedTuple):
    """A rule that a request breaks."""

    message: str
    param: str
    code: str | None = None


def refusal(endpoint: str, body: Json) -> Broken | None:
    """The first rule that a request breaks; None for none. It fits the vendor's document already."""
    return next((found for rule in _RULES.get(endpoint, ()) for found in rule(body)), None)


def _by_model(body: Json) -> Iterator[Broken]:
    model, effort = body["model"], body.get("reasoning_effort", (body.get("reasoning") or {}).get("effort"))
    if not _REASONS.match(model):
        if effort is not None:
            yield Broken("Unsupported parameter: 'reasoning_effort'.", "reasoning_effort", "unsupported_parameter")
        return
    if effort == "none" and not _MAY_NOT_REASON.match(model):
        yield Broken(
            "Unsupported value: 'none' is not supported with this model.", "reasoning_effort", "unsupported_value"
        )
    if body.get("max_tokens") is not None:
        message = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
        yield Broken(message, "max_tokens", "unsupported_parameter")
    if effort in {None, "none"} and _MAY_NOT_REASON.match(model):
        return
    for name in _SAMPLING:
        if (body.get(name) or name in _USUAL) and body.get(name) is not None and body[name] != _USUAL.get(name):
            yield Broken(f"Unsupported value: '{name}' is not supported with this model.", name, "unsupported_value")


def _pairs(body: Json) -> Iterator[Broken]:
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        yield Broken(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.", "max_tokens"
        )
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        yield Broken("'top_logprobs' is only allowed when 'logprobs' is true.", "top_logprobs")
    for name, needed in (
        ("tool_choice", "tools"),
        ("parallel_tool_calls", "tools"),
        ("function_call", "functions"),
        ("stream_options", "stream"),
    ):
        if body.get(name) is not None and not body.get(needed):
            yield Broken(f"'{name}' is only allowed when '{needed}' is given.", name)


def _choice(body: Json) -> Iterator[Broken]:
    choice = body.get("tool_choice")
    if not isinstance(choice, dict) or choice.get("type") != "function":
        return
    wanted = choice.get("function", choice).get("name")
    names = {tool.get("function", tool).get("name") for tool in body.get("tools") or () if isinstance(tool, dict)}
    if wanted not in names:
        yield Broken(f"Tool choice '{wanted}' not found in 'tools' parameter.", "tool_choice")


def _calls_are_answered(body: Json) -> Iterator[Broken]:
    waiting: list[str] = []
    for number, message in enumerate([*body["messages"], {"role": ""}]):
        if message["role"] == "tool":
            if message.get("tool_call_id") not in waiting:
                said = "messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
                yield Broken(said, f"messages.[{number}].role")
                return
            waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            said = f"An assistant message with 'tool_calls' must be followed by tool messages: {waiting[0]}"
            yield Broken(said, f"messages.[{number}].role")
        waiting = [call["id"] for call in message.get("tool_calls") or ()]


def _says_json(body: Json) -> Iterator[Broken]:
    wish = body.get("response_format") or {}
    if wish.get("type") == "json_object" and "json" not in json.dumps(body["messages"]).lower():
        said = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        yield Broken(said, "messages")


def _strict_schemas(body: Json) -> Iterator[Broken]:
    for where, schema in _asked_strictly(body):
        for said in _faults(schema):
            yield Broken(f"Invalid schema for '{where}': {said}", where)


def _asked_strictly(body: Json) -> Iterator[tuple[str, Any]]:
    wish = body.get("response_format") or {}
    if isinstance(wish.get("json_schema"), dict) and wish["json_schema"].get("strict"):
        yield "response_format", wish["json_schema"].get("schema")
    wish = (body.get("text") or {}).get("format") or {}
    if wish.get("strict"):
        yield "text.format", wish.get("schema")
    for tool in body.get("tools") or ():
        function = tool.get("function", tool) if isinstance(tool, dict) else {}
        if function.get("strict"):
            yield "tools", function.get("parameters")


def _faults(schema: Any) -> Iterator[str]:  # noqa: ANN401 - whatever a request holds
    if not isinstance(schema, dict):
        return
    kinds = schema.get("type")
    if kinds == "object" or (isinstance(kinds, list) and "object" in kinds):
        if schema.get("additionalProperties") is not False:
            yield "'additionalProperties' is required to be supplied and to be false."
        if missing := schema.get("properties", {}).keys() - set(schema.get("required", ())):
            yield f"'required' must include every key in properties. Missing '{min(missing)}'."
    if name := next(iter({"allOf", "not", "if", "then", "else", "dependentRequired"} & schema.keys()), None):
        yield f"'{name}' is not permitted."
    inside = [each for name in ("properties", "$defs") for each in (schema.get(name) or {}).values()]
    for inner in (*inside, schema.get("items"), *(schema.get("anyOf") or ())):
        yield from _faults(inner)


_RULES: dict[str, tuple[Callable[[Json], Iterator[Broken]], ...]] = {
    "/v1/chat/completions": (_by_model, _pairs, _choice, _calls_are_answered, _says_json, _strict_schemas),
    "/v1/responses": (_by_model, _choice, _strict_schemas),
}

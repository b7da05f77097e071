"""No parameter is lost without an error: each key of a request shows in what is sent, or is refused by its name."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from batchdrop.protocols.request_checks import LineProblem
from batchdrop.protocols.translate.request import to_messages
from faking.chat_requests import VALUES, chat_requests
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)

from provider_simulator.vendor_schemas import parameter_schemas, parameters

CHAT = "/v1/chat/completions"
SDKS = (CompletionCreateParamsNonStreaming, CompletionCreateParamsStreaming)
type Path = tuple[str | int, ...]

# Keys that may go without a trace: labels, what a kind of object must say, and what Claude does anyway.
SAY_NOTHING = {
    "model",  # the caller's: on the wire it has no prefix
    "messages.tool_calls.type",
    "response_format.json_schema.name",
    "response_format.json_schema.strict",
}
# What is asked for by these values happens anyway.
HAPPENS_ANYWAY = {
    "n": (1,),
    "stream": (False,),
    "store": (False,),
    "logprobs": (False,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
    "verbosity": ("medium",),
    "parallel_tool_calls": (True,),
    "tool_choice": ("none",),  # without tools
    "tools": ([],),
    "stop": ([],),
    "response_format": ({"type": "text"},),
}


# Where an empty value says nothing by OpenAI's document: lists, maps of any names, and what is for streams only. An
# object with names of its own may switch something on (`web_search_options: {}`).
EMPTY_SAYS_NOTHING = {"logit_bias", "metadata", "stream_options", "functions", "tools", "stop"}


def translated(body: dict[str, Any], drop: tuple[str, ...] = ()) -> Any:
    raw = Raw(json.dumps(body).encode())
    return json.loads(bytes(to_messages(raw, model="m", api_version="2023-06-01", drop_params=drop)))


def keys(value: Any, at: Path = ()) -> Iterator[Path]:
    """The path of each key, outermost first; what is passed on as a whole counts as one."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (*at, name)
            if name not in {"parameters", "schema"}:
                yield from keys(inner, (*at, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from keys(inner, (*at, index))


def plain(path: Path) -> str:
    return ".".join(part for part in path if isinstance(part, str))


def spelled(path: Path) -> str:
    """As errors write it: `messages[0].name`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def changed(body: dict[str, Any], path: Path, value: Any = None) -> dict[str, Any]:
    """The body with a value at a path; without the key if it is None."""
    out: dict[str, Any] = json.loads(json.dumps(body))  # nothing shared, unlike a deep copy
    inner: Any = out
    for part in path[:-1]:
        inner = inner[part]
    if value is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return out


@given(chat_requests())
def test_each_key_of_a_request_shows_in_what_is_sent(body: dict[str, Any]) -> None:
    sent = translated(body)
    for path in keys(body):
        if plain(path) in SAY_NOTHING or (path == ("tool_choice",) and body["tool_choice"] == "auto"):
            continue
        try:
            without = translated(changed(body, path))
        except LineProblem:
            continue  # it matters: nothing is sent without it
        assert without != sent, f"{spelled(path)} is lost"


@given(chat_requests())
def test_an_unknown_key_anywhere_is_refused_by_its_name_or_dropped_if_that_is_allowed(body: dict[str, Any]) -> None:
    sent = translated(body)
    for parent in {path[:-1] for path in keys(body)}:
        path = (*parent, "surprise")
        odd = changed(body, path, 1)
        with pytest.raises(LineProblem) as refused:
            translated(odd)
        assert f'"{spelled(path)}"' in refused.value.message
        assert refused.value.code == "untranslatable"
        assert translated(odd, drop=(plain(path),)) == sent


def asked_for() -> list[str]:
    """The parameters by OpenAI's document, which takes a second to read: not while tests are collected."""
    return sorted(parameters(CHAT) - {"model", "messages"})


@given(
    st.dictionaries(
        st.deferred(lambda: st.sampled_from(asked_for())) | st.just("of_tomorrow"),
        VALUES | st.sampled_from([value for values in HAPPENS_ANYWAY.values() for value in values]),
        max_size=4,
    )
)
def test_any_value_of_any_parameter_is_sent_refused_by_its_name_or_says_nothing(asked: dict[str, Any]) -> None:
    least = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    try:
        sent = translated(least | asked)
    except LineProblem as problem:
        refusal = problem.message
    else:
        refusal = None
    if refusal is not None:
        assert any(f'"{name}' in refusal for name in asked)
        return
    for name, value in asked.items():
        if (
            value is None
            or (name in EMPTY_SAYS_NOTHING and value in ([], {}))
            or _is_among(value, HAPPENS_ANYWAY.get(name, ()))
        ):
            continue
        rest = {other: each for other, each in asked.items() if other != name}
        assert translated(least | rest) != sent or _is_said_twice(name, asked), f"{name} is lost"


def _is_among(value: Any, values: tuple[Any, ...]) -> bool:
    return any(type(value) is type(each) and value == each for each in values) or (
        isinstance(value, float) and value in values
    )


def _is_said_twice(name: str, asked: dict[str, Any]) -> bool:
    pairs = [{"user", "safety_identifier"}, {"max_tokens", "max_completion_tokens"}]
    return any(name in pair and pair <= asked.keys() for pair in pairs)


def test_the_parameters_that_are_asked_for_are_all_that_the_vendors_sdk_knows() -> None:
    assert parameters(CHAT) >= {name for each in SDKS for name in each.__required_keys__ | each.__optional_keys__}


EMPTY = ({}, [], "", 0, False, None)


@pytest.mark.parametrize("value", EMPTY, ids=repr)
def test_an_empty_value_is_sent_refused_by_its_name_or_says_nothing_by_the_vendors_document(value: Any) -> None:
    assert [name for name in asked_for() if is_lost(name, value)] == []


def is_lost(name: str, value: Any) -> bool:
    least = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    try:
        sent = translated(least | {name: value})
    except LineProblem as problem:
        return f'"{name}' not in problem.message
    says_nothing = value is None or _is_among(value, HAPPENS_ANYWAY.get(name, ())) or value in _empty_forms(name)
    return sent == translated(least) and not says_nothing


def _empty_forms(name: str) -> list[Any]:
    """The values by which OpenAI's document says nothing: a list or a map without content."""
    if name == "stream_options":
        return [{}]  # "Only set this when you set stream: true"
    schemas = [schema for schema in parameter_schemas(CHAT, name) if not schema.get("properties")]
    maps = [{} for schema in schemas if "object" in schema["type"] and "additionalProperties" in schema]
    return [*maps, *([] for schema in schemas if "array" in schema["type"])]


def test_web_search_is_switched_on_by_an_empty_object_as_openais_document_has_it() -> None:
    assert _empty_forms("web_search_options") == []
    assert [_empty_forms(name) for name in ("logit_bias", "metadata", "functions")] == [[{}], [{}], [[]]]

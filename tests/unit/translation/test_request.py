"""A chat completion as a Messages request: what each parameter becomes, and what is refused by its name."""

import json
from typing import Any

import pytest
from batchdrop.protocols.claude_models import rules_of
from batchdrop.protocols.request_checks import LineProblem
from batchdrop.protocols.translate.request import to_messages
from msgspec import Raw

OLD, NEW = "2023-06-01", "2026-10-21"
MODEL, BUDGETED = "claude-of-tomorrow", "claude-haiku-4-5"  # the one takes everything, as far as is known
HI = [{"role": "user", "content": "Hi"}]
ASKED = {"role": "user", "content": [{"type": "text", "text": "Hi"}]}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
CLAUDES_TOOL = {"name": "f", "input_schema": {"type": "object", "properties": {}}}
OPEN = 'needs "additionalProperties": false in every object for Claude'
ARGUMENTS = "a JSON object in a string"
TWICE = 'and is not JSON for every reader: "z" is there twice, the second time at byte'
CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}


def translated(body: dict[str, Any], *, model: str = MODEL, version: str = OLD, drop: tuple[str, ...] = ()) -> Any:
    raw = Raw(json.dumps({"model": "m", "messages": HI} | body).encode())
    rules = rules_of(model)
    return json.loads(bytes(to_messages(raw, model=model, api_version=version, rules=rules, drop_params=drop)))


def became(body: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What the parameters became, without what every request has."""
    out = translated(body, **more)
    return {name: value for name, value in out.items() if name not in {"model", "messages"} and (name, value) != MOST}


MOST = ("max_tokens", 32_000)


def refused(body: dict[str, Any], **more: Any) -> tuple[str, str]:
    with pytest.raises(LineProblem) as problem:
        translated(body, **more)
    return problem.value.code.value, problem.value.message


def no_equal(what: str, remedy: str) -> tuple[str, str]:
    return "untranslatable", f"{what} has no equal in Anthropic's Messages API: {remedy}"


def turns(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = translated({"messages": list(messages)})["messages"]
    return found


def call(call_id: str, arguments: str = "{}") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "f", "arguments": arguments}}


def test_the_least_request() -> None:
    assert translated({}) == {"model": MODEL, "max_tokens": 32_000, "messages": [ASKED]}


def form(schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, **more}}}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"max_completion_tokens": 5}, {"max_tokens": 5}),
        ({"max_completion_tokens": 5, "max_tokens": 5}, {"max_tokens": 5}),
        ({"temperature": 0}, {"temperature": 0}),
        ({"temperature": 1.0, "top_p": 0.5}, {"temperature": 1.0, "top_p": 0.5}),
        ({"stop": "END"}, {"stop_sequences": ["END"]}),
        ({"stop": ["a", "b"]}, {"stop_sequences": ["a", "b"]}),
        ({"stop": []}, {}),
        ({"user": "u-1"}, {"metadata": {"user_id": "u-1"}}),
        ({"safety_identifier": "s-1"}, {"metadata": {"user_id": "s-1"}}),
        ({"safety_identifier": "s-1", "user": "s-1"}, {"metadata": {"user_id": "s-1"}}),
        ({"tools": [TOOL]}, {"tools": [CLAUDES_TOOL]}),
        ({"tools": []}, {}),
        ({"tools": [TOOL], "tool_choice": "auto"}, {"tools": [CLAUDES_TOOL], "tool_choice": {"type": "auto"}}),
        ({"tools": [TOOL], "tool_choice": "none"}, {"tools": [CLAUDES_TOOL], "tool_choice": {"type": "none"}}),
        ({"tools": [TOOL], "tool_choice": "required"}, {"tools": [CLAUDES_TOOL], "tool_choice": {"type": "any"}}),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
            {"tools": [CLAUDES_TOOL], "tool_choice": {"type": "tool", "name": "f"}},
        ),
        ({"tool_choice": "none"}, {}),
        (
            {"tools": [TOOL], "parallel_tool_calls": False},
            {"tools": [CLAUDES_TOOL], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        ),
        (
            {"tools": [TOOL], "parallel_tool_calls": False, "tool_choice": "required"},
            {"tools": [CLAUDES_TOOL], "tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
        ),
        (
            {"tools": [TOOL], "parallel_tool_calls": False, "tool_choice": "none"},
            {"tools": [CLAUDES_TOOL], "tool_choice": {"type": "none"}},
        ),
        ({"tools": [TOOL], "parallel_tool_calls": True}, {"tools": [CLAUDES_TOOL]}),
        ({"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
        ({"reasoning_effort": "high"}, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),
        ({"reasoning_effort": "minimal"}, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
        (
            form(CLOSED, strict=True),
            {"output_config": {"format": {"type": "json_schema", "schema": CLOSED}}},
        ),
        (
            form(CLOSED, description="d"),
            {"output_config": {"format": {"type": "json_schema", "schema": {"description": "d", **CLOSED}}}},
        ),
        (
            form(CLOSED) | {"reasoning_effort": "max"},
            {
                "thinking": {"type": "adaptive"},
                "output_config": {"effort": "max", "format": {"type": "json_schema", "schema": CLOSED}},
            },
        ),
    ],
)
def test_what_a_parameter_becomes(asked: dict[str, Any], expected: dict[str, Any]) -> None:
    assert became(asked) == expected


@pytest.mark.parametrize(
    "asked",
    [
        {"n": 1},
        {"stream": False},
        {"store": False},
        {"logprobs": False},
        {"frequency_penalty": 0, "presence_penalty": 0.0},
        {"modalities": ["text"]},
        {"service_tier": "auto"},
        {"verbosity": "medium"},
        {"response_format": {"type": "text"}},
        {"logit_bias": {}, "metadata": {}, "functions": [], "stream_options": {}},
        {"temperature": None, "seed": None, "max_tokens": None, "anything": None},
    ],
)
def test_what_happens_anyway_may_be_asked_for(asked: dict[str, Any]) -> None:
    assert became(asked) == {}


def test_spaces_change_nothing() -> None:
    body = b'{"messages": [{"role": "user", "content": "Hi"}], "modalities": [ "text" ], "logit_bias": { }}'
    assert json.loads(bytes(to_messages(Raw(body), model=MODEL, api_version=OLD))) == translated({})


@pytest.mark.parametrize(
    ("max_tokens", "effort", "budget"), [(10_000, "low", 2_000), (10_000, "high", 8_000), (1_500, "low", 1_024)]
)
def test_a_model_with_a_budget_thinks_with_a_share_of_its_tokens(max_tokens: int, effort: str, budget: int) -> None:
    assert became({"reasoning_effort": effort, "max_completion_tokens": max_tokens}, model=BUDGETED) == {
        "max_tokens": max_tokens,
        "thinking": {"type": "enabled", "budget_tokens": budget},
    }


NO_EQUAL = {
    "n": 2,
    "seed": 1,
    "logprobs": True,
    "top_logprobs": 2,
    "logit_bias": {"5": 1},
    "frequency_penalty": 0.5,
    "presence_penalty": -1,
    "audio": {"voice": "a"},
    "modalities": ["text", "audio"],
    "prediction": {"type": "content"},
    "store": True,
    "metadata": {"a": "b"},
    "service_tier": "flex",
    "verbosity": "low",
    "prompt_cache_key": "k",
    "prompt_cache_retention": "24h",
    "stream_options": {"include_usage": True},
    "moderation": {"model": "m"},
    "a_parameter_of_tomorrow": 0,
}


@pytest.mark.parametrize(("name", "value"), NO_EQUAL.items())
def test_what_has_no_equal_is_refused_by_its_name(name: str, value: object) -> None:
    assert refused({name: value}) == no_equal(f'"{name}"', f'leave it out, or list "{name}" in drop_params')


@pytest.mark.parametrize(("name", "value"), NO_EQUAL.items())
def test_what_has_no_equal_is_left_out_where_drop_params_lists_it(name: str, value: object) -> None:
    assert became({name: value}, drop=(name,)) == {}


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"stream": True}, ("unsupported_parameter", '"stream" is not possible in a batch: leave it out')),
        (
            {"extra_body": {"a": 1}},
            (
                "unsupported_parameter",
                '"extra_body" is an argument of the SDK, not of the API: write its keys into the body itself',
            ),
        ),
        ({"temperature": 1.5}, ("invalid_parameter", '"temperature" must be from 0 to 1 for Claude')),
        ({"top_p": "x"}, ("invalid_parameter", '"top_p" is not a number')),
        *(
            ({"max_tokens": bad}, ("invalid_parameter", '"max_tokens" must be a whole number from 1 to 999,999,999'))
            for bad in (0, -1, 1.5, "5", 10**4000)
        ),
        (
            {"max_tokens": 5, "max_completion_tokens": 6},
            ("invalid_parameter", '"max_tokens" differs from "max_completion_tokens"'),
        ),
        ({"stop": ["a", "\n"]}, ("invalid_parameter", '"stop" holds a blank sequence: Claude takes none')),
        ({"stop": 5}, ("invalid_parameter", '"stop" is not an array')),
        (
            {"user": "a", "safety_identifier": "b"},
            ("invalid_parameter", '"user" differs from another parameter that names the user'),
        ),
        ({"user": "a" * 513}, ("invalid_parameter", '"user" is longer than 512 characters')),
        ({"tool_choice": "required"}, ("invalid_parameter", '"tool_choice" needs "tools"')),
        ({"parallel_tool_calls": False}, ("invalid_parameter", '"parallel_tool_calls" needs "tools"')),
        (
            {"tools": [TOOL], "tool_choice": "any"},
            ("invalid_parameter", '"tool_choice" must be one of auto, none, required, or name a function'),
        ),
        (
            {"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "allowed_tools": {}}},
            ("missing_parameter", '"tool_choice.allowed_tools.tools" is missing'),
        ),
        (
            {"tools": [TOOL, {"type": "custom", "custom": {"name": "c"}}]},
            (
                "untranslatable",
                '"tools[1]", a tool of type "custom", has no equal in Anthropic\'s Messages API: make it a function',
            ),
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "f g"}}]},
            ("invalid_parameter", '"tools[0].function.name" must be up to 128 letters, digits, _ and -'),
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "array"}}}]},
            ("invalid_parameter", '"tools[0].function.parameters" must be a schema of type "object"'),
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "cost": 1}}]},
            no_equal('"tools[0].function.cost"', 'leave it out, or list "tools.function.cost" in drop_params'),
        ),
        (
            {"reasoning_effort": "great"},
            (
                "invalid_parameter",
                '"reasoning_effort" must be one of none, minimal, low, medium, high, xhigh, max',
            ),
        ),
        (
            {"reasoning_effort": "low", "temperature": 0.5},
            ("invalid_parameter", '"temperature" must be at least 1 beside "reasoning_effort" for Claude'),
        ),
        (
            {"tools": [TOOL], "tool_choice": {"type": "custom", "custom": {"name": "c"}}},
            no_equal('"tool_choice" of type "custom"', "write a string, or name a function"),
        ),
        (
            {"response_format": {"type": "json_object"}},
            no_equal('"response_format" of type "json_object"', 'write one of type "json_schema"'),
        ),
        (
            form({"type": "object", "properties": {"a": {"type": "object"}}, "additionalProperties": False}),
            (
                "invalid_parameter",
                f'"response_format.json_schema.schema.properties.a" {OPEN}',
            ),
        ),
        (
            form({"description": "own", **CLOSED}, description="other"),
            no_equal(
                '"response_format.json_schema.description"',
                'leave it out, or list "response_format.json_schema.description" in drop_params',
            ),
        ),
    ],
)
def test_what_claude_would_not_take_is_refused(asked: dict[str, Any], error: tuple[str, str]) -> None:
    assert refused(asked) == error


def test_web_search_is_refused_with_the_tool_that_is_its_equal() -> None:
    why = 'list Claude\'s own tool in "tools", {"type": "web_search_20250305", "name": "web_search"}'
    for asked in ({}, {"search_context_size": "low"}):
        error = refused({"web_search_options": asked})
        assert error == ("untranslatable", f'"web_search_options" is not translated: {why}')
    assert became({"web_search_options": {}}, drop=("web_search_options",)) == {}


EPHEMERAL = {"type": "ephemeral"}
SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}
OWN_TOOL = {"name": "g", "input_schema": {"type": "object"}, "cache_control": EPHEMERAL}


@pytest.mark.parametrize(
    "own",
    [
        {"thinking": {"type": "enabled", "budget_tokens": 1_024}},
        {"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "low"}},
        {"cache_control": EPHEMERAL},
        {"top_k": 5},
        {"stop_sequences": ["END"]},
        {"system": "Be brief."},
        {"metadata": {"user_id": "u"}},
        {"service_tier": "standard_only"},
        {"container": "c", "inference_geo": "us", "context_management": {"edits": []}, "mcp_servers": []},
        {"tools": [SEARCH, OWN_TOOL], "tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
    ],
)
def test_what_is_anthropics_own_passes_through(own: dict[str, Any]) -> None:
    assert became(own) == own


def test_anthropics_own_passes_in_messages_and_tools() -> None:
    document = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}
    thought = {"type": "thinking", "thinking": "t", "signature": "s"}
    messages = [
        {"role": "system", "content": [{"type": "text", "text": "s", "cache_control": EPHEMERAL}]},
        {"role": "user", "content": [document, {"type": "text", "text": "u"}], "cache_control": EPHEMERAL},
        {"role": "assistant", "content": [thought], "tool_calls": [call("a") | {"cache_control": EPHEMERAL}]},
        {"role": "tool", "tool_call_id": "a", "content": "r", "cache_control": EPHEMERAL},
    ]
    out = translated({"messages": messages, "tools": [TOOL | {"cache_control": EPHEMERAL}]})
    assert out["system"] == [{"type": "text", "text": "s", "cache_control": EPHEMERAL}]
    assert [turn["content"] for turn in out["messages"]] == [
        [document, {"type": "text", "text": "u", "cache_control": EPHEMERAL}],
        [thought, {"type": "tool_use", "id": "a", "name": "f", "input": {}, "cache_control": EPHEMERAL}],
        [
            {
                "type": "tool_result",
                "tool_use_id": "a",
                "content": [{"type": "text", "text": "r"}],
                "cache_control": EPHEMERAL,
            }
        ],
    ]
    assert out["tools"] == [CLAUDES_TOOL | {"cache_control": EPHEMERAL}]


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ({"thinking": {"type": "adaptive"}, "reasoning_effort": "low"}, "reasoning_effort"),
        ({"output_config": {"effort": "low"}, "reasoning_effort": "low"}, "reasoning_effort"),
        ({"output_config": {"format": {}}} | form(CLOSED), "response_format"),
        ({"stop": "a", "stop_sequences": ["b"]}, "stop_sequences"),
        ({"user": "a", "metadata": {"user_id": "b"}}, "metadata"),
        ({"system": "s", "messages": [{"role": "system", "content": "t"}, *HI]}, "system"),
    ],
)
def test_both_words_for_one_thing_are_refused(asked: dict[str, Any], name: str) -> None:
    code, message = refused(asked)
    assert (code, message.partition(" ")[0]) == ("invalid_parameter", f'"{name}"')


def test_functions_of_before_tools_are_tools_that_are_called_one_at_a_time() -> None:
    messages = [
        *HI,
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": '{"a":1}'}},
        {"role": "function", "name": "f", "content": "r"},
    ]
    out = translated({"messages": messages, "functions": [TOOL["function"]], "function_call": {"name": "f"}})
    assert out["tools"] == [CLAUDES_TOOL]
    assert out["tool_choice"] == {"type": "tool", "name": "f", "disable_parallel_tool_use": True}
    assert out["messages"][1:] == [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "function_call", "name": "f", "input": {"a": 1}}]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "function_call", "content": [{"type": "text", "text": "r"}]}
            ],
        },
    ]
    assert became({"functions": [TOOL["function"]]})["tool_choice"] == {
        "type": "auto",
        "disable_parallel_tool_use": True,
    }


def test_ids_of_calls_are_spelled_in_anthropics_letters_and_never_twice() -> None:
    def round_of(*ids: str) -> list[dict[str, Any]]:
        answers = [{"role": "tool", "tool_call_id": each, "name": "f", "content": each} for each in ids]
        return [{"role": "assistant", "tool_calls": [call(each) for each in ids]}, *answers]

    found = turns(*HI, *round_of("a.b:c", "a_b_c"), *round_of("a_b_c"))
    called = [block["id"] for turn in found for block in turn["content"] if block["type"] == "tool_use"]
    answered = [
        (block["tool_use_id"], block["content"][0]["text"])
        for turn in found
        for block in turn["content"]
        if block["type"] == "tool_result"
    ]
    assert called == ["a_b_c", "a_b_c_1", "a_b_c_2"]
    assert answered == [("a_b_c", "a.b:c"), ("a_b_c_1", "a_b_c"), ("a_b_c_2", "a_b_c")]


def test_of_allowed_tools_the_others_are_left_out() -> None:
    other = {"type": "function", "function": {"name": "g"}}
    choice = {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]}
    asked = {"tools": [TOOL, other], "tool_choice": {"type": "allowed_tools", "allowed_tools": choice}}
    assert became(asked) == {"tools": [CLAUDES_TOOL], "tool_choice": {"type": "any"}}
    choice["tools"] = [{"type": "function", "function": {"name": "h"}}]
    assert refused(asked) == ("invalid_parameter", '"tool_choice" allows a tool that "tools" does not have')


def test_a_text_file_is_a_document() -> None:
    file = {"file_data": "data:text/markdown;base64,w6Q=", "filename": "a.md"}
    (turn,) = turns({"role": "user", "content": [{"type": "file", "file": file}]})
    source = {"type": "text", "media_type": "text/plain", "data": "\u00e4"}
    assert turn["content"] == [{"type": "document", "source": source, "title": "a.md"}]
    file["file_data"] = "data:text/plain;base64,/w=="
    error = refused({"messages": [{"role": "user", "content": [{"type": "file", "file": file}]}]})
    assert error == (
        "invalid_parameter",
        '"messages[0].content[0].file.file_data" must hold a text in UTF-8, as base64',
    )


def test_effort_beside_a_forced_tool_is_for_models_that_decide_by_themselves() -> None:
    asked = {"reasoning_effort": "low", "tools": [TOOL], "tool_choice": "required"}
    assert became(asked, model="claude-opus-4-6")["tool_choice"] == {"type": "any"}
    assert refused(asked, model=BUDGETED) == (
        "invalid_parameter",
        '"tool_choice" cannot force a call beside "reasoning_effort" for Claude',
    )


def test_thinking_within_a_budget_needs_room() -> None:
    assert refused({"reasoning_effort": "low", "max_tokens": 1_024}, model=BUDGETED) == (
        "invalid_parameter",
        '"reasoning_effort" needs "max_completion_tokens" above 1,024 for this model',
    )


@pytest.mark.parametrize("name", ["temperature", "top_p"])
def test_sampling_is_refused_under_the_api_version_that_refuses_it(name: str) -> None:
    why = f'"{name}" is refused by Anthropic\'s API version 2026-10-21: leave it out, or set anthropic_version'
    error = "unsupported_parameter", why
    assert refused({name: 0.5}, version=NEW) == error
    assert became({name: 0.5}, version=NEW, drop=(name,)) == {}


def test_what_can_be_translated_is_kept_even_where_drop_params_lists_it() -> None:
    assert became({"temperature": 0.5, "stop": "x"}, drop=("temperature", "stop")) == {
        "temperature": 0.5,
        "stop_sequences": ["x"],
    }


def test_messages_are_never_dropped() -> None:
    error = refused({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, drop=("messages",))
    assert error[0] == "untranslatable"


# Messages


def test_system_and_developer_messages_move_to_the_front_in_their_order() -> None:
    out = translated(
        {
            "messages": [
                {"role": "system", "content": "one"},
                *HI,
                {"role": "developer", "content": [{"type": "text", "text": "two"}, {"type": "text", "text": "three"}]},
            ]
        }
    )
    assert out["system"] == [{"type": "text", "text": text} for text in ("one", "two", "three")]
    assert out["messages"] == [ASKED]


def test_images_and_documents_become_blocks() -> None:
    pdf = {"file_data": "data:application/pdf;base64,UERG", "filename": "report.pdf"}
    content = [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "auto"}},
        {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,SlBH"}},
        {"type": "file", "file": pdf},
    ]
    assert turns({"role": "user", "content": content}) == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look"},
                {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
                {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "SlBH"}},
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": "UERG"},
                    "title": "report.pdf",
                },
            ],
        }
    ]


def test_calls_and_their_parallel_results_become_blocks_of_two_turns() -> None:
    found = turns(
        *HI,
        {"role": "assistant", "content": "Wait", "tool_calls": [call("a", '{"x": 1e2}'), call("b", "")]},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "1"}]},
        {"role": "user", "content": "And?"},
    )
    assert found == [
        ASKED,
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Wait"},
                {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 100.0}},
                {"type": "tool_use", "id": "b", "name": "f", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "b", "content": [{"type": "text", "text": "2"}]},
                {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "1"}]},
            ],
        },
        {"role": "user", "content": [{"type": "text", "text": "And?"}]},
    ]


@pytest.mark.parametrize("content", ["", None, " \n", [], [{"type": "text", "text": ""}]])
def test_a_call_without_a_text_is_a_call_alone(content: object) -> None:
    found = turns(
        *HI,
        {"role": "assistant", "content": content, "tool_calls": [call("a")], "refusal": None, "annotations": []},
        {"role": "tool", "tool_call_id": "a", "content": ""},
    )
    assert found[1]["content"] == [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]
    assert found[2]["content"] == [{"type": "tool_result", "tool_use_id": "a", "content": []}]


def test_a_refusal_of_before_is_what_the_assistant_said() -> None:
    said = {"role": "assistant", "content": [{"type": "refusal", "refusal": "No"}], "refusal": "Never"}
    assert turns(*HI, said, *HI)[1]["content"] == [{"type": "text", "text": "No"}, {"type": "text", "text": "Never"}]


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([], ("invalid_parameter", '"messages" is empty, or holds system messages only')),
        (
            [{"role": "system", "content": "S"}],
            ("invalid_parameter", '"messages" is empty, or holds system messages only'),
        ),
        ("Hi", ("invalid_parameter", '"messages" is not an array')),
        (["Hi"], ("invalid_parameter", '"messages[0]" is not an object')),
        (
            [{"role": "wizard", "content": "Hi"}],
            ("invalid_parameter", '"messages[0].role" must be system, developer, user, assistant or tool'),
        ),
        (
            [{"role": "user", "content": ""}],
            ("invalid_parameter", '"messages[0]" is empty: Claude takes no message without content'),
        ),
        (
            [{"role": "user", "content": "Hi", "name": "Bo"}],
            no_equal('"messages[0].name"', 'leave it out, or list "messages.name" in drop_params'),
        ),
        (
            [*HI, {"role": "assistant", "content": "So"}],
            (
                "untranslatable",
                'the last of "messages" is the assistant\'s: Claude would continue it, not answer it',
            ),
        ),
        (
            [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]}],
            no_equal('"messages[0].content[0]", a part of type "input_audio",', "here may be text, image_url, file"),
        ),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x", "detail": "low"}}]}],
            no_equal(
                '"messages[0].content[0].image_url.detail"',
                'leave it out, or list "messages.content.image_url.detail" in drop_params',
            ),
        ),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AA"}}]}],
            (
                "invalid_parameter",
                '"messages[0].content[0].image_url.url" must hold a JPEG, PNG, GIF or WebP image for Claude',
            ),
        ),
        (
            [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}],
            no_equal(
                '"messages[0].content[0].file.file_id", a file at OpenAI,', 'write a PDF or a text into "file_data"'
            ),
        ),
        (
            [{"role": "user", "content": [{"type": "file", "file": {"file_data": "UERG"}}]}],
            (
                "invalid_parameter",
                '"messages[0].content[0].file.file_data" must be "data:<type>;base64,<data>"',
            ),
        ),
        (
            [*HI, {"role": "function", "name": "f", "content": "x"}],
            ("invalid_parameter", '"messages[1].name" answers no call of the assistant\'s message before it'),
        ),
        (
            [*HI, {"role": "assistant", "tool_calls": [call("a"), call("a")]}],
            (
                "invalid_parameter",
                '"messages[1].tool_calls[1].id" must be another for each call of a message, and not empty',
            ),
        ),
        (
            [*HI, {"role": "assistant", "tool_calls": [call("a", "[1]")]}],
            (
                "invalid_parameter",
                f'"messages[1].tool_calls[0].function.arguments" must be {ARGUMENTS}, and is not a JSON object',
            ),
        ),
        (
            [*HI, {"role": "assistant", "tool_calls": [call("a", '{"x": 1, "y": {"z": 1, "z": 2}}')]}],
            ("invalid_parameter", f'"messages[1].tool_calls[0].function.arguments" must be {ARGUMENTS}, {TWICE} 23'),
        ),
        (
            [*HI, {"role": "assistant", "function_call": {"name": "f", "arguments": '{"z": 1, "z": 2}'}}],
            ("invalid_parameter", f'"messages[1].function_call.arguments" must be {ARGUMENTS}, {TWICE} 9'),
        ),
        (
            [*HI, {"role": "assistant", "tool_calls": [call("a")]}, *HI],
            ("invalid_parameter", '"messages[2]" follows a tool call that has no result'),
        ),
        (
            [*HI, {"role": "assistant", "tool_calls": [call("a")]}],
            ("invalid_parameter", '"messages" ends before every tool call has its result'),
        ),
        (
            [*HI, {"role": "tool", "tool_call_id": "a", "content": "x"}],
            (
                "invalid_parameter",
                '"messages[1].tool_call_id" answers no call of the assistant\'s message before it',
            ),
        ),
    ],
)
def test_messages_that_claude_would_not_take_are_refused(messages: object, error: tuple[str, str]) -> None:
    assert refused({"messages": messages}) == error


def test_what_is_passed_on_keeps_its_bytes() -> None:
    text = rb'"a \u00e9 \/ b"'
    schema = b'{ "type":"object", "properties": {"x": {"maximum": 1e400}} }'
    tool = b'{"type":"function","function":{"name":"f","parameters":%b}}' % schema
    raw = b'{"messages":[{"role":"user","content":%b}],"tools":[%b]}' % (text, tool)
    out = bytes(to_messages(Raw(raw), model=MODEL, api_version=OLD))
    assert b'"text":%b}' % text in out
    assert b'"input_schema":%b' % schema in out

"""Chat completions for Claude: sent as Messages requests, back as chat completions in their lines' places."""

from typing import Any

import pytest
from batchdrop.batches.packing import Group
from batchdrop.batches.request_files import BatchWriter, copy_requests
from faking.cloud import Cloud, jsonl
from faking.lines import CHAT, CLAUDE, MESSAGES, chat, claude, got, mixed, wanted


def test_lines_of_every_form_come_back_in_order_each_in_its_endpoints_form(cloud: Cloud) -> None:
    asked = [chat(f"translate {number}", number, model=CLAUDE) for number in range(3)]
    others = mixed(8)
    lines = [others[0], asked[0], *others[1:5], asked[1], claude("native", "n"), *others[5:], asked[2]]
    out = cloud.run("input/forms.jsonl", lines)
    assert [got(result) for result in out.results] == [wanted(line) for line in lines]
    translated = [result for result in out.results if result["model"] == CLAUDE and result["endpoint"] == CHAT]
    assert [result["custom_id"] for result in translated] == [0, 1, 2]
    assert {result["provider"] for result in translated} == {"anthropic"}
    assert {result["response"]["body"]["object"] for result in translated} == {"chat.completion"}


def test_native_and_translated_lines_share_a_batch(cloud: Cloud) -> None:
    out = cloud.run("input/forms.jsonl", [chat("one", model=CLAUDE), claude("two")])
    assert len({result["batch_id"] for result in out.results}) == 1
    assert [(each.endpoint, each.answered, each.batches) for each in out.manifest.models] == [
        (CHAT, 1, 1),
        (MESSAGES, 1, 1),
    ]


def test_what_a_job_may_drop_is_dropped_and_nothing_else(cloud: Cloud) -> None:
    lines = [chat("one", model=CLAUDE), chat("two", model=CLAUDE)]
    lines[0]["body"]["seed"] = 5
    lines[1]["body"] |= {"seed": 5, "n": 2}
    out = cloud.run("input/dropped.jsonl", lines, **{"batchdrop-drop-params": "seed"})
    assert [result["error"] and result["error"]["code"] for result in out.results] == [None, "untranslatable"]
    assert out.results[1]["error"]["message"] == (
        'Line 2: "n" has no equal in Anthropic\'s Messages API: leave it out, or list "n" in drop_params.'
    )


def calling(arguments: str, model: str = CLAUDE) -> dict[str, Any]:
    """A chat line with a call of a tool in its history."""
    line = chat("What is it?", "calling", model=model)
    function = {"name": "f", "arguments": arguments}
    line["body"]["messages"] += [
        {"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "done"},
    ]
    return line


@pytest.mark.parametrize(
    "arguments", ['{\n  "a": 1\n}', '{\r\n\t"a": 1,\r\n\t"b": [\r\n]\r\n}', '\n{"a":\r1}\n', " \n "]
)
def test_tool_arguments_of_many_lines_are_sent_with_their_neighbours(cloud: Cloud, arguments: str) -> None:
    lines = [claude("before"), calling(arguments), chat("after", model=CLAUDE)]
    out = cloud.run("input/pretty.jsonl", lines)
    assert [got(result) for result in out.results] == [wanted(line) for line in lines]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ('{"a": 1e400}', "invalid_parameter"),
        ('{"a": ' + "[" * 5_000 + "]" * 5_000 + "}", "invalid_parameter"),
        ('{"a": ' + "[" * 498 + "]" * 498 + "}", "too_deep"),  # only with the request around it
        ('{"a": NaN}', "invalid_parameter"),
        ('{"a": 1}\n{"b": 2}', "invalid_parameter"),
        ('{"a": "\\ud800"}', "invalid_parameter"),
    ],
    ids=["1e400", "5,000 levels", "499 levels", "NaN", "two", "half a character"],
)
def test_tool_arguments_that_some_cannot_read_are_that_lines_error(cloud: Cloud, arguments: str, code: str) -> None:
    lines = [claude("before"), calling(arguments), claude("after")]
    out = cloud.run("input/unreadable.jsonl", lines)
    assert [result["error"] and result["error"]["code"] for result in out.results] == [None, code, None]
    assert cloud.simulator.charges()["anthropic"]["requests"] == 2


TWICE = ['{"a": 1, "a": 2}', '{"b": [{"c": {"a": 1, "x": {}, "\\u0061": 2}}]}']


@pytest.mark.parametrize("arguments", TWICE)
def test_a_key_that_is_written_twice_in_tool_arguments_is_that_lines_error(cloud: Cloud, arguments: str) -> None:
    out = cloud.run("input/twice.jsonl", [claude("before"), calling(arguments), claude("after")])
    assert [result["error"] and result["error"]["code"] for result in out.results] == [None, "invalid_parameter", None]
    assert cloud.simulator.charges()["anthropic"]["requests"] == 2


@pytest.mark.parametrize("arguments", TWICE)
def test_tool_arguments_that_are_not_translated_pass_as_the_text_that_they_are(cloud: Cloud, arguments: str) -> None:
    line = calling(arguments, "gpt-4o-mini")
    out = cloud.run("input/text.jsonl", [line])
    assert [got(result) for result in out.results] == [wanted(line)]


def test_a_body_that_some_cannot_read_is_not_copied_to_another_batch(cloud: Cloud, tmp_path: Any) -> None:
    job = cloud.drop("input/copied.jsonl", jsonl([claude("one"), claude("two"), claude("three")]))
    assert job is not None
    cloud.deliver("plan")
    (batch,) = cloud.services.store.batches(job, 0)
    written = cloud.services.files.get(batch.requests_key)
    cloud.services.files.put(batch.requests_key, written.replace(b'"two"', b"1e400"))
    writer = BatchWriter("00000-1", "work/copied/", tmp_path, cloud.services, split=0)
    group = Group(provider="anthropic", endpoint=MESSAGES, model=None)
    copy_requests(batch, group, range(3), writer, cloud.services)
    (copied,) = writer.finish()
    text = cloud.services.files.get(copied.requests_key)
    assert (copied.requests, b"one" in text, b"1e400" in text, b"three" in text) == (2, True, False, True)


def test_a_request_that_a_newer_release_would_refuse_is_sent_again_as_it_was_planned(
    cloud: Cloud, tmp_path: Any
) -> None:
    body = {"model": "text-embedding-3-small", "input": ["a", "b"]}
    job = cloud.drop("input/copied.jsonl", jsonl([body]))
    assert job is not None
    cloud.deliver("plan")
    (batch,) = cloud.services.store.batches(job, 0)
    written = cloud.services.files.get(batch.requests_key)
    cloud.services.files.put(batch.requests_key, written.replace(b'"input"', b'"stream": true,"input"'))
    writer = BatchWriter("00000-1", "work/copied/", tmp_path, cloud.services, split=0)
    group = Group(provider="openai", endpoint=batch.endpoint, model=None)
    copy_requests(batch, group, range(1), writer, cloud.services)
    (copied,) = writer.finish()
    assert b'"stream"' in cloud.services.files.get(copied.requests_key)

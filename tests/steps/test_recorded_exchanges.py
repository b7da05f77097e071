"""Whole jobs over HTTP, recorded: each request, and each request line in it, is one of the vendors' own documents.

And what a results line says is what ends up in its input line's result.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from batchdrop.jobs import ask_to_cancel
from faking.cloud import Cloud, jsonl
from faking.cloud import cloud as new_cloud
from faking.lines import CLAUDE, chat, claude, mixed
from faking.recording import Exchange, bodies, record

from provider_simulator.vendor_schemas import first_violation, operation

CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
KEYS = {"openai": {"custom_id", "method", "url", "body"}, "anthropic": {"custom_id", "params"}}
TOOL = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}
CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
PNG, PDF, TEXT = (f"data:{kind};base64,UE5H" for kind in ("image/png", "application/pdf", "text/plain"))
CALLS = [
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": f"call.{name}", "type": "function", "function": {"name": "f", "arguments": '{\n  "a": 1\n}'}}
            for name in "xy"
        ],
    },
    *({"role": "tool", "tool_call_id": f"call.{name}", "content": "1"} for name in "xy"),
]
PARTS = [
    {"type": "text", "text": "Look", "cache_control": {"type": "ephemeral"}},
    {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "auto"}},
    {"type": "image_url", "image_url": {"url": PNG}},
    {"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}},
    {"type": "file", "file": {"file_data": TEXT, "filename": "a.txt"}},
]
# What a chat line for Claude may say: each becomes a request of its own.
TRANSLATED: list[dict[str, Any]] = [
    {"temperature": 0.5, "stop": ["END", "FIN"], "max_tokens": 9, "user": "u"},
    {"top_k": 5, "service_tier": "standard_only", "cache_control": {"type": "ephemeral"}},
    {"tools": [{"type": "function", "function": TOOL}], "tool_choice": "required", "parallel_tool_calls": False},
    {"functions": [TOOL], "function_call": {"name": "f"}},
    {
        "tools": [{"type": "function", "function": TOOL}, {"type": "web_search_20250305", "name": "web_search"}],
        "tool_choice": {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
        },
    },
    {"tools": [{"type": "function", "function": TOOL | {"strict": True, "parameters": CLOSED}}]},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": CLOSED}}},
    {"reasoning_effort": "low"},
    {"thinking": {"type": "enabled", "budget_tokens": 1_024}},
    {"model": "claude-opus-4-6", "reasoning_effort": "max"},
    {"model": "claude-sonnet-5-5", "reasoning_effort": "low"},
    {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}, *CALLS]},
    {"messages": [{"role": "user", "content": PARTS}]},
]


def translated(number: int, asked: dict[str, Any]) -> dict[str, Any]:
    line = chat(f"translate {number}", {"t": number}, model=CLAUDE)
    line["body"] |= asked
    return line


def other_endpoints() -> list[dict[str, Any]]:
    asked = {
        "/v1/completions": {"model": "gpt-3.5-turbo-instruct", "prompt": "Once"},
        "/v1/moderations": {"model": "omni-moderation-latest", "input": ["fine", "better"]},
        "/v1/embeddings": {"model": "text-embedding-3-small", "input": ["a", "b"]},
        "/v1/responses": {"model": "gpt-5-mini", "input": "Hi", "reasoning": {"effort": "low"}},
    }
    return [{"custom_id": url, "method": "POST", "url": url, "body": body} for url, body in asked.items()]


LINES = [
    *mixed(8),
    *other_endpoints(),
    *(translated(number, asked) for number, asked in enumerate(TRANSLATED)),
    {"custom_id": "cr", "model": CLAUDE, "max_tokens": 5, "messages": [{"role": "user", "content": "bare \u2028"}]},
]

FEW = [chat("one"), claude("two"), translated(0, TRANSLATED[0]), translated(1, TRANSLATED[-1])]


def undisturbed(cloud: Cloud) -> Any:
    return cloud.run("input/plain.jsonl", LINES)


def with_failing_lines(cloud: Cloud) -> Any:
    for provider in ("openai", "anthropic"):
        cloud.simulator.shape(provider=provider, failing={"fraction": 0.5, "status": 429}, times=1)
    return cloud.run("input/failing.jsonl", FEW)


def with_lost_replies(cloud: Cloud) -> Any:
    for provider in ("openai", "anthropic"):
        cloud.simulator.fault("reply_lost", provider=provider, operation="create")
    return cloud.run("input/doubt.jsonl", FEW)


def cancelled(cloud: Cloud) -> Any:
    cloud.simulator.shape(seconds_to_complete=7_200)
    job = cloud.drop("input/cancelled.jsonl", jsonl(FEW))
    assert job is not None
    cloud.deliver_all()
    ask_to_cancel(job, cloud.services.store, now=cloud.services.now())
    cloud.settle()
    return cloud.outcome(job)


def of_a_newer_version(cloud: Cloud) -> Any:
    settings = {"batchdrop-anthropic-version": "2026-10-21", "batchdrop-betas": "output-300k-2026-03-24"}
    return cloud.run("input/version.jsonl", [*FEW, *LINES[-5:]], **settings)


JOBS: dict[str, Callable[[Cloud], Any]] = {
    each.__name__: each for each in (undisturbed, with_failing_lines, with_lost_replies, cancelled, of_a_newer_version)
}


class Recorded:
    """A job's result lines, and what was sent and read for them."""

    def __init__(self, run: Callable[[Cloud], Any]) -> None:
        with new_cloud() as cloud:
            recorder = record(cloud)
            self.results: list[dict[str, Any]] = run(cloud).results
            self.exchanges = recorder.exchanges


@pytest.fixture(scope="module", params=JOBS)
def recorded(request: pytest.FixtureRequest) -> Recorded:
    return Recorded(JOBS[request.param])


def violations(exchanges: list[Exchange]) -> Iterator[str]:
    for each in exchanges:
        where = f"{each.vendor} {each.method} {each.path}"
        found = operation(each.vendor, each.method, each.path)
        if found is None:
            yield f"{where} is in no document"
            continue
        kind, body = _body(each)
        for violation in (found.query_violation(each.query), found.body_violation(kind, body)):
            if violation is not None:
                yield f"{where}: {violation}"


def _body(exchange: Exchange) -> tuple[str, Any]:
    if not exchange.sent:
        return "", None
    kind = exchange.headers["content-type"].partition(";")[0]
    return kind, exchange.form if kind == "multipart/form-data" else json.loads(exchange.sent)


def test_every_request_is_one_of_the_vendors_documents(recorded: Recorded) -> None:
    assert list(violations(recorded.exchanges)) == []
    assert {each.vendor for each in recorded.exchanges} == {"openai", "anthropic"}


def test_every_request_line_is_one_that_the_vendor_takes(recorded: Recorded) -> None:
    for exchange in recorded.exchanges:
        lines = exchange.requests
        ids = [line["custom_id"] for line in lines]
        assert len(set(ids)) == len(ids)
        for line in lines:
            assert CUSTOM_ID.fullmatch(line["custom_id"])
            assert line.keys() == KEYS[exchange.vendor]
        for endpoint, body in bodies(exchange):
            assert first_violation(endpoint, body) is None, body


def test_every_line_was_sent_that_has_a_result_of_the_providers(recorded: Recorded) -> None:
    sent = sum(len(exchange.requests) for exchange in recorded.exchanges)
    assert sent >= sum(result["error"] is None or result["error"]["source"] != "input" for result in recorded.results)


def test_bodies_have_a_length_and_calls_a_key_and_a_version(recorded: Recorded) -> None:
    for each in recorded.exchanges:
        assert "transfer-encoding" not in each.headers
        assert not each.sent or int(each.headers["content-length"]) == len(each.sent)
        assert each.headers["accept-encoding"] == "identity" or not each.path.endswith(("/content", "/results"))
        assert ("authorization" in each.headers) != ("x-api-key" in each.headers)
        assert ("anthropic-version" in each.headers) == (each.vendor == "anthropic")
    uploads = [each for each in recorded.exchanges if each.file_name]
    assert all(str(each.file_name).endswith(".jsonl") for each in uploads)


def read_lines(exchanges: list[Exchange]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The results lines that were downloaded, with whose they are."""
    for each in exchanges:
        if each.status == 200 and each.path.endswith(("/content", "/results")):
            yield from ((each.vendor, json.loads(line)) for line in each.received.split(b"\n") if line)


def test_every_results_line_is_read_for_what_it_says(recorded: Recorded) -> None:
    """Read anew here, in a few lines of its own: answers and errors as the documents have them."""
    answers = {_answer_id(vendor, line) for vendor, line in read_lines(recorded.exchanges)} - {None}
    assert {_identity(result) for result in recorded.results if result["error"] is None} == answers


def _answer_id(vendor: str, line: dict[str, Any]) -> str | None:
    if vendor == "anthropic":
        message = line["result"].get("message")
        return message and str(message["id"])
    response = line["response"]
    is_answer = response is not None and response["status_code"] == 200
    return str(response["request_id"]) if is_answer else None


def _identity(result: dict[str, Any]) -> str:
    response = result["response"]
    found: str = response["body"]["id"] if result["provider"] == "anthropic" else response["request_id"]
    return found

"""Whole jobs against a server of both batch APIs that nobody here wrote, by the real SDKs and over real HTTP.

Where llmock 0.2.2 is not as the vendors document it, these tests go without: it has no `/v1/responses` in batches, no
list of files, no `DELETE` of a message batch (405: it keeps them), reads neither `after_id` nor `expires_after`, splits
request files at U+2028, and ends results without a line end. A fault fits a path, not a method.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from faking.cloud import Outcome, jsonl
from faking.cloud import cloud as new_cloud
from faking.lines import chat, claude
from faking.llmock_server import LLMock, answer_in, answer_of, llmock

CREATES = {"openai": "POST /v1/batches", "anthropic": "POST /anthropic/v1/messages/batches"}


@pytest.fixture(scope="module")
def running() -> Iterator[LLMock]:
    with llmock() as server:
        yield server


@pytest.fixture
def server(running: LLMock) -> LLMock:
    running.forget()
    return running


def lines(count: int) -> list[dict[str, Any]]:
    """Both providers and three forms, each with a text of its own."""
    forms: list[Any] = [
        lambda number: chat(f"Grüße, {number}", f"c-{number}"),
        lambda number: claude(f"Привет, {number}", {"n": number}),
        lambda number: {"custom_id": number, "model": "text-embedding-3-small", "input": f"你好 {number}"},
        lambda number: chat(f"translated {number}", number, "claude-haiku-4-5"),
    ]
    return [forms[number % 4](number) for number in range(count)]


def assert_complete(out: Outcome, dropped: list[dict[str, Any]]) -> None:
    counts = out.manifest.counts
    assert counts is not None
    assert (out.manifest.status, counts.total, counts.answered, counts.failed) == ("COMPLETED", *[len(dropped)] * 2, 0)
    assert [answer_in(result) for result in out.results] == [answer_of(line) for line in dropped]
    assert [result["custom_id"] for result in out.results] == [line["custom_id"] for line in dropped]
    assert [result["line"] for result in out.results] == list(range(1, len(dropped) + 1))
    assert (out.errors, out.failed) == ([], [])


def test_a_mixed_file_comes_back_complete_and_in_order_each_line_with_its_own_answer(server: LLMock) -> None:
    dropped = lines(40)
    with new_cloud(server.providers(), over_http=True) as cloud:
        out = cloud.run("input/mixed.jsonl", dropped)
        assert_complete(out, dropped)
    assert {
        (each.model, each.endpoint): (each.requests, each.answered, each.batches) for each in out.manifest.models
    } == {
        ("gpt-4o-mini", "/v1/chat/completions"): (10, 10, 1),
        ("text-embedding-3-small", "/v1/embeddings"): (10, 10, 1),
        ("claude-haiku-4-5", "/v1/messages"): (10, 10, 1),
        ("claude-haiku-4-5", "/v1/chat/completions"): (10, 10, 1),
    }
    assert {name: server.statuses(call) for name, call in CREATES.items()} == {"openai": [200, 200], "anthropic": [200]}


@pytest.mark.parametrize(
    ("provider", "path", "status", "creates"),
    [
        ("openai", "/v1/files", 500, [200]),
        ("openai", "/v1/files", 429, [200]),
        ("openai", "/v1/batches", 429, [429, 200]),
        ("openai", "/v1/batches", 500, [500, 200]),
        ("openai", "/v1/batches/batch_*", 503, [200]),
        ("openai", "/v1/batches/batch_*", 404, [200]),
        ("openai", "/v1/files/*/content", 500, [200]),
        ("openai", "/v1/files/*/content", 429, [200]),
        ("anthropic", "/anthropic/v1/messages/batches", 429, [429, 200]),
        ("anthropic", "/anthropic/v1/messages/batches", 500, [500, 200]),
        ("anthropic", "/anthropic/v1/messages/batches", 529, [529, 200]),
        ("anthropic", "/anthropic/v1/messages/batches/msgbatch_*", 503, [200]),
        ("anthropic", "/anthropic/v1/messages/batches/*/results", 500, [200]),
    ],
)
def test_a_refusal_heals_and_nothing_is_created_twice(
    server: LLMock, provider: str, path: str, status: int, creates: list[int]
) -> None:
    line = chat if provider == "openai" else claude
    dropped = [line(f"{path} {status} {number}", number) for number in range(5)]
    server.fail(path, status)
    with new_cloud(server.providers(), over_http=True) as cloud:
        out = cloud.run("input/healed.jsonl", dropped)
        assert_complete(out, dropped)
        assert {result["attempts"] for result in out.results} == {1}
    assert (server.waiting(), server.statuses(CREATES[provider])) == ([], creates)


@pytest.mark.parametrize(("model", "path"), [("gpt-4o", "/v1/batches"), ("claude", "/anthropic/v1/messages/batches")])
def test_a_listing_that_is_refused_is_asked_for_again(server: LLMock, model: str, path: str) -> None:
    models = [f"{model}-{number}" for number in range(3)]
    dropped = [chat(f"{path} {each}", each, each) for each in models]
    with new_cloud(server.providers(), over_http=True, split_bytes=150) as cloud:
        job = cloud.drop("input/listed.jsonl", jsonl(dropped))
        cloud.deliver_all()
        server.fail(path, 500)
        cloud.settle()
        assert job is not None
        assert_complete(cloud.outcome(job), dropped)
    assert server.waiting() == []

# ruff: noqa: PLR0913, PLR0917 - the arguments of a test are its fixtures and cases
"""What goes wrong on the wire."""

import json
from collections.abc import Callable
from typing import Any

import anthropic as claude
import httpx2
import openai as gpt
import pytest
from anthropic import Anthropic
from openai import OpenAI
from openai.types import Batch

from provider_simulator.app import Simulator

type Line = Callable[..., dict[str, Any]]
type Start = Callable[..., Batch]


def test_a_lost_reply_leaves_a_batch_that_can_be_found(
    openai: OpenAI, simulator: Simulator, start: Start, chat: Line
) -> None:
    simulator.fault("reply_lost", provider="openai", operation="create")
    with pytest.raises(gpt.APIConnectionError):
        start([chat(1)], metadata={"job": "j"})
    assert [batch.metadata for batch in openai.batches.list()] == [{"job": "j"}]
    start([chat(1)])
    assert simulator.charges()["openai"]["batches"] == 2


def test_a_retried_create_after_a_lost_reply_is_a_second_batch(
    anthropic: Anthropic, simulator: Simulator, message: Line
) -> None:
    simulator.fault("reply_lost", operation="create")
    requests: Any = [message(1)]
    anthropic.with_options(max_retries=1).messages.batches.create(requests=requests)
    assert len(list(anthropic.messages.batches.list())) == 2


def test_a_reset_connection_leaves_nothing(anthropic: Anthropic, simulator: Simulator, message: Line) -> None:
    simulator.fault("connection_reset", provider="anthropic", operation="create")
    requests: Any = [message(1)]
    with pytest.raises(claude.APIConnectionError):
        anthropic.messages.batches.create(requests=requests)
    assert list(anthropic.messages.batches.list()) == []


def test_a_late_create_is_a_batch_only_after_a_while(anthropic: Anthropic, simulator: Simulator, message: Line) -> None:
    simulator.fault("late", provider="anthropic", operation="create", seconds=60)
    requests: Any = [message(1)]
    with pytest.raises(claude.APIConnectionError):
        anthropic.messages.batches.create(requests=requests)
    simulator.advance(59)
    assert list(anthropic.messages.batches.list()) == []
    assert simulator.charges()["anthropic"]["batches"] == 0
    assert [batch["status"] for batch in simulator.batches()] == ["arriving"]
    simulator.advance(1)
    assert [batch.processing_status for batch in anthropic.messages.batches.list()] == ["ended"]


@pytest.mark.parametrize(("deleted", "status"), [(True, "failed"), (False, "completed")])
def test_a_late_create_fails_if_its_file_was_deleted_before(
    openai: OpenAI, simulator: Simulator, chat: Line, *, deleted: bool, status: str
) -> None:
    file = openai.files.create(file=("in.jsonl", json.dumps(chat(1)).encode()), purpose="batch")
    simulator.fault("late", provider="openai", operation="create", seconds=60)
    with pytest.raises(gpt.APIConnectionError):
        openai.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    if deleted:
        openai.files.delete(file.id)
    simulator.advance(60)
    assert [batch.status for batch in openai.batches.list()] == [status]


@pytest.mark.parametrize(
    ("code", "openai_type", "anthropic_type"),
    [
        (400, "invalid_request_error", "invalid_request_error"),
        (401, "authentication_error", "authentication_error"),
        (403, "permission_error", "permission_error"),
        (404, "invalid_request_error", "not_found_error"),
        (409, "conflict_error", "invalid_request_error"),
        (413, "invalid_request_error", "request_too_large"),
        (429, "rate_limit_error", "rate_limit_error"),
        (500, "server_error", "api_error"),
        (503, "server_error", "api_error"),
        (529, "server_error", "overloaded_error"),
    ],
)
def test_a_status_comes_in_each_vendors_shape(
    openai: OpenAI, anthropic: Anthropic, simulator: Simulator, code: int, openai_type: str, anthropic_type: str
) -> None:
    simulator.fault("status", operation="list", code=code, retry_after=7, times=2)
    with pytest.raises(gpt.APIStatusError) as first:
        openai.batches.list()
    with pytest.raises(claude.APIStatusError) as second:
        anthropic.messages.batches.list()
    for refused, kind in ((first.value, openai_type), (second.value, anthropic_type)):
        body = json.loads(refused.response.content)
        assert (refused.status_code, refused.response.headers["retry-after"]) == (code, "7")
        assert body["error"]["type"] == kind
    assert list(openai.batches.list()) == []


def test_a_status_can_carry_any_error(openai: OpenAI, simulator: Simulator) -> None:
    simulator.fault("status", code=429, type="insufficient_quota", error_code="insufficient_quota", message="No money")
    with pytest.raises(gpt.RateLimitError, match="No money") as refused:
        openai.batches.list()
    assert (refused.value.type, refused.value.code) == ("insufficient_quota", "insufficient_quota")


def test_a_cut_download_breaks_off_within_the_body(
    openai: OpenAI, simulator: Simulator, start: Start, chat: Line
) -> None:
    output = openai.batches.retrieve(start([chat(number) for number in range(20)]).id).output_file_id or ""
    size = openai.files.retrieve(output).bytes
    simulator.fault("cut", provider="openai", operation="results", bytes=1000)
    got = bytearray()
    with openai.files.with_streaming_response.content(output) as answer:
        assert answer.headers["Content-Length"] == str(size)
        with pytest.raises(httpx2.RemoteProtocolError):  # noqa: PT012 - what came before the error counts
            for piece in answer.iter_bytes():
                got += piece
    assert len(got) == 1000
    assert openai.files.content(output).content[:1000] == bytes(got)


def test_a_cut_is_a_cut_however_short_the_answer(
    openai: OpenAI, simulator: Simulator, start: Start, chat: Line
) -> None:
    output = openai.batches.retrieve(start([chat(1)]).id).output_file_id or ""
    simulator.fault("cut", operation="results", bytes=10**9)
    with pytest.raises(gpt.APIConnectionError):
        openai.files.content(output)


def test_anthropics_results_can_be_cut(anthropic: Anthropic, simulator: Simulator, message: Line) -> None:
    requests: Any = [message(1), message(2)]
    batch_id = anthropic.messages.batches.create(requests=requests).id
    simulator.fault("cut", provider="anthropic", operation="results", bytes=100)
    with pytest.raises(httpx2.RemoteProtocolError):
        list(anthropic.messages.batches.results(batch_id))


def test_garbage_is_200_and_no_json(openai: OpenAI, http: httpx2.Client, simulator: Simulator) -> None:
    simulator.fault("garbage", provider="openai", operation="list")
    answer = http.get("/openai/v1/batches", headers={"Authorization": "Bearer sk-one"})
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (200, "text/html")
    assert list(openai.batches.list()) == []


def test_a_slow_answer_moves_the_clock_and_waits_for_nothing(openai: OpenAI, simulator: Simulator) -> None:
    simulator.fault("slow", operation="list", seconds=3600)
    before = simulator.engine.now()
    assert list(openai.batches.list()) == []
    assert simulator.engine.now() == before + 3600


def test_a_fault_hits_only_its_provider_and_operation(
    openai: OpenAI, simulator: Simulator, start: Start, chat: Line
) -> None:
    simulator.fault("status", provider="anthropic", operation="*")
    simulator.fault("status", provider="openai", operation="cancel")
    batch = start([chat(1)])
    assert openai.batches.retrieve(batch.id).status == "completed"
    assert [fault["times"] for fault in simulator.state()["faults"]] == [1, 1]


def test_a_fault_can_let_calls_pass_first_and_then_hit_several(openai: OpenAI, simulator: Simulator) -> None:
    simulator.fault("status", operation="list", after=1, times=2)
    seen = []
    for _ in range(5):
        try:
            openai.batches.list()
            seen.append(200)
        except gpt.InternalServerError as refused:
            seen.append(refused.status_code)
    assert seen == [200, 500, 500, 200, 200]


def test_a_fault_without_times_lasts_until_it_is_cleared(openai: OpenAI, simulator: Simulator) -> None:
    simulator.fault("status", operation="list", code=503, times=None)
    for _ in range(3):
        with pytest.raises(gpt.InternalServerError):
            openai.batches.list()
    simulator.clear_faults()
    assert list(openai.batches.list()) == []


def test_several_faults_come_one_after_the_other(openai: OpenAI, simulator: Simulator) -> None:
    for code in (500, 429):
        simulator.fault("status", operation="list", code=code)
    seen = []
    for _ in range(2):
        with pytest.raises(gpt.APIStatusError) as refused:
            openai.batches.list()
        seen.append(refused.value.status_code)
    assert seen == [500, 429]


def test_a_timeout_leaves_a_batch_that_can_be_found(
    openai: OpenAI, simulator: Simulator, start: Start, chat: Line
) -> None:
    simulator.fault("timeout", provider="openai", operation="create")
    with pytest.raises(gpt.APITimeoutError):
        start([chat(1)], metadata={"job": "j"})
    assert [batch.metadata for batch in openai.batches.list()] == [{"job": "j"}]


def test_a_status_can_be_a_word_that_nobody_knows(
    openai: OpenAI, anthropic: Anthropic, simulator: Simulator, start: Start, chat: Line, message: Line
) -> None:
    requests: Any = [message(1)]
    ids = start([chat(1)]).id, anthropic.messages.batches.create(requests=requests).id
    simulator.fault("unknown_status", operation="list", times=2)
    simulator.fault("unknown_status", operation="retrieve", times=2)
    assert [batch.status for batch in openai.batches.list()] == ["resting"]
    assert [batch.processing_status for batch in anthropic.messages.batches.list()] == ["resting"]
    assert openai.batches.retrieve(ids[0]).status == "resting"
    assert anthropic.messages.batches.retrieve(ids[1]).processing_status == "resting"
    assert openai.batches.retrieve(ids[0]).status == "completed"

# ruff: noqa: PLR0913, PLR0917 - the arguments of a test are its fixtures and cases
from collections.abc import Callable
from typing import Any

import pytest
from anthropic import Anthropic
from openai import OpenAI
from openai.types import Batch

from provider_simulator.app import Simulator

type Line = Callable[..., dict[str, Any]]
type Start = Callable[..., Batch]

DOUBLES = ("max_charged_per_request", "requests_charged_more_than_once", "charged_more_than_once")


def test_only_answered_requests_are_charged(
    openai: OpenAI, anthropic: Anthropic, simulator: Simulator, start: Start, chat: Line, message: Line
) -> None:
    start([chat(1), chat(2, temperature=9), chat(3)])
    requests: Any = [message(1), message(2, stream=True)]
    anthropic.messages.batches.create(requests=requests)
    charges = simulator.charges()
    assert [charges[provider]["requests"] for provider in ("openai", "anthropic")] == [2, 1]
    batch = next(iter(openai.batches.list()))
    assert batch.usage is not None
    assert charges["openai"]["input_tokens"] == batch.usage.input_tokens
    assert charges["openai"]["output_tokens"] == batch.usage.output_tokens


def test_nothing_is_charged_twice_when_everything_differs(simulator: Simulator, start: Start, chat: Line) -> None:
    start([chat(1), chat(2)])
    start([chat(3)])
    openai = simulator.charges()["openai"]
    assert [openai[name] for name in DOUBLES] == [1, 0, []]
    assert (openai["max_charged_per_body"], openai["ever_live_duplicates"], openai["batches"]) == (1, [], 2)


def test_the_same_batch_sent_twice_is_found(simulator: Simulator, start: Start, chat: Line) -> None:
    for _ in range(3):
        start([chat(1), chat(2)])
    start([chat(2), chat(4)])
    openai = simulator.charges()["openai"]
    assert openai["requests"] == 8
    assert [openai[name] for name in DOUBLES] == [4, 2, ["r-1", "r-2"]]


def test_a_request_sent_again_under_another_custom_id_is_found_by_its_body(
    simulator: Simulator, start: Start, chat: Line
) -> None:
    start([chat(1)])
    start([{**chat(1), "custom_id": "other"}])
    openai = simulator.charges()["openai"]
    assert (openai["max_charged_per_request"], openai["max_charged_per_body"]) == (1, 2)
    assert openai["bodies_charged_more_than_once"] == 1


def test_a_failed_request_that_is_sent_again_is_charged_once(simulator: Simulator, start: Start, chat: Line) -> None:
    simulator.shape(failing={"status": 500}, times=1)
    start([chat(1)])
    simulator.charges()
    start([chat(1)])
    openai = simulator.charges()["openai"]
    assert [openai[name] for name in ("requests", *DOUBLES)] == [1, 1, 0, []]


def test_a_custom_id_in_two_live_batches_is_told(simulator: Simulator, start: Start, chat: Line) -> None:
    simulator.shape(seconds_to_complete=100)
    start([chat(1), chat(2)])
    start([chat(2), chat(3)])
    simulator.advance(50)
    charges = simulator.charges()["openai"]
    assert (charges["live_batches"], charges["live_duplicates"]) == (2, ["r-2"])
    simulator.advance(50)
    charges = simulator.charges()["openai"]
    assert (charges["live_batches"], charges["live_duplicates"]) == (0, [])
    assert charges["ever_live_duplicates"] == ["r-2"]


def test_a_request_sent_again_after_its_batch_has_ended_was_never_live_twice(
    simulator: Simulator, start: Start, chat: Line
) -> None:
    simulator.shape(seconds_to_complete=100)
    start([chat(1)])
    simulator.advance(100)
    start([chat(1)])
    simulator.advance(100)
    assert simulator.charges()["openai"]["ever_live_duplicates"] == []


def test_calls_are_counted_by_operation(openai: OpenAI, simulator: Simulator, start: Start, chat: Line) -> None:
    batch = start([chat(1)])
    for _ in range(3):
        openai.batches.retrieve(batch.id)
    assert simulator.charges()["openai"]["calls"] == {"create": 1, "retrieve": 3, "upload": 1}


def test_what_is_still_stored_is_counted(openai: OpenAI, simulator: Simulator, start: Start, chat: Line) -> None:
    batch = openai.batches.retrieve(start([chat(1)]).id)
    assert simulator.charges()["openai"]["files"] == 2
    openai.files.delete(batch.input_file_id)
    openai.files.delete(batch.output_file_id or "")
    assert simulator.charges()["openai"]["files"] == 0
    assert simulator.charges()["openai"]["requests"] == 1


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_after_a_reset_there_is_nothing(
    anthropic: Anthropic, simulator: Simulator, start: Start, chat: Line, message: Line, provider: str
) -> None:
    requests: Any = [message(1)]
    anthropic.messages.batches.create(requests=requests)
    start([chat(1)])
    simulator.advance(5)
    simulator.reset()
    charges = simulator.charges()[provider]
    assert [charges[name] for name in ("requests", "batches", "files", "calls")] == [0, 0, 0, {}]


def test_every_batch_can_be_looked_at(simulator: Simulator, start: Start, chat: Line) -> None:
    good, bad = start([chat(1)], metadata={"a": "b"}), start([b"nonsense"])
    seen = [
        {name: batch[name] for name in ("id", "status", "requests", "answered", "errors", "metadata")}
        for batch in simulator.batches()
    ]
    assert seen == [
        {"id": good.id, "status": "completed", "requests": 1, "answered": 1, "errors": [], "metadata": {"a": "b"}},
        {
            "id": bad.id,
            "status": "failed",
            "requests": 1,
            "answered": 0,
            "errors": ["invalid_json_line"],
            "metadata": None,
        },
    ]

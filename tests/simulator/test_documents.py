"""What the simulator says fits Anthropic's own OpenAPI document: every required field, and no type that it lacks."""

import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from provider_simulator.app import Simulator
from provider_simulator.vendor_schemas import violation_of

type Line = Callable[..., dict[str, Any]]

HEADERS = {"x-api-key": "sk-one", "anthropic-version": "2023-06-01"}
BATCHES = "/anthropic/v1/messages/batches"
STOPS = (
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
)
TOOL = {"name": "look_up", "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}}
FIELDS = {"id", "type", "role", "content", "model", "stop_reason", "stop_sequence", "usage"}


def create(http: httpx2.Client, requests: list[dict[str, Any]]) -> dict[str, Any]:
    answer = http.post(BATCHES, json={"requests": requests}, headers=HEADERS)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def rows(http: httpx2.Client, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    batch = create(http, requests)["id"]
    return [json.loads(line) for line in http.get(f"{BATCHES}/{batch}/results", headers=HEADERS).content.splitlines()]


@pytest.mark.parametrize("stop", STOPS)
def test_a_row_with_each_stop_reason_fits_the_document(
    http: httpx2.Client, simulator: Simulator, message: Line, stop: str
) -> None:
    simulator.shape(stops=[stop], blocks=2, calls_tools=True)
    asked = [
        message(1),
        message(2, thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=2000, tools=[TOOL]),
        message(
            3,
            output_config={
                "format": {"type": "json_schema", "schema": {"type": "object", "additionalProperties": False}}
            },
        ),
    ]
    found = rows(http, asked)
    assert [violation_of("anthropic", "MessageBatchIndividualResponse", row) for row in found] == [None] * 3
    assert {row["result"]["message"]["stop_reason"] for row in found} == {stop}
    assert all(row["result"]["message"].keys() >= FIELDS for row in found)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 413, 418, 429, 500, 502, 503, 504, 529, None])
def test_an_errored_row_has_a_type_that_the_document_has(
    http: httpx2.Client, simulator: Simulator, message: Line, status: int | None
) -> None:
    simulator.shape(failing={"status": status})
    assert [violation_of("anthropic", "MessageBatchIndividualResponse", row) for row in rows(http, [message(1)])] == [
        None
    ]


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 418, 429, 500, 502, 503, 504, 529])
def test_a_refused_call_has_a_type_that_the_document_has(
    http: httpx2.Client, simulator: Simulator, status: int
) -> None:
    simulator.fault("status", code=status)
    answer = http.get(BATCHES, headers=HEADERS)
    assert (answer.status_code, violation_of("anthropic", "ErrorResponse", answer.json())) == (status, None)


def test_the_batches_themselves_fit_the_document(http: httpx2.Client, simulator: Simulator, message: Line) -> None:
    simulator.shape(seconds_to_complete=100, expire_fraction=0.5)
    made = create(http, [message(1), message(2)])
    for _ in range(2):
        shown = http.get(f"{BATCHES}/{made['id']}", headers=HEADERS).json()
        assert violation_of("anthropic", "MessageBatch", shown) is None
        simulator.advance(100)
    listed = http.get(BATCHES, headers=HEADERS).json()
    assert violation_of("anthropic", "ListResponse_MessageBatch_", listed) is None
    lines = http.get(f"{BATCHES}/{made['id']}/results", headers=HEADERS).content.splitlines()
    found = [violation_of("anthropic", "MessageBatchIndividualResponse", json.loads(line)) for line in lines]
    assert found == [None, None]
    gone = http.delete(f"{BATCHES}/{made['id']}", headers=HEADERS).json()
    assert violation_of("anthropic", "DeleteMessageBatchResponse", gone) is None

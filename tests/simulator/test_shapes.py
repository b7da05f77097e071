# ruff: noqa: PLR0913, PLR0917 - the arguments of a test are its fixtures and cases
"""What goes wrong inside a batch."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import anthropic as claude
import msgspec
import openai as gpt
import pytest
from anthropic import Anthropic
from openai import OpenAI
from openai.types import Batch

from provider_simulator.app import Simulator

type Line = Callable[..., dict[str, Any]]
type Start = Callable[..., Batch]
type Read = Callable[[str | None], list[dict[str, Any]]]


def kinds_of(anthropic: Anthropic, batch_id: str) -> Counter[str]:
    return Counter(each.result.type for each in anthropic.messages.batches.results(batch_id))


def test_an_expired_batch_keeps_what_was_answered(
    openai: OpenAI, simulator: Simulator, start: Start, read: Read, chat: Line
) -> None:
    simulator.shape(expire_fraction=0.3)
    batch = openai.batches.retrieve(start([chat(number) for number in range(10)]).id)
    assert (batch.status, batch.expired_at) == ("expired", batch.created_at)
    answered, expired = read(batch.output_file_id), read(batch.error_file_id)
    assert (len(answered), len(expired)) == (3, 7)
    assert {(line["response"], line["error"]["code"]) for line in expired} == {(None, "batch_expired")}
    assert {line["custom_id"] for line in answered + expired} == {f"r-{number}" for number in range(10)}


def test_an_expired_message_batch_keeps_what_was_answered(
    anthropic: Anthropic, simulator: Simulator, message: Line
) -> None:
    simulator.shape(provider="anthropic", expire_fraction=0.5)
    requests: Any = [message(number) for number in range(10)]
    batch_id = anthropic.messages.batches.create(requests=requests).id
    assert anthropic.messages.batches.retrieve(batch_id).request_counts.expired == 5
    assert kinds_of(anthropic, batch_id) == {"succeeded": 5, "expired": 5}


def test_a_batch_that_takes_more_than_a_day_expires_by_itself(
    openai: OpenAI, simulator: Simulator, start: Start, read: Read, chat: Line
) -> None:
    simulator.shape(seconds_to_complete=2 * 86_400)
    created = start([chat(number) for number in range(10)])
    simulator.advance(86_399)
    assert openai.batches.retrieve(created.id).status in {"in_progress", "finalizing"}
    simulator.advance(1)
    batch = openai.batches.retrieve(created.id)
    assert (batch.status, len(read(batch.output_file_id))) == ("expired", 5)


def test_requests_fail_by_what_they_say(
    openai: OpenAI, simulator: Simulator, start: Start, read: Read, chat: Line
) -> None:
    simulator.shape(failing={"match": "Größe", "status": 429, "code": "rate_limit_exceeded", "message": "Slow down"})
    lines = [chat(1), chat(2, messages=[{"role": "user", "content": "Welche Größe?"}])]
    batch = openai.batches.retrieve(start(lines).id)
    errors = read(batch.error_file_id)
    assert [line["custom_id"] for line in read(batch.output_file_id)] == ["r-1"]
    assert [(line["custom_id"], line["error"]) for line in errors] == [("r-2", None)]
    assert (errors[0]["response"]["status_code"], errors[0]["response"]["body"]) == (
        429,
        {
            "error": {
                "message": "Slow down",
                "type": "rate_limit_error",
                "param": None,
                "code": "rate_limit_exceeded",
            }
        },
    )


def test_a_share_of_the_requests_fails_and_always_the_same_ones(
    openai: OpenAI, simulator: Simulator, start: Start, read: Read, chat: Line
) -> None:
    simulator.shape(failing={"fraction": 0.1, "status": 500})
    lines = [chat(number) for number in range(300)]
    failed = []
    for _ in range(2):
        batch = openai.batches.retrieve(start(lines).id)
        failed.append([line["custom_id"] for line in read(batch.error_file_id)])
    assert failed[0] == failed[1]
    assert 10 < len(failed[0]) < 60
    assert simulator.charges()["openai"]["requests"] == 2 * (300 - len(failed[0]))


def test_a_request_can_end_without_any_http_answer(
    openai: OpenAI, simulator: Simulator, start: Start, read: Read, chat: Line
) -> None:
    simulator.shape(failing={"status": None, "code": "request_timeout", "message": "Too long"})
    line = read(openai.batches.retrieve(start([chat(1)]).id).error_file_id)[0]
    assert (line["response"], line["error"]) == (None, {"code": "request_timeout", "message": "Too long"})


@pytest.mark.parametrize(
    ("failing", "kind"),
    [
        ({"status": 529}, "overloaded_error"),
        ({"status": 429}, "rate_limit_error"),
        ({"status": 500}, "api_error"),
        ({"status": 402}, "billing_error"),
        ({"type": "timeout_error"}, "timeout_error"),
        ({"status": 400, "message": "Your credit balance is too low"}, "invalid_request_error"),
    ],
)
def test_failed_messages_have_anthropics_types(
    anthropic: Anthropic, simulator: Simulator, message: Line, failing: dict[str, Any], kind: str
) -> None:
    simulator.shape(provider="anthropic", failing=failing)
    requests: Any = [message(1)]
    batch_id = anthropic.messages.batches.create(requests=requests).id
    results: Any = [each.result for each in anthropic.messages.batches.results(batch_id)]
    assert [result.error.error.type for result in results] == [kind]
    assert results[0].error.error.message == failing.get("message", "This request was made to fail.")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("token_limit_exceeded", "Limit: 2,000,000 enqueued tokens"),
        ("invalid_request", "Cannot find file"),
        ("something_new", "something_new"),
    ],
)
def test_a_batch_can_be_made_to_fail(
    openai: OpenAI, simulator: Simulator, start: Start, chat: Line, code: str, said: str
) -> None:
    simulator.shape(fail_batch=code, times=1)
    batch = openai.batches.retrieve(start([chat(1)]).id)
    assert batch.errors is not None
    error = (batch.errors.data or [])[0]
    assert (batch.status, error.code, said in (error.message or "")) == ("failed", code, True)
    assert openai.batches.retrieve(start([chat(1)]).id).status == "completed"


def test_lost_lines_are_in_neither_file_and_counted_as_done(
    openai: OpenAI, simulator: Simulator, start: Start, read: Read, chat: Line
) -> None:
    simulator.shape(lose=2)
    batch = openai.batches.retrieve(start([chat(number) for number in range(10)]).id)
    assert (len(read(batch.output_file_id)), batch.error_file_id) == (8, None)
    assert batch.request_counts is not None
    assert batch.request_counts.completed == 10
    assert simulator.charges()["openai"]["requests"] == 8


def test_forgotten_lines_are_in_neither_file_and_not_counted(
    openai: OpenAI, simulator: Simulator, start: Start, read: Read, chat: Line
) -> None:
    simulator.shape(forget=2)
    batch = openai.batches.retrieve(start([chat(number) for number in range(10)]).id)
    assert (len(read(batch.output_file_id)), batch.error_file_id) == (8, None)
    assert batch.request_counts is not None
    assert batch.request_counts.completed == 8


def test_lost_messages_are_not_in_the_results(anthropic: Anthropic, simulator: Simulator, message: Line) -> None:
    simulator.shape(lose=1)
    requests: Any = [message(number) for number in range(3)]
    batch_id = anthropic.messages.batches.create(requests=requests).id
    assert kinds_of(anthropic, batch_id) == {"succeeded": 2}


def test_a_batch_that_the_provider_cancels_keeps_what_was_answered(
    openai: OpenAI, anthropic: Anthropic, simulator: Simulator, start: Start, read: Read, chat: Line, message: Line
) -> None:
    simulator.shape(cancel_fraction=0.3)
    batch = openai.batches.retrieve(start([chat(number) for number in range(10)]).id)
    assert (batch.status, len(read(batch.output_file_id)), len(read(batch.error_file_id))) == ("cancelled", 3, 7)
    requests: Any = [message(number) for number in range(10)]
    batch_id = anthropic.messages.batches.create(requests=requests).id
    assert kinds_of(anthropic, batch_id) == {"succeeded": 3, "canceled": 7}


def test_results_can_be_there_twice_contradict_each_other_and_be_foreign(
    openai: OpenAI, anthropic: Anthropic, simulator: Simulator, start: Start, read: Read, chat: Line, message: Line
) -> None:
    simulator.shape(repeat=1, contradict=2, foreign=3)
    batch = openai.batches.retrieve(start([chat(number) for number in range(5)]).id)
    answered, errors = read(batch.output_file_id), read(batch.error_file_id)
    ours = Counter(line["custom_id"] for line in answered if line["custom_id"].startswith("r-"))
    assert sorted(ours.values()) == [1, 1, 1, 1, 2]
    assert len(answered) - ours.total() == 3
    assert [line["error"]["code"] for line in errors] == ["batch_expired"] * 2
    assert {line["custom_id"] for line in errors} < set(ours)
    requests: Any = [message(number) for number in range(5)]
    batch_id = anthropic.messages.batches.create(requests=requests).id
    assert kinds_of(anthropic, batch_id) == {"succeeded": 6, "expired": 5}
    assert simulator.charges()["openai"]["requests"] == 5


def test_a_result_line_can_break_off(openai: OpenAI, simulator: Simulator, start: Start, chat: Line) -> None:
    simulator.shape(garble=1)
    output = openai.batches.retrieve(start([chat(number) for number in range(3)]).id).output_file_id or ""
    lines = openai.files.content(output).content.splitlines()
    assert sorted(line.endswith(b"}") for line in lines) == [False, True, True]


def test_a_failed_batch_can_blame_a_line(openai: OpenAI, simulator: Simulator, start: Start, chat: Line) -> None:
    simulator.shape(fail_batch="invalid_json_line", fail_line=2)
    batch = openai.batches.retrieve(start([chat(1), chat(2)]).id)
    assert batch.errors is not None
    assert [(each.code, each.line) for each in batch.errors.data or []] == [("invalid_json_line", 2)]


def test_a_stuck_batch_ends_only_when_it_is_cancelled(
    openai: OpenAI, simulator: Simulator, start: Start, chat: Line
) -> None:
    simulator.shape(stuck=True, seconds_to_cancel=10)
    created = start([chat(1), chat(2)])
    simulator.advance(40 * 3600)
    assert openai.batches.retrieve(created.id).status == "in_progress"
    assert openai.batches.cancel(created.id).status == "cancelling"
    simulator.advance(10)
    assert openai.batches.retrieve(created.id).status == "cancelled"


def test_a_batch_that_is_always_stuck_never_ends(anthropic: Anthropic, simulator: Simulator, message: Line) -> None:
    simulator.shape(stuck="always")
    requests: Any = [message(1)]
    batch_id = anthropic.messages.batches.create(requests=requests).id
    anthropic.messages.batches.cancel(batch_id)
    simulator.advance(40 * 3600)
    assert anthropic.messages.batches.retrieve(batch_id).processing_status == "canceling"


def test_a_new_batch_can_be_404_for_a_while_and_yet_be_listed(
    openai: OpenAI, anthropic: Anthropic, simulator: Simulator, start: Start, chat: Line, message: Line
) -> None:
    simulator.shape(not_found_after_create=30)
    requests: Any = [message(1)]
    gpt_id, claude_id = start([chat(1)]).id, anthropic.messages.batches.create(requests=requests).id
    with pytest.raises(gpt.NotFoundError):
        openai.batches.retrieve(gpt_id)
    with pytest.raises(claude.NotFoundError):
        anthropic.messages.batches.retrieve(claude_id)
    assert [batch.id for batch in openai.batches.list()] == [gpt_id]
    simulator.advance(30)
    assert openai.batches.retrieve(gpt_id).status == "completed"
    assert anthropic.messages.batches.retrieve(claude_id).processing_status == "ended"


def test_a_shape_is_for_a_model_and_a_number_of_batches(
    openai: OpenAI, simulator: Simulator, start: Start, chat: Line
) -> None:
    simulator.shape(provider="openai", model="gpt-4o*", times=2, stuck=True)
    lines = [chat(1), chat(1, model="gpt-5"), chat(1), chat(1)]
    statuses = [openai.batches.retrieve(start([line]).id).status for line in lines]
    assert statuses == ["in_progress", "completed", "in_progress", "completed"]


def test_shapes_add_up_the_later_over_the_earlier(
    openai: OpenAI, simulator: Simulator, start: Start, chat: Line
) -> None:
    simulator.shape(seconds_to_complete=1000, expire_fraction=0.5)
    simulator.shape(seconds_to_complete=10)
    batch_id = start([chat(1), chat(2)]).id
    simulator.advance(10)
    assert openai.batches.retrieve(batch_id).status == "expired"


def test_an_unknown_setting_is_an_error(simulator: Simulator) -> None:
    with pytest.raises(msgspec.ValidationError, match="seconds_to_finish"):
        simulator.shape(seconds_to_finish=1)
    with pytest.raises(msgspec.ValidationError):
        simulator.fault("reply_lost", operaton="create")
    with pytest.raises(msgspec.ValidationError):
        simulator.fault("explode")

# ruff: noqa: PLR0913, PLR0917 - the arguments of a test are its fixtures and cases
"""OpenAI's files and batches, through OpenAI's own SDK."""

import io
import itertools
import json
from collections.abc import Callable
from typing import Any

import httpx2
import openai as sdk
import pytest
from openai import OpenAI
from openai.types import Batch
from openai.types.batch_request_counts import BatchRequestCounts

from provider_simulator.answers import content, expected
from provider_simulator.app import Simulator
from provider_simulator.transport import SimulatorTransport

type Line = Callable[..., dict[str, Any]]
type Start = Callable[..., Batch]
type Read = Callable[[str | None], list[dict[str, Any]]]

DAY = 86_400


# --- files ---


def test_a_file_is_stored_listed_read_and_deleted(openai: OpenAI, simulator: Simulator) -> None:
    file = openai.files.create(
        file=("in.jsonl", io.BytesIO(b'{"a":1}\n')),
        purpose="batch",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    assert (file.filename, file.bytes, file.purpose) == ("in.jsonl", 8, "batch")
    assert file.expires_at == file.created_at + 3600
    assert openai.files.retrieve(file.id) == file
    assert list(openai.files.list(purpose="batch")) == [file]
    assert openai.files.content(file.id).content == b'{"a":1}\n'
    assert openai.files.delete(file.id).deleted
    assert list(openai.files.list()) == []
    assert simulator.charges()["openai"]["files"] == 0
    with pytest.raises(sdk.NotFoundError):
        openai.files.content(file.id)


def test_a_file_is_gone_when_it_has_expired(openai: OpenAI, simulator: Simulator) -> None:
    file = openai.files.create(file=("in.jsonl", b"{}"), purpose="batch")
    assert file.expires_at == file.created_at + 30 * DAY
    simulator.advance(30 * DAY)
    with pytest.raises(sdk.NotFoundError):
        openai.files.retrieve(file.id)


def test_a_batch_file_must_be_named_jsonl(openai: OpenAI) -> None:
    with pytest.raises(sdk.BadRequestError, match=r"Must be \.jsonl"):
        openai.files.create(file=("in.txt", b"{}"), purpose="batch")


def test_bad_lines_are_accepted_at_upload_and_an_empty_file_is_not(openai: OpenAI) -> None:
    assert openai.files.create(file=("in.jsonl", b"not json"), purpose="batch").bytes == 8
    with pytest.raises(sdk.BadRequestError, match="empty"):
        openai.files.create(file=("in.jsonl", b""), purpose="batch")


def test_an_upload_over_the_limit_is_413(openai: OpenAI, simulator: Simulator) -> None:
    simulator.limits(openai_upload_bytes=10)
    with pytest.raises(sdk.APIStatusError) as refused:
        openai.files.create(file=("in.jsonl", b"x" * 11), purpose="batch")
    assert refused.value.status_code == 413


def test_files_are_listed_page_by_page_newest_first(openai: OpenAI) -> None:
    ids = [openai.files.create(file=(f"{n}.jsonl", b"{}"), purpose="batch").id for n in range(5)]
    assert [file.id for file in openai.files.list(limit=2)] == ids[::-1]
    assert [file.id for file in openai.files.list(limit=2, order="asc")] == ids


def test_a_part_of_a_file_can_be_read(openai: OpenAI, http: httpx2.Client) -> None:
    file = openai.files.create(file=("in.jsonl", b"0123456789"), purpose="batch")
    url = f"/openai/v1/files/{file.id}/content"
    headers = {"Authorization": "Bearer sk-one"}
    part = http.get(url, headers={**headers, "Range": "bytes=4-"})
    assert (part.status_code, part.content, part.headers["Content-Range"]) == (206, b"456789", "bytes 4-9/10")
    beyond = http.get(url, headers={**headers, "Range": "bytes=10-"})
    assert beyond.status_code == 416


# --- keys ---


def test_a_wrong_key_is_401_in_openais_shape(openai: OpenAI, http: httpx2.Client) -> None:
    with pytest.raises(sdk.AuthenticationError) as refused:
        openai.with_options(api_key="nonsense").batches.list()
    assert refused.value.code == "invalid_api_key"
    missing = http.get("/openai/v1/batches")
    assert missing.status_code == 401
    assert set(missing.json()["error"]) == {"message", "type", "param", "code"}


def test_each_key_sees_only_its_own(openai: OpenAI, start: Start, chat: Line) -> None:
    batch = start([chat(1)])
    other = openai.with_options(api_key="sk-two")
    assert list(other.batches.list()) == []
    assert list(other.files.list()) == []
    with pytest.raises(sdk.NotFoundError):
        other.batches.retrieve(batch.id)


def test_an_unknown_address_is_404_in_openais_shape(http: httpx2.Client) -> None:
    answer = http.post("/openai/v1/nothing")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_url")


# --- batches ---


def test_a_batch_gives_each_line_its_own_answer(openai: OpenAI, start: Start, read: Read, chat: Line) -> None:
    lines = [chat(number) for number in range(30)]
    created = start(lines, metadata={"job": "j"})
    assert (created.status, created.output_file_id, created.metadata) == ("validating", None, {"job": "j"})
    batch = openai.batches.retrieve(created.id)
    assert (batch.status, batch.error_file_id, batch.model) == ("completed", None, "gpt-4o-mini")
    assert batch.request_counts == BatchRequestCounts(completed=30, failed=0, total=30)
    results = {result["custom_id"]: result for result in read(batch.output_file_id)}
    assert {custom_id: content("openai", result["response"]["body"]) for custom_id, result in results.items()} == {
        line["custom_id"]: expected("openai", line["body"]) for line in lines
    }
    assert {(result["response"]["status_code"], result["error"]) for result in results.values()} == {(200, None)}


def test_the_usage_of_a_batch_is_that_of_its_answers(openai: OpenAI, start: Start, read: Read, chat: Line) -> None:
    batch = openai.batches.retrieve(start([chat(1), chat(2)]).id)
    spent = [result["response"]["body"]["usage"]["total_tokens"] for result in read(batch.output_file_id)]
    assert batch.usage is not None
    assert batch.usage.total_tokens == sum(spent)


def test_what_strict_parsers_refuse_is_answered_all_the_same(
    openai: OpenAI, start: Start, read: Read, chat: Line
) -> None:
    line = chat(1, messages=[{"role": "user", "content": "half an emoji \ud83d"}], seed=2**62)
    result = read(openai.batches.retrieve(start([{**line, "custom_id": "\ud83d"}]).id).output_file_id)[0]
    assert result["custom_id"] == "\ud83d"
    assert content("openai", result["response"]["body"]) == expected("openai", line["body"])


def test_a_line_that_is_nested_too_deeply_is_no_json(openai: OpenAI, start: Start) -> None:
    batch = openai.batches.retrieve(start([b'{"a":' * 100_000 + b"1" + b"}" * 100_000]).id)
    assert batch.errors is not None
    assert [error.code for error in batch.errors.data or []] == ["invalid_json_line"]


def test_results_are_out_of_order_and_the_same_each_time(openai: OpenAI, start: Start, chat: Line) -> None:
    lines = [chat(number) for number in range(30)]
    batch = openai.batches.retrieve(start(lines).id)
    raw = openai.files.content(batch.output_file_id or "").content
    order = [int(line.split(b'"r-')[1].split(b'"')[0]) for line in raw.splitlines()]
    assert order != sorted(order)
    assert openai.files.content(batch.output_file_id or "").content == raw


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("/v1/responses", {"model": "gpt-5", "input": "hello"}),
        ("/v1/embeddings", {"model": "text-embedding-3-small", "input": ["a", "b"]}),
        ("/v1/completions", {"model": "davinci-002", "prompt": "hello"}),
        ("/v1/moderations", {"model": "omni-moderation-latest", "input": "hello"}),
        ("/v1/images/generations", {"model": "gpt-image-1", "prompt": "a cat"}),
    ],
)
def test_every_endpoint_answers(openai: OpenAI, start: Start, read: Read, endpoint: str, body: dict[str, Any]) -> None:
    created = start([{"custom_id": "a", "method": "POST", "url": endpoint, "body": body}], endpoint)
    result = read(openai.batches.retrieve(created.id).output_file_id)[0]
    assert content(endpoint, result["response"]["body"]) == expected(endpoint, body)


def test_a_batch_goes_through_its_states_by_the_clock(
    openai: OpenAI, simulator: Simulator, start: Start, chat: Line
) -> None:
    simulator.shape(seconds_to_complete=1000)
    batch_id = start([chat(number) for number in range(10)]).id
    seen = []
    for _ in range(5):
        batch = openai.batches.retrieve(batch_id)
        counts = batch.request_counts
        seen.append((batch.status, counts.completed if counts else None, batch.output_file_id is not None))
        simulator.advance(250 if batch.status != "finalizing" else 50)
        if len(seen) == 3:
            simulator.advance(205)
    assert seen == [
        ("validating", 0, False),
        ("in_progress", 2, False),
        ("in_progress", 5, False),
        ("finalizing", 10, False),
        ("completed", 10, True),
    ]


def test_an_ended_batch_has_its_times(openai: OpenAI, simulator: Simulator, start: Start, chat: Line) -> None:
    simulator.shape(seconds_to_complete=1000)
    created = start([chat(1)])
    simulator.advance(5000)
    batch = openai.batches.retrieve(created.id)
    times = (batch.in_progress_at, batch.finalizing_at, batch.completed_at, batch.expires_at)
    assert tuple(at - created.created_at for at in times if at) == (50, 950, 1000, DAY)


def test_batches_are_listed_page_by_page_newest_first(openai: OpenAI, start: Start, chat: Line) -> None:
    ids = [start([chat(1)]).id for _ in range(5)]
    assert [batch.id for batch in openai.batches.list(limit=2)] == ids[::-1]
    page = openai.batches.list(limit=2, after=ids[2])
    assert ([batch.id for batch in page.data], page.has_more) == ([ids[1], ids[0]], False)
    for limit in (0, 101):
        with pytest.raises(sdk.BadRequestError):
            openai.batches.list(limit=limit)


def test_a_batch_can_be_told_by_its_input_file_and_metadata(openai: OpenAI, start: Start, chat: Line) -> None:
    batch = start([chat(1)], metadata={"job": "a", "batch": "1"})
    listed = next(iter(openai.batches.list()))
    assert (listed.input_file_id, listed.metadata) == (batch.input_file_id, {"job": "a", "batch": "1"})


@pytest.mark.parametrize(
    "metadata",
    [{str(number): "x" for number in range(17)}, {"k" * 65: "x"}, {"k": "v" * 513}],
)
def test_too_much_metadata_is_refused(start: Start, chat: Line, metadata: dict[str, str]) -> None:
    with pytest.raises(sdk.BadRequestError, match="metadata"):
        start([chat(1)], metadata=metadata)


def test_an_unknown_endpoint_or_window_is_refused(openai: OpenAI, start: Start, chat: Line) -> None:
    with pytest.raises(sdk.BadRequestError, match="endpoint"):
        start([chat(1)], "/v1/nothing")
    body = {"input_file_id": "file-1", "endpoint": "/v1/responses", "completion_window": "1h"}
    with pytest.raises(sdk.BadRequestError, match="completion_window"):
        openai.post("/batches", body=body, cast_to=Batch)


def test_output_files_expire_when_asked_to(openai: OpenAI, start: Start, chat: Line) -> None:
    created = start([chat(1)], output_expires_after={"anchor": "created_at", "seconds": 7200})
    output = openai.files.retrieve(openai.batches.retrieve(created.id).output_file_id or "")
    assert output.expires_at == created.created_at + 7200
    with pytest.raises(sdk.BadRequestError, match="output_expires_after"):
        start([chat(1)], output_expires_after={"anchor": "created_at", "seconds": 60})


def test_deleting_the_input_of_a_running_batch_does_not_stop_it(
    openai: OpenAI, simulator: Simulator, start: Start, chat: Line
) -> None:
    simulator.shape(seconds_to_complete=100)
    batch = start([chat(1)])
    openai.files.delete(batch.input_file_id)
    simulator.advance(100)
    assert openai.batches.retrieve(batch.id).status == "completed"


@pytest.mark.parametrize("deleted", [True, False])
def test_a_batch_without_its_file_is_created_and_then_fails(openai: OpenAI, deleted: bool) -> None:  # noqa: FBT001 - a case
    file_id = "file-unknown"
    if deleted:
        file_id = openai.files.create(file=("in.jsonl", b"{}"), purpose="batch").id
        openai.files.delete(file_id)
    created = openai.batches.create(input_file_id=file_id, endpoint="/v1/responses", completion_window="24h")
    assert created.status == "validating"
    batch = openai.batches.retrieve(created.id)
    assert batch.status == "failed"
    assert batch.errors is not None
    errors = batch.errors.data or []
    assert [(error.code, error.param) for error in errors] == [("invalid_request", "file_id")]
    assert (errors[0].message or "").startswith(f"Cannot find file {file_id}")


# --- cancelling ---


def test_a_cancelled_batch_keeps_what_was_answered(
    openai: OpenAI, simulator: Simulator, start: Start, read: Read, chat: Line
) -> None:
    simulator.shape(seconds_to_complete=1000)
    created = start([chat(number) for number in range(10)])
    simulator.advance(500)
    cancelling = openai.batches.cancel(created.id)
    assert (cancelling.status, cancelling.output_file_id) == ("cancelling", None)
    assert openai.batches.cancel(created.id).status == "cancelling"
    simulator.advance(100)
    batch = openai.batches.retrieve(created.id)
    assert (batch.status, len(read(batch.output_file_id))) == ("cancelled", 5)
    codes = [result["error"]["code"] for result in read(batch.error_file_id)]
    assert codes == ["batch_cancelled"] * 5
    assert simulator.charges()["openai"]["requests"] == 5


def test_an_ended_batch_cannot_be_cancelled(openai: OpenAI, start: Start, chat: Line) -> None:
    created = start([chat(1)])
    with pytest.raises(sdk.ConflictError):
        openai.batches.cancel(created.id)


# --- what fails a whole batch ---


def broken(line: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {key: value for key, value in {**line, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"custom_id": None}, "missing_required_parameter", "custom_id"),
        ({"body": None}, "missing_required_parameter", "body"),
        ({"body": {"messages": []}}, "missing_required_parameter", "body.model"),
        ({"custom_id": "r-1"}, "duplicate_custom_id", "custom_id"),
        ({"url": "/v1/responses"}, "invalid_url", "url"),
        ({"method": "GET"}, "invalid_method", "method"),
        ({"custom_id": 7}, "invalid_type", "custom_id"),
        ({"body": {"model": "gpt-4o", "messages": []}}, "mismatched_model", "body.model"),
        ({"body": {"model": "gpt-does-not-exist", "messages": []}}, "model_not_found", "body.model"),
        ({"body": {"model": "gpt-4o-mini", "messages": [], "stream": True}}, "streaming_unsupported", "body.stream"),
    ],
)
def test_one_wrong_line_fails_the_batch_and_is_named(
    openai: OpenAI, start: Start, chat: Line, change: dict[str, Any], code: str, param: str
) -> None:
    batch = openai.batches.retrieve(start([chat(1), broken(chat(2), **change), chat(3)]).id)
    assert (batch.status, batch.output_file_id, batch.error_file_id) == ("failed", None, None)
    assert batch.errors is not None
    assert [(error.code, error.line, error.param) for error in batch.errors.data or []] == [(code, 2, param)]


@pytest.mark.parametrize("line", [b"{", b"[1]", b'"text"', b'{"a": NaN}'])
def test_a_line_that_is_no_object_fails_the_batch(openai: OpenAI, start: Start, chat: Line, line: bytes) -> None:
    batch = openai.batches.retrieve(start([chat(1), b"", line]).id)
    assert batch.errors is not None
    assert [(error.code, error.line) for error in batch.errors.data or []] == [("invalid_json_line", 3)]


@pytest.mark.parametrize(
    ("limit", "code"),
    [({"openai_requests": 2}, "too_many_tasks"), ({"openai_batch_bytes": 100}, "file_too_large")],
)
def test_a_batch_over_a_limit_fails(
    openai: OpenAI, simulator: Simulator, start: Start, chat: Line, limit: dict[str, int], code: str
) -> None:
    simulator.limits(**limit)
    batch = openai.batches.retrieve(start([chat(1), chat(2), chat(3)]).id)
    assert batch.errors is not None
    assert [error.code for error in batch.errors.data or []] == [code]


def test_embedding_inputs_are_counted_over_all_lines(openai: OpenAI, simulator: Simulator, start: Start) -> None:
    simulator.limits(openai_embedding_inputs=4)
    body = {"model": "text-embedding-3-small", "input": ["a", "b"]}
    lines = [{"custom_id": str(number), "method": "POST", "url": "/v1/embeddings", "body": body} for number in range(3)]
    batch = openai.batches.retrieve(start(lines, "/v1/embeddings").id)
    assert batch.errors is not None
    assert [error.code for error in batch.errors.data or []] == ["too_many_embedding_inputs"]


def test_the_enqueued_limit_lets_the_first_in_and_prints_itself(
    openai: OpenAI, simulator: Simulator, start: Start, chat: Line
) -> None:
    simulator.shape(seconds_to_complete=100)
    simulator.enqueued_limit("gpt-4o*", 1500)
    long = [chat(1, user="x" * 4000)]
    first, second, other = start(long).id, start(long).id, start([chat(1, model="gpt-5", user="x" * 4000)]).id
    simulator.advance(50)
    refused = openai.batches.retrieve(second)
    assert openai.batches.retrieve(first).status == "in_progress"
    assert openai.batches.retrieve(other).status == "in_progress"
    assert refused.errors is not None
    error = (refused.errors.data or [])[0]
    assert (refused.status, error.code, error.line) == ("failed", "token_limit_exceeded", None)
    assert (error.message or "").startswith("Enqueued token limit reached for gpt-4o-mini in organization org-")
    assert "Limit: 1,500 enqueued tokens." in (error.message or "")
    simulator.advance(100)
    third = start(long).id
    simulator.advance(50)
    assert openai.batches.retrieve(third).status == "in_progress"


# --- what fails one line ---


def test_a_body_that_the_vendor_refuses_is_a_line_in_the_error_file(
    openai: OpenAI, start: Start, read: Read, chat: Line
) -> None:
    batch = openai.batches.retrieve(start([chat(1), chat(2, temperature=9), chat(3, extra_body={})]).id)
    errors = read(batch.error_file_id)
    assert batch.request_counts == BatchRequestCounts(completed=1, failed=2, total=3)
    assert [result["custom_id"] for result in read(batch.output_file_id)] == ["r-1"]
    assert [(result["custom_id"], result["error"], result["response"]["status_code"]) for result in errors] == [
        ("r-2", None, 400),
        ("r-3", None, 400),
    ]
    assert [result["response"]["body"]["error"]["code"] for result in errors] == ["invalid_value", "unknown_parameter"]


def test_a_batch_with_no_success_has_no_output_file(openai: OpenAI, start: Start, read: Read, chat: Line) -> None:
    batch = openai.batches.retrieve(start([chat(1, messages=[])]).id)
    assert (batch.status, batch.output_file_id) == ("completed", None)
    assert len(read(batch.error_file_id)) == 1


def test_an_ended_batch_is_never_shown_without_its_files(chat: Line) -> None:
    ticks = itertools.count(1_800_000_000)
    with Simulator(clock=lambda: float(next(ticks)), seconds_to_complete=40) as simulator:
        http = httpx2.Client(transport=SimulatorTransport(simulator))
        openai = OpenAI(api_key="sk-one", base_url="http://simulator/openai/v1", http_client=http, max_retries=0)
        file = openai.files.create(file=("in.jsonl", json.dumps(chat(1)).encode()), purpose="batch")
        batch_id = openai.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        ).id
        seen = [openai.batches.retrieve(batch_id) for _ in range(40)]
    assert {(batch.status == "completed", batch.output_file_id is not None) for batch in seen} == {
        (False, False),
        (True, True),
    }


def test_other_servers_windows_are_taken_where_they_are_allowed_and_a_batch_lasts_as_long(
    openai: OpenAI, simulator: Simulator, start: Start, chat: Line
) -> None:
    file = openai.files.create(file=("in.jsonl", json.dumps(chat(1)).encode()), purpose="batch")
    wanted: Any = {"input_file_id": file.id, "endpoint": "/v1/chat/completions", "completion_window": "7d"}
    with pytest.raises(sdk.BadRequestError):
        openai.batches.create(**wanted)
    simulator.limits(openai_windows=["24h", "7d"])
    simulator.shape(seconds_to_complete=10 * 86_400)
    long, usual = openai.batches.create(**wanted), start([chat(2)])
    assert (long.completion_window, usual.completion_window) == ("7d", "24h")
    simulator.advance(86_400)
    assert [openai.batches.retrieve(each.id).status for each in (long, usual)] == ["in_progress", "expired"]
    simulator.advance(6 * 86_400)
    assert openai.batches.retrieve(long.id).status == "expired"

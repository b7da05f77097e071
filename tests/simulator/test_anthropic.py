"""Anthropic's message batches, through Anthropic's own SDK."""

import itertools
import json
from collections.abc import Callable
from typing import Any

import anthropic as sdk
import httpx2
import pytest
from anthropic import Anthropic
from anthropic.types.messages import MessageBatchRequestCounts

from provider_simulator.answers import expected
from provider_simulator.app import Simulator

type Request = Callable[..., dict[str, Any]]

OLD = {"anthropic-version": "2023-06-01"}
DAY = 86_400
PATH = "/anthropic/v1/messages/batches"


def results_of(anthropic: Anthropic, batch_id: str) -> dict[str, Any]:
    return {each.custom_id: each.result for each in anthropic.messages.batches.results(batch_id)}


def errors_of(anthropic: Anthropic, batch_id: str) -> dict[str, str]:
    return {
        custom_id: result.error.error.type
        for custom_id, result in results_of(anthropic, batch_id).items()
        if result.type == "errored"
    }


def test_a_batch_gives_each_request_its_own_answer(anthropic: Anthropic, message: Request) -> None:
    requests: Any = [message(number) for number in range(30)]
    created = anthropic.messages.batches.create(requests=requests)
    assert (created.processing_status, created.results_url) == ("in_progress", None)
    assert created.request_counts == counts(processing=30)
    batch = anthropic.messages.batches.retrieve(created.id)
    assert (batch.processing_status, batch.request_counts) == ("ended", counts(succeeded=30))
    texts = {name: result.message.content[0].text for name, result in results_of(anthropic, batch.id).items()}
    assert list(texts) != sorted(texts, key=lambda name: int(name[2:]))
    assert texts == {each["custom_id"]: expected("anthropic", each["params"]) for each in requests}


def counts(**some: int) -> MessageBatchRequestCounts:
    none = {"processing": 0, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
    return MessageBatchRequestCounts(**none | some)


def test_counts_stay_in_processing_until_all_have_ended(
    anthropic: Anthropic, simulator: Simulator, message: Request
) -> None:
    simulator.shape(seconds_to_complete=100)
    requests: Any = [message(number) for number in range(4)]
    batch_id = anthropic.messages.batches.create(requests=requests).id
    simulator.advance(99)
    batch = anthropic.messages.batches.retrieve(batch_id)
    assert (batch.processing_status, batch.request_counts) == ("in_progress", counts(processing=4))
    simulator.advance(1)
    batch = anthropic.messages.batches.retrieve(batch_id)
    assert (batch.processing_status, batch.request_counts) == ("ended", counts(succeeded=4))
    assert batch.ended_at is not None
    assert (batch.ended_at - batch.created_at).total_seconds() == 100
    assert (batch.expires_at - batch.created_at).total_seconds() == DAY


def test_there_are_no_results_before_the_end(
    anthropic: Anthropic, simulator: Simulator, http: httpx2.Client, message: Request
) -> None:
    simulator.shape(seconds_to_complete=100)
    requests: Any = [message(1)]
    batch_id = anthropic.messages.batches.create(requests=requests).id
    answer = http.get(f"{PATH}/{batch_id}/results", headers={"x-api-key": "sk-one", **OLD})
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found_error")


def test_the_results_url_is_absolute_and_on_the_simulator(anthropic: Anthropic, message: Request) -> None:
    requests: Any = [message(1)]
    batch_id = anthropic.messages.batches.create(requests=requests).id
    batch = anthropic.messages.batches.retrieve(batch_id)
    assert batch.results_url == f"http://simulator{PATH}/{batch_id}/results"


def test_results_are_archived_after_29_days(anthropic: Anthropic, simulator: Simulator, message: Request) -> None:
    requests: Any = [message(1)]
    batch_id = anthropic.messages.batches.create(requests=requests).id
    simulator.advance(29 * DAY)
    batch = anthropic.messages.batches.retrieve(batch_id)
    assert (batch.archived_at is not None, batch.results_url) == (True, None)


@pytest.mark.parametrize("headers", [{"x-api-key": "sk-one"}, {"Authorization": "Bearer sk-one"}])
def test_both_ways_to_send_a_key_are_the_same_organisation(
    anthropic: Anthropic, http: httpx2.Client, message: Request, headers: dict[str, str]
) -> None:
    requests: Any = [message(1)]
    batch = anthropic.messages.batches.create(requests=requests)
    answer = http.get(PATH, headers={**headers, **OLD})
    assert [each["id"] for each in answer.json()["data"]] == [batch.id]


def test_a_wrong_key_or_no_version_is_refused_in_anthropics_shape(http: httpx2.Client) -> None:
    wrong = http.get(PATH, headers={"x-api-key": "nonsense", **OLD})
    assert (wrong.status_code, wrong.json()["error"]["type"]) == (401, "authentication_error")
    assert (wrong.json()["type"], wrong.json()["request_id"]) == ("error", wrong.headers["request-id"])
    missing = http.get(PATH, headers={"x-api-key": "sk-one"})
    assert (missing.status_code, missing.json()["error"]["type"]) == (400, "invalid_request_error")


def test_an_unknown_address_is_404_in_anthropics_shape(http: httpx2.Client) -> None:
    answer = http.post("/anthropic/v1/nothing")
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found_error")


def test_each_key_sees_only_its_own(anthropic: Anthropic, message: Request) -> None:
    requests: Any = [message(1)]
    batch = anthropic.messages.batches.create(requests=requests)
    other = anthropic.with_options(api_key="sk-two")
    assert list(other.messages.batches.list()) == []
    with pytest.raises(sdk.NotFoundError):
        other.messages.batches.retrieve(batch.id)


def test_batches_are_listed_both_ways_newest_first(anthropic: Anthropic, message: Request) -> None:
    requests: Any = [message(1)]
    ids = [anthropic.messages.batches.create(requests=requests).id for _ in range(5)]
    newest = ids[::-1]
    assert [batch.id for batch in anthropic.messages.batches.list(limit=2)] == newest
    first = anthropic.messages.batches.list(limit=2)
    assert (first.first_id, first.last_id, first.has_more) == (newest[0], newest[1], True)
    older = anthropic.messages.batches.list(limit=2, after_id=newest[3])
    assert ([batch.id for batch in older.data], older.has_more) == ([newest[4]], False)
    newer = anthropic.messages.batches.list(limit=2, before_id=newest[3])
    assert ([batch.id for batch in newer.data], newer.has_more) == (newest[1:3], True)
    for limit in (0, 1001):
        with pytest.raises(sdk.BadRequestError):
            anthropic.messages.batches.list(limit=limit)


# --- cancelling and deleting ---


def test_a_cancelled_batch_keeps_what_was_answered(
    anthropic: Anthropic, simulator: Simulator, message: Request
) -> None:
    simulator.shape(seconds_to_complete=1000)
    requests: Any = [message(number) for number in range(10)]
    batch_id = anthropic.messages.batches.create(requests=requests).id
    simulator.advance(500)
    canceling = anthropic.messages.batches.cancel(batch_id)
    assert (canceling.processing_status, canceling.request_counts) == ("canceling", counts(processing=10))
    assert canceling.cancel_initiated_at is not None
    simulator.advance(100)
    batch = anthropic.messages.batches.retrieve(batch_id)
    assert (batch.processing_status, batch.request_counts) == ("ended", counts(succeeded=5, canceled=5))
    kinds = sorted(result.type for result in results_of(anthropic, batch_id).values())
    assert kinds == ["canceled"] * 5 + ["succeeded"] * 5


def test_an_ended_batch_cannot_be_cancelled(anthropic: Anthropic, message: Request) -> None:
    requests: Any = [message(1)]
    batch_id = anthropic.messages.batches.create(requests=requests).id
    with pytest.raises(sdk.ConflictError):
        anthropic.messages.batches.cancel(batch_id)


def test_only_an_ended_batch_can_be_deleted(anthropic: Anthropic, simulator: Simulator, message: Request) -> None:
    simulator.shape(seconds_to_complete=100)
    requests: Any = [message(1)]
    batch_id = anthropic.messages.batches.create(requests=requests).id
    with pytest.raises(sdk.BadRequestError):
        anthropic.messages.batches.delete(batch_id)
    simulator.advance(100)
    assert anthropic.messages.batches.delete(batch_id).type == "message_batch_deleted"
    assert list(anthropic.messages.batches.list()) == []
    assert simulator.charges()["anthropic"]["batches_stored"] == 0
    with pytest.raises(sdk.NotFoundError):
        anthropic.messages.batches.retrieve(batch_id)


# --- what refuses a whole batch ---


@pytest.mark.parametrize(
    ("requests", "said"),
    [
        ([], "at least 1 item"),
        ([{"custom_id": "with space", "params": {}}], r"requests\.0\.custom_id"),
        ([{"custom_id": "x" * 65, "params": {}}], r"requests\.0\.custom_id"),
        ([{"custom_id": "a", "params": {}}, {"custom_id": "a", "params": {}}], r"requests\.1\.custom_id"),
        ([{"custom_id": 7, "params": {}}], r"requests\.0\.custom_id"),
        ([{"custom_id": "a"}], r"requests\.0: .*params"),
        ([{"custom_id": "a", "params": []}], r"requests\.0\.params"),
        ([{"custom_id": "a", "params": {}, "url": "/"}], r"requests\.0: .*url"),
    ],
)
def test_a_wrong_list_of_requests_is_refused(anthropic: Anthropic, requests: Any, said: str) -> None:
    with pytest.raises(sdk.BadRequestError, match=said):
        anthropic.messages.batches.create(requests=requests)
    assert list(anthropic.messages.batches.list()) == []


def test_a_body_that_is_not_json_is_refused(http: httpx2.Client) -> None:
    answer = http.post(PATH, content=b"{", headers={"x-api-key": "sk-one", **OLD})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize("limit", [{"anthropic_requests": 2}, {"anthropic_bytes": 200}])
def test_too_many_requests_or_bytes_are_413(
    anthropic: Anthropic, simulator: Simulator, message: Request, limit: dict[str, int]
) -> None:
    simulator.limits(**limit)
    requests: Any = [message(number) for number in range(3)]
    with pytest.raises(sdk.APIStatusError) as refused:
        anthropic.messages.batches.create(requests=requests)
    assert refused.value.status_code == 413


def test_a_full_queue_is_429(anthropic: Anthropic, simulator: Simulator, message: Request) -> None:
    simulator.shape(seconds_to_complete=100)
    simulator.limits(anthropic_queue=3)
    requests: Any = [message(number) for number in range(2)]
    anthropic.messages.batches.create(requests=requests)
    with pytest.raises(sdk.RateLimitError) as refused:
        anthropic.messages.batches.create(requests=requests)
    assert refused.value.response.headers["retry-after"] == "60"
    simulator.advance(100)
    anthropic.messages.batches.create(requests=requests)


def test_a_body_may_be_spread_over_lines(http: httpx2.Client, anthropic: Anthropic, message: Request) -> None:
    body = json.dumps({"requests": [message(1), message(2)]}, indent=2)
    answer = http.post(PATH, content=body.encode(), headers={"x-api-key": "sk-one", **OLD})
    assert set(results_of(anthropic, answer.json()["id"])) == {"r-1", "r-2"}


# --- what fails one request ---


@pytest.mark.parametrize(
    ("params", "kind"),
    [
        ({"stream": True}, "invalid_request_error"),
        ({"speed": "fast"}, "invalid_request_error"),
        ({"max_tokens": 0}, "invalid_request_error"),
        ({"max_tokens": "9"}, "invalid_request_error"),
        ({"messages": [{"role": "wizard", "content": "hi"}]}, "invalid_request_error"),
        ({"extra_body": {}}, "invalid_request_error"),
        ({"model": "claude-does-not-exist"}, "not_found_error"),
    ],
)
def test_a_request_that_the_vendor_refuses_is_an_errored_result(
    anthropic: Anthropic, message: Request, params: dict[str, Any], kind: str
) -> None:
    requests: Any = [message(1), message(2, **params)]
    batch_id = anthropic.messages.batches.create(requests=requests).id
    assert anthropic.messages.batches.retrieve(batch_id).request_counts == counts(succeeded=1, errored=1)
    assert errors_of(anthropic, batch_id) == {"r-2": kind}


def test_max_tokens_is_required(anthropic: Anthropic, message: Request) -> None:
    request: Any = message(1)
    del request["params"]["max_tokens"]
    batch_id = anthropic.messages.batches.create(requests=[request]).id
    assert errors_of(anthropic, batch_id) == {"r-1": "invalid_request_error"}


@pytest.mark.parametrize(
    ("version", "param"),
    list(itertools.product(["2023-06-01", "2026-10-21", "2027-01-01"], ["temperature", "top_p", "top_k"])),
)
def test_sampling_parameters_are_refused_since_october_2026(
    anthropic: Anthropic, message: Request, version: str, param: str
) -> None:
    requests: Any = [message(1, **{param: 1})]
    under = anthropic.with_options(default_headers={"anthropic-version": version})
    batch_id = under.messages.batches.create(requests=requests).id
    refused = errors_of(anthropic, batch_id) == {"r-1": "invalid_request_error"}
    assert refused == (version != "2023-06-01")


def test_a_beta_header_opens_the_beta_parameters(anthropic: Anthropic, message: Request) -> None:
    requests: Any = [message(1, mcp_servers=[])]
    beta = anthropic.with_options(default_headers={"anthropic-beta": "mcp-client-2025-11-20"})
    plain_id = anthropic.messages.batches.create(requests=requests).id
    beta_id = beta.messages.batches.create(requests=requests).id
    assert errors_of(anthropic, plain_id) == {"r-1": "invalid_request_error"}
    assert errors_of(anthropic, beta_id) == {}

"""What is sent again, and what is not."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from batchdrop.aws.store import Store
from batchdrop.batches.transitions import give_up
from batchdrop.protocols.outcome import Failure
from batchdrop.providers.config import Providers
from batchdrop.providers.interface import BatchApi, ProviderBatch
from batchdrop.records import Batch
from batchdrop.states import BatchState
from faking.cloud import TOML, Cloud, jsonl
from faking.cloud import cloud as new_cloud
from faking.lines import chat, claude, got, mixed, wanted

DAY = 86_400
LINES = pytest.mark.parametrize(("line", "provider"), [(chat, "openai"), (claude, "anthropic")])


def charged(cloud: Cloud) -> int:
    return sum(each["requests"] for each in cloud.simulator.charges().values())


def attempts(results: list[dict[str, Any]]) -> list[int]:
    return sorted(result["attempts"] for result in results)


@LINES
def test_only_what_expired_is_sent_again_and_nothing_is_paid_twice(cloud: Cloud, line: Any, provider: str) -> None:
    cloud.simulator.shape(provider=provider, expire_fraction=0.5, times=1)
    lines = [line(f"text {number}", number) for number in range(10)]
    job = cloud.drop("input/x.jsonl", jsonl(lines))
    cloud.deliver_all()
    cloud.clock.now += 25 * 3600
    cloud.settle()
    assert job is not None
    out = cloud.outcome(job)
    assert [got(result) for result in out.results] == [wanted(each) for each in lines]
    assert attempts(out.results) == [1] * 5 + [2] * 5
    assert charged(cloud) == 10
    assert cloud.simulator.charges()[provider]["bodies_charged_more_than_once"] == 0


@LINES
def test_passing_errors_are_sent_again_and_permanent_ones_are_not(cloud: Cloud, line: Any, provider: str) -> None:
    cloud.simulator.shape(
        provider=provider, times=1, failing=[{"match": "busy", "status": 500}, {"match": "wrong", "status": 400}]
    )
    lines = [line("fine"), line("busy"), line("wrong")]
    out = cloud.run("input/x.jsonl", lines)
    assert [result["error"] and result["error"]["retryable"] for result in out.results] == [None, None, False]
    assert [result["attempts"] for result in out.results] == [1, 2, 1]
    assert charged(cloud) == 2


@LINES
def test_a_line_is_sent_three_times_at_most(cloud: Cloud, line: Any, provider: str) -> None:
    cloud.simulator.shape(provider=provider, failing={"match": "busy", "status": 503})
    out = cloud.run("input/x.jsonl", [line("busy"), line("fine")])
    assert [result["attempts"] for result in out.results] == [3, 1]
    assert out.results[0]["error"]["retryable"] is True
    assert cloud.simulator.charges()[provider]["batches"] == 3


def test_a_lost_line_is_sent_again(cloud: Cloud) -> None:
    cloud.simulator.shape(provider="openai", forget=2, times=1)
    cloud.simulator.shape(provider="anthropic", forget=1, times=1)
    lines = mixed(12)
    job = cloud.drop("input/x.jsonl", jsonl(lines))
    cloud.settle(tick=300)
    assert job is not None
    assert [got(result) for result in cloud.outcome(job).results] == [wanted(each) for each in lines]


def test_rounds_of_several_batches_are_pooled() -> None:
    toml = TOML.read_text(encoding="utf-8").replace("requests_per_batch = 50_000", "requests_per_batch = 4")
    with new_cloud(toml) as cloud:
        cloud.simulator.shape(provider="openai", times=4, failing={"match": "busy", "status": 500})
        lines = [chat(f"{'busy' if number % 4 == 0 else 'fine'} {number}") for number in range(16)]
        out = cloud.run("input/x.jsonl", lines)
        assert [got(result) for result in out.results] == [wanted(each) for each in lines]
        assert cloud.simulator.charges()["openai"]["batches"] == 5


class Dying:
    """A store whose worker dies when it adds the batches of the next round."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def add_all(self, rows: list[Batch]) -> None:
        raise ConnectionError(f"it died before {len(rows)} rows were added")


def test_a_batch_that_ended_otherwise_than_the_next_round_was_planned_for_is_sent_again_after_it() -> None:
    toml = TOML.read_text(encoding="utf-8").replace("requests_per_batch = 50_000", "requests_per_batch = 1")
    with new_cloud(toml) as cloud:
        cloud.simulator.shape(provider="openai", times=2, failing={"match": "busy", "status": 500})
        cloud.simulator.shape(provider="openai", times=1, seconds_to_complete=10_000)
        lines = [chat("busy one"), chat("busy two")]
        job = cloud.drop("input/x.jsonl", jsonl(lines))
        assert job is not None
        cloud.deliver_all()
        cloud.tick()
        cloud.deliver_all()
        first, second = sorted(cloud.services.store.batches(job), key=lambda each: each.state)
        assert (first.state, first.again, second.state) == (BatchState.COLLECTED, 1, BatchState.IN_FLIGHT)
        dying: Any = Dying(cloud.services.store)
        with pytest.raises(ConnectionError):
            give_up(second, replace(cloud.services, store=dying))
        cloud.settle(rounds=200, tick=300)
        assert [got(result) for result in cloud.outcome(job).results] == [wanted(each) for each in lines]
        assert attempts(cloud.outcome(job).results) == [2, 2]
        assert charged(cloud) == 2


@LINES
def test_results_that_the_provider_has_no_more_are_errors_after_some_days_and_not_paid_again(
    cloud: Cloud, line: Any, provider: str
) -> None:
    cloud.simulator.fault("status", provider=provider, operation="results", code=404, times=None)
    job = cloud.drop("input/x.jsonl", jsonl([line("one")]))
    assert job is not None
    began = cloud.clock.now
    cloud.settle(rounds=200, tick=3_600)
    assert 3 * DAY <= cloud.clock.now - began < 4 * DAY
    (result,) = cloud.outcome(job).results
    assert (result["error"]["code"], result["error"]["retryable"]) == ("unreadable_result", False)
    charges = cloud.simulator.charges()[provider]
    assert charges["requests"] == 1


def test_the_enqueued_limit_is_waited_for_and_is_no_attempt(cloud: Cloud) -> None:
    cloud.simulator.shape(provider="openai", fail_batch="token_limit_exceeded", times=4)
    out = cloud.run("input/x.jsonl", [chat("one"), chat("two")])
    assert [result["error"] for result in out.results] == [None, None]
    assert [result["attempts"] for result in out.results] == [1, 1]
    assert cloud.simulator.charges()["openai"]["batches"] == 5
    ledger = cloud.services.store.providers.ledger("openai/gpt-4o-mini")
    assert (ledger.learned, ledger.reserved, 0 < ledger.used <= ledger.estimated) == (2_000_000, 0, True)


def test_an_incident_is_tried_again_with_a_new_upload(cloud: Cloud) -> None:
    message = "Cannot find file file-1 or it does not have access."
    cloud.simulator.shape(provider="openai", fail_batch="invalid_request", fail_message=message, times=2)
    out = cloud.run("input/x.jsonl", [chat("one")])
    assert out.results[0]["error"] is None
    assert cloud.simulator.charges()["openai"]["calls"]["upload"] == 3


def test_an_incident_without_an_end_becomes_an_error(cloud: Cloud) -> None:
    cloud.simulator.shape(provider="openai", fail_batch="server_error")
    job = cloud.drop("input/x.jsonl", jsonl([chat("one")]))
    cloud.settle(tick=600)
    assert job is not None
    assert cloud.outcome(job).results[0]["error"]["code"] == "server_error"
    assert cloud.simulator.charges()["openai"]["batches"] == 6


class Blaming:
    """The provider's client, where a failed batch blames its second line."""

    def __init__(self, api: BatchApi) -> None:
        self._api = api

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    def retrieve(self, batch_id: str) -> ProviderBatch:
        found = self._api.retrieve(batch_id)
        if found.ended_as != "failed":
            return found
        blame = Failure(code="invalid_json_line", message="This line is wrong.", line=2)
        return msgspec.structs.replace(found, failures=(blame,))


def test_a_line_that_fails_its_batch_is_taken_out_and_the_others_go_again() -> None:
    with new_cloud(wrap=Blaming) as cloud:  # type: ignore[arg-type]  # it stands in by its methods
        cloud.simulator.shape(provider="openai", fail_batch="invalid_json_line", times=1)
        lines = [chat("one"), chat("two"), chat("three")]
        out = cloud.run("input/x.jsonl", lines)
        codes = [result["error"] and result["error"]["code"] for result in out.results]
        assert codes == [None, "invalid_json_line", None]
        assert out.results[1]["error"]["message"] == "This line is wrong."
        assert [got(out.results[at]) for at in (0, 2)] == [wanted(lines[at]) for at in (0, 2)]


def test_an_embedding_batch_is_sent_again_within_its_limit_of_texts(cloud: Cloud) -> None:
    cloud.simulator.shape(provider="openai", times=1, failing={"match": "", "fraction": 1.0, "status": 500})
    lines = [
        {"model": "text-embedding-3-small", "input": [f"{number}-{each}" for each in range(3)]} for number in range(4)
    ]
    out = cloud.run("input/x.jsonl", lines)
    assert [result["error"] for result in out.results] == [None] * 4
    assert attempts(out.results) == [2] * 4


def test_an_empty_account_is_no_lines_fault(cloud: Cloud) -> None:
    failing = {"match": "", "fraction": 1.0, "status": 400, "message": "Your credit balance is too low."}
    cloud.simulator.shape(provider="anthropic", times=2, failing=failing)
    out = cloud.run("input/x.jsonl", [claude("one"), claude("two")])
    assert [result["error"] for result in out.results] == [None, None]
    assert attempts(out.results) == [1, 1]
    assert "Provider Paused" in {event["detail-type"] for event in cloud.events()}


def test_rounds_that_were_sent_again_whole_cost_assemble_no_memory(cloud: Cloud) -> None:
    read: list[str] = []
    client = cloud.services.files._client  # noqa: SLF001 - where the outside begins
    client.meta.events.register("provide-client-params.s3.GetObject", lambda params, **_: read.append(params["Key"]))
    failing = {"match": "", "fraction": 1.0, "status": 400, "message": "Your credit balance is too low."}
    cloud.simulator.shape(provider="anthropic", times=4, failing=failing)
    out = cloud.run("input/x.jsonl", [claude("one"), claude("two")])
    assert (attempts(out.results), out.manifest.models[0].batches) == ([1, 1], 5)
    assert sum(key.endswith("/index") for key in read) == 5  # each once: four for the round after, one for the results


@pytest.mark.parametrize("sent_again", ["what failed", "what was too large"])
def test_what_is_sent_again_has_the_api_version_and_the_betas_that_it_was_planned_with(
    cloud: Cloud, sent_again: str
) -> None:
    if sent_again == "what failed":
        cloud.simulator.shape(provider="anthropic", times=1, failing=[{"match": "busy", "status": 500}])
    else:
        cloud.simulator.limits(anthropic_bytes=300)
    job = cloud.drop("input/x.jsonl", jsonl([claude("fine"), claude("busy")]))
    assert job is not None
    cloud.deliver("plan")
    changed = {"api_version": "2026-10-21", "betas": ("new-1",)}
    anthropic = msgspec.structs.replace(cloud.services.providers["anthropic"], **changed)
    cloud.services = replace(cloud.services, providers=Providers({**cloud.services.providers, "anthropic": anthropic}))
    while len(batches := list(cloud.services.store.batches(job))) == 1:
        cloud.deliver_all()
        cloud.tick()
    assert {(each.api_version, each.betas) for each in batches} == {("2023-06-01", ())}

"""A provider that refuses the account, or does not answer, is left alone for a while, and then tried with one batch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from batchdrop.aws.provider_store import Pause
from batchdrop.batches.unknown_creates import resolve_batch
from batchdrop.errors import AccountRefused, Unreachable
from batchdrop.limits.admission import admit_batches
from batchdrop.limits.circuit_breaker import call_failed, calls_refused, end_if_probe, pause_provider
from batchdrop.pause_codes import PauseCode
from batchdrop.providers.interface import BatchApi
from batchdrop.states import BatchState
from faking.cloud import TOML, Cloud, jsonl
from faking.cloud import cloud as new_cloud
from faking.lines import chat, claude, got, wanted

ONE_EACH = TOML.read_text(encoding="utf-8").replace("requests_per_batch = 50_000", "requests_per_batch = 1")
LINES = [chat(f"line {number}", number) for number in range(8)]


def told(cloud: Cloud) -> list[str]:
    return [event["detail-type"] for event in cloud.events() if event["detail-type"].startswith("Provider")]


def calls(cloud: Cloud, operation: str) -> int:
    return cloud.simulator.charges()["openai"]["calls"].get(operation, 0)


def states(cloud: Cloud, job: str) -> set[BatchState]:
    return {batch.state for batch in cloud.services.store.batches(job)}


def test_an_outage_is_left_alone_and_tried_with_one_batch_until_it_is_over() -> None:
    with new_cloud(ONE_EACH) as cloud:
        cloud.simulator.fault("status", provider="openai", operation="upload", code=503, times=None)
        job = cloud.drop("input/x.jsonl", jsonl(LINES))
        assert job is not None
        cloud.deliver_all()
        tries = []
        for _ in range(12):
            before = calls(cloud, "upload")
            cloud.tick()
            cloud.deliver_all()
            tries.append(calls(cloud, "upload") - before)
        assert set(tries) == {0, 1}
        assert 2 <= tries.count(1) <= 3
        assert states(cloud, job) == {BatchState.WAITING}
        assert told(cloud) == ["Provider Paused"]
        cloud.simulator.clear_faults()
        cloud.settle()
        assert [got(result) for result in cloud.outcome(job).results] == [wanted(line) for line in LINES]
        assert {result["attempts"] for result in cloud.outcome(job).results} == {1}
        assert told(cloud) == ["Provider Resumed"]
        assert cloud.services.store.providers.get_pause("openai") is None


def test_creates_without_an_answer_are_an_outage_too() -> None:
    with new_cloud(ONE_EACH) as cloud:
        cloud.simulator.fault("status", provider="openai", operation="create", code=500, times=5)
        job = cloud.drop("input/x.jsonl", jsonl(LINES))
        assert job is not None
        cloud.deliver_all()
        pause = cloud.services.store.providers.get_pause("openai")
        assert pause is not None
        assert (pause.failures, pause.reason) == (5, "5 calls in a row failed: openai answered 500 to a create")
        assert calls(cloud, "create") == 5
        cloud.settle(rounds=120)
        assert [got(result) for result in cloud.outcome(job).results] == [wanted(line) for line in LINES]
        assert cloud.simulator.charges()["openai"]["requests"] == len(LINES)


def test_only_failures_in_a_row_are_an_outage(cloud: Cloud) -> None:
    for _ in range(3):
        for _ in range(4):
            call_failed("openai", "503", cloud.services)
        cloud.services.store.providers.end_pause("openai")  # a batch was taken
    assert cloud.services.store.providers.active_pause("openai") is None
    for _ in range(4):
        call_failed("openai", "503", cloud.services)
    cloud.tick(301)  # so long ago that the next one is another matter
    assert cloud.services.store.providers.get_pause("openai") is None
    assert told(cloud) == []


def test_refusals_of_batches_in_flight_do_not_hide_an_outage(cloud: Cloud) -> None:
    cloud.services.store.providers.set_pause("openai", "the key was refused (401)", cloud.clock.seconds())
    cloud.services.store.providers.end_pause("openai")
    for _ in range(5):
        calls_refused("openai", AccountRefused("the key was refused (401)"), cloud.services)
        assert cloud.services.store.providers.active_pause("openai") is None
        call_failed("openai", "503", cloud.services)
        cloud.tick()
    pause = cloud.services.store.providers.active_pause("openai")
    assert pause is not None
    assert pause.reason == "5 calls in a row failed: 503"


def test_too_many_requests_is_no_outage(cloud: Cloud) -> None:
    cloud.simulator.fault("status", provider="anthropic", operation="create", code=429, times=8, retry_after=0)
    out = cloud.run("input/x.jsonl", [claude("one")])
    assert out.results[0]["error"] is None
    assert told(cloud) == []


def test_a_pause_that_is_written_after_its_time_is_none(cloud: Cloud) -> None:
    now = cloud.clock.seconds()
    late = replace(cloud.services, now=iter([now - 10_800, now]).__next__)
    pause_provider("openai", "no credit", PauseCode.ACCOUNT_REFUSED, late)
    cloud.tick()
    assert cloud.services.store.providers.get_pause("openai") is None
    assert told(cloud) == []


def test_a_probe_whose_create_is_found_ends_the_pause_in_the_same_write(cloud: Cloud) -> None:
    cloud.services.store.providers.set_pause("anthropic", "an outage", cloud.clock.seconds())
    cloud.simulator.fault("reply_lost", provider="anthropic", operation="create")
    job = cloud.drop("input/x.jsonl", jsonl([claude("one")]))
    assert job is not None
    cloud.deliver("plan")
    cloud.deliver("submit")
    (batch,) = cloud.services.store.batches(job)
    (over,) = end_if_probe(batch, cloud.services)
    cloud.clock.now += 3_600
    resolve_batch(batch, cloud.services)
    assert states(cloud, job) == {BatchState.IN_FLIGHT}
    pause = cloud.services.store.providers.get_pause("anthropic")
    assert pause == Pause(reason="an outage", probe=batch.token)
    assert "PAUSE" in str(over("table"))


def test_after_a_refused_key_one_batch_tries_the_next_and_the_others_follow() -> None:
    with new_cloud(ONE_EACH) as cloud:
        cloud.services.store.providers.set_pause("openai", "no credit", cloud.clock.seconds() + 300)
        job = cloud.drop("input/x.jsonl", jsonl(LINES))
        assert job is not None
        cloud.deliver_all()
        assert states(cloud, job) == {BatchState.WAITING}
        cloud.clock.now += 300
        assert [admit_batches("openai", cloud.services) for _ in range(3)] == [1, 0, 0]
        cloud.deliver_all()
        assert calls(cloud, "create") == 1
        assert admit_batches("openai", cloud.services) == len(LINES) - 1


def test_a_batch_that_is_refused_for_its_own_sake_ends_the_pause_too() -> None:
    with new_cloud(ONE_EACH) as cloud:
        cloud.services.store.providers.set_pause("openai", "an outage", cloud.clock.seconds() + 300)
        cloud.simulator.fault("status", provider="openai", operation="create", code=400, times=1)
        assert cloud.drop("input/x.jsonl", jsonl(LINES)) is not None
        cloud.deliver_all()
        cloud.clock.now += 300
        assert [admit_batches("openai", cloud.services) for _ in range(2)] == [1, 0]
        cloud.deliver_all()
        assert cloud.services.store.providers.active_pause("openai") is None
        assert admit_batches("openai", cloud.services) == len(LINES) - 1


@pytest.mark.parametrize("seconds", [0, 300])
def test_a_batch_that_died_trying_does_not_keep_the_provider_paused(seconds: int) -> None:
    with new_cloud(ONE_EACH) as cloud:
        cloud.services.store.providers.set_pause("openai", "no credit", cloud.clock.seconds())
        job = cloud.drop("input/x.jsonl", jsonl(LINES))
        assert job is not None
        cloud.deliver("plan")
        assert states(cloud, job) == {BatchState.WAITING, BatchState.ADMITTED}
        url = cloud.queue_urls["submit"]
        cloud.sqs.purge_queue(QueueUrl=url)  # its message never arrives
        cloud.clock.now += seconds
        cloud.settle()
        assert [got(result) for result in cloud.outcome(job).results] == [wanted(line) for line in LINES]


class Failing:
    """A provider's client that gets no answer to an upload that a test does not like, by its name."""

    bad = ""

    def __init__(self, api: BatchApi) -> None:
        self._api = api

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    def upload(self, requests: Path, *, name: str) -> str:
        if Failing.bad in name:
            raise Unreachable("503")
        return self._api.upload(requests, name=name)


@pytest.mark.parametrize("bad", ["job", "batch"])
def test_a_batch_that_always_fails_does_not_keep_its_provider_paused(bad: str) -> None:
    with new_cloud(ONE_EACH, wrap=Failing) as cloud:  # type: ignore[arg-type]  # it stands in by its methods
        cloud.services.store.providers.set_pause("openai", "an outage", cloud.clock.seconds() + 300)
        urgent = cloud.drop("input/urgent.jsonl", jsonl(LINES), **{"batchdrop-priority": "9"})
        later = cloud.drop("input/later.jsonl", jsonl(LINES[:1]))
        assert urgent is not None
        assert later is not None
        Failing.bad = urgent if bad == "job" else f"{urgent}-00000-0-0000"
        for _ in range(12):
            cloud.deliver_all()
            cloud.tick()
        assert BatchState.WAITING not in states(cloud, later)
        assert "Provider Resumed" in told(cloud)


def test_a_create_in_doubt_is_settled_while_its_provider_is_paused(cloud: Cloud) -> None:
    """Otherwise all that have its number of requests could not try whether the provider is open again."""
    cloud.simulator.fault("reply_lost", provider="anthropic", operation="create")
    job = cloud.drop("input/x.jsonl", jsonl([claude("one")]))
    assert job is not None
    cloud.deliver_all()
    assert states(cloud, job) == {BatchState.SUBMITTING}
    cloud.services.store.providers.set_pause("anthropic", "an outage", cloud.clock.seconds() + 86_400)
    cloud.settle()
    assert [got(result) for result in cloud.outcome(job).results] == [wanted(claude("one"))]
    assert cloud.services.store.providers.active_pause("anthropic") is not None  # it was created before


def test_a_batch_that_tries_a_provider_lets_others_try_while_its_number_is_taken() -> None:
    toml = TOML.read_text(encoding="utf-8").replace("requests_per_batch = 10_000", "requests_per_batch = 1")
    with new_cloud(toml) as cloud:
        cloud.simulator.fault("reply_lost", provider="anthropic", operation="create")
        cloud.services.store.providers.set_pause("anthropic", "an outage", cloud.clock.seconds())
        job = cloud.drop("input/x.jsonl", jsonl([claude("one"), claude("two")]))
        assert job is not None
        cloud.deliver("plan")
        cloud.deliver("submit")
        cloud.clock.now += 300
        assert admit_batches("anthropic", cloud.services) == 1
        cloud.deliver_all()
        assert states(cloud, job) == {BatchState.SUBMITTING, BatchState.WAITING}

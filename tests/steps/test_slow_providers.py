"""A provider that is slow, or does not answer, takes a share of a minute's run and no more."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from batchdrop.errors import Transient
from batchdrop.jobs import ask_to_cancel
from batchdrop.providers.interface import BatchApi
from batchdrop.states import BatchState
from batchdrop.steps.poll import poll_provider
from batchdrop.steps.sweep import sweep
from faking.cloud import TOML, Cloud, jsonl
from faking.cloud import cloud as new_cloud
from faking.lines import chat, claude

DAY = 86_400


class Slow:
    """A provider's client whose calls take as long as the test says; those of 15 seconds get no answer."""

    clock: Any = None
    seconds = 0
    calls = 0

    def __init__(self, api: BatchApi) -> None:
        self._api = api

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._api, name)
        if not callable(found) or not Slow.seconds or not self._api.__class__.__name__.startswith("Anthropic"):
            return found

        def slowly(*arguments: Any, **named: Any) -> Any:
            Slow.calls += 1
            Slow.clock.now += Slow.seconds
            if Slow.seconds >= 15:
                raise Transient("no answer")
            return found(*arguments, **named)

        return slowly


@contextmanager
def slow_cloud(requests_per_batch: int = 1) -> Iterator[Cloud]:
    """Where a job has as many batches as lines."""
    toml = TOML.read_text(encoding="utf-8")
    toml = toml.replace("requests_per_batch = 10_000", f"requests_per_batch = {requests_per_batch}")
    with new_cloud(toml, wrap=Slow) as made:  # type: ignore[arg-type]  # it stands in by its methods
        Slow.clock, Slow.seconds, Slow.calls = made.clock, 0, 0
        for provider in ("openai", "anthropic"):
            made.simulator.shape(provider=provider, seconds_to_complete=DAY)
        yield made


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with slow_cloud() as made:
        yield made


def in_flight(cloud: Cloud, lines: list[Any]) -> str:
    job = cloud.drop("input/x.jsonl", jsonl(lines))
    assert job is not None
    for _ in range(30):
        cloud.deliver_all()
        if {batch.state for batch in cloud.services.store.batches(job)} == {BatchState.IN_FLIGHT}:
            return job
        cloud.tick()
    raise AssertionError("it was never submitted")


def cancelled_at(cloud: Cloud, job: str, provider: str) -> int:
    batches = cloud.services.store.batches(job)
    return sum(batch.provider == provider and batch.cancel_asked_at is not None for batch in batches)


def test_a_provider_that_does_not_answer_is_asked_once_while_the_others_batches_are_cancelled(cloud: Cloud) -> None:
    job = in_flight(cloud, [*(claude(f"a{number}") for number in range(3)), chat("o")])
    ask_to_cancel(job, cloud.services.store, now=cloud.services.now())
    Slow.seconds = 15
    began = cloud.clock.now
    sweep(cloud.services)
    assert (Slow.calls, cloud.clock.now - began) == (1, 15)
    assert (cancelled_at(cloud, job, "openai"), cancelled_at(cloud, job, "anthropic")) == (1, 0)


def test_a_job_of_more_batches_than_a_minute_can_cancel_goes_on_in_the_next(cloud: Cloud) -> None:
    job = in_flight(cloud, [claude(f"a{number}") for number in range(8)])
    ask_to_cancel(job, cloud.services.store, now=cloud.services.now())
    Slow.seconds = 9
    began = cloud.clock.now
    sweep(cloud.services)
    assert cloud.clock.now - began <= 60
    assert 0 < cancelled_at(cloud, job, "anthropic") < 8
    cloud.clock.now = began + 60
    sweep(cloud.services)
    assert cancelled_at(cloud, job, "anthropic") == 8


def test_batches_in_doubt_at_a_provider_that_does_not_answer_do_not_keep_sweep_from_others() -> None:
    with slow_cloud(requests_per_batch=10) as cloud:
        cloud.simulator.fault("reply_lost", provider="anthropic", operation="create", times=4)
        for number in range(1, 5):  # lines: creates in doubt are told apart by their number
            assert cloud.drop(f"input/{number}.jsonl", jsonl([claude(str(each)) for each in range(number)]))
        job = in_flight(cloud, [chat("one")])
        cloud.clock.now += 2_000
        ask_to_cancel(job, cloud.services.store, now=cloud.services.now())
        Slow.seconds = 15
        began = cloud.clock.now
        sweep(cloud.services)
        assert (Slow.calls, cloud.clock.now - began) == (1, 15)
        assert cancelled_at(cloud, job, "openai") == 1


def test_a_round_of_poll_ends_in_time_and_admits_nothing_after_it(cloud: Cloud) -> None:
    job = in_flight(cloud, [claude(f"a{number}") for number in range(3)])
    cloud.clock.now += 2 * DAY
    waiting = cloud.drop("input/y.jsonl", jsonl([claude("waits")]))
    assert waiting is not None
    cloud.services.store.providers.set_pause("anthropic", "not now", cloud.services.now() + 10)
    cloud.deliver_all()
    cloud.clock.now += 30
    Slow.seconds = 15
    began = cloud.clock.now
    poll_provider("anthropic", cloud.services)
    assert cloud.clock.now - began <= 60
    assert [batch.state for batch in cloud.services.store.batches(waiting)] == [BatchState.WAITING]
    Slow.seconds = 0
    cloud.settle(tick=3_600, rounds=80)
    assert cloud.outcome(job).manifest.status == "COMPLETED"
    assert cloud.outcome(waiting).manifest.status == "COMPLETED"

"""Creates that arrive after they were given up: told with what they cost, used while they can be, then deleted."""

from collections.abc import Callable
from typing import Any

import pytest
from batchdrop.batches.late_creates import watch_creates
from batchdrop.states import BatchState
from faking.cloud import Cloud, jsonl
from faking.lines import chat, claude, got, wanted

LATE = 9_000  # seconds; the grace is over long before
LINES = [claude("one"), claude("two"), claude("three")]


def told(cloud: Cloud) -> list[dict[str, Any]]:
    return [event["detail"] for event in cloud.events() if event["detail-type"] == "Duplicate Batch"]


def drop_late(cloud: Cloud, provider: str, lines: list[Any], **metadata: str) -> str:
    """A job whose first create arrives when its batch was created again, or is about to be."""
    cloud.simulator.fault("late", seconds=LATE, provider=provider, operation="create")
    job = cloud.drop("input/x.jsonl", jsonl(lines), **metadata)
    assert job is not None
    return job


def go_on(cloud: Cloud, until: Callable[[], object], *, seconds: float = 300, rounds: int = 60) -> None:
    for _ in range(rounds):
        cloud.deliver_all()
        if until():
            return
        cloud.tick(seconds)
    raise AssertionError("it never came")


def stored(cloud: Cloud) -> int:
    return int(cloud.simulator.charges()["anthropic"]["batches_stored"])


def states(cloud: Cloud, job: str) -> list[BatchState]:
    return [batch.state for batch in cloud.services.store.batches(job)]


def test_a_duplicate_is_told_with_what_it_cost_and_deleted_at_the_provider(cloud: Cloud) -> None:
    job = drop_late(cloud, "anthropic", LINES)
    cloud.settle(rounds=200, tick=300)
    usage = cloud.outcome(job).manifest.models[0].usage
    cloud.clock.now += LATE
    found: list[dict[str, Any]] = []
    go_on(cloud, lambda: found.extend(told(cloud)) or found)
    assert [(each["job"], each["provider"], each["requests"]) for each in found] == [(job, "anthropic", 3)]
    assert found[0]["usage"]["input_tokens"] == usage.input_tokens
    assert found[0]["usage"]["output_tokens"] == usage.output_tokens
    assert stored(cloud) == 0
    cloud.tick(700)
    cloud.tick(700)
    assert told(cloud) == []


def test_a_duplicates_answers_fill_the_lines_that_its_batch_left_open(cloud: Cloud) -> None:
    job = drop_late(cloud, "anthropic", LINES, **{"batchdrop-max_attempts": "1"})
    cloud.deliver_all()
    cloud.simulator.shape(provider="anthropic", expire_fraction=0.0, seconds_to_complete=2 * LATE, times=1)
    cloud.settle(rounds=200, tick=1_200)
    assert [got(result) for result in cloud.outcome(job).results] == [wanted(line) for line in LINES]
    assert len(told(cloud)) == 1
    assert stored(cloud) == 0


def test_what_a_duplicate_answered_is_not_sent_again(cloud: Cloud) -> None:
    cloud.simulator.shape(provider="anthropic", failing=[{"match": "two", "status": 500}], times=1)
    job = drop_late(cloud, "anthropic", LINES)
    cloud.deliver_all()
    cloud.simulator.shape(provider="anthropic", expire_fraction=0.0, seconds_to_complete=2 * LATE, times=1)
    cloud.settle(rounds=200, tick=1_200)
    assert [got(result) for result in cloud.outcome(job).results] == [wanted(line) for line in LINES]
    assert [result["attempts"] for result in cloud.outcome(job).results] == [1, 2, 1]
    charges = cloud.simulator.charges()["anthropic"]
    assert (charges["calls"]["create"], charges["requests"]) == (3, 3)


def test_a_duplicates_errors_never_speak_for_a_line(cloud: Cloud) -> None:
    cloud.simulator.shape(provider="anthropic", failing=[{"match": "one", "status": 500}], times=1)
    job = drop_late(cloud, "anthropic", LINES)
    cloud.deliver_all()
    cloud.simulator.shape(
        provider="anthropic", failing=[{"match": "one", "status": 400}], seconds_to_complete=2 * LATE, times=1
    )
    cloud.settle(rounds=200, tick=1_200)
    assert len(told(cloud)) == 1
    errors = [result["error"] and result["error"]["code"] for result in cloud.outcome(job).results]
    assert errors == ["invalid_request_error", None, None]


def test_a_batch_that_waits_takes_its_late_create_and_nothing_is_paid_twice(cloud: Cloud) -> None:
    job = drop_late(cloud, "anthropic", LINES)
    cloud.deliver_all()
    go_on(cloud, lambda: states(cloud, job) == [BatchState.WAITING])
    cloud.services.store.providers.set_pause("anthropic", "not now", cloud.services.now() + 10**6)
    cloud.clock.now += LATE
    cloud.settle(rounds=200, tick=700)
    assert [got(result) for result in cloud.outcome(job).results] == [wanted(line) for line in LINES]
    charges = cloud.simulator.charges()["anthropic"]
    assert (charges["batches"], charges["requests"]) == (1, 3)
    assert told(cloud) == []


def test_a_late_create_of_openai_that_fails_for_want_of_its_file_cost_nothing(cloud: Cloud) -> None:
    job = drop_late(cloud, "openai", [chat("one")])
    cloud.settle(rounds=200, tick=300)
    cloud.clock.now += LATE
    found: list[dict[str, Any]] = []
    go_on(cloud, lambda: found.extend(told(cloud)) or found)
    assert [(each["job"], set(each["usage"].values())) for each in found] == [(job, {0})]
    assert cloud.simulator.charges()["openai"]["files"] == 0


@pytest.mark.parametrize("times", [1, 2])
def test_looking_twice_is_looking_once(cloud: Cloud, times: int) -> None:
    drop_late(cloud, "anthropic", LINES)
    cloud.settle(rounds=200, tick=300)
    cloud.clock.now += LATE
    for _ in range(times):
        cloud.clock.now += 700
        watch_creates("anthropic", cloud.services)
    assert len(told(cloud)) == 1


def test_a_duplicate_that_the_provider_does_not_delete_is_told_once(cloud: Cloud) -> None:
    drop_late(cloud, "anthropic", LINES)
    cloud.settle(rounds=200, tick=300)
    cloud.clock.now += LATE
    cloud.simulator.fault("status", provider="anthropic", operation="delete", code=400, times=None)
    for _ in range(4):
        cloud.tick(700)
    assert len(told(cloud)) == 1


@pytest.mark.parametrize(("line", "provider"), [(chat, "openai"), (claude, "anthropic")])
def test_the_second_create_of_a_batch_is_never_taken_for_its_first(cloud: Cloud, line: Any, provider: str) -> None:
    cloud.simulator.fault("connection_reset", provider=provider, operation="create")
    lines = [line(str(number)) for number in range(5)]
    job = cloud.drop("input/x.jsonl", jsonl(lines))
    assert job is not None
    go_on(cloud, lambda: states(cloud, job) == [BatchState.SUBMITTING])
    cloud.simulator.fault("reply_lost", provider=provider, operation="create")
    go_on(cloud, lambda: len(cloud.services.store.providers.watched(provider)) > 0)
    go_on(cloud, lambda: states(cloud, job) == [BatchState.SUBMITTING], seconds=30)
    cloud.clock.now += 601  # the look at creates that were given up comes before the batch's own
    watch_creates(provider, cloud.services)
    cloud.settle(rounds=200, tick=300)
    assert [got(result) for result in cloud.outcome(job).results] == [wanted(each) for each in lines]
    assert {result["attempts"] for result in cloud.outcome(job).results} == {1}
    assert cloud.simulator.charges()[provider]["requests"] == len(lines)
    assert told(cloud) == []

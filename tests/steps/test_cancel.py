"""Cancelling, and clocks: late jobs, old jobs, batches that never end."""

from typing import Any

import pytest
from batchdrop.jobs import TooLate, ask_to_cancel
from faking.cloud import TOML, Cloud, jsonl
from faking.cloud import cloud as new_cloud
from faking.lines import chat, claude, got, mixed, wanted

LINES = pytest.mark.parametrize(("line", "provider"), [(chat, "openai"), (claude, "anthropic")])


def cancel(cloud: Cloud, job: str | None) -> str:
    assert job is not None
    ask_to_cancel(job, cloud.services.store, now=cloud.services.now())
    return job


def codes(cloud: Cloud, job: str) -> list[str | None]:
    return [result["error"] and result["error"]["code"] for result in cloud.outcome(job).results]


def test_a_job_that_was_never_sent_is_cancelled_and_costs_nothing(cloud: Cloud) -> None:
    job = cancel(cloud, cloud.drop("input/x.jsonl", jsonl([*mixed(4), b"nonsense"])))
    cloud.settle()
    manifest = cloud.outcome(job).manifest
    assert (manifest.status, manifest.counts and manifest.counts.total) == ("CANCELLED", 5)
    assert codes(cloud, job) == ["cancelled"] * 4 + ["invalid_json"]
    assert cloud.simulator.charges()["openai"]["batches"] == 0
    assert [event["detail-type"] for event in cloud.events()] == ["Job Cancelled"]


@LINES
def test_what_was_answered_before_the_cancel_is_published(cloud: Cloud, line: Any, provider: str) -> None:
    cloud.simulator.shape(provider=provider, seconds_to_complete=1_000)
    lines = [line(str(number)) for number in range(10)]
    job = cloud.drop("input/x.jsonl", jsonl(lines))
    cloud.deliver_all()
    cloud.clock.now += 500
    cancel(cloud, job)
    cloud.settle()
    assert job is not None
    results = cloud.outcome(job).results
    answered = [result for result in results if not result["error"]]
    assert answered
    assert [got(result) for result in answered] == [wanted(lines[result["line"] - 1]) for result in answered]
    assert {result["error"]["code"] for result in results if result["error"]} == {"cancelled"}
    assert cloud.simulator.charges()[provider]["batches"] == 1
    assert cloud.outcome(job).manifest.status == "CANCELLED"


def test_batches_that_wait_are_cancelled_and_their_limits_given_back() -> None:
    toml = TOML.read_text(encoding="utf-8").replace("enqueued_tokens = 2_000_000", "enqueued_tokens = 200")
    with new_cloud(toml) as cloud:
        cloud.simulator.shape(provider="openai", seconds_to_complete=1_000)
        job = cloud.drop("input/x.jsonl", jsonl([chat("x" * 300 + str(number)) for number in range(6)]))
        cloud.deliver_all()
        cancel(cloud, job)
        cloud.settle()
        assert cloud.services.store.providers.ledger("openai/gpt-4o-mini").reserved == 0
        assert cloud.simulator.charges()["openai"]["batches"] == 1


def test_a_create_in_doubt_is_settled_before_the_cancelled_job_is_published(cloud: Cloud) -> None:
    cloud.simulator.fault("reply_lost", provider="openai", operation="create")
    job = cloud.drop("input/x.jsonl", jsonl([chat("one")]))
    cloud.deliver_all()
    cancel(cloud, job)
    cloud.settle(tick=300)
    assert job is not None
    assert codes(cloud, job) == [None]
    assert cloud.simulator.charges()["openai"]["batches"] == 1


def test_cancelling_twice_is_cancelling_once_and_a_published_job_is_too_late(cloud: Cloud) -> None:
    job = cancel(cloud, cloud.drop("input/x.jsonl", jsonl(mixed(4))))
    cancel(cloud, job)
    cloud.settle()
    with pytest.raises(TooLate):
        cancel(cloud, job)
    with pytest.raises(LookupError):
        cancel(cloud, "no-such-job")


def test_a_late_job_is_told_once_and_goes_on(cloud: Cloud) -> None:
    cloud.simulator.shape(provider="openai", seconds_to_complete=20_000)
    job = cloud.drop("input/x.jsonl", jsonl([chat("one")]), **{"batchdrop-expected_by": "2h"})
    cloud.settle(tick=3_600)
    assert job is not None
    types = [event["detail-type"] for event in cloud.events()]
    assert types == ["Job Late", "Job Completed"]


def test_a_job_that_is_too_old_is_ended_with_its_reason(cloud: Cloud) -> None:
    cloud.secrets.values.clear()
    job = cloud.drop("input/x.jsonl", jsonl([chat("one")]), **{"batchdrop-max_age": "3h"})
    cloud.settle(tick=1_800)
    assert job is not None
    manifest = cloud.outcome(job).manifest
    assert (manifest.status, manifest.reason) == ("CANCELLED", "It was not done within 3h (max_age).")


@LINES
def test_a_batch_past_the_window_is_cancelled_and_collected(cloud: Cloud, line: Any, provider: str) -> None:
    cloud.simulator.shape(provider=provider, stuck=True, times=1)
    lines = [line("one"), line("two")]
    job = cloud.drop("input/x.jsonl", jsonl(lines))
    cloud.settle(tick=3_600, rounds=80)
    assert job is not None
    assert [got(result) for result in cloud.outcome(job).results] == [wanted(each) for each in lines]
    assert cloud.simulator.charges()[provider]["calls"]["cancel"] == 1


@LINES
def test_a_batch_that_never_ends_is_given_up_and_not_sent_again(cloud: Cloud, line: Any, provider: str) -> None:
    cloud.simulator.shape(provider=provider, stuck="always")
    job = cloud.drop("input/x.jsonl", jsonl([line("one")]))
    cloud.settle(tick=3_600, rounds=80)
    assert job is not None
    assert codes(cloud, job) == ["provider_stuck"]
    assert cloud.simulator.charges()[provider]["batches"] == 1


def test_a_round_that_never_began_does_not_stand_in_a_cancels_way(cloud: Cloud) -> None:
    from batchdrop.batches.packing import Group  # noqa: PLC0415 - the same
    from batchdrop.batches.rows import batch_rows  # noqa: PLC0415 - only here
    from batchdrop.batches.split_plan import PlannedBatch  # noqa: PLC0415 - the same

    store = cloud.services.store
    cloud.simulator.shape(provider="openai", seconds_to_complete=50_000)
    job_id = cloud.drop("input/x.jsonl", jsonl([chat("one")]))
    cloud.deliver_all()
    assert job_id is not None
    job, split, batch = store.job(job_id), store.split(job_id, 0), store.batch(job_id, "00000-0-0000")
    assert job is not None
    assert split is not None
    assert batch is not None
    left_over = PlannedBatch(
        id="00000-1-0000",
        token="left-over",
        group=Group(provider="openai", endpoint=batch.endpoint, model=batch.model, attempt=2),
        requests=1,
        bytes=1,
        tokens=1,
        requests_key=batch.requests_key,
        members_key=batch.members_key,
    )
    store.add_all(batch_rows(job, split, [left_over], cloud.services))  # by a worker that died right after it
    cancel(cloud, job_id)
    cloud.clock.now += 300
    cloud.settle()
    assert codes(cloud, job_id) == ["cancelled"]
    assert cloud.outcome(job_id).results[0]["batch_id"] is not None

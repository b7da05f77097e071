"""Compressed files: inflated once, and ordinary from then on, whoever dies on the way."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from backports import zstd
from batchdrop.jobs import ask_to_cancel
from batchdrop.states import JobState, SplitState
from batchdrop.steps.plan import plan_split
from faking.cloud import Cloud, jsonl
from faking.cloud import cloud as new_cloud
from faking.compression import PACK, gzipped
from faking.lines import chat, claude, got, wanted

LINES = [chat("one", 1), claude("two", 2), b"", b"not json", chat("three"), chat("four"), claude("five", None)]
BODY = jsonl(LINES)
KINDS = pytest.mark.parametrize("kind", ["gz", "zst"])
SPLIT = 400


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with new_cloud(split_bytes=SPLIT) as made:
        yield made


def drop(cloud: Cloud, kind: str = "gz", body: bytes = BODY) -> str:
    job = cloud.drop(f"input/a/x.jsonl.{kind}", PACK[kind](body))
    assert job is not None
    return job


def told(cloud: Cloud, job: str) -> list[Any]:
    return [
        (each["line"], each["custom_id"], each["error"], each["response"] and got(each))
        for each in cloud.outcome(job).results
    ]


@pytest.fixture(scope="module")
def plain() -> list[Any]:
    with new_cloud(split_bytes=SPLIT) as cloud:
        job = cloud.drop("input/a/x.jsonl", BODY)
        assert job is not None
        cloud.settle()
        return told(cloud, job)


@KINDS
def test_a_compressed_file_gives_what_the_plain_one_gives(cloud: Cloud, kind: str, plain: list[Any]) -> None:
    job = drop(cloud, kind)
    assert [each.end for each in cloud.services.store.splits(job)] == [len(PACK[kind](BODY))]
    cloud.settle()
    assert told(cloud, job) == plain
    out = cloud.outcome(job)
    assert out.failed == [b"not json"]
    assert out.manifest.files.results[0].key == f"output/a/x/{job}/results.jsonl"
    assert (out.manifest.input.bytes, out.manifest.input.lines) == (len(PACK[kind](BODY)), 7)
    assert cloud.keys("work/") == []
    assert cloud.services.store.job(job).source.bytes == len(BODY)  # type: ignore[union-attr]  # it is there


def test_the_plan_of_the_only_split_adds_the_others(cloud: Cloud) -> None:
    job = drop(cloud)
    cloud.deliver("plan")
    splits = list(cloud.services.store.splits(job))
    count = -(-len(BODY) // SPLIT)
    assert [(each.index, each.start, each.end) for each in splits] == [
        (index, index * SPLIT, min((index + 1) * SPLIT, len(BODY))) for index in range(count)
    ]
    found = cloud.services.store.job(job)
    assert found is not None
    assert (found.splits, found.unplanned, found.unassembled) == (count, count - 1, count)
    assert [each.state for each in splits] == [SplitState.PLANNED] + [SplitState.PENDING] * (count - 1)


def test_a_message_that_comes_again_inflates_nothing_again(cloud: Cloud, plain: list[Any]) -> None:
    job = drop(cloud)
    for _ in range(3):
        plan_split(job, 0, cloud.services)
    assert [key for key in cloud.keys("work/") if key.endswith("inflated.jsonl")] == [
        f"work/{job}/00000/plan-0-2/inflated.jsonl"
    ]
    cloud.settle()
    assert told(cloud, job) == plain


class Died(BaseException):
    """The worker is gone."""


def die_at(cloud: Cloud, operation: str, nth: int, when: str) -> Callable[[], None]:
    """Let the nth call of boto3 with this name be the worker's last one; how to let the next ones live."""
    calls = 0

    def count(**_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == nth:
            raise Died

    event = f"{when}-call.*.{operation}"
    clients = (cloud.services.files._client, cloud.services.store._table._client, cloud.services.queues._client)  # noqa: SLF001 - where the outside begins
    for client in clients:
        client.meta.events.register(event, count)
    return lambda: [client.meta.events.unregister(event, count) for client in clients] and None


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("operation", "nth"),
    [("PutObject", 1), ("TransactWriteItems", 1), ("PutItem", 1), ("SendMessageBatch", 1)],
)
def test_a_death_on_the_way_changes_nothing_in_the_end(
    cloud: Cloud, operation: str, nth: int, when: str, plain: list[Any]
) -> None:
    job = drop(cloud)
    live = die_at(cloud, operation, nth, when)
    with pytest.raises(Died):
        plan_split(job, 0, cloud.services)
    live()
    cloud.deliver("plan")  # while the dead one's claim holds, nothing happens
    cloud.tick(1_000)
    cloud.settle(tick=300)
    assert told(cloud, job) == plain
    assert cloud.keys("work/") == []
    assert {
        provider: each["bodies_charged_more_than_once"] for provider, each in cloud.simulator.charges().items()
    } == {
        "openai": 0,
        "anthropic": 0,
    }


def test_a_job_that_is_cancelled_before_its_splits_are_there_comes_to_its_end(cloud: Cloud) -> None:
    job = drop(cloud)
    live = die_at(cloud, "PutItem", 1, "before")
    with pytest.raises(Died):
        plan_split(job, 0, cloud.services)
    live()
    ask_to_cancel(job, cloud.services.store, now=cloud.services.now())
    cloud.tick(1_000)
    cloud.settle(tick=300)
    out = cloud.outcome(job)
    assert out.manifest.status == "CANCELLED"
    codes = [each["error"]["code"] for each in out.results]
    assert codes == ["cancelled", "cancelled", "invalid_json", "cancelled", "cancelled", "cancelled"]


def test_a_worker_that_wakes_up_when_another_has_inflated_changes_nothing(cloud: Cloud, plain: list[Any]) -> None:
    job = drop(cloud)
    client = cloud.services.files._client  # noqa: SLF001 - where the outside begins
    is_first = True

    def sleep(**_: object) -> None:
        nonlocal is_first
        if is_first:
            is_first = False
            cloud.tick(2_000)
            cloud.settle()

    client.meta.events.register("before-call.s3.PutObject", sleep)
    plan_split(job, 0, cloud.services)
    cloud.settle()
    assert told(cloud, job) == plain
    assert cloud.keys("work/") == []


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        ("gz", b"{}\n", "The file is not gzip, although its name says so."),
        ("zst", zstd.compress(BODY)[:-9], "The file is truncated: the zstd stream ends early."),
        ("gz", gzipped(b""), "The file is empty."),
    ],
)
def test_what_cannot_be_inflated_fails_the_job_before_anything_is_paid(
    cloud: Cloud, kind: str, body: bytes, reason: str
) -> None:
    out = cloud.run(f"input/x.jsonl.{kind}", body)
    assert (out.manifest.status, out.manifest.reason) == (JobState.FAILED, reason)
    assert all(not each["batches"] for each in cloud.simulator.charges().values())
    assert cloud.keys("work/") == []


def test_a_large_file_is_inflated_in_parts() -> None:
    lines = [chat("a" * 6_000_000), claude("b" * 6_000_000), chat("c" * 6_000_000)]
    with new_cloud(split_bytes=7_000_000) as cloud:
        out = cloud.run("input/x.jsonl.zst", zstd.compress(jsonl(lines)))
        assert [got(each) for each in out.results] == [wanted(line) for line in lines]

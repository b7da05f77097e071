"""Rules that no other test would miss: each of these fails when its rule is left out."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import msgspec
from batchdrop.aws.keys import attempt_prefix
from batchdrop.jobs import ask_to_cancel
from batchdrop.states import BatchState, JobState
from batchdrop.steps.plan import plan_split
from faking.cloud import Cloud, jsonl
from faking.cloud import cloud as new_cloud
from faking.lines import chat, claude, got, wanted
from faking.rows import a_split


def states(cloud: Cloud, job: str | None) -> list[BatchState]:
    assert job is not None
    return [batch.state for batch in cloud.services.store.batches(job)]


def test_nothing_is_admitted_before_the_whole_file_is_planned() -> None:
    lines = [chat(str(number)) for number in range(4)]
    with new_cloud(split_bytes=len(jsonl(lines)) // 2 + 1) as cloud:
        job = cloud.drop("input/x.jsonl", jsonl(lines))
        cloud.call("plan", {"job": job, "split": 0})
        cloud.tick()
        assert states(cloud, job) == [BatchState.WAITING]
        cloud.settle()
        assert job is not None
        assert [got(each) for each in cloud.outcome(job).results] == [wanted(line) for line in lines]


def test_a_batch_that_was_admitted_before_the_cancel_is_not_created_after_it(cloud: Cloud) -> None:
    job = cloud.drop("input/x.jsonl", jsonl([chat("one")]))
    cloud.deliver("plan")
    assert job is not None
    assert states(cloud, job) == [BatchState.ADMITTED]
    ask_to_cancel(job, cloud.services.store, now=cloud.clock.seconds())
    cloud.settle()
    assert cloud.outcome(job).manifest.status == JobState.CANCELLED
    assert cloud.simulator.charges()["openai"]["batches"] == 0


def test_a_create_in_doubt_does_not_take_another_jobs_batch_for_its_own(cloud: Cloud) -> None:
    cloud.simulator.shape(provider="anthropic", seconds_to_complete=20_000)
    lines = [claude("one"), claude("two")]
    first = cloud.drop("input/first.jsonl", jsonl(lines))
    cloud.deliver_all()
    cloud.simulator.fault("connection_reset", provider="anthropic", operation="create")
    second = cloud.drop("input/second.jsonl", jsonl([claude("three"), claude("four")]))
    cloud.deliver_all()
    cloud.tick(600)
    assert states(cloud, first) == [BatchState.IN_FLIGHT]
    assert states(cloud, second) == [BatchState.SUBMITTING]


def test_a_create_that_arrives_soon_after_it_was_given_up_finds_no_file(cloud: Cloud) -> None:
    cloud.simulator.fault("late", seconds=2_900, provider="openai", operation="create")
    job = cloud.drop("input/x.jsonl", jsonl([chat("one")]))
    cloud.settle(rounds=100)
    assert job is not None
    for _ in range(4):
        cloud.tick(300)
    charges = cloud.simulator.charges()["openai"]
    assert (charges["batches"], charges["requests"]) == (2, 1)


def test_a_batch_that_is_unknown_for_a_while_is_paid_once(cloud: Cloud) -> None:
    cloud.simulator.shape(provider="openai", not_found_after_create=900, seconds_to_complete=60)
    cloud.simulator.fault("status", provider="openai", operation="list", code=500, times=20)
    out = cloud.run("input/x.jsonl", [chat("one")])
    assert [(each["error"], each["attempts"]) for each in out.results] == [(None, 1)]
    assert cloud.simulator.charges()["openai"]["batches"] == 1


def test_a_batch_that_goes_back_to_waiting_gives_its_share_back(cloud: Cloud) -> None:
    cloud.simulator.fault("status", provider="openai", operation="upload", code=503, times=20)
    job = cloud.drop("input/x.jsonl", jsonl([chat("one")]))
    cloud.deliver_all()
    assert states(cloud, job) == [BatchState.WAITING]
    assert cloud.services.store.providers.ledger("openai/gpt-4o-mini").reserved == 0


def test_two_attempts_at_a_split_never_write_to_the_same_place() -> None:
    one = a_split(epoch=2)
    assert attempt_prefix(one, "plan") != attempt_prefix(one.with_(epoch=3), "plan")


def test_a_job_is_not_cleaned_up_before_its_provider_files_are_deleted(cloud: Cloud) -> None:
    cloud.simulator.fault("status", provider="openai", operation="delete", code=500, times=6)
    job = cloud.drop("input/x.jsonl", jsonl([chat("one")]))
    for _ in range(3):
        cloud.deliver_all()
        cloud.tick()
    assert job is not None
    found = cloud.services.store.job(job)
    assert found is not None
    assert (found.state, states(cloud, job)) == (JobState.COMPLETED, [BatchState.COLLECTED])
    cloud.settle(tick=600)
    assert cloud.simulator.charges()["openai"]["files"] == 0
    assert states(cloud, job) == []


class Overtaken:
    """The bucket, whose first writer is overtaken: before its first write, another does all of its work."""

    def __init__(self, files: Any, overtake: Callable[[], None]) -> None:
        self._files, self._overtake, self._written = files, overtake, False

    def __getattr__(self, name: str) -> Any:
        if name == "put" and not self._written:
            self._written = True
            self._overtake()
        return getattr(self._files, name)


def test_a_planner_that_was_overtaken_leaves_the_first_plan(cloud: Cloud) -> None:
    job = cloud.drop("input/x.jsonl", jsonl([chat("one")]))
    assert job is not None

    def overtake() -> None:
        cloud.clock.now += 1_000
        plan_split(job, 0, cloud.services)

    overtaken = replace(cloud.services, files=Overtaken(cloud.services.files, overtake))  # type: ignore[arg-type]  # by its methods
    plan_split(job, 0, overtaken)
    assert [key for key in cloud.keys("work/") if key.endswith("/plan-0.json")] == [f"work/{job}/00000/plan-0.json"]
    cloud.settle()
    assert [got(each) for each in cloud.outcome(job).results] == [wanted(chat("one"))]


class Reading:
    """The provider's client, whose first download of results is another."""

    def __init__(self, api: Any) -> None:
        self._api = api
        self._times = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    def stream(self, name: str) -> Iterator[bytes]:
        self._times += 1
        whole = b"".join(self._api.stream(name))
        yield self.first(whole) if self._times == 1 else whole

    def first(self, whole: bytes) -> bytes:
        """It lacks the last line."""
        return b"".join(line + b"\n" for line in whole.split(b"\n")[:-2])


class ReadingForeignRows(Reading):
    """A result of somebody else, whose name is one of our numbers."""

    def first(self, whole: bytes) -> bytes:
        foreign = json.loads(whole.splitlines()[0])
        foreign["custom_id"] = "0"
        foreign["response"] = {"status_code": 200, "request_id": "theirs", "body": {"theirs": True}}
        return msgspec.json.encode(foreign) + b"\n" + whole


class ReadingLongNumbers(Reading):
    """Two results more: a custom_id of ours with thousands of digits behind it, and as many as a number."""

    def first(self, whole: bytes) -> bytes:
        long, number = json.loads(whole.splitlines()[0]), json.loads(whole.splitlines()[0])
        long["custom_id"], number["custom_id"] = long["custom_id"] + "9" * 5_000, 0
        as_number = msgspec.json.encode(number).replace(b'"custom_id":0', b'"custom_id":' + b"9" * 5_000)
        return msgspec.json.encode(long) + b"\n" + as_number + b"\n" + whole


def test_a_custom_id_of_thousands_of_digits_is_no_lines_result() -> None:
    with new_cloud(wrap=ReadingLongNumbers) as cloud:
        lines = [claude("one"), chat("two")]
        out = cloud.run("input/x.jsonl", lines)
        assert [got(each) for each in out.results] == [wanted(line) for line in lines]


def test_a_line_that_a_first_download_lacks_is_not_lost() -> None:
    with new_cloud(wrap=Reading) as cloud:
        lines = [claude(str(number)) for number in range(3)]
        out = cloud.run("input/x.jsonl", lines)
        assert [got(each) for each in out.results] == [wanted(line) for line in lines]
        charges = cloud.simulator.charges()["anthropic"]
        assert (charges["batches"], charges["requests"]) == (1, 3)


def test_a_result_of_a_foreign_batch_belongs_to_no_line() -> None:
    with new_cloud(wrap=ReadingForeignRows) as cloud:
        cloud.simulator.shape(provider="openai", failing={"match": "one", "status": 400, "code": "wrong"})
        out = cloud.run("input/x.jsonl", [chat("one"), chat("two")])
        assert [each["error"] and each["error"]["code"] for each in out.results] == ["wrong", None]

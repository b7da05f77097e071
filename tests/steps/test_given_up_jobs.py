"""Jobs that can never be put together, or published, end by their age; what they paid for is kept, and told."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

from batchdrop.aws.bucket import Files
from batchdrop.jobs import ask_to_cancel, give_up_job
from batchdrop.records import Job
from batchdrop.states import TERMINAL_JOBS, JobState
from batchdrop.steps.assemble import assemble_split
from batchdrop.steps.publish import publish_job
from faking.cloud import BUCKET, STEPS, Cloud, jsonl
from faking.lines import chat, mixed

DAY = 86_400


class Failing:
    """Stands for a service that never answers."""

    def __getattr__(self, name: str) -> Any:
        raise ConnectionError(name)


def drop(cloud: Cloud, lines: list[Any]) -> str:
    job = cloud.drop("input/x.jsonl", jsonl(lines), **{"batchdrop-max_age": "1d"})
    assert job is not None
    return job


def job_of(cloud: Cloud, job: str) -> Job:
    found = cloud.services.store.job(job)
    assert found is not None
    return found


def go_on(cloud: Cloud, job: str, *, days: int) -> None:
    """Let time pass until a job is over, while workers fail, as their queues let them."""
    end = cloud.clock.now + days * DAY
    while cloud.clock.now < end and job_of(cloud, job).state not in TERMINAL_JOBS:
        cloud.tick(6 * 3_600)
        for step in STEPS:
            with suppress(Exception):  # the worker failed, and its unit comes again
                while cloud.deliver(step):
                    pass


def go_on_until(cloud: Cloud, *steps: str, there: str) -> None:
    """Let these steps work, and no others, until an object of this name is there."""
    for _ in range(60):
        cloud.tick()
        for step in steps:
            cloud.deliver(step)
        if any(there in key for key in cloud.keys("work/")):
            return
    raise AssertionError(f"{there} never was")


def spoil(cloud: Cloud, name: str) -> None:
    """Make the objects of this name unreadable, as a bug could."""
    for key in [key for key in cloud.keys("work/") if key.endswith(name)]:
        cloud.s3.put_object(Bucket=BUCKET, Key=key, Body=b"nonsense")


def raw(cloud: Cloud) -> list[str]:
    return [key for key in cloud.keys("work/") if "/raw-" in key]


def test_a_split_that_can_never_be_assembled_ends_its_job_and_keeps_what_was_paid(cloud: Cloud) -> None:
    job = drop(cloud, mixed(4))
    go_on_until(cloud, "plan", "submit", "collect", there="collected-")
    spoil(cloud, "index.jsonl")
    kept = raw(cloud)
    go_on(cloud, job, days=4)
    assert job_of(cloud, job).state is JobState.CANCELLING
    go_on(cloud, job, days=3)
    manifest = cloud.outcome(job).manifest
    assert manifest.status == "FAILED"
    assert manifest.reason == (
        "Its answers could not be put together within 1d (max_age) and a few days more. What was answered and paid for "
        f"stays under s3://bucket/work/{job}/ until 90 days after it was written."
    )
    assert kept
    assert set(kept) <= set(raw(cloud))
    assert [event["detail-type"] for event in cloud.events()] == ["Job Failed"]


def test_a_job_that_can_never_be_published_ends_and_keeps_what_was_paid(cloud: Cloud) -> None:
    job = drop(cloud, mixed(4))
    go_on_until(cloud, "plan", "submit", "collect", "assemble", there="part.json")
    spoil(cloud, "part.json")
    go_on(cloud, job, days=7)
    manifest = cloud.outcome(job).manifest
    assert (manifest.status, manifest.files.results) == ("FAILED", [])
    assert str(manifest.reason).startswith("Its answers could not be published within 1d (max_age)")
    assert raw(cloud)


def test_what_was_kept_is_deleted_in_the_end(cloud: Cloud) -> None:
    job = drop(cloud, [chat("one")])
    go_on_until(cloud, "plan", "submit", "collect", "assemble", there="part.json")
    spoil(cloud, "part.json")
    go_on(cloud, job, days=7)
    cloud.services.store.set_due(job_of(cloud, job), 0)
    cloud.tick()
    assert raw(cloud)
    cloud.tick(90 * DAY)
    assert cloud.keys("work/") == []
    assert [row for row in cloud.rows() if row[1].startswith(("SPLIT#", "BATCH#00"))] == []


def test_a_manifest_that_was_visible_stays_true(cloud: Cloud) -> None:
    job = drop(cloud, [chat("one")])
    go_on_until(cloud, "plan", "submit", "collect", "assemble", there="part.json")
    speechless = replace(cloud.services, events=Failing())  # type: ignore[type-var]  # a stand-in by shape
    with suppress(ConnectionError):
        publish_job(job, speechless)
    cloud.clock.now += 7 * DAY
    go_on(cloud, job, days=1)
    assert cloud.outcome(job).manifest.status == "COMPLETED"
    assert job_of(cloud, job).state is JobState.COMPLETED
    assert [event["detail-type"] for event in cloud.events()] == ["Job Completed"]


def test_a_cancelled_job_that_can_never_be_read_ends_by_its_age(cloud: Cloud) -> None:
    job = drop(cloud, [chat("one")])
    ask_to_cancel(job, cloud.services.store, now=cloud.services.now())
    for _ in range(8):
        cloud.tick(6 * 3_600)
        cloud.deliver("publish")
    manifest = cloud.outcome(job).manifest
    assert (manifest.status, manifest.reason) == ("FAILED", "It could not be read within 1d (max_age).")
    assert cloud.simulator.charges()["openai"]["batches"] == 0


def test_an_assembler_that_comes_after_its_job_was_given_up_changes_nothing(cloud: Cloud) -> None:
    job = drop(cloud, [chat("one")])
    go_on_until(cloud, "plan", "submit", "collect", there="collected-")

    class Late(Files):
        def put(self, key: str, *args: Any, **kwargs: Any) -> Any:
            if key.endswith("part.json"):
                give_up_job(job_of(cloud, job), cloud.services)
            return super().put(key, *args, **kwargs)

    assemble_split(job, 0, replace(cloud.services, files=Late(cloud.s3, BUCKET)))
    found = job_of(cloud, job)
    assert (found.state, found.outcome, found.unassembled) == (JobState.PUBLISHING, JobState.FAILED, 1)

"""A unit that fails each time has an end: its job ends FAILED, says where to look, and publishes what was answered."""

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

from batchdrop.records import Job
from batchdrop.services import Services
from batchdrop.states import TERMINAL_JOBS, JobState
from batchdrop.steps.intake import take_object
from batchdrop.steps.plan import plan_split
from batchdrop.steps.poll import poll_provider
from batchdrop.steps.sweep import sweep
from faking.cloud import STEPS, TOML, Cloud, jsonl
from faking.cloud import cloud as new_cloud
from faking.failing import Failing, Fails, reads
from faking.lines import chat, claude

HOUR = 3_600
LINES = [chat("one"), claude("two")]


def job_of(cloud: Cloud, job: str | None) -> Job:
    assert job is not None
    found = cloud.services.store.job(job)
    assert found is not None
    return found


def go_on(cloud: Cloud, job: str | None, *, hours: int = 72, tick: int = 3_700) -> Job:
    """Let workers work, fail and die until a job is over."""
    for _ in range(hours * HOUR // tick):
        if job_of(cloud, job).state in TERMINAL_JOBS:
            break
        cloud.clock.now += tick
        for provider in cloud.services.providers:
            with suppress(RuntimeError):
                poll_provider(provider, cloud.services)
        with suppress(RuntimeError):
            sweep(cloud.services)
        for step in STEPS:
            while sum(deliver(cloud, step)):
                pass
    return job_of(cloud, job)


def deliver(cloud: Cloud, step: str) -> list[int]:
    """Deliver one message of a step, if there is one; what its worker raises, its queue swallows."""
    url = cloud.queue_urls[step]
    found = cloud.sqs.receive_message(QueueUrl=url, VisibilityTimeout=0).get("Messages", [])
    for message in found:
        cloud.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        with suppress(RuntimeError):
            cloud.call(step, json.loads(message["Body"]))
    return [len(found)]


def fail(cloud: Cloud, service: str, fails: Fails) -> Services:
    """Let calls of a service fail from now on; the services as they were."""
    before = cloud.services
    cloud.services = replace(before, **{service: Failing(getattr(before, service), fails, RuntimeError())})
    return before


def reads_input(name: str, args: tuple[Any, ...]) -> bool:
    return reads("input/")(name, args) and str(args[0]).endswith(".jsonl")


def answered(cloud: Cloud, job: str | None) -> list[bool]:
    assert job is not None
    return [result["error"] is None for result in cloud.outcome(job).results]


def test_a_worker_that_dies_each_time_counts_as_one_that_fails(cloud: Cloud) -> None:
    job = cloud.drop("input/x.jsonl", jsonl(LINES))

    def die(name: str, args: tuple[Any, ...]) -> bool:
        if reads_input(name, args):
            raise KeyboardInterrupt  # as a worker's end: nothing of ours sees it
        return False

    fail(cloud, "files", die)
    deaths = 0
    for _ in range(24 * 6):
        if job_of(cloud, job).state in TERMINAL_JOBS:
            break
        for step in STEPS:
            try:
                deliver(cloud, step)
            except KeyboardInterrupt:
                deaths += 1
        cloud.clock.now += 600
        sweep(cloud.services)
    found = job_of(cloud, job)
    assert (found.state, deaths) == (JobState.FAILED, 6)
    assert "Split 0 of the file" in (found.reason or "")


def test_a_file_that_intake_fails_at_each_time_becomes_a_job_that_failed(cloud: Cloud) -> None:
    body = jsonl(LINES)
    answer = cloud.s3.put_object(Bucket="bucket", Key="input/x.jsonl", Body=body)
    dropped = cloud.dropped("input/x.jsonl", body, answer["VersionId"])
    before = fail(cloud, "files", lambda name, _: name == "head")
    job = None
    for receives in range(1, 400):
        cloud.clock.now += 60
        with suppress(RuntimeError):
            job = take_object(dropped, cloud.services, receives=receives)
            break
    assert job is not None
    cloud.services = before
    found = go_on(cloud, job.id, hours=6)
    assert (found.state, "Intake" in (found.reason or "")) == (JobState.FAILED, True)


def test_deferrals_are_not_failures(cloud: Cloud) -> None:
    job = cloud.drop("input/x.jsonl", jsonl([chat("one")]))
    cloud.deliver("plan")
    (batch,) = cloud.services.store.batches(str(job))
    for _ in range(10):  # as many as would wait for hours if they were failures
        batch = cloud.services.store.claim(batch, 900)
        batch = cloud.services.store.release(batch, cloud.clock.seconds())
    assert batch.failures == 0


def test_one_lost_message_after_many_deferrals_waits_one_lease(cloud: Cloud) -> None:
    cloud.drop("input/x.jsonl", jsonl([chat("one")]))
    cloud.deliver("plan")
    (job,) = cloud.jobs()
    store, lease = cloud.services.store, cloud.services.settings.lease_seconds
    (batch,) = store.batches(job.id)
    for _ in range(7):
        batch = store.release(store.claim(batch, lease), cloud.clock.seconds())
        assert store.try_mark_sent(batch, cloud.clock.seconds())
        (batch,) = store.batches(job.id)
    waits = []
    for _ in range(4):  # each message is lost
        sweep(cloud.services)
        (batch,) = store.batches(job.id)
        waits.append((batch.due_at or 0) - cloud.clock.seconds())
        cloud.clock.now += waits[-1]
    assert waits == [900, 1_800, 3_600, 3_600]


def test_the_longest_wait_of_a_unit_is_an_hour(cloud: Cloud) -> None:
    job = cloud.drop("input/x.jsonl", jsonl([chat("one")]))
    split = cloud.services.store.split(str(job), 0)
    assert split is not None
    waits = []
    for _ in range(8):
        split = cloud.services.store.claim(split, 900)
        waits.append((split.due_at or 0) - cloud.clock.seconds())
        cloud.clock.now += 3_700
    assert waits == [900, 1_800, *[3_600] * 6]


def test_a_plan_that_failed_and_then_works_has_no_failures_left(cloud: Cloud) -> None:
    before = fail(cloud, "files", reads_input)
    job = cloud.drop("input/x.jsonl", jsonl(LINES))
    deliver(cloud, "plan")
    cloud.services = before
    cloud.clock.now += 1_000
    plan_split(str(job), 0, cloud.services)
    split = cloud.services.store.split(str(job), 0)
    assert split is not None
    assert (split.state, split.failures) == ("PLANNED", 0)


def test_a_ledger_whose_batches_cannot_be_admitted_stops_no_other() -> None:
    """As a model did whose name was longer than a key of the table: its row was refused in each admission."""
    with new_cloud(TOML.read_text(encoding="utf-8")) as cloud:
        real = cloud.services.store

        def refused(name: str, args: tuple[Any, ...]) -> bool:
            return name == "move" and getattr(args[0], "model", None) == "gpt-bad"

        bad = cloud.drop("input/bad.jsonl", jsonl([chat("one", model="gpt-bad")]))
        fail(cloud, "store", refused)
        deliver(cloud, "plan")
        cloud.clock.now += 60  # it waits longer, so that its turn is first
        good = cloud.drop("input/good.jsonl", jsonl([chat("two")]))
        assert go_on(cloud, good, hours=24).state is JobState.COMPLETED
        assert real.job(str(bad)) is not None
        assert real.job(str(bad)).state is JobState.RUNNING  # type: ignore[union-attr]
        cloud.services = replace(cloud.services, store=real)
        assert go_on(cloud, bad, hours=24).state in TERMINAL_JOBS

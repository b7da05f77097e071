"""A job seen from Python: waited for, found again, read, decided about, retried."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from batchdrop import (
    AlreadyRunning,
    BatchdropError,
    Client,
    CloudFailed,
    Job,
    JobFailed,
    JobHeld,
    NoSuchJob,
    NotOver,
    Result,
    WaitTimeout,
)
from batchdrop.states import JobState
from faking.cloud import BUCKET
from faking.lines import capped, chat, mixed, wanted

from provider_simulator.answers import content

if TYPE_CHECKING:
    from conftest import World

NOT_A_REQUEST: dict[str, Any] = {"custom_id": "bad"}


def said(result: Result) -> tuple[str | None, Any]:
    return result.endpoint, content(result.endpoint or "", result.body)


def test_a_dropped_file_is_waited_for_and_its_answers_come_in_order(client: Client) -> None:
    lines = mixed(8)
    job = client.put(lines)
    assert (job.state, job.is_over) == (None, False)
    assert job.wait() is job
    assert (job.state, job.is_over, job.reason) == (JobState.COMPLETED, True, None)
    results = list(job.results())
    assert [said(each) for each in results] == [wanted(line) for line in lines]
    assert [each.line for each in results] == list(range(1, 9))
    assert [each.custom_id for each in results] == [line.get("custom_id") for line in lines]
    assert job.manifest.counts is not None
    assert job.manifest.counts.answered == 8
    assert repr(job) == f"Job('{job.id}', state='COMPLETED')"


def test_another_process_goes_on_by_the_jobs_id(client: Client, world: "World") -> None:
    job = client.put(mixed(4))
    young = world.client().job(job.id)
    assert (young.id, young.state) == (job.id, None)
    assert young.wait().state is JobState.COMPLETED
    again = world.client().job(job.id)
    assert (again.state, len(list(again.results()))) == (JobState.COMPLETED, 4)
    assert world.client().job().id == job.id
    assert [(each.id, each.state) for each in client.jobs()] == [(job.id, JobState.COMPLETED)]
    assert client.jobs(limit=0) == []


def test_lines_that_fail_are_results_with_an_error_and_raise_nothing(client: Client) -> None:
    job = client.put([chat("Hi", "a"), NOT_A_REQUEST]).wait()
    answered, failed = job.results()
    assert (answered.error, failed.error is None) == (None, False)
    assert (failed.text, failed.data, failed.usage, failed.body, failed.custom_id) == (None, None, None, None, "bad")
    assert [each.line for each in job.errors()] == [2]


def test_what_is_not_over_has_no_results(client: Client, world: "World") -> None:
    job = client.put(mixed(1))
    for read in (job.results, job.errors, lambda: job.manifest, job.to_pandas):
        with pytest.raises(NoSuchJob, match=f"Job {job.id} does not exist yet"):
            read()
    world.take_drops()
    for read in (job.results, job.errors, lambda: job.manifest, job.to_pandas):
        with pytest.raises(NotOver) as raised:
            read()
        assert str(raised.value) == (
            f"Job {job.id} is PLANNING: there are no results yet. See: batchdrop show {job.id}"
        )


def test_a_wait_ends_in_time_and_the_job_goes_on(client: Client, world: "World") -> None:
    world.stands_still = True
    job = client.put(mixed(1))
    with pytest.raises(WaitTimeout, match=f"^Job {job.id} is not over after 60 seconds; it continues.$") as raised:
        job.wait(timeout=60)
    assert isinstance(raised.value, TimeoutError)
    assert world.seconds == 60
    world.stands_still = False
    assert job.wait(timeout=60).is_over


def test_a_file_that_becomes_no_job_is_told(client: Client, world: "World", caplog: pytest.LogCaptureFixture) -> None:
    world.stands_still = True
    job = client.put(mixed(1))
    with pytest.raises(BatchdropError, match=f"it has not become job {job.id} in 10 minutes"):
        job.wait()
    assert "For 30 seconds no job was made of the file" in caplog.text


def test_a_job_that_failed_as_a_whole_raises_with_its_reason(client: Client) -> None:
    job = client.put([NOT_A_REQUEST], settings={"on_invalid": "reject"})
    with pytest.raises(JobFailed) as raised:
        job.wait()
    assert (raised.value.job_id, raised.value.reason) == (job.id, job.reason)
    assert str(raised.value) == f"Job {job.id} failed: {job.reason}"
    with pytest.raises(JobFailed):
        job.results()
    assert job.manifest.status is JobState.FAILED


def held(client: Client) -> Job:
    job = client.put([capped("Hi", "a")], settings={"budget_usd": "0.000001"})
    with pytest.raises(JobHeld, match=f"^Job {job.id} is held: It may cost") as raised:
        job.wait()
    assert (raised.value.job_id, job.state) == (job.id, JobState.HELD)
    return job


def test_a_held_job_raises_and_can_be_approved(client: Client) -> None:
    job = held(client)
    assert job.quote is not None
    assert job.quote.high_usd is not None
    assert [each.error for each in job.approve().wait().results()] == [None]
    assert job.quote == job.manifest.quote


def test_a_held_job_can_be_rejected_and_costs_nothing(client: Client) -> None:
    job = held(client).reject()
    assert job.wait().state is JobState.CANCELLED
    with pytest.raises(BatchdropError, match="not held for its budget: there is nothing to approve"):
        job.approve()


def test_a_cancelled_job_has_the_results_that_there_are(client: Client, world: "World") -> None:
    job = client.put([chat("Hi", "a")])
    world.take_drops()
    assert job.cancel().state is JobState.CANCELLING
    assert job.wait().state is JobState.CANCELLED
    assert [each.error and each.error.code for each in job.results()] == ["cancelled"]
    with pytest.raises(BatchdropError, match="it is too late to cancel it"):
        job.cancel()


def test_failed_lines_are_retried_and_merged(client: Client, world: "World") -> None:
    job = client.put([chat("one", "a"), NOT_A_REQUEST, chat("three", "c")]).wait()
    retry = job.retry([chat("two", "b")])
    assert retry.id != job.id
    with pytest.raises(AlreadyRunning, match=f"Job {retry.id} is already retrying these lines") as raised:
        job.retry([chat("two", "b")])
    assert raised.value.job_id == retry.id
    retry.wait()
    assert [each.error is None for each in job.results()] == [True, False, True]
    merged = list(job.results(with_retries=True))
    assert [(each.line, each.custom_id, each.error) for each in merged] == [
        (1, "a", None),
        (2, "bad", None),
        (3, "c", None),
    ]
    with pytest.raises(BatchdropError, match=f"Job {retry.id} has no failed line: there is nothing to retry"):
        retry.retry()
    assert world.told[-1].startswith("Dropped ")


def test_lines_that_cannot_succeed_are_told_when_they_are_sent_as_they_are(client: Client, world: "World") -> None:
    client.put([NOT_A_REQUEST]).wait().retry()
    assert any("1 of 1 failed line cannot succeed unless changed" in each for each in world.told)


def test_its_files_are_fetched_into_a_folder(client: Client, tmp_path: Path) -> None:
    job = client.put(mixed(4)).wait()
    paths = job.download(tmp_path / "here")
    assert [path.name for path in paths] == ["results.jsonl", "errors.jsonl", "failed.jsonl", "manifest.json"]
    assert [json.loads(line)["line"] for line in paths[0].read_bytes().splitlines()] == [1, 2, 3, 4]


def test_deleted_results_are_told(client: Client, world: "World") -> None:
    job = client.put(mixed(4)).wait()
    (file,) = job.manifest.files.results
    world.cloud.s3.delete_object(Bucket=BUCKET, Key=file.key, VersionId=file.version_id)
    with pytest.raises(CloudFailed, match=r"results\.jsonl is not in the bucket any more: it was deleted\.$"):
        next(job.results())


def test_results_and_waits_in_a_loop(client: Client) -> None:
    async def main() -> list[int]:
        job = await asyncio.to_thread(client.put, mixed(4))
        with pytest.raises(WaitTimeout):
            await job.wait_async(timeout=0)
        await job.wait_async()
        return [result.line async for result in job.results_async()]

    assert asyncio.run(main()) == [1, 2, 3, 4]


def test_progress_is_shown_where_it_is_asked_for(
    client: Client, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    client.put(mixed(1)).wait(progress=True)
    assert "dropped: waiting for the functions to notice it" in capsys.readouterr().err
    client.put(mixed(2)).wait()
    assert capsys.readouterr().err == ""


def test_an_unknown_job_is_told_as_the_command_tells_it(client: Client) -> None:
    with pytest.raises(NoSuchJob, match=r"^There is no job nothing\. See: batchdrop jobs$"):
        client.job("nothing")
    with pytest.raises(NoSuchJob, match="No file was dropped in the last 35 days"):
        client.job()

"""Jobs that are held for their budgets: shown, approved, rejected, and not waited for."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from batchdrop.records import Job
from batchdrop.states import JobState

if TYPE_CHECKING:
    from conftest import Aws, Run

WHY = "It may cost $12.00 at most, more than its budget of $10.00 (budget_usd). Nothing is sent, and nothing paid."


@pytest.fixture
def held(aws: "Aws", a_job: Callable[..., Job]) -> Job:
    job = a_job(state=JobState.HELD, reason=WHY, most_micros=12_000_000, version=2)
    aws.store.add(job)
    return job


def words(text: str) -> str:
    return " ".join(text.split())


def test_a_held_job_is_not_waited_for_and_says_why(run: "Run", held: Job) -> None:
    code, out, _ = run("wait", held.id)
    assert (code, words(out)) == (4, f"Job {held.id} is held: {WHY}")


def test_show_and_jobs_say_that_it_is_held(run: "Run", held: Job) -> None:
    assert f"state HELD: {WHY}" in words(run("show", held.id).out)
    assert "HELD" in run("jobs").out


def test_an_approved_job_is_sent_within_a_minute(run: "Run", aws: "Aws", held: Job) -> None:
    code, out, _ = run("approve", held.id)
    said = f"Job {held.id} is approved: its batches are sent within a minute, whatever they cost."
    assert (code, words(out)) == (0, f"{said} See: batchdrop show {held.id}")
    approved = aws.store.job(held.id)
    assert approved is not None
    assert (approved.state, approved.is_approved, approved.reason) == (JobState.HELD, True, None)
    assert "state HELD: approved; its batches are sent within a minute" in words(run("show", held.id).out)
    assert words(run("approve", held.id).out).startswith(said)
    aws.store.move(approved, JobState.RUNNING)
    code, out, _ = run("approve", held.id)
    assert (code, words(out)) == (
        0,
        f"Job {held.id} was approved before, and is RUNNING. See: batchdrop show {held.id}",
    )


def test_a_rejected_job_ends_and_costs_nothing(run: "Run", aws: "Aws", held: Job) -> None:
    code, out, _ = run("reject", held.id)
    ends = f"Job {held.id} is rejected: it ends within a minute. Nothing was sent, and nothing is paid."
    assert (code, words(out)) == (0, ends)
    assert words(run("reject", held.id).out) == ends
    rejected = aws.store.job(held.id)
    assert rejected is not None
    assert (rejected.state, rejected.outcome) == (JobState.PUBLISHING, JobState.CANCELLED)
    aws.store.move(rejected, JobState.CANCELLED)
    assert "is rejected: it is CANCELLED." in run("reject", held.id).out


@pytest.mark.parametrize("command", ["approve", "reject"])
def test_what_is_not_held_is_told(run: "Run", aws: "Aws", held: Job, command: str) -> None:
    aws.store.move(held, JobState.CANCELLING)
    code, out, err = run(command, held.id)
    said = f"Job {held.id} is CANCELLING, not held for its budget: there is nothing to {command}."
    assert (code, out, words(err)) == (1, "", f"{said} See: batchdrop show {held.id}")


def test_a_held_job_is_cancelled_as_any_other_and_cannot_be_forgotten(run: "Run", aws: "Aws", held: Job) -> None:
    assert run("forget", held.id, "--yes").code == 1
    assert run("cancel", held.id, "--yes").code == 0
    found = aws.store.job(held.id)
    assert found is not None
    assert found.state is JobState.CANCELLING

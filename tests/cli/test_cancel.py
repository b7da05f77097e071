from collections.abc import Callable
from typing import TYPE_CHECKING

from batchdrop.records import Job
from batchdrop.states import JobState

if TYPE_CHECKING:
    from conftest import Aws, Run


def test_cancel_marks_the_job_and_says_where_to_look(aws: "Aws", run: "Run", a_job: Callable[..., Job]) -> None:
    job = a_job()
    aws.store.add(job)
    code, out, err = run("cancel", "latest")
    assert (code, err) == (0, "")
    assert out.split() == f"Job {job.id} is being cancelled. See: batchdrop show {job.id}".split()
    found = aws.store.job(job.id)
    assert found is not None
    assert found.state is JobState.CANCELLING


def test_a_job_that_is_over_cannot_be_cancelled(aws: "Aws", run: "Run", a_job: Callable[..., Job]) -> None:
    job = a_job(state=JobState.COMPLETED)
    aws.store.add(job)
    code, _, err = run("cancel", job.id)
    assert code == 1
    assert err.split() == f"Job {job.id} is COMPLETED: it is too late to cancel it.".split()


def test_an_unknown_job_is_named(aws: "Aws", run: "Run") -> None:
    assert list(aws.store.recent_jobs([])) == []
    code, _, err = run("cancel", "20261105T091412Z-0000000000")
    assert code == 2
    assert "20261105T091412Z-0000000000" in err

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from batchdrop.records import Batch, Job
from batchdrop.states import BatchState, JobState

if TYPE_CHECKING:
    from conftest import Aws, Run


ME = "arn:aws:sts::123456789012:user/moto"


def drop(aws: "Aws", a_job: Callable[..., Job], number: int, by: str | None) -> Job:
    """A running job of a file that was dropped by somebody."""
    metadata = {} if by is None else {"dropped-by": by}
    key = f"input/{number}.jsonl"
    version = aws.s3.put_object(Bucket="batchdrop-test", Key=key, Body=b"{}", Metadata=metadata)["VersionId"]
    base = a_job()
    job = base.with_(job=f"{base.id[:-1]}{number}", key=key, version_id=version)
    aws.store.add(job)
    return job


def test_ones_own_last_drop_is_cancelled_at_once_and_named(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], a_batch: Callable[..., Batch]
) -> None:
    drop(aws, a_job, 1, ME)
    job = drop(aws, a_job, 2, ME)
    drop(aws, a_job, 3, "arn:aws:iam::123456789012:user/other")
    aws.store.add(a_batch(job=job.id, requests=200))
    aws.store.add(a_batch(job=job.id, id="00000-0-0001", requests=100, state=BatchState.COLLECTED))
    code, out, err = run("cancel", job.id)
    assert (code, err.splitlines()) == (
        0,
        [
            f"Job {job.id}: s3://batchdrop-test/input/2.jsonl",
            f"  dropped 2026-11-05T09:14:12Z by {ME}",
            "  100 of 300 requests have ended: their results are published; all that was sent is paid",
        ],
    )
    assert out.split() == f"Job {job.id} is being cancelled. See: batchdrop show {job.id}".split()
    found = aws.store.job(job.id)
    assert found is not None
    assert found.state is JobState.CANCELLING


@pytest.mark.parametrize(
    ("by", "newer", "shown"),
    [
        ("arn:aws:iam::123456789012:user/other", False, "arn:aws:iam::123456789012:user/other"),
        (None, False, "an unknown user"),
        (ME, True, ME),
    ],
    ids=["another's", "nobody's", "not the last"],
)
def test_another_drop_than_ones_own_last_is_asked_about(  # noqa: PLR0913 - fixtures
    aws: "Aws", run: "Run", a_job: Callable[..., Job], *, by: str | None, newer: bool, shown: str
) -> None:
    job = drop(aws, a_job, 1, by)
    if newer:
        drop(aws, a_job, 2, by)
    code, out, err = run("cancel", job.id)
    assert (code, out) == (2, "")
    assert err.splitlines()[1].endswith(f" by {shown}")
    said = f"This is not your own latest drop. To cancel it anyway: batchdrop cancel {job.id} --yes"
    assert (err.splitlines()[-1], aws.store.job(job.id)) == (said, job)
    assert run("cancel", job.id, "--yes").code == 0


def test_the_command_names_who_drops(aws: "Aws", run: "Run", tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text("{}\n")
    assert run("put", file).code == 0
    assert aws.s3.head_object(Bucket="batchdrop-test", Key="input/x.jsonl")["Metadata"] == {"dropped-by": ME}


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

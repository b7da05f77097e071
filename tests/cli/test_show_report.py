"""`show --report`: the published page, or one made of what is left of a job."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from batchdrop.manifest import Document, Files
from batchdrop.records import Batch, Job
from batchdrop.states import BatchState, JobState
from faking.outputs import a_manifest

if TYPE_CHECKING:
    from conftest import Aws, Run

NOTHING = Files(results=[], errors=None, failed=None)


@pytest.fixture
def over(aws: "Aws", a_job: Callable[..., Job]) -> Job:
    """A finished job without a report."""
    job = a_job(state=JobState.COMPLETED, manifest_key="output/m.json", published_at=1_793_880_052, due_at=None)
    aws.drop("output/m.json", msgspec.json.encode(a_manifest(job.id, NOTHING)))
    aws.store.add(job)
    return job


def test_a_report_is_made_of_the_manifest_and_the_rows_that_are_left(
    aws: "Aws", run: "Run", over: Job, a_batch: Callable[..., Batch]
) -> None:
    aws.store.add(a_batch(state=BatchState.COLLECTED, submitted_at=1_793_870_100, ended_at=1_793_880_000, due_at=None))
    assert run("show", over.id, "--report") == (0, "The report is reviews.report.html.\n", "")
    page = Path("reviews.report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "gpt-4o-mini · 200 requests" in page


def test_a_published_report_is_taken_as_it_is(aws: "Aws", run: "Run", over: Job, tmp_path: Path) -> None:
    at = aws.drop("output/report.html", b"published")
    files = Files(results=[], errors=None, failed=None, report=Document(key="output/report.html", bytes=9, **at))
    aws.drop("output/m.json", msgspec.json.encode(a_manifest(over.id, files)))
    aws.drop("output/report.html", b"somebody's")
    path = tmp_path / "mine.html"
    assert run("show", over.id, "--report", path) == (0, f"The report is {path}.\n", "")
    assert path.read_bytes() == b"published"


def test_a_file_is_not_overwritten(run: "Run", over: Job) -> None:
    Path("a.html").write_text("mine", encoding="utf-8")
    said = "a.html already exists and is not overwritten. Name another file.\n"
    assert run("show", over.id, "--report", "a.html") == (1, "", said)
    assert Path("a.html").read_text(encoding="utf-8") == "mine"


def test_a_job_behind_the_option_is_not_taken_for_a_file(run: "Run", over: Job) -> None:
    for name in (over.id, "latest"):
        said = f"{name} is a job, not a file: name the job before --report.\n"
        assert run("show", "--report", name) == (2, "", said)


def test_a_job_that_runs_has_no_report(aws: "Aws", run: "Run", a_job: Callable[..., Job]) -> None:
    aws.store.add(a_job())
    code, out, err = run("show", "--report")
    assert (code, out) == (1, "")
    assert err.startswith(f"Job {a_job().id} is RUNNING: there are no results yet.")


@pytest.mark.parametrize("other", ["--json", "--watch"])
def test_a_report_is_written_alone(run: "Run", other: str) -> None:
    assert run("show", "--report", other) == (2, "", "--json, --watch and --report exclude each other.\n")


def test_a_report_that_is_published_is_fetched_with_the_results(aws: "Aws", run: "Run", over: Job) -> None:
    at = aws.drop("output/report.html", b"published")
    files = Files(results=[], errors=None, failed=None, report=Document(key="output/report.html", bytes=9, **at))
    aws.drop("output/m.json", msgspec.json.encode(a_manifest(over.id, files)))
    run("results", over.id, "-o", "here")
    assert Path("here/report.html").read_bytes() == b"published"

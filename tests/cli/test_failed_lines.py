"""Why lines failed, and what to do: what stands at the end of a run."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import boto3
import msgspec
import pytest
from batchdrop.manifest import Counts, File, Files, Manifest
from batchdrop.records import Job
from batchdrop.states import JobState
from faking.outputs import a_manifest, lines, result

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.failed_lines import find_reasons

if TYPE_CHECKING:
    from conftest import Aws, Run

PREFIX = "output/mine/reviews/j/"


def failed(line: int, code: str, *, retryable: bool = False, **more: object) -> dict[str, Any]:
    error = {"code": code, "message": f"{code} of line {line}", "source": "provider", "retryable": retryable, **more}
    return result(line, None, error=error)


def finish(aws: "Aws", job: Job, rows: list[dict[str, Any]], *, answered: int = 0) -> Manifest:
    """A job that is over, with these errors."""
    codes = [row["error"]["code"] for row in rows]
    body = lines(rows)
    wrote = aws.drop(f"{PREFIX}errors.jsonl", body)
    counts = Counts(
        total=len(rows) + answered,
        answered=answered,
        failed=len(rows),
        errors={code: codes.count(code) for code in codes},
        finish_reasons={},
    )
    errors = File(key=f"{PREFIX}errors.jsonl", bytes=len(body), lines=len(rows), **wrote)
    manifest = a_manifest(job.id, Files(results=[], errors=errors, failed=None), counts=counts, models=[])
    aws.drop(f"{PREFIX}manifest.json", msgspec.json.encode(manifest))
    aws.store.add(job.with_(manifest_key=f"{PREFIX}manifest.json", due_at=None))
    return manifest


@pytest.fixture
def completed(a_job: Callable[..., Job]) -> Job:
    return a_job(state=JobState.COMPLETED)


@pytest.mark.parametrize("command", ["wait", "results"])
def test_the_first_five_reasons_are_grouped_by_code_with_the_first_lines(
    aws: "Aws", run: "Run", completed: Job, command: str
) -> None:
    rows = [failed(1, "a")]
    rows += [failed(number, "b") for number in range(2, 1_200)]
    rows += [failed(number, code) for number, code in enumerate("cdefg", start=1_200)]
    rows += [failed(1_300, "busy", retryable=True), failed(1_301, "busy", retryable=True)]
    manifest = finish(aws, completed, rows)
    ran = run(command, manifest.job)
    assert ran.code == 3
    start = ran.out.splitlines().index("Why 1,206 lines failed:")
    assert ran.out.splitlines()[start : start + 11] == [
        "Why 1,206 lines failed:",
        "  1,198 b (lines 2, 3, 4, …; to be fixed): b of line 2",
        "  2 busy (lines 1300, 1301; may pass): busy of line 1300",
        "  1 a (line 1; to be fixed): a of line 1",
        "  1 c (line 1200; to be fixed): c of line 1200",
        "  1 d (line 1201; to be fixed): d of line 1201",
        "  … and 3 lines for other reasons: see errors.jsonl",
        "To fix them and send them again:",
        f"  batchdrop retry {manifest.job} --save reviews.failed.jsonl",
        "To send them again as they are:",
        f"  batchdrop retry {manifest.job}",
    ]


def test_what_cannot_pass_is_not_to_be_sent_as_it_is(aws: "Aws", run: "Run", completed: Job) -> None:
    finish(aws, completed, [failed(3, "invalid_json")])
    assert "as they are" not in run("wait").out


def test_a_reason_ends_with_the_providers_own_words(aws: "Aws", run: "Run", completed: Job) -> None:
    finish(aws, completed, [failed(3, "refused", provider_message="Billing\nlimit " + "x" * 400)])
    out = run("wait").out
    assert '(line 3; to be fixed): refused of line 3 The provider: "Billing limit xxx' in out
    assert max(map(len, out.splitlines())) < 400


@pytest.mark.parametrize(
    ("state", "rows", "code"),
    [
        (JobState.COMPLETED, [], 0),
        (JobState.COMPLETED, [failed(1, "a")], 3),
        (JobState.CANCELLED, [failed(1, "cancelled", retryable=True)], 1),
    ],
)
@pytest.mark.parametrize("command", ["wait", "results"])
def test_the_exit_code_tells_answered_failed_and_incomplete_jobs_apart(  # noqa: PLR0913, PLR0917 - fixtures and cases
    aws: "Aws", run: "Run", a_job: Callable[..., Job], command: str, state: JobState, rows: list[Any], code: int
) -> None:
    manifest = finish(aws, a_job(state=state), rows, answered=1)
    aws.drop(f"{PREFIX}manifest.json", msgspec.json.encode(msgspec.structs.replace(manifest, status=state)))
    assert run(command).code == code


def test_only_the_beginning_of_many_errors_is_read(aws: "Aws", completed: Job) -> None:
    rows = [failed(number, "a") for number in range(1, 20_000)]
    manifest = finish(aws, completed, rows)
    cloud = Cloud(title="", is_local=False, bucket="batchdrop-test", table="batchdrop-jobs", session=boto3.Session())
    read = 0
    stream = cloud.files.stream

    def counting(*given: Any, **named: Any) -> Any:
        nonlocal read
        for chunk in stream(*given, **named):
            read += len(chunk)
            yield chunk

    cloud.files.stream = counting  # type: ignore[method-assign]  # a stand-in by shape
    assert [(each.count, each.lines) for each in find_reasons(cloud, manifest)] == [(19_999, [1, 2, 3])]
    assert manifest.files.errors is not None
    assert 0 < read < manifest.files.errors.bytes


def test_a_jobs_rows_are_called_rows_and_no_number_is_said_twice(
    aws: "Aws", run: "Run", a_job: Callable[..., Job]
) -> None:
    job = a_job(state=JobState.COMPLETED, template_key="t")
    rows = [failed(4, "template"), failed(9, "template")]
    rows[0]["error"]["message"] = "Row 4: a row with 1 cell."
    finish(aws, job, rows)
    out = run("wait", job.id).out.splitlines()
    assert out[0] == f"Job {job.id} completed: no row was answered; 2 rows failed, see errors.jsonl."
    assert out[out.index("Why 2 rows failed:") + 1 :][:2] == [
        "  2 template (rows 4, 9; to be fixed): a row with 1 cell.",
        "Rows are counted without the header: row 1 is the first row of data.",
    ]


@pytest.mark.parametrize(
    ("counted", "words"),
    [
        ((2, 0), "2 of 2 lines answered"),
        ((1, 1), "1 of 2 lines answered"),
        ((0, 2), "no line was answered"),
        ((0, 0), "it had no lines"),
    ],
)
def test_a_job_that_is_over_says_how_many_of_its_lines_are_answered(
    aws: "Aws", run: "Run", completed: Job, counted: tuple[int, int], words: str
) -> None:
    answered, errors = counted
    finish(aws, completed, [failed(number, "b") for number in range(1, errors + 1)], answered=answered)
    assert f"state    COMPLETED: {words}\n" in run("show", completed.id).out
    assert run("wait", completed.id).out.startswith(f"Job {completed.id} completed: {words}")

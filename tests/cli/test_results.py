import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow.parquet
import pytest
from batchdrop.manifest import Counts, File, Files, Manifest, ResultsFile
from batchdrop.records import Job, JobSettings
from batchdrop.states import JobState
from faking.outputs import a_manifest, chat, lines, result

from batchdrop_cli.fetch import folder_for

if TYPE_CHECKING:
    from conftest import Aws, Run

PREFIX = "output/mine/reviews/j/"


RESULTS = [
    result(1, "/v1/chat/completions", chat("good, “very”\u2028good")),
    result(
        2,
        "/v1/messages",
        {
            "content": [{"type": "thinking"}, {"type": "text", "text": "bad"}, {"type": "text", "text": "!"}],
            "usage": {"input_tokens": 5, "cache_read_input_tokens": 3, "output_tokens": 1},
        },
        model="claude-haiku-4-5",
        custom_id={"order": 8},
    ),
    result(
        3,
        "/v1/responses",
        {
            "output": [{"type": "reasoning"}, {"content": [{"type": "output_text", "text": "so, so"}]}],
            "usage": {"input_tokens": 4, "output_tokens": 3},
        },
        custom_id=7,
    ),
    result(4, "/v1/embeddings", {"data": [{"embedding": [0.5]}], "usage": {"prompt_tokens": 2}}, custom_id=None),
    result(
        5,
        "/v1/chat/completions",
        {"error": {"message": "too long"}},
        error={"code": "context_length_exceeded", "message": "too long", "source": "provider", "retryable": False},
    ),
    result(
        6,
        None,
        custom_id=None,
        model=None,
        error={"code": "invalid_json", "message": "Line 6 is not JSON.", "source": "input", "retryable": False},
    ),
]


@pytest.fixture
def finished(aws: "Aws", a_job: Callable[..., Job]) -> Manifest:
    """A job that is over, with two parts of results; older versions lie under newer ones."""
    parts = [("results-00001.jsonl", RESULTS[:3]), ("results-00002.jsonl", RESULTS[3:])]
    results = [
        _file(aws, name, lines(rows), ResultsFile, len(rows), first_line=rows[0]["line"], last_line=rows[-1]["line"])
        for name, rows in parts
    ]
    errors = _file(aws, "errors.jsonl", lines(RESULTS[4:]), File, 2)
    failed = _file(aws, "failed.jsonl", b"one\ntwo\n", File, 2)
    manifest = a_manifest(a_job().id, Files(results=results, errors=errors, failed=failed))
    aws.drop(PREFIX + "manifest.json", msgspec.json.encode(manifest))
    for name in ("results-00001.jsonl", "errors.jsonl"):
        aws.drop(PREFIX + name, b"something newer")
    aws.store.add(a_job(state=JobState.COMPLETED, manifest_key=PREFIX + "manifest.json", due_at=None))
    return manifest


def _file[F: File](aws: "Aws", name: str, body: bytes, kind: type[F], count: int, **more: object) -> F:
    wrote = aws.drop(PREFIX + name, body)
    return kind(key=PREFIX + name, bytes=len(body), lines=count, **wrote, **more)


def test_results_are_the_versions_that_the_manifest_names(run: "Run", finished: Manifest, tmp_path: Path) -> None:
    code, out, err = run("results", finished.job, "-o", tmp_path / "here")
    assert (code, err) == (3, "")
    names = ["results-00001.jsonl", "results-00002.jsonl", "errors.jsonl", "failed.jsonl", "manifest.json"]
    assert out.splitlines() == [
        f"Job {finished.job} completed: 4 of 6 lines answered; 2 lines failed, see errors.jsonl.",
        "",
        "provider  model        endpoint              requests  answered  failed  tokens in  tokens out     cost",
        "openai    gpt-4o-mini  /v1/chat/completions         2         1       1  1,000,000   1,000,000  $0.3750",
        "",
        "Estimated cost: $0.3750 (saved $0.3750 against real time).",
        *(f"  {tmp_path}/here/{name}" for name in names),
        "",
        "Why 2 lines failed:",
        "  1 context_length_exceeded (line 5; to be fixed): too long",
        "  1 invalid_json (line 6; to be fixed): Line 6 is not JSON.",
        "To fix them and send them again:",
        f"  batchdrop retry {finished.job} --save reviews.failed.jsonl",
    ]
    assert {path.name: path.read_bytes() for path in (tmp_path / "here").iterdir()} == {
        "results-00001.jsonl": lines(RESULTS[:3]),
        "results-00002.jsonl": lines(RESULTS[3:]),
        "errors.jsonl": lines(RESULTS[4:]),
        "failed.jsonl": b"one\ntwo\n",
        "manifest.json": msgspec.json.encode(finished),
    }


def test_files_of_another_job_are_not_overwritten(run: "Run", finished: Manifest) -> None:
    other = Path("results/reviews")
    other.mkdir(parents=True)
    (other / "results-00001.jsonl").write_bytes(b"theirs")
    (other / "manifest.json").write_bytes(b'{"job":"20260101T000000Z-0000000000"}')
    mine = Path(f"results/reviews-{finished.job}")
    for _ in range(2):
        assert run("results", finished.job).err == ""
        assert (other / "results-00001.jsonl").read_bytes() == b"theirs"
        assert (mine / "manifest.json").read_bytes() == msgspec.json.encode(finished)
    assert sorted(path.name for path in Path("results").iterdir()) == ["reviews", mine.name]


def test_files_of_another_job_in_a_named_folder_are_replaced_and_it_is_said(run: "Run", finished: Manifest) -> None:
    here = Path("here")
    here.mkdir()
    (here / "manifest.json").write_bytes(b'{"job":"20260101T000000Z-0000000000"}')
    said = "here holds the files of job 20260101T000000Z-0000000000: they are replaced.\n"
    assert [run("results", finished.job, "-o", here).err for _ in range(2)] == [said, ""]


def test_a_file_that_is_nobodys_is_not_overwritten(run: "Run", finished: Manifest) -> None:
    here = Path("here")
    here.mkdir()
    (here / "errors.jsonl").write_bytes(b"precious")
    said = (
        f"{here / 'errors.jsonl'} exists and does not belong to this job; it is not overwritten. Name another folder.\n"
    )
    refused = run("results", finished.job, "-o", here)
    assert (refused.code, refused.err) == (1, said)
    assert [path.name for path in here.iterdir()] == ["errors.jsonl"]


HEADER = (
    *("line", "custom_id", "text", "model", "provider", "finish_reason", "input_tokens", "output_tokens", "cost_usd"),
    *("error_code", "error_message"),
)


def test_answers_are_written_here_where_none_were_published(run: "Run", finished: Manifest) -> None:
    code, out, _ = run("results", finished.job, "--csv", "--answers", "parquet")
    assert (code, [line for line in out.splitlines() if "answers." in line]) == (
        3,
        ["  results/reviews/answers.csv", "  results/reviews/answers.parquet"],
    )
    with Path("results/reviews/answers.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert (tuple(header), [(row[:4], row[6:8], row[9:]) for row in rows]) == (
        HEADER,
        [
            (["1", "r-1", "good, “very”\u2028good", "gpt-4o-mini"], ["9", "2"], ["", ""]),
            (["2", '{"order": 8}', "bad!", "claude-haiku-4-5"], ["8", "1"], ["", ""]),
            (["3", "7", "so, so", "gpt-4o-mini"], ["4", "3"], ["", ""]),
            (["4", "", "", "gpt-4o-mini"], ["2", "0"], ["", ""]),
            (["5", "r-5", "", "gpt-4o-mini"], ["", ""], ["context_length_exceeded", "too long"]),
            (["6", "", "", ""], ["", ""], ["invalid_json", "Line 6 is not JSON."]),
        ],
    )
    table = pyarrow.parquet.read_table("results/reviews/answers.parquet")
    assert (tuple(table.column_names), table["embedding"].to_pylist()) == (
        (*HEADER, "embedding"),
        [None, None, None, [0.5], None, None],
    )


def test_answers_that_are_nobodys_are_not_overwritten(run: "Run", finished: Manifest) -> None:
    here = Path("here")
    here.mkdir()
    (here / "answers.csv").write_bytes(b"precious")
    refused = run("results", finished.job, "-o", here, "--csv")
    assert (refused.code, [path.name for path in here.iterdir()]) == (1, ["answers.csv"])
    assert refused.err.startswith("here/answers.csv exists and does not belong to this job")


def test_an_unfinished_job_has_no_results_yet(aws: "Aws", run: "Run", a_job: Callable[..., Job]) -> None:
    aws.store.add(a_job())
    job = a_job().id
    said = f"Job {job} is RUNNING: there are no results yet. See: batchdrop show {job}\n"
    assert run("results", "latest") == (1, "", said)


@pytest.mark.parametrize("asked", ["--failed", "--errors"])
def test_no_file_is_written_of_failed_lines_where_none_failed(
    aws: "Aws", run: "Run", finished: Manifest, tmp_path: Path, asked: str
) -> None:
    counts = Counts(total=6, answered=6, failed=0, errors={}, finish_reasons={"stop": 6})
    all_answered = msgspec.structs.replace(finished, counts=counts)
    aws.drop(PREFIX + "manifest.json", msgspec.json.encode(all_answered))
    before = sorted(tmp_path.rglob("*"))
    assert run("results", asked) == (0, "No line failed.\n", "")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_failed_job_gives_its_reason_and_its_manifest(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], tmp_path: Path
) -> None:
    files = Files(results=[], errors=None, failed=None)
    reason = "The file is empty."
    manifest = a_manifest(a_job().id, files, status=JobState.FAILED, reason=reason, counts=None, models=[])
    aws.drop("output/m.json", msgspec.json.encode(manifest))
    aws.store.add(a_job(state=JobState.FAILED, manifest_key="output/m.json"))
    code, out, _ = run("results", "-o", tmp_path / "here", "--csv")
    assert (code, out.splitlines()) == (
        1,
        [f"Job {manifest.job} failed: The file is empty.", f"  {tmp_path}/here/manifest.json"],
    )


def test_a_file_that_came_short_is_no_result(
    aws: "Aws", run: "Run", finished: Manifest, a_job: Callable[..., Job]
) -> None:
    longer = msgspec.structs.replace(finished.files.results[0], bytes=10_000_000)
    wrong = msgspec.structs.replace(finished, files=Files(results=[longer], errors=None, failed=None))
    aws.drop("output/wrong.json", msgspec.json.encode(wrong))
    aws.store.add(a_job(job="20261105T000000Z-0000000001", state=JobState.COMPLETED, manifest_key="output/wrong.json"))
    code, _, err = run("results", "20261105T000000Z-0000000001", "-o", "here")
    assert code == 1
    assert err.startswith("output/mine/reviews/j/results-00001.jsonl came with ")
    assert list(Path("here").iterdir()) == []


def test_show_of_a_finished_job_holds_its_manifest(run: "Run", finished: Manifest) -> None:
    shown = json.loads(run("show", finished.job, "--json").out)
    assert shown["manifest"] == msgspec.to_builtins(finished)
    assert shown["totals"] == {
        "lines": 6,
        "answered": 4,
        "failed": 2,
        "input_tokens": 1_000_000,
        "output_tokens": 1_000_000,
        "cost_usd": "0.375000",
        "saved_usd": "0.375000",
    }
    out = run("show", finished.job).out
    assert "answers  4 of 6 lines, 2 failed" in out
    assert (
        "tokens   1,000,000 in, 1,000,000 out\ncost     $0.3750 (saved $0.3750 against real time), estimated\n" in out
    )


@pytest.mark.parametrize(
    ("key", "folder"),
    [
        ("input/a/b/reviews.jsonl", "reviews"),
        ("input/reviews", "reviews"),
        ("input/.jsonl", "JOB"),
        ("input/...jsonl", "JOB"),
        ("input/" + "x" * 1_000 + ".jsonl", "JOB"),
    ],
)
def test_results_go_to_a_folder_named_after_the_file(a_job: Callable[..., Job], key: str, folder: str) -> None:
    assert folder_for(a_job(key=key)) == Path("results") / folder.replace("JOB", a_job().id)


def a_job_with_json_lines(aws: "Aws", job: Job) -> Job:
    def file(name: str, body: bytes) -> dict[str, Any]:
        return {"key": f"{PREFIX}{name}", "bytes": len(body), "lines": 1, **aws.drop(f"{PREFIX}{name}", body)}

    body = lines([{"line": 1, "custom_id": "a", "text": "good", "cost_usd": "0.1"}])
    answers = [File(**file("answers.jsonl", body))]
    part = ResultsFile(first_line=1, last_line=1, **file("results.jsonl", lines(RESULTS[:1])))
    counts = Counts(total=1, answered=1, failed=0, errors={}, finish_reasons={})
    files = Files(results=[part], errors=None, failed=None, answers=answers)
    aws.drop(f"{PREFIX}m", msgspec.json.encode(a_manifest(job.id, files, counts=counts, models=[])))
    aws.store.add(job.with_(state=JobState.COMPLETED, manifest_key=f"{PREFIX}m", due_at=None))
    return job


@pytest.mark.parametrize(("asked", "left"), [(["parquet"], []), (["jsonl", "parquet"], ["answers.jsonl"])])
def test_json_lines_that_are_only_there_for_parquet_do_not_stay(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], asked: list[str], left: list[str]
) -> None:
    job = a_job_with_json_lines(aws, a_job(settings=JobSettings(answers=asked)))
    out = run("results", job.id, "-o", "here").out
    assert sorted(path.name for path in Path("here").glob("answers.*")) == [*left, "answers.parquet"]
    assert [name for name in ("answers.jsonl", "answers.parquet") if name in out] == [*left, "answers.parquet"]


def test_json_lines_that_an_earlier_command_fetched_stay(aws: "Aws", run: "Run", a_job: Callable[..., Job]) -> None:
    job = a_job_with_json_lines(aws, a_job(settings=JobSettings(answers=["parquet"])))
    for options in (("--answers", "jsonl"), ()):
        assert run("results", job.id, "-o", "here", *options).code == 0
    assert sorted(path.name for path in Path("here").glob("answers.*")) == ["answers.jsonl", "answers.parquet"]


def test_the_latest_results_with_retries_are_those_of_the_job_that_was_retried(
    aws: "Aws", run: "Run", finished: Manifest, a_job: Callable[..., Job]
) -> None:
    retry = finished.job.replace("T09", "T10")
    aws.store.add(a_job(job=retry, state=JobState.PUBLISHING, retry_of=finished.job, retry_lines="l"))
    code, out, err = run("results", "--with-retries")
    assert (code, f"The latest job is a retry: these are the results of job {finished.job}," in err) == (3, True)
    assert "With its retries: " in out


def test_the_latest_results_with_retries_are_a_retrys_own_where_its_first_job_was_forgotten(
    aws: "Aws", run: "Run", finished: Manifest
) -> None:
    job = aws.store.job(finished.job)
    assert job is not None
    retry = job.with_(job=job.id.replace("T09", "T10"), retry_of="20261101T000000Z-0000000001")
    aws.store.add(retry)
    code, out, err = run("results", "--with-retries")
    assert (code, err, "With its retries: " in out) == (3, "", True)

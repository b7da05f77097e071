import csv
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from time import sleep
from typing import TYPE_CHECKING, Any

import boto3
import msgspec
import pytest
from batchdrop.aws.keys import job_id
from batchdrop.aws.table_items import add_retry
from batchdrop.manifest import Counts, File, Files, ResultsFile
from batchdrop.records import Job, JobSettings
from batchdrop.states import JobState
from faking.compression import gzipped
from faking.outputs import a_manifest, chat, lines, result

from batchdrop_cli.answers import is_cut, read_line
from batchdrop_cli.cloud import Cloud
from batchdrop_cli.drop import copy
from batchdrop_cli.settings_names import new_name

if TYPE_CHECKING:
    from conftest import Aws, Run

BUCKET = "batchdrop-test"
CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
FAR = 4_000_000_000
FIRST, SECOND, THIRD = (f"2099110{number}T091412Z-000000000{number}" for number in (1, 2, 3))


def refused(line: int, **changes: object) -> dict[str, Any]:
    error = {"code": "http_500", "message": "busy", "source": "provider", "retryable": True}
    return result(line, CHAT, error=error, **changes)


def cut(line: int) -> dict[str, Any]:
    return result(line, CHAT, {"choices": [{"message": {"content": "and"}, "finish_reason": "length"}]})


@dataclass
class Shelf:
    """Finished jobs, put where the functions would."""

    aws: "Aws"
    a_job: Callable[..., Job]

    def finish(self, job: str, results: list[dict[str, Any]], failed: bytes = b"", **changes: Any) -> Job:
        prefix = f"output/x/{job}/"
        errors = [each for each in results if each["error"]]
        counts = Counts(
            total=len(results), answered=len(results) - len(errors), failed=len(errors), errors={}, finish_reasons={}
        )
        files = Files(
            results=[self._file(prefix, "results", lines(results), ResultsFile, first_line=None, last_line=None)],
            errors=self._file(prefix, "errors", lines(errors), File),
            failed=self._file(prefix, "failed", failed, File),
        )
        manifest = a_manifest(job, files, counts=counts)
        return self.add(job, prefix, manifest, **changes)

    def fail(self, job: str, **changes: Any) -> Job:
        nothing = Files(results=[], errors=None, failed=None)
        manifest = a_manifest(job, nothing, status=JobState.FAILED, reason="It is empty.", counts=None, models=[])
        return self.add(job, f"output/x/{job}/", manifest, state=JobState.FAILED, reason="It is empty.", **changes)

    def add(self, job: str, prefix: str, manifest: Any, **changes: Any) -> Job:
        key = f"{prefix}manifest.json"
        self.aws.drop(key, msgspec.json.encode(manifest))
        values = {"state": JobState.COMPLETED, "manifest_key": key, "due_at": None, "version_id": None, **changes}
        return self.put(self.a_job(job=job, **values))

    def put(self, job: Job) -> Job:
        self.aws.store.add(job, also=[add_retry(job, job.retry_of, FAR)] if job.retry_of else [])
        return job

    def list_of(self, *numbers: int, of: str = FIRST) -> str:
        key = f"output/mine/reviews/{of}/lists/{'-'.join(map(str, numbers))}.jsonl"
        self.aws.drop(key, b"".join(b"%d\n" % number for number in numbers))
        return key

    def _file(self, prefix: str, name: str, body: bytes, kind: Any, **more: object) -> Any:
        wrote = self.aws.drop(f"{prefix}{name}.jsonl", body)
        return kind(key=f"{prefix}{name}.jsonl", bytes=len(body), lines=body.count(b"\n"), **wrote, **more)


@pytest.fixture
def shelf(aws: "Aws", a_job: Callable[..., Job]) -> Shelf:
    return Shelf(aws, a_job)


@pytest.fixture
def first(shelf: Shelf) -> Job:
    """A job whose second and fourth line failed, and whose third was cut."""
    results = [result(1, CHAT, chat("one")), refused(2), cut(3), refused(4)]
    return shelf.finish(FIRST, results, b'{"two": 2}\n{"four": 4}\n')


LIST = f"output/mine/reviews/{FIRST}/retry-lines/{hashlib.sha256(b'2\n4\n').hexdigest()[:16]}.jsonl"
RETRY = "input/mine/reviews.retry-1.jsonl"


def dropped(aws: "Aws", key: str) -> tuple[bytes, dict[str, str]]:
    found = aws.s3.get_object(Bucket=BUCKET, Key=key)
    return found["Body"].read(), {name: value for name, value in found["Metadata"].items() if name != "dropped-by"}


def id_of(aws: "Aws", key: str) -> str:
    head = aws.s3.head_object(Bucket=BUCKET, Key=key)
    return job_id(BUCKET, key, head["VersionId"], head["LastModified"].strftime("%Y%m%dT%H%M%SZ"))


def test_the_failed_lines_are_dropped_again_beside_the_file(aws: "Aws", run: "Run", first: Job) -> None:
    code, out, err = run("retry", first.id, "--no-wait")
    new = id_of(aws, RETRY)
    assert (code, out) == (0, f"{new}\n")
    assert err.splitlines() == [
        f"Dropped 2 failed lines of job {FIRST} at s3://{BUCKET}/{RETRY} (stack batchdrop in eu-central-1).",
        f"See its progress with: batchdrop show {new}",
        f"When it is over, its answers in the places of the failed lines: batchdrop results {FIRST} --with-retries",
    ]
    metadata = {"batchdrop-retry-of": FIRST, "batchdrop-retry-lines": LIST}
    assert dropped(aws, RETRY) == (b'{"two": 2}\n{"four": 4}\n', metadata)
    assert dropped(aws, LIST)[0] == b"2\n4\n"


def test_a_retry_is_the_job_of_its_own_copy_although_a_newer_version_came(aws: "Aws", first: Job) -> None:
    cloud = Cloud(title="", is_local=False, bucket=BUCKET, table="batchdrop-jobs", session=boto3.Session())
    failed = File(key="output/f.jsonl", bytes=2, lines=1, **aws.drop("output/f.jsonl", b"{}"))

    def another_drops(**_: object) -> None:
        if aws.keys(RETRY):
            aws.drop(RETRY, b"[]")

    cloud.s3.meta.events.register("before-call.s3.HeadObject", another_drops)
    job = copy(cloud, failed, RETRY, {"batchdrop-retry-of": first.id})
    mine = aws.s3.list_object_versions(Bucket=BUCKET, Prefix=RETRY)["Versions"][-1]
    assert job == job_id(BUCKET, RETRY, mine["VersionId"], mine["LastModified"].strftime("%Y%m%dT%H%M%SZ"))


def test_a_fixed_copy_is_dropped_in_their_place(aws: "Aws", run: "Run", first: Job, tmp_path: Path) -> None:
    fixed = tmp_path / "fixed.jsonl"
    fixed.write_bytes(b'{"two": "fixed"}\n\n{"no": 1}')
    said = (
        f"{fixed} has 3 lines, but job {FIRST} has 2 failed lines. A fixed copy must keep all lines in their order: "
        "empty a line to skip it.\n"
    )
    assert run("retry", first.id, fixed) == (2, "", said)
    fixed.write_bytes(b'{"two": "fixed"}\n{"four": "fixed"}')
    assert run("retry", first.id, fixed, "--no-wait", "--key", "input/mine/other.jsonl").code == 0
    metadata = {"batchdrop-retry-of": FIRST, "batchdrop-retry-lines": LIST}
    assert dropped(aws, "input/mine/other.jsonl") == (fixed.read_bytes(), metadata)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_retry_has_a_settings_file_of_its_own_where_its_job_has_one(
    aws: "Aws", run: "Run", shelf: Shelf, *, is_there: bool
) -> None:
    text = b"max_attempts = 3"
    name = new_name(text)
    put = aws.s3.put_object(Bucket=BUCKET, Key="input/y.jsonl", Metadata={"batchdrop-settings": name})
    if is_there:
        aws.drop(f"input/{name}", text)
    job = shelf.finish(FIRST, [refused(1)], key="input/y.jsonl", version_id=put["VersionId"])
    assert run("retry", job.id, "--no-wait").code == 0
    head = aws.s3.head_object(Bucket=BUCKET, Key="input/y.retry-1.jsonl")
    own = head["Metadata"]["batchdrop-settings"]
    assert (own != name, own[:17]) == (is_there, name[:17])
    found = {key: aws.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in aws.keys(f"input/{name[:17]}")}
    assert found == (dict.fromkeys([f"input/{name}", f"input/{own}"], text) if is_there else {})


def test_the_settings_of_the_file_itself_go_along(aws: "Aws", run: "Run", shelf: Shelf) -> None:
    settings = {"batchdrop-betas": "b", "batchdrop-retry-of": SECOND, "batchdrop-sha256": "0", "other": "x"}
    aws.s3.put_object(Bucket=BUCKET, Key="input/y.jsonl", Metadata=settings)
    job = shelf.finish(FIRST, [refused(1)], b"{}\n", key="input/y.jsonl")
    run("retry", job.id, "--no-wait")
    body, metadata = dropped(aws, "input/y.retry-1.jsonl")
    assert (body, metadata.pop("batchdrop-retry-lines")[:13]) == (b"{}\n", "output/y/2099")
    assert metadata == {"batchdrop-betas": "b", "batchdrop-retry-of": FIRST}


def test_a_retry_has_a_budget_of_its_own(aws: "Aws", run: "Run", shelf: Shelf) -> None:
    aws.s3.put_object(Bucket=BUCKET, Key="input/y.jsonl", Metadata={"batchdrop-budget-usd": "20"})
    job = shelf.finish(FIRST, [refused(1)], b"{}\n", key="input/y.jsonl")
    assert run("retry", job.id, "--no-wait", "--max-cost", "0.5").code == 0
    assert dropped(aws, "input/y.retry-1.jsonl")[1]["batchdrop-budget-usd"] == "0.5"
    code, _, err = run("retry", job.id, "--no-wait", "--again", "--max-cost", "-1")
    assert code == 2
    assert "--max-cost" in err


def test_the_list_of_a_file_whose_name_is_no_ascii_lies_by_the_jobs_id(aws: "Aws", run: "Run", shelf: Shelf) -> None:
    job = shelf.finish(FIRST, [refused(7)], b"{}\n", key="input/é.jsonl")
    assert run("retry", job.id, "--no-wait").code == 0
    key = dropped(aws, "input/é.retry-1.jsonl")[1]["batchdrop-retry-lines"]
    assert (key.startswith(f"output/{FIRST}/retry-lines/"), dropped(aws, key)[0]) == (True, b"7\n")


def test_a_name_that_would_be_too_long_is_asked_for(aws: "Aws", run: "Run", shelf: Shelf) -> None:
    job = shelf.finish(FIRST, [refused(1)], b"{}\n", key=f"input/{'x' * 1_010}.jsonl")
    assert "would be too long. Name a key with --key." in run("retry", job.id, "--no-wait").err
    assert aws.keys("input/") == []


def test_only_what_failed_in_a_finished_job_is_retried(run: "Run", shelf: Shelf, a_job: Callable[..., Job]) -> None:
    shelf.put(a_job(job=FIRST))
    shelf.fail(SECOND)
    shelf.finish(THIRD, [result(1, CHAT, chat("one"))])
    assert [run("retry", job) for job in (FIRST, SECOND, THIRD)] == [
        (1, "", f"Job {FIRST} is RUNNING: retry it when it is over. See: batchdrop show {FIRST}\n"),
        (1, "", f"Job {SECOND} failed as a whole: It is empty. Fix this and upload the file again.\n"),
        (1, "", f"Job {THIRD} has no failed line: there is nothing to retry.\n"),
    ]
    assert run("retry", THIRD, "--finish", "length").err == (
        f"Job {THIRD} has no answer that was cut off by its limit of tokens: there is nothing to retry.\n"
    )


@pytest.mark.parametrize("is_fixed", [False, True], ids=["as they are", "fixed"])
def test_of_two_commands_that_retry_the_same_lines_at_once_one_is_refused(
    aws: "Aws", run: "Run", first: Job, tmp_path: Path, *, is_fixed: bool
) -> None:
    fixed = tmp_path / "fixed.jsonl"
    fixed.write_bytes(b'{"two": "fixed"}\n{"four": "fixed"}')
    command = ["retry", first.id, *([fixed] if is_fixed else []), "--no-wait"]
    digest = hashlib.sha256(f"{FIRST} {LIST}".encode()).hexdigest()
    held = aws.store.leases.claim_drop(f"retry-{digest}", 10**9)  # another command was a moment faster
    ran = run(*command)
    assert (ran.code, ran.out, aws.keys("input/")) == (1, "", [])
    assert ran.err.startswith("Another command is dropping the same lines right now.")
    aws.store.leases.end_drop(held, None, 0)  # it gave up
    assert run(*command).code == 0


def test_lines_that_are_being_retried_are_not_sent_twice(
    aws: "Aws", run: "Run", shelf: Shelf, first: Job, a_job: Callable[..., Job]
) -> None:
    def said(job: str) -> str:
        return (
            f"Job {job} is already retrying these lines. See: batchdrop show {job} - "
            "to send and pay for them again: --again\n"
        )

    young = run("retry", first.id, "--no-wait").out.strip()
    assert run("retry", first.id, "--no-wait") == (1, "", said(young))
    shelf.finish(young, [refused(1), refused(2)], b"{}\n{}\n", retry_of=FIRST, retry_lines=LIST)
    again = run("retry", first.id, "--no-wait").out.strip()  # nothing was answered
    shelf.finish(again, [refused(1), refused(2)], b"{}\n{}\n", retry_of=FIRST, retry_lines=LIST)
    shelf.put(a_job(job=THIRD, retry_of=FIRST, retry_lines=LIST))
    assert run("retry", first.id) == (1, "", said(THIRD))
    assert run("retry", first.id, "--no-wait", "--again").code == 0
    assert aws.keys("input/") == [f"input/mine/reviews.retry-{number}.jsonl" for number in (1, 2, 3)]


def test_lines_that_a_retry_answered_are_not_paid_again(run: "Run", shelf: Shelf, first: Job) -> None:
    shelf.finish(SECOND, [refused(1), result(2, CHAT, chat("4"))], b"{}\n", retry_of=FIRST, retry_lines=LIST)
    said = (
        f"Job {SECOND} has already answered 1 of these lines. To retry those that failed again: "
        f"batchdrop retry {SECOND} - to send and pay for all of them again: --again\n"
    )
    assert run("retry", first.id, "--no-wait") == (1, "", said)
    assert run("retry", SECOND, "--no-wait").code == 0


def test_lines_that_the_retry_of_a_retry_answered_are_not_paid_again(run: "Run", shelf: Shelf, first: Job) -> None:
    shelf.finish(SECOND, [refused(1), refused(2)], b"{}\n{}\n", retry_of=FIRST, retry_lines=LIST)
    shelf.finish(THIRD, [result(1, CHAT, chat("2"))], retry_of=SECOND, retry_lines=shelf.list_of(1, of=SECOND))
    assert run("retry", first.id).err.startswith(f"Job {SECOND} has already answered 1 of these lines.")


def test_lines_that_a_fixed_copy_left_out_are_sent_later(
    aws: "Aws", run: "Run", shelf: Shelf, first: Job, tmp_path: Path
) -> None:
    shelf.finish(SECOND, [result(2, CHAT, chat("4"))], retry_of=FIRST, retry_lines=LIST)
    file = tmp_path / "fixed.jsonl"
    file.write_bytes(b'{"two": 2}\n{"four": 4}\n')
    assert run("retry", first.id, file, "--no-wait").err.startswith(
        f"Job {SECOND} has already answered 1 of these lines."
    )
    file.write_bytes(b'{"two": 2}\n\n')
    assert run("retry", first.id, file, "--no-wait").code == 0
    assert dropped(aws, RETRY)[0] == b'{"two": 2}\n\n'


def test_lines_are_saved_to_be_fixed(aws: "Aws", run: "Run", first: Job, tmp_path: Path) -> None:
    file = tmp_path / "failed.jsonl"
    assert run("retry", first.id, "--save", file) == (
        0,
        f"2 failed lines of job {FIRST} in {file}; nothing was sent.\n",
        f"Fix the lines, keeping their order, and send them with:\n  batchdrop retry {FIRST} {file}\n",
    )
    assert file.read_bytes() == b'{"two": 2}\n{"four": 4}\n'
    again = f"{file} already exists and is not overwritten. Name another file.\n"
    assert run("retry", first.id, "--save", file) == (1, "", again)
    both = f"Use either --save {file} or the fixed copy {file}, not both.\n"
    assert run("retry", first.id, file, "--save", file) == (2, "", both)
    assert aws.keys("input/") == []


NOT_JSON = {"code": "invalid_json", "message": "Line 4 is not JSON.", "source": "input", "retryable": False}


@pytest.fixture
def mixed(shelf: Shelf) -> Job:
    """A job whose second line may pass, and whose fourth cannot."""
    return shelf.finish(FIRST, [refused(2), result(4, None, error=NOT_JSON)], b'{"two": 2}\n{"four"\n')


def test_a_retry_says_which_lines_cannot_succeed_unchanged(run: "Run", mixed: Job, tmp_path: Path) -> None:
    said = "1 of 2 failed lines cannot succeed unless changed: line 4 (invalid_json; line 2 of failed.jsonl).\n"
    assert run("retry", mixed.id, "--save", tmp_path / "f.jsonl").err.startswith(said)
    assert run("retry", mixed.id, "--no-wait").err.startswith(said)


def test_a_fixed_copy_says_which_lines_are_as_they_were_and_fail_again(run: "Run", mixed: Job, tmp_path: Path) -> None:
    copy = tmp_path / "f.jsonl"
    copy.write_bytes(b'{"two": 2}\n{"four"\n')
    line = "line 4 (invalid_json; line 2 of failed.jsonl)"
    said = f"{copy} leaves 1 line unchanged that cannot succeed: {line}.\n"
    assert run("retry", mixed.id, copy, "--no-wait").err.startswith(said)
    copy.write_bytes(b'{"two": 2}\n{"four": 4}\n')
    assert "unchanged" not in run("retry", mixed.id, copy, "--no-wait", "--again").err


def test_a_file_of_another_kind_is_no_fixed_copy(aws: "Aws", run: "Run", mixed: Job, tmp_path: Path) -> None:
    copy = tmp_path / "f.jsonl"
    copy.write_bytes(b"\x1f\x8b\n\n")
    code, _, err = run("retry", mixed.id, copy, "--no-wait")
    assert (code, "looks like gzip" in err, aws.keys("input/")) == (1, True, [])


def test_cut_answers_are_not_sent_again_as_they_are(aws: "Aws", run: "Run", first: Job, tmp_path: Path) -> None:
    said = (
        f"1 cut line of job {FIRST}: the same limit would cut them again. Raise max_tokens in a copy: "
        f"batchdrop retry {FIRST} --finish length --save FILE - and send that: "
        f"batchdrop retry {FIRST} FILE --finish length\n"
    )
    assert run("retry", first.id, "--finish", "length") == (2, "", said)
    aws.drop("input/mine/reviews.jsonl", b'{"a": 1}\n\n{"c": 3}\r\n{"d": 4}\n')
    file = tmp_path / "cut.jsonl"
    assert run("retry", first.id, "--finish", "length", "--save", file).err.endswith(f"{file} --finish length\n")
    assert file.read_bytes() == b'{"c": 3}\r\n'
    unchanged = (
        f"Line 1 of {file} is unchanged: the same limit would cut its answer again. Raise its max_tokens, or "
        "empty the line to skip it.\n"
    )
    assert run("retry", first.id, file, "--finish", "length", "--no-wait") == (2, "", unchanged)
    file.write_bytes(b'{"c": 30}\r\n')
    assert run("retry", first.id, file, "--finish", "length", "--no-wait").code == 0
    body, metadata = dropped(aws, RETRY)
    assert (body, dropped(aws, metadata["batchdrop-retry-lines"])[0]) == (b'{"c": 30}\r\n', b"3\n")


def test_cut_lines_of_a_compressed_file_are_saved_as_they_were(run: "Run", shelf: Shelf, tmp_path: Path) -> None:
    job = shelf.finish(FIRST, [result(1, CHAT, chat("1")), cut(2)], key="input/x.jsonl.gz")
    shelf.aws.drop("input/x.jsonl.gz", gzipped(b'{"a": 1}\n{"b": 2}'))
    file = tmp_path / "cut.jsonl"
    assert run("retry", job.id, "--finish", "length", "--save", file).code == 0
    assert file.read_bytes() == b'{"b": 2}\n'
    file.write_bytes(b'{"b": 20}\n')
    assert run("retry", job.id, file, "--finish", "length", "--no-wait").code == 0
    assert shelf.aws.keys("input/") == ["input/x.jsonl.gz", "input/x.retry-1.jsonl"]


def test_the_input_of_cut_answers_may_be_gone(run: "Run", first: Job, tmp_path: Path) -> None:
    said = f"The input of job {FIRST} was deleted: its lines no longer exist.\n"
    assert run("retry", first.id, "--finish", "length", "--save", tmp_path / "cut.jsonl") == (1, "", said)
    assert list(tmp_path.iterdir()) == []


def test_each_endpoint_says_in_its_way_that_an_answer_was_cut() -> None:
    bodies: list[tuple[str, object, bool]] = [
        (CHAT, {"choices": [{"finish_reason": "length"}]}, True),
        (CHAT, {"choices": [{"finish_reason": "stop"}]}, False),
        (MESSAGES, {"stop_reason": "max_tokens"}, True),
        (MESSAGES, {"stop_reason": "refusal"}, False),
        (RESPONSES, {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, True),
        (RESPONSES, {"status": "incomplete", "incomplete_details": None}, True),
        (RESPONSES, {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, False),
        (RESPONSES, {"status": "completed"}, False),
    ]
    read = [read_line(json.dumps(result(1, endpoint, body)).encode()) for endpoint, body, _ in bodies]
    assert [is_cut(line) for line in read] == [wanted for _, _, wanted in bodies]


def test_a_retry_waits_fetches_and_tells_how_to_see_all(
    aws: "Aws", run: "Run", shelf: Shelf, first: Job, tmp_path: Path
) -> None:
    def answer() -> None:
        while not aws.keys(RETRY):
            sleep(0.02)
        answers = [result(1, CHAT, chat("2")), result(2, CHAT, chat("4"))]
        shelf.finish(id_of(aws, RETRY), answers, retry_of=FIRST, retry_lines=LIST)

    functions = Thread(target=answer)
    functions.start()
    code, out, err = run("retry", first.id, "-o", tmp_path / "here")
    functions.join()
    assert (code, out.splitlines()[0]) == (0, f"Job {id_of(aws, RETRY)} completed: 2 of 2 lines answered.")
    assert err.splitlines()[-2:] == [
        "Merged results, with these answers in the places of the failed lines:",
        f"  batchdrop results {FIRST} --with-retries",
    ]
    assert (tmp_path / "here" / "results.jsonl").exists()


# Merging


def test_a_retry_that_shares_names_the_line_of_the_retried_job(
    run: "Run", shelf: Shelf, first: Job, tmp_path: Path
) -> None:
    answers = [result(1, CHAT, chat("2")), result(3, CHAT, chat("2"), shared_with=1)]
    numbers = shelf.list_of(2, 3, 4)
    shelf.finish(SECOND, answers, retry_of=FIRST, retry_lines=numbers, settings=JobSettings(dedupe=True))
    assert run("results", first.id, "--with-retries", "--csv", "-o", tmp_path).code == 0
    assert [each.get("shared_with") for each in read(tmp_path / "results.jsonl")] == [None, None, None, 2]
    rows = [*csv.DictReader((tmp_path / "answers.csv").read_text(encoding="utf-8").splitlines())]
    assert [(rows[at]["input_tokens"], rows[at]["output_tokens"]) for at in (1, 3)] == [("9", "2"), ("0", "0")]


def read(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_an_answer_replaces_an_error_and_an_error_replaces_an_error_only(
    run: "Run", shelf: Shelf, first: Job, tmp_path: Path
) -> None:
    error = {"code": "invalid_json", "message": "Line 3: not JSON.", "source": "input", "retryable": False}
    newer = [
        refused(1),
        result(2, CHAT, chat("two"), custom_id="changed", attempts=2),
        result(3, CHAT, error=error, custom_id=None),
    ]
    shelf.finish(SECOND, newer, retry_of=FIRST, retry_lines=shelf.list_of(1, 2, 4))
    code, out, err = run("results", first.id, "--with-retries", "--csv", "-o", tmp_path)
    assert (code, err) == (3, "")
    assert out.splitlines() == [
        f"Job {FIRST} completed: 2 of 4 lines answered; 2 lines failed.",
        "With its retries: 3 of 4 lines answered; 1 line failed, see errors.jsonl.",
        "Estimated cost, its retries included: $0.7500 (saved $0.7500 against real time).",
        *(f"  {tmp_path / name}" for name in ("results.jsonl", "errors.jsonl", "answers.csv")),
    ]
    last = result(4, CHAT, error={**error, "message": "Line 4: not JSON."})
    whole = [
        result(1, CHAT, chat("one")),
        result(2, CHAT, chat("two"), attempts=2),
        cut(3),
        last,
    ]
    assert (read(tmp_path / "results.jsonl"), read(tmp_path / "errors.jsonl")) == (whole, [last])
    assert [line[:6] for line in (tmp_path / "answers.csv").read_text().splitlines()[1:]] == [
        f"{number},r-{number}," for number in (1, 2, 3, 4)
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.csv", "errors.jsonl", "results.jsonl"]


def test_later_retries_and_retries_of_retries_win_in_turn(run: "Run", shelf: Shelf, first: Job) -> None:
    none = {"custom_id": None}
    shelf.finish(SECOND, [refused(1), refused(3, **none)], retry_of=FIRST, retry_lines=shelf.list_of(2, 3, 4))
    child = f"{SECOND[:-1]}c"
    shelf.finish(child, [result(1, CHAT, chat("four"))], retry_of=SECOND, retry_lines=shelf.list_of(3, of=SECOND))
    shelf.finish(THIRD, [result(1, CHAT, chat("2nd")), refused(2)], retry_of=FIRST, retry_lines=shelf.list_of(2, 4))
    assert run("results", first.id, "--with-retries").code == 0
    assert read(Path("results/reviews-with-retries/results.jsonl")) == [
        result(1, CHAT, chat("one")),
        result(2, CHAT, chat("2nd")),
        cut(3),
        result(4, CHAT, chat("four")),
    ]


def test_a_line_without_an_id_gets_that_of_its_fixed_copy(run: "Run", shelf: Shelf) -> None:
    shelf.finish(FIRST, [refused(1, custom_id=None)])
    shelf.finish(SECOND, [result(1, CHAT, chat("1"), custom_id=8)], retry_of=FIRST, retry_lines=shelf.list_of(1))
    run("results", FIRST, "--with-retries", "-o", "here")
    assert read(Path("here/results.jsonl")) == [result(1, CHAT, chat("1"), custom_id=8)]


def test_retries_without_results_are_told(
    run: "Run", shelf: Shelf, first: Job, a_job: Callable[..., Job], tmp_path: Path
) -> None:
    shelf.put(a_job(job=SECOND, retry_of=FIRST, retry_lines=LIST))
    shelf.fail(THIRD, retry_of=FIRST, retry_lines=LIST)
    code, out, err = run("results", first.id, "--with-retries", "-o", tmp_path)
    assert (code, out.splitlines()[1]) == (
        3,
        "With its retries: 2 of 4 lines answered; 2 lines failed, see errors.jsonl.",
    )
    assert err.splitlines() == [
        f"Not merged: retry {SECOND}, RUNNING: its batches are being processed",
        f"Not merged: retry {THIRD}, FAILED: It is empty.",
    ]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"4\n2\n", "its list of line numbers has no rising number in line 2"),
        (b"2\n", "its list of line numbers has no rising number in line 2"),
        (b"2\nfour\n", f"its list of line numbers, {LIST}, does not hold one number a line"),
        (b"2\n9\n", f"its list names line 9, which has no result in job {FIRST}"),
        (None, f"its list of line numbers, {LIST}, is not there"),
    ],
)
@pytest.mark.usefixtures("first")
def test_a_retry_whose_list_does_not_fit_is_named_and_left_out(
    run: "Run", shelf: Shelf, tmp_path: Path, body: bytes | None, problem: str
) -> None:
    if body is not None:
        shelf.aws.drop(LIST, body)
    answers = [result(1, CHAT, chat("2")), result(2, CHAT, chat("4"))]
    shelf.finish(SECOND, answers, retry_of=FIRST, retry_lines=LIST)
    shelf.finish(THIRD, answers[:1], retry_of=FIRST, retry_lines=shelf.list_of(2))
    code, _, err = run("results", FIRST, "--with-retries", "-o", tmp_path)
    assert (code, err) == (3, f"Not merged: retry {SECOND}: {problem}. See: batchdrop show {SECOND}\n")
    texts = [line["response"] and line["response"]["body"] for line in read(tmp_path / "results.jsonl")]
    assert texts == [chat("one"), chat("2"), cut(3)["response"]["body"], None]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"key": "input/theirs/reviews.jsonl"},
            "it lies in input/theirs/, the job that it retries in another folder",
        ),
        (
            {"key": "input/mine/deeper/reviews.jsonl"},
            "it lies in input/mine/deeper/, the job that it retries in another folder",
        ),
        (
            {"retry_lines": "output/theirs/l.jsonl"},
            "its list of line numbers, 'output/theirs/l.jsonl', does not lie under output/mine/reviews/" + f"{FIRST}/",
        ),
    ],
)
def test_who_writes_elsewhere_replaces_no_answers_and_stops_nobody(
    run: "Run", shelf: Shelf, tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    first = shelf.finish(FIRST, [result(1, CHAT, chat("one")), refused(2), cut(3), refused(4)], b"{}\n{}\n")
    shelf.aws.drop("output/theirs/l.jsonl", b"2\n4\n")
    shelf.aws.drop(LIST, b"2\n4\n")
    forged = [result(1, CHAT, chat("forged")), result(2, CHAT, chat("forged"))]
    shelf.finish(SECOND, forged, **{"retry_of": FIRST, "retry_lines": LIST, **changes})
    code, _, err = run("results", first.id, "--with-retries", "-o", tmp_path)
    assert (code, err) == (3, f"Not merged: retry {SECOND}: {problem}. See: batchdrop show {SECOND}\n")
    assert [line["error"] is None for line in read(tmp_path / "results.jsonl")] == [True, False, True, False]
    assert SECOND not in run("show", first.id).out
    assert run("retry", first.id, "--no-wait").code == 0  # the same lines are not "being retried"


def test_a_whole_answer_is_replaced_only_where_that_is_asked_for(
    run: "Run", shelf: Shelf, first: Job, tmp_path: Path
) -> None:
    newer = [result(1, CHAT, chat("again")), result(2, CHAT, chat("two")), result(3, CHAT, chat("longer"))]
    shelf.finish(SECOND, newer, retry_of=FIRST, retry_lines=shelf.list_of(1, 2, 3))

    def texts() -> list[str]:
        answers = read(tmp_path / "results.jsonl")[:3]
        return [line["response"]["body"]["choices"][0]["message"]["content"] for line in answers]

    err = run("results", first.id, "--with-retries", "-o", tmp_path).err
    kept = "1 line that was answered keeps its first answer, although a retry answered too. To take the retry's: "
    assert (err, texts()) == (f"{kept}--replace-answers\n", ["one", "two", "longer"])
    assert run("results", first.id, "--with-retries", "--replace-answers", "-o", tmp_path).err == ""
    assert texts() == ["again", "two", "longer"]
    assert run("results", first.id, "--replace-answers").code == 2


def test_a_retry_is_dropped_in_the_folder_of_its_file(aws: "Aws", run: "Run", first: Job) -> None:
    said = f"A retry of job {FIRST} must lie in input/mine/, beside the job's file: input/other.jsonl does not.\n"
    assert run("retry", first.id, "--key", "input/other.jsonl") == (2, "", said)
    assert aws.keys("input/") == []

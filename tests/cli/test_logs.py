"""A job's log lines, from CloudWatch and from the local cloud's files."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from batchdrop.records import Job
from faking.parts import GROUP, stack_with_parts

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.job_logs import LoggedLine, lines_of, read_logged, say_logged

if TYPE_CHECKING:
    from conftest import Aws, Run

BATCH = "00000-0-0001"


def logged(job: str, second: int, message: str, **more: object) -> str:
    fields = {
        "level": "INFO",
        "location": "plan:1",
        "message": message,
        "timestamp": f"2026-11-27 19:55:{second:02},533+0000",
        "service": "plan",
        "cold_start": True,
        "function_name": "f",
        "correlation_id": job,
    }
    return json.dumps(fields | more)


def test_lines_of_a_job_are_printed_in_order(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = a_job(dropped_at=int(time.time()) - 60)
    aws.store.add(job)
    texts = [logged(job.id, 2, "second", batch=BATCH), logged("another", 1, "no"), logged(job.id, 1, "first")]
    with stack_with_parts(monkeypatch) as parts:
        now = int(time.time() * 1_000)
        parts.logs.put_log_events(
            logGroupName=GROUP,
            logStreamName="one",
            logEvents=[{"timestamp": now, "message": text} for text in texts],
        )
        ran = run("logs", job.id)
        as_json = json.loads(run("logs", job.id, "--json").out)
    said = (
        f"2026-11-27 19:55:01  plan     info    First\n2026-11-27 19:55:02  plan     info    Second (batch {BATCH})\n"
    )
    assert ran == (0, said, "")
    assert [each["details"] for each in as_json] == [{}, {"batch": BATCH}]


def test_a_job_of_which_nothing_is_kept_is_said(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.store.add(a_job())
    with stack_with_parts(monkeypatch):
        ran = run("logs")
    said = f"No logs are kept of job {a_job().id}. See: batchdrop show {a_job().id}\n"
    assert ran == (0, "", said)


def test_the_local_clouds_files_are_read_the_older_ones_too(tmp_path: Path, a_job: Callable[..., Job]) -> None:
    folder = tmp_path / "functions"
    folder.mkdir()
    job = a_job().id
    (folder / "plan.log").write_text(f"{logged(job, 3, 'third')}\nnot JSON {job}\n{logged('x', 1, job)}\n")
    (folder / "plan.log.1").write_text(f"{logged(job, 1, 'first')}\n")
    (folder / "submit.log").write_text(f"{logged(job, 2, 'second', service='submit')}\n")
    cloud = Cloud(title="", is_local=True, bucket="b", table="t", session=boto3.Session(), logs=str(tmp_path))
    assert [(each.step, each.message) for each in lines_of(cloud, a_job())] == [
        ("plan", "first"),
        ("submit", "second"),
        ("plan", "third"),
    ]


@pytest.mark.parametrize("text", ["", "START RequestId: j", "[1]", '"j"', '{"correlation_id":"other"}', "{}"])
def test_what_is_no_line_of_the_job_is_left_out(text: str) -> None:
    assert read_logged(text, "j") is None


def test_a_line_without_its_fields_is_still_shown() -> None:
    line = read_logged('{"correlation_id":"j","error":"KeyError"}', "j")
    assert line == LoggedLine(at="", step="", level="", message="", details={"error": "KeyError"})


@pytest.mark.parametrize(
    ("level", "message", "details", "said"),
    [
        (
            "INFO",
            "split assembled",
            {"split": 0, "answered": 1200, "failed": 1},
            "assemble info    Part of the file assembled: 1,200 answered, 1 failed",
        ),
        (
            "INFO",
            "batch ended",
            {"batch": BATCH, "batch_id": "b", "ended_as": "completed"},
            f"assemble info    Batch ended (batch {BATCH})",
        ),
        (
            "WARNING",
            "unit deferred",
            {"batch": BATCH, "reason": "no room", "cost": 7},
            f"assemble warning Unit deferred: no room (batch {BATCH}) cost=7",
        ),
        (
            "ERROR",
            "unit failed",
            {"work": "plan", "unit": "SPLIT#0", "error": "KeyError", "raised_at": ["steps/plan.py:58 in plan"]},
            'assemble error   Unit failed: KeyError work=plan unit=SPLIT#0 raised_at=["steps/plan.py:58 in plan"]',
        ),
        (
            "WARNING",
            "batch refused",
            {"batch": BATCH, "status": 429, "code": None, "kind": "busy"},
            f"assemble warning Batch refused: busy (batch {BATCH}) status=429",
        ),
        ("CRITICAL", "job given up", {"state": "RUNNING"}, "assemble critical Job given up state=RUNNING"),
        ("", "", {"error": "KeyError"}, "assemble         : KeyError"),
    ],
)
def test_a_line_is_a_sentence_for_a_person(
    capsys: pytest.CaptureFixture[str], level: str, message: str, details: dict[str, object], said: str
) -> None:
    say_logged(
        LoggedLine(at="2026-11-27T19:55:01.533Z", step="assemble", level=level, message=message, details=details)
    )
    assert capsys.readouterr().out == f"2026-11-27 19:55:01  {said}\n"

"""No words of an exception are logged: they may quote a prompt. Its type is, and where it was raised."""

import ast
import errno
import json
import logging
import re
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import batchdrop
import pytest
import stamina
from batchdrop.aws.bucket import Files
from batchdrop.aws.keys import output_prefix
from batchdrop.batches.failed_units import give_up_whole_job
from batchdrop.errors import Transient
from batchdrop.states import TERMINAL_JOBS, JobState
from batchdrop.steps.poll import poll_provider
from batchdrop.steps.sweep import sweep
from botocore.exceptions import ClientError
from faking.cloud import BUCKET, STEPS, Cloud, jsonl
from faking.failing import Failing, FailingApis, Fails, calls, reads, writes
from faking.handlers import CONTEXT, deliver
from faking.lines import chat, claude
from faking.logs import Log, all_logged
from handlers import poll as poll_handler
from handlers import sweep as sweep_handler
from handlers.messages import StepFailed, log_failure

CANARY = "the patient's name"
TICK = 3_700
ROUNDS = 12  # an unpaid unit is given up after six failures
FUNCTIONS = Path(batchdrop.__file__).parents[1]
STEP_FILES = [path.name for path in (FUNCTIONS / "batchdrop/steps").glob("*.py")]


@pytest.fixture
def log() -> Iterator[Log]:
    with all_logged() as found:
        yield found


def quoting() -> Exception:
    """An exception that quotes a prompt wherever an exception has words."""
    error = RuntimeError(f"cannot read {CANARY}")
    error.__cause__ = ValueError(CANARY)
    error.__context__ = KeyError(CANARY)
    error.add_note(CANARY)
    return error


def go_on(cloud: Cloud, log: Log) -> None:
    """Let the functions' own handling see whatever the steps raise, until units are given up."""
    for _ in range(ROUNDS):
        if all(job.state in TERMINAL_JOBS for job in cloud.jobs()):
            return
        cloud.clock.now += TICK
        for provider in cloud.services.providers:
            as_lambda(log, lambda provider=provider: poll_provider(provider, cloud.services))
        as_lambda(log, lambda: sweep(cloud.services))
        for step in STEPS:
            deliver(cloud, step)


def as_lambda(log: Log, run: Any) -> None:
    """What leaves a function is logged by Lambda itself, with its trace."""
    try:
        with log_failure(unit="any"):
            run()
    except Exception as error:  # noqa: BLE001 - as Lambda does
        log.lines.append("".join(traceback.format_exception(error)))


EVERY: Fails = lambda *_: True  # noqa: E731 - one of a table's values
FAILING: dict[str, dict[str, Fails]] = {
    "the file is read": {"files": reads("input/")},
    "anything is written": {"files": writes("")},
    "results are saved": {"files": writes("collected-")},
    "messages are sent": {"queues": EVERY},
    "events are sent": {"events": EVERY},
    "failures are counted": {"files": reads("input/"), "store": calls("count_unit_failure")},
    "a round of poll begins": {"store": calls("in_flight")},
    "a round of sweep begins": {"store": calls("due")},
}


@pytest.mark.parametrize("title", FAILING)
def test_an_exception_that_quotes_a_prompt_leaves_it_in_no_log(cloud: Cloud, log: Log, title: str) -> None:
    cloud.drop("input/x.jsonl", jsonl([chat(CANARY), claude(CANARY)]))
    failing: dict[str, Any] = {
        name: Failing(getattr(cloud.services, name), fails, quoting()) for name, fails in FAILING[title].items()
    }
    cloud.services = replace(cloud.services, **failing)
    go_on(cloud, log)
    assert [line for line in log.lines if CANARY in line] == []
    raised_in = [step for step in STEP_FILES if log.holds('"unit failed"', "RuntimeError", f"steps/{step}:")]
    assert raised_in or title == "events are sent"


def test_a_job_that_ends_without_a_manifest_leaves_no_words_either(cloud: Cloud, log: Log) -> None:
    job = cloud.services.store.job(str(cloud.drop("input/x.jsonl", jsonl([chat(CANARY)]))))
    assert job is not None
    cloud.s3.put_object(
        Bucket=BUCKET, Key=f"{output_prefix(job)}manifest.json", Body=f'{{"status": "{CANARY}"}}'.encode()
    )
    given_up = cloud.services.store.move(job, JobState.PUBLISHING, is_given_up=True)
    give_up_whole_job(given_up.job, "It failed.", cloud.services)
    assert log.holds("job ends without a manifest", "ValidationError", "batches/failed_units.py:")
    assert [line for line in log.lines if CANARY in line] == []


@pytest.mark.parametrize("method", ["create", "retrieve", "stream", "delete"])
def test_what_a_provider_answers_is_in_no_log_whatever_it_raises(cloud: Cloud, log: Log, method: str) -> None:
    cloud.drop("input/x.jsonl", jsonl([chat(CANARY), claude(CANARY)]))
    apis: Any = FailingApis(cloud.services.apis, method, quoting())
    cloud.services = replace(cloud.services, apis=apis)
    go_on(cloud, log)
    assert [line for line in log.lines if CANARY in line] == []


@pytest.mark.parametrize(
    ("field", "said"), [("start", "ValidationError"), ("state", "row of a newer version left alone")]
)
def test_a_row_that_cannot_be_read_is_named_and_not_quoted(cloud: Cloud, log: Log, field: str, said: str) -> None:
    job = cloud.drop("input/x.jsonl", jsonl([chat(CANARY)]))
    cloud.table.items[(f"JOB#{job}", "SPLIT#00000")][field] = {"S": CANARY}
    cloud.clock.now += TICK
    as_lambda(log, lambda: sweep(cloud.services))
    assert log.holds(said, "SPLIT#00000")
    assert [line for line in log.lines if CANARY in line] == []


@pytest.mark.parametrize("handler", [poll_handler.handler, sweep_handler.handler])
def test_a_function_that_fails_tells_lambda_no_words(log: Log, handler: Any) -> None:
    with pytest.raises(StepFailed) as failed:
        handler({"provider": "openai"}, CONTEXT)  # here are none of its settings
    assert (str(failed.value), log.holds('"unit failed"', "ConfigError", "batchdrop/settings.py:")) == (
        *('ConfigError; the log line before it, "unit failed", says where',),
        True,
    )


def test_a_log_line_says_what_was_raised_where_and_because_of_what(log: Log) -> None:
    def fail() -> None:
        try:
            json.loads(CANARY)
        except ValueError as error:
            raise RuntimeError(CANARY) from error

    with suppress(StepFailed), log_failure(unit="u"):
        fail()
    said = json.loads(next(line for line in log.lines if "unit failed" in line))
    assert (said["error"], said["unit"]) == ("RuntimeError", "u")
    assert said["raised_at"][-1].startswith("steps/test_logs.py:")
    assert said["caused_by"][0].startswith("JSONDecodeError at json/decoder.py:")
    assert not log.holds(CANARY)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ClientError({"Error": {"Code": "AccessDenied", "Message": CANARY}}, "PutObject"), "AccessDenied, PutObject"),
        (OSError(errno.ENOSPC, CANARY), "ENOSPC"),
    ],
    ids=["AWS", "the system"],
)
def test_the_code_that_an_exception_has_is_logged(log: Log, error: Exception, said: str) -> None:
    with suppress(StepFailed), log_failure(unit="u"):
        raise error
    assert log.holds('"unit failed"', f"{type(error).__name__} ({said})")
    assert not log.holds(CANARY)


def test_a_recursion_is_logged_by_its_innermost_frames(log: Log) -> None:
    def fail() -> None:
        fail()

    with suppress(StepFailed), log_failure(unit="u"):
        fail()
    (line,) = [line for line in log.lines if "unit failed" in line]
    assert ("RecursionError" in line, len(json.loads(line)["raised_at"])) == (True, 20)


TEXTS = {str(path): path.read_text(encoding="utf-8") for path in FUNCTIONS.rglob("*.py")}


def test_a_call_that_is_repeated_is_named_without_what_it_was_called_with(cloud: Cloud, log: Log) -> None:
    """Stamina's own log lines quote all arguments: a plan's bytes, a row."""
    conflict = ClientError({"Error": {"Code": "ConditionalRequestConflict", "Message": CANARY}}, "PutObject")
    once = Failing(cloud.s3, once_for("put_object"), conflict)
    with stamina.set_testing(True, attempts=3):
        Files(once, BUCKET).put_first("work/a", f"{CANARY} {'x' * 9}".encode())  # type: ignore[arg-type]  # by shape
    assert log.holds('"call repeated"', "put_first", "_Conflict")
    assert [line for line in log.lines if CANARY in line] == []


def once_for(method: str) -> Fails:
    left = [method]
    return lambda name, _: name in left and left.remove(name) is None


def test_all_repeated_calls_are_logged_by_us() -> None:
    users = {Path(name).name for name, text in TEXTS.items() if re.search(r"\bstamina\b.*", text)}
    assert users == {"retrying.py"}


def test_a_deferred_unit_is_not_a_failure(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StepFailed, match="Transient"), log_failure(unit="u"):
        raise Transient("not now")
    assert (log.holds('"unit deferred"', "not now"), log.holds('"unit failed"')) == (True, False)
    assert "UnitsFailed" not in capsys.readouterr().out


def test_no_trace_is_logged_with_its_words() -> None:
    assert [name for name, text in TEXTS.items() if "logger.exception" in text or "exc_info" in text] == []


def test_no_log_line_has_a_field_that_raises() -> None:
    """A field that every record has already, as `message`, raises where it is logged."""
    taken = {*vars(logging.makeLogRecord({})), "message", "asctime"}
    calls = [(name, call) for name, text in TEXTS.items() for call in ast.walk(ast.parse(text)) if is_log(call)]
    fields = {(name, each.arg) for name, call in calls for each in call.keywords}
    assert {(name, field) for name, field in fields if field in taken} == set()
    assert len(fields) > 50


def is_log(call: Any) -> bool:
    named = isinstance(call, ast.Call) and ast.unparse(call.func)
    return bool(named) and (named.startswith("logger.") or named in {"log_exception", "log_failure", "guard"})

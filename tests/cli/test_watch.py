"""A job, live: in a pipe a line with what has changed, on a terminal a picture."""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

import boto3
import msgspec
import pytest
from batchdrop.manifest import Counts, Files
from batchdrop.money import PriceSource, Quote, QuotedTokens, TokenRange
from batchdrop.records import Batch, Job
from batchdrop.states import BatchState, JobState
from faking.outputs import a_manifest
from rich.console import Console

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.progress import Stage, stage
from batchdrop_cli.watching import picture, watched

if TYPE_CHECKING:
    from conftest import Aws, Run

QUOTE = Quote(
    low_usd="0.001",
    expected_usd="0.002",
    high_usd="0.005",
    tokens=QuotedTokens(input=TokenRange(low=100, high=400), output=TokenRange(low=0, high=2_000)),
    unpriced_models=[],
    no_batch_price=[],
    made_at="2026-11-27T00:00:00Z",
    prices=PriceSource(source="s", date="2026-11-27"),
)


@pytest.fixture
def running(a_job: Callable[..., Job], a_batch: Callable[..., Batch]) -> Stage:
    batches = [
        a_batch(state=BatchState.IN_FLIGHT),
        a_batch(requests=100, state=BatchState.COLLECTED),
    ]
    found = stage(a_job(), batches, ["openai: its queue is full"])
    return Stage(text=found.text, waits=found.waits, done=found.done, total=found.total, job=a_job(), batches=batches)


def test_the_picture_names_lines_batches_tokens_money_and_end(running: Stage, a_job: Callable[..., Job]) -> None:
    assert picture(running, QUOTE, "2026-11-27 05:40 to 06:20 UTC, low confidence", "2026-11-27 09:00 UTC") == [
        ("job", f"{a_job().id}  input/mine/reviews.jsonl"),
        ("state", "RUNNING: its batches are being processed"),
        ("lines", "100 of 300 lines done (33%): 200 at the provider, 100 collected"),
        ("batches", "1 at the provider, 1 collected"),
        ("tokens", "100 to 400 in, at most 2,000 out, estimated"),
        ("money", "$0.0010 to $0.0050, $0.0020 expected"),
        ("waits", "openai: its queue is full"),
        ("expected", "2026-11-27 05:40 to 06:20 UTC, low confidence"),
        ("deadline", "2026-11-27 09:00 UTC"),
    ]


def test_a_job_that_is_not_there_yet_is_waited_for() -> None:
    assert picture(stage(None, [], []), None, None, None) == [
        ("state", "dropped: waiting for the functions to notice it")
    ]


def test_a_file_that_is_being_read_has_parts(a_job: Callable[..., Job]) -> None:
    job = a_job(state=JobState.PLANNING, splits=4, unplanned=3)
    now = Stage(text="reading the file", done=1, total=4, job=job)
    assert ("lines", "1 of 4 parts of the file read") in picture(now, None, None, None)


@pytest.mark.usefixtures("aws")
def test_a_pipe_gets_what_has_changed(running: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    with watched(_cloud()) as display:
        display.show(running)
        display.show(running)
        display.show(Stage(text="", done=1, total=1, job=running.job, batches=[]))
    said = capsys.readouterr().err.splitlines()
    assert [line.split(" ", 3)[3].split("; ")[0] for line in said] == [
        f"job {running.job.id if running.job else ''}  input/mine/reviews.jsonl",
        "lines 1 of 1 line done (100%): ",
    ]


@pytest.mark.usefixtures("aws")
def test_a_terminal_of_80_columns_gets_the_picture_and_hostile_text_is_escaped(
    running: Stage, a_job: Callable[..., Job]
) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, no_color=True, legacy_windows=False)
    hostile = a_job(key="input/\x1b]0;owned\x07\u202e.jsonl")
    with watched(_cloud(), console) as display:
        display.show(Stage(text="", done=100, total=300, job=hostile, batches=running.batches))
    text = screen.getvalue()
    assert "100 of 300 lines done (33%)" in text
    assert "\\x1b]0;owned\\x07\\u202e.jsonl" in text
    assert ("]0;owned\x07" in text, "\u202e" in text) == (False, False)


@pytest.mark.parametrize("arguments", [("watch",), ("show", "--watch")])
def test_a_job_that_is_over_is_summed_up_as_wait_does(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], arguments: tuple[str, ...]
) -> None:
    counts = Counts(total=1, answered=1, failed=0, errors={}, finish_reasons={})
    manifest = a_manifest(a_job().id, Files(results=[], errors=None, failed=None), counts=counts, models=[])
    aws.drop("output/m.json", msgspec.json.encode(manifest))
    aws.store.add(a_job(state=JobState.COMPLETED, manifest_key="output/m.json"))
    said = (
        f"Job {a_job().id} completed: 1 of 1 line answered.\nTo fetch the results:\n  batchdrop results {a_job().id}\n"
    )
    assert run(*arguments) == (0, said, "")


@pytest.mark.usefixtures("aws")
def test_json_and_watch_exclude_each_other(run: "Run") -> None:
    assert run("show", "--watch", "--json") == (2, "", "--json, --watch and --report exclude each other.\n")


def _cloud() -> Cloud:
    return Cloud(title="", is_local=False, bucket="batchdrop-test", table="batchdrop-jobs", session=boto3.Session())

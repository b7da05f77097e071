"""Waiting for a job: what is shown, what is told when nothing happens. The clock is the test's; nothing sleeps."""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from batchdrop.records import Batch, Job
from batchdrop.states import BatchState, JobState
from rich.console import Console

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.progress import Clock, Stage, shown, upload_shown, wait_for_job
from batchdrop_cli.stalled import describe_stall
from batchdrop_cli.user_errors import UserError
from local_cloud import machine

if TYPE_CHECKING:
    from conftest import Aws, Run

NO_JOB = "20261105T091412Z-0000000000"
TEN_MINUTES = 600


@dataclass
class FakeClock:
    """Moves on by what is slept; `at` holds what happens when, in seconds from the beginning."""

    at: dict[float, Callable[[], object]] = field(default_factory=dict)
    seconds: float = 0.0

    def clock(self) -> Clock:
        return Clock(now=lambda: self.seconds, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        for moment in [each for each in self.at if each <= self.seconds]:
            self.at.pop(moment)()


@dataclass
class Told:
    """A display that keeps what is told, and when."""

    clock: FakeClock
    told: list[tuple[int, str]] = field(default_factory=list)

    def show(self, now: Stage) -> None:
        """Nothing: a test of what is shown looks at the screen."""

    def notify(self, text: str) -> None:
        self.told.append((int(self.clock.seconds), text))


@pytest.fixture
def stack() -> Cloud:
    return Cloud(
        title="stack batchdrop in eu-central-1",
        is_local=False,
        bucket="batchdrop-test",
        table="batchdrop-jobs",
        session=boto3.Session(),
    )


@pytest.mark.usefixtures("aws")
def test_a_drop_that_becomes_no_job_is_told_after_half_a_minute_with_where_to_look(stack: Cloud) -> None:
    clock = FakeClock()
    display = Told(clock)
    with pytest.raises(UserError) as raised:
        wait_for_job(stack, NO_JOB, display=display, clock=clock.clock())
    where = (
        "the EventBridge rule ObjectCreated, the queue of intake with its dead letters, and the log of the function "
        "intake (stack batchdrop in eu-central-1)"
    )
    (seconds, text), *more = display.told
    assert (30 <= seconds <= 36, more) == (True, [])
    assert text == (
        f"For 30 seconds no job was made of the file: its event does not arrive, or intake fails. Look at {where}."
    )
    assert str(raised.value) == (
        f"The file is in the bucket, but it has not become job {NO_JOB} in 10 minutes. Look at {where}. The job may "
        f"still begin; see: batchdrop wait {NO_JOB}"
    )
    assert TEN_MINUTES <= clock.seconds < TEN_MINUTES + 10


def test_on_the_local_cloud_the_log_files_are_named(stack: Cloud) -> None:
    local = replace(stack, is_local=True, logs="/mine/logs")
    told = describe_stall(local, None, [], [])
    assert told is not None
    assert told.endswith("Look at /mine/logs/functions/intake.log and /mine/logs/emulator.log.")


def test_on_a_full_disk_that_is_what_is_said(stack: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "FULL_BYTES", 10**18)
    told = describe_stall(replace(stack, is_local=True, logs=str(tmp_path / "logs")), None, [], [])
    assert told is not None
    assert f"The disk of {tmp_path} is full (" in told


def test_a_job_that_goes_on_is_told_nothing_of(aws: "Aws", stack: Cloud, a_job: Callable[..., Job]) -> None:
    planning = a_job(state=JobState.PLANNING, splits=9, unplanned=9)
    aws.store.add(planning)
    clock = FakeClock()
    display = Told(clock)
    clock.at = {25.0: lambda: aws.store.move(planning, JobState.PUBLISHING, outcome=JobState.FAILED)}
    clock.at[50.0] = _end(aws, planning.id)
    assert wait_for_job(stack, planning.id, display=display, clock=clock.clock()).state is JobState.FAILED
    assert display.told == []


def _end(aws: "Aws", job_id: str) -> Callable[[], object]:
    def end() -> None:
        job = aws.store.job(job_id)
        assert job is not None
        aws.store.move(job, JobState.FAILED)

    return end


IN_FLIGHT, WAITING, ENDED, COLLECTED = BatchState.IN_FLIGHT, BatchState.WAITING, BatchState.ENDED, BatchState.COLLECTED


@pytest.mark.parametrize(
    ("state", "batches", "waits", "step"),
    [
        (JobState.PLANNING, [], [], "plan"),
        (JobState.RUNNING, [WAITING], [], "submit"),
        (JobState.RUNNING, [BatchState.SUBMITTING, COLLECTED], [], "submit"),
        (JobState.RUNNING, [WAITING], ["openai: no key"], None),
        (JobState.RUNNING, [IN_FLIGHT, WAITING], [], None),
        (JobState.RUNNING, [IN_FLIGHT, ENDED], [], "collect"),
        (JobState.RUNNING, [COLLECTED], [], "assemble"),
        (JobState.CANCELLING, [IN_FLIGHT], [], None),
        (JobState.PUBLISHING, [COLLECTED], [], "publish"),
    ],
)
def test_a_standstill_names_the_step_whose_turn_it_is_and_waiting_for_a_provider_is_none(  # noqa: PLR0913, PLR0917 - cases
    stack: Cloud,
    a_job: Callable[..., Job],
    a_batch: Callable[..., Batch],
    state: JobState,
    batches: Sequence[BatchState],
    waits: Sequence[str],
    step: str | None,
) -> None:
    told = describe_stall(stack, a_job(state=state), [a_batch(state=each) for each in batches], waits)
    assert (told is None) == (step is None)
    assert step is None or f"the queue of {step} " in str(told)


MANY = Stage(
    text="batches: 12 waiting, 1,000 about to be sent, 999 being sent, 12,345 at the provider, 6 being collected",
    waits=(
        "openai: no key. Set it with: batchdrop keys set openai --stack mine",
        "position 3 of 7 in queue openai/gpt-4o-mini-2024-07-18; needs 9 tokens, 5 of 9 in use",
    ),
    done=612_345,
    total=1_000_000,
)


@pytest.mark.parametrize("width", [80, 60])
def test_count_per_cent_and_time_are_visible_whatever_the_batches_do(width: int) -> None:
    screen = io.StringIO()
    console = Console(file=screen, width=width, force_terminal=True, color_system=None, legacy_windows=False)
    with shown(console) as display:
        display.show(MANY)
        display.notify("For 30 seconds no batch was sent.")
    lines = screen.getvalue().splitlines()
    drawn = [line for line in lines if "612345/1000000" in line]
    assert drawn
    assert all(re.search(r" 61% 0:00:\d\d", line) for line in drawn)
    assert all(len(line.replace("\x1b[2K", "").replace("\x1b[1A", "").strip("\r")) <= width + 12 for line in drawn)
    assert "For 30 seconds no batch was sent." in screen.getvalue()
    assert any("batchdrop keys set openai --stack mine" in line for line in lines)


def test_in_a_notebook_without_widgets_lines_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert find_spec("ipywidgets") is None
    with shown(Console(force_jupyter=True)) as display:
        display.show(Stage(text="reading the file"))
    assert "reading the file" in capsys.readouterr().err


@pytest.mark.parametrize("width", [80, 60])
def test_an_upload_shows_bytes_per_cent_and_time_however_long_the_name(width: int) -> None:
    screen = io.StringIO()
    console = Console(file=screen, width=width, force_terminal=True, color_system=None, legacy_windows=False)
    with upload_shown(f"[b]{'long-' * 30}.jsonl", 2_000_000, console) as progressed:
        progressed(500_000)
    assert re.search(r"0\.5/2\.0 MB  25% 0:00:\d\d", screen.getvalue())
    assert "[b]long-" in screen.getvalue()


def test_in_a_pipe_a_line_tells_time_count_and_per_cent(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)  # tests that run beside each other are told a width
    with shown() as display:
        display.show(MANY)
        display.show(replace(MANY, done=700_000))
        display.show(Stage(text="reading the file"))
    first, second = capsys.readouterr().err.splitlines()
    assert re.match(r"  0:00:\d\d 612,345/1,000,000 61% batches: 12 waiting, ", first)
    assert re.fullmatch(r"  0:00:\d\d reading the file", second)


def test_wait_takes_an_id_that_is_no_job_yet(aws: "Aws", run: "Run") -> None:
    young = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-0123456789"
    code, out, err = run("show", young)
    assert (code, out) == (1, "")
    assert err.startswith(
        f"Job {young} does not exist yet: its file was dropped a moment ago. Wait for it: batchdrop wait {young} - "
    )
    assert aws.keys() == []


@pytest.mark.usefixtures("aws")
def test_wait_of_an_unknown_job_is_wrong_use(run: "Run") -> None:
    assert run("wait", NO_JOB) == (2, "", f"There is no job {NO_JOB}. See: batchdrop jobs\n")

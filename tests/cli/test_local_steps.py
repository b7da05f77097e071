"""What is shown while the local cloud is brought up."""

from io import StringIO
from pathlib import Path
from threading import Event

import pytest
from rich.console import Console

from batchdrop_cli import local_steps
from batchdrop_cli.local_steps import Steps, steps_shown

DEPLOY = "Deploying the stack (cdk deploy)"


def test_a_step_that_goes_on_says_how_long_and_how_far(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, shown, seconds = tmp_path / "deploy.log", list[str](), iter(range(0, 100, 10))
    log.write_text("batchdrop | 112/112 | 11:20:39 PM | CREATE_COMPLETE | of an earlier time\n")
    steps = Steps(log, shown.append, now=lambda: next(seconds))
    steps.go_on()
    steps.begin("Starting AWS on this machine")
    steps.go_on()
    steps.begin(DEPLOY)
    steps.go_on()
    with log.open("a") as file:
        file.write("CDKToolkit |  3/15 | x\nbatchdrop |  17/112 | x\nbatchdrop |  18/112 | 11:20:39 PM | CREATE\n")
    steps.go_on()
    assert shown == [
        "  [ 20 s] Starting AWS on this machine …",
        f"  [ 40 s] {DEPLOY}: packing the functions …",
        f"  [ 50 s] {DEPLOY}: 18 of 112 resources …",
    ]
    assert capsys.readouterr().err == f"  [ 10 s] Starting AWS on this machine\n  [ 30 s] {DEPLOY}\n"
    assert steps.begun == ["Starting AWS on this machine", DEPLOY]


def test_a_step_before_any_log_is_shown_too(tmp_path: Path) -> None:
    shown = list[str]()
    steps = Steps(tmp_path / "none.log", shown.append, now=lambda: 0.0)
    steps.begin(DEPLOY)
    steps.go_on()
    assert shown == [f"  [  0 s] {DEPLOY}: packing the functions …"]


def test_nothing_is_shown_where_nothing_is_begun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with steps_shown(tmp_path / "none.log") as steps:
        pass
    assert (steps.begun, capsys.readouterr().err) == ([], "")


class Terminal(StringIO):
    """Tells when a step is shown that goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.shows = Event()

    def write(self, text: str) -> int:
        if f"{DEPLOY}: packing the functions …" in text:
            self.shows.set()
        return super().write(text)


def test_a_terminal_shows_a_step_that_goes_on_in_one_line_that_is_gone_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_steps, "_ON_A_TERMINAL", 0.01)
    terminal = Terminal()
    with steps_shown(tmp_path / "none.log", Console(file=terminal, force_terminal=True, width=200)) as steps:
        steps.begin(DEPLOY)
        assert terminal.shows.wait(60)
    assert terminal.getvalue().endswith("\x1b[1A\x1b[2K")  # one line up, which is cleared

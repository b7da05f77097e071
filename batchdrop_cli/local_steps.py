"""The steps of bringing the local cloud up, as they are shown: with the seconds, and how far a long one is."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from time import monotonic

from rich.console import Console
from rich.status import Status

from batchdrop_cli.say import err, note

DEPLOY_LOG = "deploy.log"
_EVERY_SECONDS, _ON_A_TERMINAL = 20.0, 1.0  # between two looks at a step that goes on
_DONE = re.compile(rb"^batchdrop \|\s+(\d+)/(\d+) \|", re.MULTILINE)  # of the CDK's events
_TAIL_BYTES = 16 * 1024


class Steps:
    """Notes each step when it begins, and shows while it goes on.

    Args:
        log: What the CDK says of the deployment.
        show: Shows a line about a step that goes on.
        now: Seconds that only rise.
    """

    def __init__(self, log: Path, show: Callable[[str], None], now: Callable[[], float] = monotonic) -> None:
        self._log, self._show, self._now, self._began = log, show, now, now()
        self._deployed_before = _size(log)
        self.begun: list[str] = []

    def begin(self, step: str) -> None:
        self.begun.append(step)
        note(f"  [{self._seconds()} s] {step}")

    def go_on(self) -> None:
        """Show how far the step is that goes on; nothing before the first."""
        if self.begun:
            self._show(f"  [{self._seconds()} s] {self.begun[-1]}{self._so_far()} …")

    def _seconds(self) -> str:
        return f"{self._now() - self._began:3.0f}"

    def _so_far(self) -> str:
        """`: 41 of 112 resources` while the stack is deployed; before that the functions' packages are made."""
        if "cdk deploy" not in self.begun[-1]:
            return ""
        found = _DONE.findall(_tail(self._log, self._deployed_before))
        if not found:
            return ": packing the functions"
        return f": {int(found[-1][0])} of {int(found[-1][1])} resources"


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def _tail(log: Path, after: int) -> bytes:
    """The end of what was written after so many bytes."""
    with suppress(OSError), log.open("rb") as file:
        file.seek(max(after, _size(log) - _TAIL_BYTES))
        return file.read()
    return b""


@contextmanager
def steps_shown(log: Path, console: Console | None = None) -> Iterator[Steps]:
    """On a terminal a line that counts the seconds; elsewhere a line every twenty of them."""
    console = console or err()
    status = Status("", console=console) if console.is_terminal else None
    steps = Steps(log, note if status is None else status.update)
    over = Event()
    ticking = Thread(target=_tick, args=(steps, over, status), daemon=True)
    ticking.start()
    try:
        yield steps
    finally:
        over.set()
        ticking.join()


def _tick(steps: Steps, over: Event, status: Status | None) -> None:
    if status is None:
        while not over.wait(_EVERY_SECONDS):
            steps.go_on()
        return
    with status:
        while not over.wait(_ON_A_TERMINAL):
            steps.go_on()

"""Programs that outlive the command which started them, found again by number and start time."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from local_cloud.state import Process

PROC = Path("/proc")
STOP_SECONDS = 15.0  # the emulator writes its state when it is told to stop
LOOK_EVERY_SECONDS = 0.02
START_TIME_FIELD = 19  # of /proc/PID/stat, counted after the name in brackets (proc(5): field 22)


def start(command: Sequence[str], *, environment: Mapping[str, str], log: Path) -> Process:
    """Start a program in a session of its own: neither Ctrl-C nor a closed terminal reaches it."""
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawn(
        command[0],
        list(command),
        dict(environment),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), append, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    return Process(pid=pid, identity=_identity(pid) or "")


def is_running(process: Process) -> bool:
    """Tell whether the program itself still runs, not another that was given its number."""
    return _identity(process.pid) == process.identity


def stop(process: Process) -> None:
    """End the program, gently first. Nothing happens if it has ended already."""
    for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
        if not is_running(process):
            return
        os.kill(process.pid, number)
        deadline = time.monotonic() + seconds
        while is_running(process) and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY_SECONDS)


def _identity(pid: int) -> str | None:
    """When the program was started, as the system says it; None when it has ended."""
    try:
        ended, _ = os.waitpid(pid, os.WNOHANG)  # a child that ended keeps its number until its parent asks
    except ChildProcessError:
        return _of_stranger(pid)
    return None if ended else _look(pid)[1]


def _of_stranger(pid: int) -> str | None:
    """Another's child may have ended with nobody asking; what is left of it does not run."""
    state, started = _look(pid)
    return None if state.startswith("Z") else started


def _look(pid: int) -> tuple[str, str | None]:
    """The state and the start of a program, as this system tells them."""
    return _from_proc(pid) if PROC.is_dir() else _from_ps(pid)


def _from_proc(pid: int) -> tuple[str, str | None]:
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "", None
    return fields[0], fields[START_TIME_FIELD]


def _from_ps(pid: int) -> tuple[str, str | None]:
    command = ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - a number and fixed words
    state, _, started = done.stdout.strip().partition(" ")
    return state, started.strip() or None

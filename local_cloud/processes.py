"""Programs that outlive the command which started them, found again by number, start time and this boot of the machine.

Numbers begin anew with each boot, and on Linux start times count from it.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from local_cloud.state import Process

PROC = Path("/proc")
STOP_SECONDS = 15.0  # the emulator writes its state when it is asked to stop
GROUP_STOP_SECONDS = 2.0  # what a program has started has nothing to save
LOOK_EVERY_SECONDS = 0.02
BOOT_ID = PROC / "sys" / "kernel" / "random" / "boot_id"
# Of /proc/PID/stat, counted after the name in brackets (proc(5): fields 3, 5, 6, 22).
STATE_FIELD, GROUP_FIELD, SESSION_FIELD, START_TIME_FIELD = 0, 2, 3, 19


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


def start_ready(
    command: Sequence[str], *, environment: Mapping[str, str], log: Path, wait: Callable[[Process], None]
) -> Process:
    """Start a program and wait until it is ready; one that is given up, or interrupted, is ended: it holds its port."""
    process = start(command, environment=environment, log=log)
    try:
        wait(process)
    except BaseException:
        stop(process)
        raise
    return process


def is_running(process: Process) -> bool:
    """Tell whether the program itself still runs, not another that was given its number."""
    return _is(process, _identity(process.pid))


def stop(process: Process) -> list[int]:
    """End the program, gently first, then all that it has started, also where it has ended already.

    Returns the numbers of those that could not be ended.
    """
    boot, _, started = process.identity.rpartition("/")
    now = _identity(process.pid)
    if boot not in {_boot(), ""} or not (now is None or _is(process, now)):
        return []  # another program has, or had, the number: all that was ours is gone
    for number in (signal.SIGTERM, signal.SIGKILL):
        if is_running(process):
            os.kill(process.pid, number)
            _wait_while(lambda: is_running(process), STOP_SECONDS)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in _members(process.pid, started):
            with suppress(ProcessLookupError):  # it ended meanwhile
                os.kill(pid, number)
        _wait_while(lambda: bool(_members(process.pid, started)), GROUP_STOP_SECONDS)
    return _members(process.pid, started)


def _is(process: Process, identity: str | None) -> bool:
    """Return whether this is the program's identity. One that an older version started has no boot in its own."""
    return identity is not None and process.identity in {identity, identity.rpartition("/")[2]}


def _wait_while(is_so: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while is_so() and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_SECONDS)


def _members(group: int, started: str) -> list[int]:
    """The programs of a process group that run and are no older than it; those that ended with nobody asking do not."""
    return _members_from_proc(group, started) if PROC.is_dir() else _members_from_ps(group)


def _members_from_proc(group: int, started: str) -> list[int]:
    found = ((int(path.name), _stat(int(path.name))) for path in PROC.iterdir() if path.name.isdigit())
    return [pid for pid, fields in found if fields and _is_member(fields, group, started)]


def _is_member(fields: Sequence[str], group: int, started: str) -> bool:
    is_of_group = fields[GROUP_FIELD] == fields[SESSION_FIELD] == str(group)
    return is_of_group and fields[STATE_FIELD] not in "ZX" and int(fields[START_TIME_FIELD]) >= int(started)


def _members_from_ps(group: int) -> list[int]:
    command = ["/bin/ps", "-A", "-o", "pid=,pgid=,stat="]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - fixed words
    found = (line.split() for line in done.stdout.splitlines())
    return [int(pid) for pid, of_group, state in found if of_group == str(group) and not state.startswith("Z")]


def _identity(pid: int) -> str | None:
    """This boot and when the program was started, as the system says it; None when it has ended."""
    started = _started(pid)
    return started and f"{_boot()}/{started}"


@cache
def _boot() -> str:
    """A name of this boot of the machine."""
    if BOOT_ID.is_file():
        return BOOT_ID.read_text().strip()
    command = ["/usr/sbin/sysctl", "-n", "kern.boottime"]
    return "".join(subprocess.run(command, check=False, capture_output=True, text=True).stdout.split())  # noqa: S603 - fixed words


def _started(pid: int) -> str | None:
    try:
        ended, _ = os.waitpid(pid, os.WNOHANG)  # a child that ended keeps its number until its parent asks
    except ChildProcessError:
        return _of_unowned(pid)
    return None if ended else _process_state(pid)[1]


def _of_unowned(pid: int) -> str | None:
    """Another's child may have ended with nobody asking; what is left of it does not run."""
    state, started = _process_state(pid)
    return None if state.startswith("Z") else started


def _process_state(pid: int) -> tuple[str, str | None]:
    """The state and the start of a program, as this system tells them."""
    return _from_proc(pid) if PROC.is_dir() else _from_ps(pid)


def _from_proc(pid: int) -> tuple[str, str | None]:
    fields = _stat(pid)
    return (fields[STATE_FIELD], fields[START_TIME_FIELD]) if fields else ("", None)


def _stat(pid: int) -> list[str]:
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _from_ps(pid: int) -> tuple[str, str | None]:
    command = ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - a number and fixed words
    state, _, started = done.stdout.strip().partition(" ")
    return state, started.strip() or None

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from local_cloud import processes
from local_cloud.errors import LocalCloudError
from local_cloud.state import Process

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)",
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def started(command: list[str], log: Path) -> Process:
    process = processes.start(command, environment={"ONLY": "this"}, log=log)
    while "up" not in log.read_text():
        time.sleep(0.01)
    return process


def test_a_started_program_runs_in_a_session_of_its_own_until_it_is_stopped(log: Path) -> None:
    process = started(SLEEPER, log)
    assert processes.is_running(process)
    assert os.getsid(process.pid) == process.pid
    processes.stop(process)
    assert not processes.is_running(process)


@pytest.mark.parametrize("why", [LocalCloudError("it did not answer"), KeyboardInterrupt()])
def test_a_program_that_never_gets_ready_is_ended(log: Path, why: BaseException) -> None:
    found: list[Process] = []

    def wait(process: Process) -> None:
        found.append(process)
        raise why

    with pytest.raises(type(why)):
        processes.start_ready(SLEEPER, environment={}, log=log, wait=wait)
    assert not processes.is_running(found[0])


def test_a_program_that_an_older_version_started_is_known_without_its_boot(log: Path) -> None:
    process = started(SLEEPER, log)
    older = Process(pid=process.pid, identity=process.identity.rpartition("/")[2])
    assert processes.is_running(older)
    assert processes.stop(older) == []
    assert not processes.is_running(process)


def test_a_program_that_does_not_listen_is_ended(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STOP_SECONDS", 0.2)
    process = started(STUBBORN, log)
    processes.stop(process)
    assert not processes.is_running(process)


def test_another_program_with_the_same_number_is_left_alone(log: Path) -> None:
    process = started(SLEEPER, log)
    stranger = Process(pid=process.pid, identity="another start")
    assert not processes.is_running(stranger)
    processes.stop(stranger)
    assert processes.is_running(process)
    processes.stop(process)


def test_a_program_gets_the_given_environment_only(log: Path) -> None:
    command = [sys.executable, "-c", "import os; print('up', sorted(set(os.environ) - {'LC_CTYPE'}))"]
    started(command, log)
    assert log.read_text().strip() == "up ['ONLY']"


PARENT = """
import signal, subprocess, sys, time
child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
print(subprocess.Popen([sys.executable, '-c', child]).pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("identity", ["another-boot/{at}", "{boot}/{later}"])
def test_what_a_stranger_with_the_same_number_has_left_running_is_left_alone(log: Path, identity: str) -> None:
    """The leader of a group has ended, what it began runs on, and the number is one that ours had before a reboot."""
    stranger = started([sys.executable, "-c", PARENT], log)
    child = int(log.read_text().split()[0])
    os.kill(stranger.pid, signal.SIGKILL)
    os.waitpid(stranger.pid, 0)
    try:
        boot, _, at = stranger.identity.rpartition("/")
        ours = Process(pid=stranger.pid, identity=identity.format(boot=boot, at=at, later=int(at) + 10**6))
        assert processes.stop(ours) == []
        assert is_alive(child)
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("killed_before", [False, True])
def test_what_a_program_has_started_ends_with_it(
    log: Path, monkeypatch: pytest.MonkeyPatch, *, killed_before: bool
) -> None:
    monkeypatch.setattr(processes, "GROUP_STOP_SECONDS", 0.2)
    process = started([sys.executable, "-c", PARENT], log)
    child = int(log.read_text().split()[0])
    if killed_before:
        os.kill(process.pid, signal.SIGKILL)
        os.waitpid(process.pid, 0)
    assert processes.stop(process) == []
    assert not is_alive(child)


def is_alive(pid: int) -> bool:
    """Whether it runs; one whose parent is gone may keep its number for a while after its end."""
    try:
        return ") Z " not in Path("/proc", str(pid), "stat").read_text()
    except FileNotFoundError:
        return False

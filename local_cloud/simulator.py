"""The provider simulator's process. It keeps its batches in the folder, as a provider would."""

import json
import sys
import time
from pathlib import Path

from local_cloud import processes
from local_cloud.environment import plain
from local_cloud.errors import LocalCloudError
from local_cloud.machine import need_port
from local_cloud.state import HOST, Folder, Process, Saved
from provider_simulator.door import KEY_VARIABLE

START_SECONDS = 300.0  # as the emulator's
LOOK_EVERY_SECONDS = 0.05


def start(folder: Folder, saved: Saved) -> Process:
    """Start the simulator and wait for the line that says where it listens.

    Raises:
        LocalCloudError: It ended, or its port is taken.
    """
    need_port(saved.simulator_port)
    log = folder.logs / "simulator.log"
    log.unlink(missing_ok=True)
    command = [sys.executable, "-P", "-m", "provider_simulator", "--host", HOST, "--port", str(saved.simulator_port)]
    command += ["--data", str(folder.simulator)]
    environment = plain(folder) | {KEY_VARIABLE: saved.simulator_key}
    return processes.start_ready(command, environment=environment, log=log, wait=lambda process: _wait(process, log))


def _wait(process: Process, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if _listens(log):
            return
        if not processes.is_running(process):
            raise LocalCloudError(f"The provider simulator ended as it was started: see {log}")
        time.sleep(LOOK_EVERY_SECONDS)
    raise LocalCloudError(f"The provider simulator did not start within {START_SECONDS:.0f} s: see {log}")


def _listens(log: Path) -> bool:
    if not log.exists():
        return False
    return any(_is_address(line) for line in log.read_text().splitlines())


def _is_address(line: str) -> bool:
    try:
        return "url" in json.loads(line)
    except (ValueError, TypeError):
        return False

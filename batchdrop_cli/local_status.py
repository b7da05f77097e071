"""Whether the cloud on this machine is up, which of its programs run, and whether it is out of date."""

from pathlib import Path
from typing import Literal

import msgspec

import local_cloud
from batchdrop_cli.cloud import in_folder
from batchdrop_cli.say import say
from local_cloud.machine import full_disk
from local_cloud.running import programs

LocalState = Literal["up", "partly up", "down", "none"]


class LocalStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The output of `local status --json`. `programs` says of each program whether it runs."""

    state: LocalState
    state_dir: str
    programs: dict[str, bool]
    endpoint: str | None
    bucket: str | None
    logs: str | None
    warning: str | None


def status_of(folder: Path) -> LocalStatus:
    """Return the status of a folder's cloud; nothing is started or changed."""
    found = local_cloud.current(folder)
    running = programs(folder)
    state: LocalState = "up" if found is not None else "partly up" if any(running.values()) else "down"
    return LocalStatus(
        state=state if local_cloud.exists(folder) else "none",
        state_dir=str(folder),
        programs=running,
        endpoint=None if found is None else found.endpoint,
        bucket=None if found is None else found.bucket,
        logs=None if found is None else found.logs,
        warning=full_disk(folder) or None,
    )


def say_status(status: LocalStatus, state_dir: Path | None) -> None:
    start = f"batchdrop local up{in_folder(state_dir)}"
    match status.state:
        case "none":
            say(f"There is no local cloud in {status.state_dir}. Start one with: {start}")
        case "down":
            say(f"The local cloud of {status.state_dir} is down; its state is kept. Start it with: {start}")
        case "partly up":
            dead = ", ".join(name for name, runs in status.programs.items() if not runs)
            say(f"The local cloud of {status.state_dir} is incomplete: {dead} is not running. Restart it with: {start}")
        case "up":
            say(f"The local cloud of {status.state_dir} is up at {status.endpoint}.")
            say(f"  bucket  {status.bucket}")
            say(f"  logs    {status.logs}")
    if status.warning:
        say(status.warning, style="red")

"""Which local cloud is meant: the one that is named, the one of this folder, or the one that was brought up last."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

import local_cloud
from batchdrop_cli.say import note

HERE = Path(".local")
VARIABLE = "BATCHDROP_STATE_DIR"
_PROJECT = Path(__file__).resolve().parent.parent


def find_state_dir(given: Path | None) -> Path:
    """The folder that `--state-dir` or the environment names; else `.local` if a cloud is there, or the last one's."""
    named = os.environ.get(VARIABLE)
    if given is not None or named:
        return given or Path(str(named))
    last = None if local_cloud.exists(HERE) else _last()
    if last is None:
        return HERE
    note(f"Using the local cloud of {last}; --state-dir or {VARIABLE} names another.")
    return last


def is_named(given: Path | None) -> bool:
    """Whether somebody said which one."""
    return given is not None or bool(os.environ.get(VARIABLE))


def remember_state_dir(folder: Path) -> None:
    """Make it the last one. Where nothing can be written, there is none."""
    with suppress(OSError):
        _record().parent.mkdir(parents=True, exist_ok=True)
        _record().write_text(str(folder.resolve()), encoding="utf-8")


def _last() -> Path | None:
    with suppress(OSError):
        folder = Path(_record().read_text(encoding="utf-8"))
        return folder if local_cloud.exists(folder) else None
    return None


def _record() -> Path:
    """One for each clone of this project: another's cloud runs other code."""
    states = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
    return states / "batchdrop" / f"last-{hashlib.sha256(str(_PROJECT).encode()).hexdigest()[:12]}"

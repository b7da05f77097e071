"""Finds the local cloud: the one that is named, the one of this folder, or the one that was brought up last."""

import hashlib
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

import local_cloud
from batchdrop_cli.say import Notify, note
from batchdrop_cli.user_errors import UserError
from local_cloud.state import PRIVATE_FILE

HERE = Path(".local")
VARIABLE = "BATCHDROP_STATE_DIR"
_PROJECT = Path(__file__).resolve().parent.parent
_KEPT_SECONDS = 8 * 86_400
_OWNER = "owner"  # a file in the folder: what lies there runs as whoever brings it up


def find_state_dir(given: Path | None, notify: Notify = note) -> Path:
    """The folder that `--state-dir` or the environment names; else `.local` if a cloud is there, or the last one's.

    Raises:
        UserError: The cloud in `.local` came with the folder, from somebody else.
    """
    named = os.environ.get(VARIABLE)
    if given is not None or named:
        return given or Path(str(named))
    if local_cloud.exists(HERE):
        return need_own(HERE)
    last = _last()
    if last is None:
        return HERE
    notify(f"Using the local cloud of {last}; --state-dir or {VARIABLE} names another.")
    return last


def is_named(given: Path | None) -> bool:
    """Return whether somebody said which one."""
    return given is not None or bool(os.environ.get(VARIABLE))


def need_own(folder: Path) -> Path:
    """The folder, if it holds no cloud or one that this user brought up: its functions would run as this user.

    Raises:
        UserError: It holds another cloud.
    """
    if local_cloud.exists(folder) and not _is_own(folder):
        raise UserError(
            f"The local cloud in {folder} was brought up by somebody else, or by an older version: its functions "
            f"would run as you. If it is yours, name it once: batchdrop local up --state-dir {folder}"
        )
    return folder


def own_state_dir(folder: Path) -> None:
    """Note that what this folder will hold is this user's own; before a cloud is brought up in it, or again."""
    if _is_own(folder):
        return
    token = secrets.token_hex()
    with suppress(OSError):
        folder.mkdir(0o700, parents=True, exist_ok=True)
        _token_of(folder).parent.mkdir(parents=True, exist_ok=True)
        for path in (folder / _OWNER, _token_of(folder)):
            _write_private(path, token)


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)  # it may be a link to somewhere else, or open to others
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE), "w", encoding="utf-8") as file:
        file.write(text)


def _is_own(folder: Path) -> bool:
    with suppress(OSError):
        return (folder / _OWNER).read_text(encoding="utf-8") == _token_of(folder).read_text(encoding="utf-8")
    return False


def remember_state_dir(folder: Path) -> None:
    """Make it the last one. Where nothing can be written, there is none."""
    with suppress(OSError):
        _record().parent.mkdir(parents=True, exist_ok=True)
        _record().write_text(str(folder.resolve()), encoding="utf-8")


def _last() -> Path | None:
    with suppress(OSError):
        folder = Path(_record().read_text(encoding="utf-8"))
        return folder if local_cloud.exists(folder) and _is_own(folder) else None
    return None


def _record() -> Path:
    """One for each clone of this project: another's cloud runs other code."""
    return states() / f"last-{_short_hash(_PROJECT)}"


def _token_of(folder: Path) -> Path:
    return states() / f"owner-{_short_hash(folder.resolve())}"


def states() -> Path:
    """The folder of what the command remembers on this machine."""
    return Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "batchdrop"


def forget_old(folder: Path) -> None:
    """Delete notes that nobody can go on with: the bucket keeps the parts of an upload for a week."""
    for path in folder.iterdir():
        with suppress(OSError):  # another command deletes it, too
            if path.stat().st_mtime < time.time() - _KEPT_SECONDS:
                path.unlink()


def _short_hash(path: Path) -> str:
    return hashlib.sha256(str(path).encode()).hexdigest()[:12]

"""Temporary folders: each process spools into its own, and deletes those of processes that were killed.

Lambda does not clear /tmp when it ends a run for its time or its memory and starts the process anew in the same place
(https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html). On other machines processes share it, so
each holds a lock on its folder, which the kernel takes from it when it ends, however it ends.
"""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Lock
from typing import BinaryIO

_PREFIX = "batchdrop-spool-"
_TRIES = 5
_making = Lock()


def temporary_folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(dir=own_folder())


def temporary_file() -> BinaryIO:
    return tempfile.TemporaryFile(dir=own_folder())


def own_folder() -> Path:
    """This process's folder; the first call deletes what processes left that are no more."""
    with _making:  # parts of an upload are made by threads
        return _own_folder(os.getpid())


@cache
def _own_folder(_pid: int) -> Path:
    # A fork has the lock of the process that it comes from, and makes a folder of its own.
    root = Path(tempfile.gettempdir())
    for folder in root.glob(f"{_PREFIX}*"):
        _delete_if_left(folder)
    for _ in range(_TRIES):
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
        if _lock(folder) is not None and folder.is_dir():  # another may delete it before it is locked
            return folder
    raise OSError(f"no folder could be locked below {root}: let TMPDIR name one on a disk of this machine")


def _delete_if_left(folder: Path) -> None:
    descriptor = _lock(folder)
    if descriptor is not None:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _lock(folder: Path) -> int | None:
    """Lock a folder as long as the descriptor is open; None where another process has it, or another user."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
        else:
            return descriptor
    return None

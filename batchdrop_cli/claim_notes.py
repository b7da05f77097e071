"""The mark of a claim on bytes, kept on this machine while a large file is sent, so that a crash does not block it.

A process that is killed cannot give its claim back. Whoever repeats its command here finds its mark, and with it gets
the claim again. The mark is locked while its process lives, and forgotten before S3 is asked to make an object of the
parts: from then on a job may come of them, and the claim stands for as long as it was taken.
"""

import fcntl
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from batchdrop_cli.state_dir import forget_old, states
from local_cloud.state import PRIVATE_FILE, PRIVATE_FOLDER


@dataclass(frozen=True)
class KeptMark:
    """A mark, and the file that holds it; None where none does."""

    mark: str
    path: Path | None = None
    file: BinaryIO | None = None

    def forget(self) -> None:
        """Let nobody take the claim back."""
        if self.path is not None and self.file is not None:
            self.file.truncate(0)  # for who has opened it already
            self.path.unlink(missing_ok=True)


@contextmanager
def kept_mark(*names: str, is_kept: bool) -> Iterator[KeptMark]:
    """The mark of a process that was killed, or a new one; `names` are the claim's, and where its bytes go."""
    if not is_kept:
        yield KeptMark(uuid.uuid4().hex)
        return
    path = states() / "claims" / hashlib.sha256(json.dumps(names).encode()).hexdigest()[:24]
    try:
        path.parent.mkdir(PRIVATE_FOLDER, parents=True, exist_ok=True)
        forget_old(path.parent)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
    except OSError:
        yield KeptMark(uuid.uuid4().hex)
        return
    with os.fdopen(handle, "r+b", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # another command has it, or this disk knows no locks
            yield KeptMark(uuid.uuid4().hex)
            return
        yield KeptMark(_read_or_write(file), path, file)


def _read_or_write(file: BinaryIO) -> str:
    mark = file.read().decode("ascii", "replace")
    if len(mark) != len(uuid.uuid4().hex):
        mark = uuid.uuid4().hex
        file.truncate(0)
        file.seek(0)
        file.write(mark.encode())
        os.fsync(file.fileno())
    return mark

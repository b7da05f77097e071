"""Checks what a local cloud needs: room on the disk, and its ports."""

import shutil
from pathlib import Path

from local_cloud.errors import LocalCloudError
from local_cloud.state import is_free

NEEDED_BYTES = 300_000_000  # the functions' package, its copy in the bucket and unpacked, and some files
FULL_BYTES = 20_000_000  # below this a write may fail at any time
MB = 1_000_000


def need_room(folder: Path) -> None:
    """Raises: LocalCloudError, when there is too little room for a local cloud."""
    free = free_bytes(folder)
    if free < NEEDED_BYTES:
        raise LocalCloudError(
            f"The disk of {folder} has {free // MB} MB left, and a local cloud needs {NEEDED_BYTES // MB}: make room, "
            "or name a folder on another disk with --state-dir."
        )


def full_disk(folder: Path) -> str | None:
    """Return a sentence where the disk of a running cloud is full; None where it is not."""
    free = free_bytes(folder)
    if free >= FULL_BYTES:
        return None
    return f"The disk of {folder} is full ({free // MB} MB left): nothing goes on until there is room."


def free_bytes(folder: Path) -> int:
    there = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())
    return shutil.disk_usage(there).free


def need_port(port: int) -> None:
    """Raises: LocalCloudError, when another program listens there."""
    if not is_free(port):
        raise LocalCloudError(
            f"Port {port}, which is this local cloud's, is taken by another program: end that one, or bring up "
            "another cloud in a folder of its own with --state-dir."
        )

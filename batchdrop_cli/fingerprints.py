"""By what a dropped file is known again: its size, the ETags that S3 gives its bytes, and the settings of its own."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

PART_BYTES = 8 * 1024 * 1024  # what boto3 and the aws command take, so that their uploads have the same ETag
_READ_BYTES = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """A file's size and the ETags that S3 gives its bytes: of an upload in one piece, and of one in parts.

    `settings` names those of its own: the same rows under another template are other requests. `state` is the file's
    before it was read.
    """

    bytes: int
    etags: frozenset[str]
    settings: str | None = None
    state: tuple[int, ...] | None = None

    @property
    def digest(self) -> str:
        return "-".join([*sorted(self.etags), *filter(None, [self.settings])])

    def matches(self, size: int, etag: str | None) -> bool:
        return size == self.bytes and etag is not None and etag.strip('"') in self.etags


def fingerprint_of(path: Path) -> Fingerprint:
    """Read the file once, in constant memory.

    S3's ETag is an MD5, or the MD5 of the parts' MD5s and their number (the bucket is encrypted with S3's own keys,
    which leaves it so). Beyond 10,000 parts, 80 GB, boto3 takes larger ones: such a file is not recognised.
    """
    whole, parts = hashlib.md5(usedforsecurity=False), hashlib.md5(usedforsecurity=False)
    size = number = 0
    with path.open("rb") as file:
        state = state_of(file)
        while file.peek(1):
            digest = hashlib.md5(usedforsecurity=False)
            for piece in _pieces(file.read, PART_BYTES):
                digest.update(piece)
                whole.update(piece)
                size += len(piece)
            parts.update(digest.digest())
            number += 1
    etags = frozenset({whole.hexdigest(), f"{parts.hexdigest()}-{number}"})
    return Fingerprint(bytes=size, etags=etags, state=state)


def state_of(file: BinaryIO) -> tuple[int, ...]:
    """Return a value that changes once somebody writes to a file, or replaces it."""
    found = os.fstat(file.fileno())
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _pieces(read: Callable[[int], bytes], size: int) -> Iterator[bytes]:
    while size and (piece := read(min(size, _READ_BYTES))):
        size -= len(piece)
        yield piece

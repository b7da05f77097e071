"""Compressed test inputs, the same bytes in every run: gzip writes the second into its header otherwise."""

import gzip
from collections.abc import Callable

from backports import zstd


def gzipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


PACK: dict[str, Callable[[bytes], bytes]] = {"gz": gzipped, "zst": zstd.compress}

"""Compressed input: inflated once, as a stream, into an object of the job's own, and ordinary from then on."""

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

from aws_lambda_powertools import Logger
from backports import zstd

from batchdrop.errors import Unprocessable
from batchdrop.zlib_decompressor import GZIP, ZlibDecompressor

logger = Logger(child=True)

# In a CPU second 190 MB of gzip or 400 MB of zstd were downloaded, inflated and uploaded (text, without TLS), and the
# function has half a processor. A fifth of that leaves room for TLS and for a slower one.
BYTES_PER_SECOND = 20_000_000
_WINDOW_LOG = 27  # 128 MiB in memory: what zstd itself takes by default
_FEED = 64 * 1024
_PIECE = 1024 * 1024
_PADDING = {"gzip": b"\0", "zstd": b""}  # what may lie behind the last member


class _Inflater(Protocol):
    """One member or frame; the shape of Python's own bz2, lzma and zstd."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def _gzip() -> _Inflater:
    return ZlibDecompressor(GZIP)


def _zstd() -> _Inflater:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG})


_KINDS: dict[str, tuple[str, Callable[[], _Inflater]]] = {"gz": ("gzip", _gzip), "zst": ("zstd", _zstd)}


def inflate(chunks: Iterator[bytes], key: str, *, max_bytes: int) -> Iterator[bytes]:
    """The inflated bytes of an object whose key ends in `.gz` or `.zst`, all members or frames of it.

    Raises:
        Unprocessable: It is damaged, or becomes larger than `max_bytes`: of any ratio, a bomb is stopped there in
            constant memory, and a file whose lines repeat a long prompt inflates to over 1,000 times its size.
    """
    name, make = _KINDS[key.rpartition(".")[2]]
    padding = _PADDING[name]
    inflated = members = 0
    member: _Inflater | None = None
    for fed in _fed(chunks):
        data = fed.lstrip(padding) if members and member is None else fed
        while data or (member is not None and not member.needs_input):
            if member is None:
                member, members = make(), members + 1
            piece = _decompress(member, data, name, is_first=members == 1)
            inflated += len(piece)
            _refuse_too_large(inflated, max_bytes)
            yield piece
            data = member.unused_data.lstrip(padding) if member.eof else member.unused_data
            member = None if member.eof else member
    if member is not None or not members:
        raise Unprocessable(f"The file is truncated: the {name} stream ends early.")


def _decompress(member: _Inflater, data: bytes, name: str, *, is_first: bool) -> bytes:
    try:
        return member.decompress(data, _PIECE)
    except (zlib.error, zstd.ZstdError) as error:
        raise _damaged(name, str(error), is_first=is_first) from None


def _fed(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in smaller pieces: what cannot be taken yet is copied each time."""
    return (chunk[at : at + _FEED] for chunk in chunks for at in range(0, len(chunk), _FEED))


def _refuse_too_large(inflated: int, max_bytes: int) -> None:
    if inflated > max_bytes:
        raise Unprocessable(
            f"The file inflates to more than {max_bytes:,} bytes, more than one run can process: drop it as "
            ".jsonl, or split it into several files."
        )


def _damaged(name: str, error: str, *, is_first: bool) -> Unprocessable:
    is_other = "header check" in error or "Unknown frame" in error
    if is_other and is_first:
        return Unprocessable(f"The file is not {name}, although its name says so.")
    if is_other:
        return Unprocessable(f"The file's {name} data is followed by something else.")
    if "too much memory" in error:
        return Unprocessable(f"The file was compressed with a window of more than {2**_WINDOW_LOG:,} bytes.")
    return Unprocessable(f"The file's {name} data is damaged.")

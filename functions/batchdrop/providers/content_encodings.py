"""Downloads that a server compresses although it was asked not to: decoded while they come, in little memory."""

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from backports import zstd

from batchdrop.zlib_decompressor import DEFLATE, GZIP, ZLIB, ZlibDecompressor

_PIECE = 256 * 1024  # bytes at most that one step decodes to, however little they were before
_IDENTITY = frozenset({"", "identity"})


class UnknownEncodingError(Exception):
    """The server names an encoding that cannot be decoded here; its message is the name."""


class BadEncodingError(Exception):
    """The bytes do not match their encoding, or end too early."""


def _new_deflate(first: bytes) -> ZlibDecompressor:
    """`deflate` is zlib's format by the standard, and bare deflate at many servers: the first byte tells."""
    return ZlibDecompressor(ZLIB if first[0] & 0x0F == zlib.DEFLATED else DEFLATE)


# A decoder of each by the first bytes of what it decodes.
_DECODERS: dict[str, Callable[[bytes], Any]] = {
    "gzip": lambda _: ZlibDecompressor(GZIP),
    "x-gzip": lambda _: ZlibDecompressor(GZIP),
    "deflate": _new_deflate,
    "zstd": lambda _: zstd.ZstdDecompressor(),
}


def parse_encodings(header: str | None) -> list[str]:
    """The encodings of a body in the order in which they were applied; none where it comes as it is stored.

    Raises:
        UnknownEncodingError: One of them cannot be decoded here.
    """
    names = [name.strip().lower() for name in (header or "").split(",")]
    encodings = [name for name in names if name not in _IDENTITY]
    for name in encodings:
        if name not in _DECODERS:
            raise UnknownEncodingError(name)
    return encodings


def decode(chunks: Iterable[bytes], encodings: list[str]) -> Iterator[bytes]:
    """The bytes behind encodings, in pieces.

    Raises:
        BadEncodingError: They are not what they should be; what was decoded before was right.
    """
    for name in reversed(encodings):
        chunks = _decoded(chunks, _DECODERS[name])
    yield from chunks


def _decoded(chunks: Iterable[bytes], new: Callable[[bytes], Any]) -> Iterator[bytes]:
    """Members, or frames, one after the other; no bytes at all are none."""
    decoder: Any = None
    try:
        for chunk in chunks:
            data = chunk
            while data:
                decoder = new(data) if decoder is None or decoder.eof else decoder
                yield from _drained(decoder, data)
                data = decoder.unused_data
    except (zlib.error, zstd.ZstdError) as error:
        raise BadEncodingError(type(error).__name__) from error
    if decoder is not None and not decoder.eof:
        raise BadEncodingError("it ends too early")


def _drained(decoder: Any, data: bytes) -> Iterator[bytes]:  # noqa: ANN401 - zlib's or zstd's
    """Yield a decoder's output for some bytes, to the last of them or to the end of its member."""
    yield decoder.decompress(data, _PIECE)
    while not decoder.eof and not decoder.needs_input:
        yield decoder.decompress(b"", _PIECE)

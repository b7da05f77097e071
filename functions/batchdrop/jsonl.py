"""JSONL as bytes: a stream is cut into lines, each with its place, in constant memory. Pure."""

from collections.abc import Callable, Iterable, Iterator

import msgspec

Read = Callable[[int, int], Iterator[bytes]]
"""The bytes of an object from a start to an end, in pieces."""


class Line(msgspec.Struct, frozen=True, gc=False):
    """A line where it lies: `offset` and `length` in the object, its line feed aside; `bytes` None when too long."""

    offset: int
    length: int
    bytes: "bytes | None"


def cut_lines(chunks: Iterable[bytes], *, offset: int, max_bytes: int) -> Iterator[Line]:
    r"""Cut a stream at every `\n`, and only there. `offset` is where the stream begins in the object.

    The last line needs no line end. A line over `max_bytes` is passed over without being held in memory. A `\r`
    before the line end counts in the length, and is not among the bytes.
    """
    held: list[bytes] = []
    length = 0
    for chunk in chunks:
        pieces = chunk.split(b"\n")
        last = pieces.pop()
        for piece in pieces:
            length += len(piece)
            text = None if length > max_bytes else (b"".join((*held, piece)) if held else piece).removesuffix(b"\r")
            held = []  # before the line is used: it may be as long as memory allows
            yield Line(offset, length, text)
            offset += length + 1
            length = 0
        length += len(last)
        if length > max_bytes:
            held = []
        elif last:
            held.append(last)
    if length > max_bytes:
        yield Line(offset, length, None)
    elif length:
        text = b"".join(held).removesuffix(b"\r")
        yield Line(offset, length, text)

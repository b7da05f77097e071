"""JSONL as bytes: a stream is cut into lines, or blocks of whole lines, each with its place. Pure.

Memory is constant: a line, or a block and a chunk of the stream.
"""

from collections.abc import Callable, Iterable, Iterator

import msgspec

Read = Callable[[int, int], Iterator[bytes]]
"""The bytes of an object from a start to an end, in pieces."""


class Line(msgspec.Struct, frozen=True, gc=False):
    """A line where it lies: `offset` and `length` in the object, its line feed aside; `bytes` None when too long."""

    offset: int
    length: int
    bytes: "bytes | None"

    @property
    def end(self) -> int:
        """Where the next line begins, if there is one."""
        return self.offset + self.length + 1


class Block(msgspec.Struct, frozen=True, gc=False):
    """Whole lines, each with its line feed, that begin at `offset` in the object."""

    offset: int
    bytes: bytes

    @property
    def end(self) -> int:
        return self.offset + len(self.bytes)

    def lines(self, *, max_bytes: int) -> Iterator[Line]:
        return cut_lines((self.bytes,), offset=self.offset, max_bytes=max_bytes)

    def cut(self, lines: int) -> "Iterator[Block]":
        """The same in blocks of so many lines."""
        start = 0
        while start < len(self.bytes):
            end = start
            for _ in range(lines):
                end = self.bytes.find(b"\n", end) + 1 or len(self.bytes)
            yield Block(self.offset + start, self.bytes[start:end])
            start = end

    def halves(self) -> "tuple[Block, Block] | None":
        """Two smaller blocks, as near the middle as a line ends; None for a single line."""
        middle = len(self.bytes) // 2
        cut = self.bytes.rfind(b"\n", 0, middle) + 1 or self.bytes.find(b"\n", middle) + 1
        if cut == len(self.bytes):
            return None
        return Block(self.offset, self.bytes[:cut]), Block(self.offset + cut, self.bytes[cut:])


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


def joined(chunks: Iterable[bytes], least: int) -> Iterator[bytes]:
    """A stream in chunks of so many bytes at least, but for the last: what comes in small pieces is cut less often."""
    held: list[bytes] = []
    length = 0
    for chunk in chunks:
        held.append(chunk)
        length += len(chunk)
        if length >= least:
            yield b"".join(held)
            held, length = [], 0
    if held:
        yield b"".join(held)


def cut_blocks(chunks: Iterable[bytes], *, offset: int, max_bytes: int, block_bytes: int) -> Iterator[Line | Block]:
    """Cut a stream into the lines of `cut_lines`, those together that lie whole in one chunk.

    A block has about `block_bytes` at most, or one line. A line that begins in one chunk and ends in another stands
    alone, and so does the last one if it has no line end.
    """
    held: list[bytes] = []
    length = 0  # of the line that is not whole yet
    for chunk in chunks:
        start = 0
        if length:
            start = chunk.find(b"\n") + 1
            piece = chunk[: start - 1] if start else chunk
            length += len(piece)
            held.append(piece)
            if length > max_bytes:
                held = []
            if not start:
                continue
            text = None if length > max_bytes else b"".join(held).removesuffix(b"\r")
            held = []  # as in `cut_lines`
            yield Line(offset, length, text)
            offset += length + 1
        end = chunk.rfind(b"\n") + 1
        for block in _blocks(chunk, start, max(end, start), block_bytes):
            yield Block(offset, block)
            offset += len(block)
        tail = chunk[max(end, start) :]
        length = len(tail)
        held = [tail] if 0 < length <= max_bytes else []
    if length:
        yield Line(offset, length, None if length > max_bytes else b"".join(held).removesuffix(b"\r"))


def _blocks(chunk: bytes, start: int, end: int, block_bytes: int) -> Iterator[bytes]:
    """Yield the text between two line feeds of a chunk, cut at others."""
    while start < end:
        stop = min(start + block_bytes, end)
        if stop < end:
            stop = chunk.rfind(b"\n", start, stop) + 1 or chunk.find(b"\n", stop) + 1
        yield chunk[start:stop]
        start = stop

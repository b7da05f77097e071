"""Cuts a stream of results into blocks that begin and end where lines do, so that many rows are read at once."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

BLOCK_BYTES = 256 * 1024  # enough that a block costs nothing beside its rows, and little memory when it is decoded


class Block(NamedTuple):
    """Whole lines, which begin at `offset`; of a line that is too long for a block, `more` gives the rest."""

    offset: int
    text: bytes
    more: Iterable[bytes] = ()

    def pieces(self) -> Iterator[bytes]:
        return chain((self.text,), self.more)

    def cut(self, lines: int) -> Iterator["Block"]:
        """The same in blocks of so many lines; a long line as it is."""
        if self.more:
            yield self
            return
        start = 0
        while start < len(self.text):
            end = start
            for _ in range(lines):
                end = self.text.find(b"\n", end) + 1 or len(self.text)
            yield Block(self.offset + start, self.text[start:end])
            start = end


def cut_blocks(chunks: Iterable[bytes], size: int = BLOCK_BYTES) -> Iterator[Block]:
    r"""Cut a stream behind the last `\n` of about so many bytes. A block is to be read before the next is asked for."""
    source, held, length, offset = iter(chunks), list[bytes](), 0, 0
    for chunk in source:
        held.append(chunk)
        length += len(chunk)
        if length < size:
            continue
        text = b"".join(held)
        end = text.rfind(b"\n") + 1
        if end:
            yield Block(offset, text[:end])
            rest, offset = text[end:], offset + end
        else:
            line = _LongLine(source)
            yield Block(offset, text, line)
            rest, offset = line.rest, offset + length + line.bytes
        held, length = [rest], len(rest)
    if length:
        yield Block(offset, b"".join(held))


class _LongLine:
    """The rest of a line, as it comes; then `bytes` are its length, and `rest` is what came behind it."""

    def __init__(self, source: Iterator[bytes]) -> None:
        self._source, self.bytes, self.rest = source, 0, b""

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._source:
            end = chunk.find(b"\n") + 1
            self.bytes += end or len(chunk)
            if end:
                self.rest = chunk[end:]
                yield chunk[:end]
                return
            yield chunk

"""Result rows that are not one per line: objects found by their braces, however lines part them. Pure."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

BETWEEN_ROWS = b" \t\r\n,[]\xef\xbb\xbf"  # an array's brackets and commas, a byte-order mark
_OPENING = re.compile(rb"\{")
_STRUCTURE = re.compile(rb'"|[{\[]+|[}\]]+')
_IN_STRING = re.compile(rb'["\\\n]')


class Piece(NamedTuple):
    """A row, or what is none: its place in the stream, and its bytes unless they are more than memory allows."""

    offset: int
    length: int
    text: bytes | None
    is_row: bool


def cut_rows(chunks: Iterable[bytes], *, offset: int, max_bytes: int) -> Iterator[Piece]:
    """Cut a stream into its outermost objects.

    Brackets, commas and blanks between them are left out. Whatever else is no whole object is a piece of its own; a
    string that runs over the end of a line is broken, and the next line begins anew.
    """
    rows = _Rows(offset, max_bytes)
    for chunk in chunks:
        yield from rows.feed(chunk)
    yield from rows.end()


class _Rows:
    """The piece that is being read: where it begins, and how deep it is nested so far."""

    def __init__(self, offset: int, max_bytes: int) -> None:
        self._offset, self._max_bytes = offset, max_bytes
        self._held = bytearray()
        self._length = self._depth = 0
        self._in_string = self._is_escaped = False

    def feed(self, chunk: bytes) -> Iterator[Piece]:
        at, kept = int(self._is_escaped and bool(chunk)), 0
        self._is_escaped = self._is_escaped and not chunk
        while found := self._pattern().search(chunk, at):
            at = found.end()
            match found[0]:
                case b'"':
                    self._in_string = not self._in_string
                case b"\\":
                    self._is_escaped = at == len(chunk)
                    at += 1
                case b"\n":
                    self._hold(chunk[kept:at])
                    kept = at
                    yield from self.end()
                case b"{" if not self._depth:
                    self._hold(chunk[kept : at - 1])
                    kept = at - 1
                    yield from self.end()
                    self._depth = 1
                case brackets if brackets[0] in b"{[":
                    self._depth += len(brackets)
                case brackets if len(brackets) < self._depth:
                    self._depth -= len(brackets)
                case _:
                    at = found.start() + self._depth
                    self._hold(chunk[kept:at])
                    kept, self._depth = at, 0
                    yield from self._given(is_row=True)
        self._hold(chunk[kept:])

    def end(self) -> Iterator[Piece]:
        """Yield the text since the last row as a piece, unless it may stand between two rows."""
        self._depth, self._in_string = 0, False
        yield from self._given(is_row=False)

    def _pattern(self) -> re.Pattern[bytes]:
        if self._in_string:
            return _IN_STRING
        return _STRUCTURE if self._depth else _OPENING

    def _hold(self, text: bytes) -> None:
        self._length += len(text)
        if self._length > self._max_bytes:
            self._held.clear()
        else:
            self._held += text

    def _given(self, *, is_row: bool) -> Iterator[Piece]:
        text = bytes(self._held) if self._length <= self._max_bytes else None
        if is_row or text is None or text.strip(BETWEEN_ROWS):
            yield Piece(self._offset, self._length, text, is_row)
        self._offset += self._length
        self._length = 0
        self._held.clear()

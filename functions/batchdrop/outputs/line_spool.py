"""Spools the result lines of a window to disk, read from their places in the raw copies."""

import os
from array import array
from collections.abc import Iterable, Iterator
from itertools import repeat
from operator import add
from typing import BinaryIO

from batchdrop.jsonl import Read

_NEAR = 1024 * 1024  # what lies between is read too: another call takes as long
_MANY = 10_000  # spans at once
_LINE_END = 2
_SPARSE = 4  # times more than what is wanted: from there on, a call for each line


type Wanted = tuple[int, int, int]
"""A line of an object: its place in the order in which it is asked for, its offset, its length."""


def read_spans(read: Read, spans: Iterable[tuple[int, int]]) -> Iterator[tuple[bytes, bool]]:
    """The bytes of spans (start, end; ascending) in pieces, each with whether it is its span's last.

    Spans that lie near each other are read in one call.
    """
    for near in _neighbours(spans):
        yield from _read_near(read(near[0][0], near[-1][1]), near)


def _read_near(chunks: Iterator[bytes], near: list[tuple[int, int]]) -> Iterator[tuple[bytes, bool]]:
    """The bytes of spans, of chunks that begin with the first of them."""
    at, held = near[0][0], b""
    for start, end in near:
        while at + len(held) < end:
            if at + len(held) > start:
                yield held[max(start - at, 0) :], False
            at += len(held)
            held = next(chunks)
        yield held[max(start - at, 0) : end - at], True


def _neighbours(spans: Iterable[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    near: list[tuple[int, int]] = []
    for span in spans:
        if near and (span[0] - near[-1][1] > _NEAR or len(near) == _MANY):
            yield near
            near = []
        near.append(span)
    if near:
        yield near


class Spool:
    """Lines in a file, found again by their place."""

    def __init__(self, file: BinaryIO, places: int) -> None:
        self._file, self._number = file, file.fileno()
        self._offsets = array("Q", bytes(8 * places))
        self._bytes = 0

    def take(self, read: Read, wanted: Iterable[Wanted]) -> None:
        """Copy lines of an object, in the order of their offsets."""
        for chunk, _ in read_spans(read, self._spans(wanted)):
            self._file.write(chunk)
        self._file.flush()

    def line(self, place: int, length: int) -> bytes:
        return os.pread(self._number, length, self._offsets[place])

    def lines(self, places: list[int], lengths: list[int]) -> list[bytes]:
        """Several lines, in one call where little else lies between them."""
        offsets = [self._offsets[place] for place in places]
        start, end = min(offsets), max(map(add, offsets, lengths))
        if end - start > _SPARSE * sum(lengths):
            return list(map(os.pread, repeat(self._number), lengths, offsets))
        text = os.pread(self._number, end - start, start)
        return [text[offset - start : offset - start + length] for offset, length in zip(offsets, lengths, strict=True)]

    def clear(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._bytes = 0

    def _spans(self, wanted: Iterable[Wanted]) -> Iterator[tuple[int, int]]:
        """Lines that follow one another are one span."""
        start = end = -1
        for place, offset, length in wanted:
            if end < 0 or offset - end > _LINE_END:
                if end >= 0:
                    yield start, end
                    self._bytes += end - start
                start = offset
            self._offsets[place] = self._bytes + offset - start
            end = offset + length
        if end >= 0:
            yield start, end
            self._bytes += end - start

"""The lines of a split, one by one or in blocks: those that begin in its byte range, each read to its end."""

from collections.abc import Iterator
from functools import partial

from batchdrop.aws.bucket import Files
from batchdrop.aws.keys import ROWS, WORK
from batchdrop.inputs.file_formats import reject_non_jsonl
from batchdrop.inputs.request_lines import MAX_LINE_BYTES
from batchdrop.jsonl import Block, Line, cut_blocks, cut_lines
from batchdrop.records import Source, Split

BLOCK_BYTES = 128 * 1024  # what is made of a block stays in a processor's cache
_READ_AHEAD = 256 * 1024  # read beyond a split's end at first, for the rest of its last line


def split_lines(source: Source, split: Split, store: Files, *, max_bytes: int = MAX_LINE_BYTES) -> Iterator[Line]:
    """The lines that begin within a split's range, as Hadoop's input splits have them.

    A line that begins before the range belongs to an earlier split; the last one is read to its end, wherever it is, or
    until it is known to be too long. A split in which no line begins is not read beyond its end.
    """
    start = max(split.start - 1, 0)
    lines = cut_lines(_chunks(source, start, split, store, max_bytes), offset=start, max_bytes=max_bytes)
    if split.start:
        next(lines, None)  # ends before the range, or began in an earlier one
    yield from _lines_begun_in(split, lines)


def split_blocks(
    source: Source, split: Split, store: Files, *, max_bytes: int = MAX_LINE_BYTES, block_bytes: int = BLOCK_BYTES
) -> Iterator[Line | Block]:
    """The lines that `split_lines` yields, in the same order: in blocks, where they are read in one piece."""
    start = max(split.start - 1, 0)
    chunks = _chunks(source, start, split, store, max_bytes)
    found = cut_blocks(chunks, offset=start, max_bytes=max_bytes, block_bytes=block_bytes)
    if split.start:
        first = next(found, None)
        lines = first.lines(max_bytes=max_bytes) if isinstance(first, Block) else iter(())
        next(lines, None)  # ends before the range, or began in an earlier one
        yield from _lines_begun_in(split, lines)
        if first is None or first.end > split.end:
            return
    for each in found:
        if each.offset >= split.end:
            return
        if isinstance(each, Block) and each.end > split.end:
            yield from _lines_begun_in(split, each.lines(max_bytes=max_bytes))
        else:
            yield each
        if each.end >= split.end:
            return  # what comes next begins behind the range


def _lines_begun_in(split: Split, lines: Iterator[Line]) -> Iterator[Line]:
    for line in lines:
        if line.offset >= split.end:
            return
        yield line
        if line.end >= split.end:
            return  # the next one begins behind the range


def _chunks(source: Source, start: int, split: Split, store: Files, max_bytes: int) -> Iterator[bytes]:
    chunks = _range(source, start, split, store, max_bytes)
    is_ours = source.key.startswith(WORK) and source.key.endswith(ROWS)
    return chunks if split.start or is_ours else reject_non_jsonl(chunks)


def _range(source: Source, start: int, split: Split, store: Files, max_bytes: int) -> Iterator[bytes]:
    """Yield the bytes that hold a split's lines, in pieces."""
    read = partial(store.stream, source.key, version_id=source.version_id)
    is_last = split.end >= source.bytes
    end = split.end if is_last else split.end - 1  # a line that begins in the range follows a line feed before this
    has_line = not split.start
    for chunk in read(start=start, end=end):
        has_line = has_line or b"\n" in chunk
        yield chunk
    ahead, stop = _READ_AHEAD, min(end + max_bytes + 2, source.bytes)
    while has_line and end < stop:
        yield from read(start=end, end=min(end + ahead, stop))
        end, ahead = end + ahead, ahead * 2

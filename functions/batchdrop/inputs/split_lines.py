"""The lines of a split: those that begin in its byte range, each read to its end."""

from collections.abc import Iterator
from functools import partial

from batchdrop.aws.bucket import Files
from batchdrop.inputs.file_formats import reject_non_jsonl
from batchdrop.inputs.request_lines import MAX_LINE_BYTES
from batchdrop.jsonl import Line, cut_lines
from batchdrop.records import Source, Split

_READ_AHEAD = 256 * 1024  # read beyond a split's end at first, for the rest of its last line


def split_lines(source: Source, split: Split, store: Files, *, max_bytes: int = MAX_LINE_BYTES) -> Iterator[Line]:
    """The lines that begin within a split's range, as Hadoop's input splits have them.

    A line that begins before the range belongs to an earlier split; the last one is read to its end, wherever it is, or
    until it is known to be too long. A split in which no line begins is not read beyond its end.
    """
    start = max(split.start - 1, 0)
    chunks = _range(source, start, split, store, max_bytes)
    if not split.start:
        chunks = reject_non_jsonl(chunks)
    lines = cut_lines(chunks, offset=start, max_bytes=max_bytes)
    if split.start:
        next(lines, None)  # ends before the range, or began in an earlier one
    for line in lines:
        if line.offset >= split.end:
            return
        yield line
        if line.offset + line.length + 1 >= split.end:
            return  # the next one begins behind the range


def _range(source: Source, start: int, split: Split, store: Files, max_bytes: int) -> Iterator[bytes]:
    """What has to be read to see a split's lines, in pieces."""
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

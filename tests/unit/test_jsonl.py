"""Lines where they lie: a stream is cut at line feeds only, and a file that is read in splits has the same lines."""

import tracemalloc
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pytest
from batchdrop.errors import Unprocessable
from batchdrop.inputs.split_lines import split_blocks, split_lines
from batchdrop.jsonl import Block, Line, cut_blocks, cut_lines, joined
from batchdrop.records import Source, Split
from batchdrop.steps import plan
from faking.rows import a_split
from hypothesis import given
from hypothesis import strategies as st


def cut(data: bytes, *, at: int = 0, max_bytes: int = 1_000, piece: int = 10_000) -> list[Line]:
    chunks = (data[start : start + piece] for start in range(0, len(data), piece))
    return list(cut_lines(chunks, offset=at, max_bytes=max_bytes))


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"a", [Line(0, 1, b"a")]),
        (b"a\n", [Line(0, 1, b"a")]),
        (b"a\nb", [Line(0, 1, b"a"), Line(2, 1, b"b")]),
        (b"\n\na\n", [Line(0, 0, b""), Line(1, 0, b""), Line(2, 1, b"a")]),
        (b"a\r\nb\r\n", [Line(0, 2, b"a"), Line(3, 2, b"b")]),
        (b"a\rb\n\r\n", [Line(0, 3, b"a\rb"), Line(4, 1, b"")]),
        (b"a\r", [Line(0, 2, b"a")]),
        ("\u2028\u2029\u0085\x0b\x0c\x1c\n".encode(), [Line(0, 11, "\u2028\u2029\u0085\x0b\x0c\x1c".encode())]),
    ],
    ids=repr,
)
@pytest.mark.parametrize("piece", [1, 2, 10_000])
def test_a_stream_is_cut_at_line_feeds_and_nowhere_else(data: bytes, lines: list[Line], piece: int) -> None:
    assert cut(data, piece=piece) == lines


@pytest.mark.parametrize("piece", [1, 3, 10_000])
def test_a_line_over_the_limit_is_told_by_offset_and_length_only(piece: int) -> None:
    assert cut(b"ab\nabcdef\nabc\nabcd", at=50, max_bytes=3, piece=piece) == [
        Line(50, 2, b"ab"),
        Line(53, 6, None),
        Line(60, 3, b"abc"),
        Line(64, 4, None),
    ]


def test_a_line_over_the_limit_is_not_held_in_memory() -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(200):
            yield b"x" * 100_000
        yield b"\nend"

    tracemalloc.start()
    found = list(cut_lines(chunks(), offset=0, max_bytes=150_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == [Line(0, 20_000_000, None), Line(20_000_001, 3, b"end")]
    assert peak < 1_000_000


texts = st.lists(
    st.sampled_from([b"", b"x", b'{"a":1}', "é€😀".encode(), "\u2028".encode(), b"\r", b"a" * 40]), max_size=12
).flatmap(lambda lines: st.sampled_from([b"\n", b"\r\n"]).map(lambda end: end.join(lines)))
# Line ends of all kinds beside one another, characters cut anywhere, bytes that are no text.
pieces = st.sampled_from([b"\n", b"\r", b"x", b"\x00", b"\xe2", b"\x80", b"\xa8"])
bytes_of_all_kinds = st.lists(pieces, max_size=30).map(b"".join)
files = texts | bytes_of_all_kinds
requests = files.map(lambda data: b'{"a":1}\n' + data)  # a file of text alone is none


@given(files, st.integers(1, 20), st.sampled_from([5, 1_000]))
def test_the_pieces_of_a_stream_make_no_difference(data: bytes, piece: int, max_bytes: int) -> None:
    assert cut(data, piece=piece, max_bytes=max_bytes) == cut(data, max_bytes=max_bytes)


@given(files)
def test_offsets_and_lengths_point_at_the_lines_bytes(data: bytes) -> None:
    lines = [data[line.offset : line.offset + line.length] for line in cut(data)]
    assert [line.removesuffix(b"\r") for line in lines] == [line.bytes for line in cut(data)]
    assert b"\n".join(lines) == data.removesuffix(b"\n")


@given(files, st.integers(1, 20), st.sampled_from([5, 1_000]), st.integers(1, 20))
def test_blocks_hold_the_same_lines(data: bytes, piece: int, max_bytes: int, block_bytes: int) -> None:
    chunks = (data[at : at + piece] for at in range(0, len(data), piece))
    found = list(cut_blocks(chunks, offset=7, max_bytes=max_bytes, block_bytes=block_bytes))
    assert lines_in(found, max_bytes) == cut(data, at=7, max_bytes=max_bytes)
    for block in found:
        if isinstance(block, Block):
            assert block.bytes == data[block.offset - 7 : block.end - 7]
            assert block.bytes.endswith(b"\n")
            assert len(block.bytes) <= block_bytes or block.bytes.count(b"\n") == 1
            halves = block.halves()
            assert (halves is None) == (block.bytes.count(b"\n") == 1)
            assert halves is None or lines_in(halves, max_bytes) == lines_in([block], max_bytes)
            assert halves is None or all(half.bytes.endswith(b"\n") for half in halves)


@given(files, st.integers(1, 20), st.integers(1, 30), st.integers(1, 4))
def test_a_block_is_cut_into_as_many_lines_as_are_asked_for(
    data: bytes, piece: int, block_bytes: int, lines: int
) -> None:
    chunks = (data[at : at + piece] for at in range(0, len(data), piece))
    found = cut_blocks(joined(chunks, block_bytes), offset=0, max_bytes=1_000, block_bytes=block_bytes)
    parts = [part for each in found for part in (each.cut(lines) if isinstance(each, Block) else (each,))]
    assert lines_in(parts, 1_000) == cut(data)
    assert all(part.bytes.count(b"\n") <= lines for part in parts if isinstance(part, Block))


@given(st.lists(st.binary(max_size=12), max_size=12), st.integers(1, 20))
def test_small_pieces_are_joined_to_chunks_that_are_large_enough(chunks: list[bytes], least: int) -> None:
    found = list(joined(chunks, least))
    assert b"".join(found) == b"".join(chunks)
    assert all(len(each) >= least for each in found[:-1])


def lines_in(found: Iterable[Line | Block], max_bytes: int) -> list[Line]:
    return [
        line for each in found for line in (each.lines(max_bytes=max_bytes) if isinstance(each, Block) else (each,))
    ]


# Splits

LONG = plan.MAX_LINE_BYTES


@dataclass
class Memory:
    """`Files.stream` over one object in memory, in pieces of a few bytes; `read` counts what was taken."""

    data: bytes
    piece: int
    read: int = 0

    def stream(self, _key: str, *, start: int, end: int, version_id: str | None) -> Iterator[bytes]:
        assert version_id == "v"
        wanted = self.data[start:end]
        for at in range(0, len(wanted), self.piece):
            self.read += len(wanted[at : at + self.piece])
            yield wanted[at : at + self.piece]


@pytest.mark.parametrize(("key", "is_refused"), [("work/j/rows.jsonl", False), ("input/rows.jsonl", True)])
def test_a_users_own_file_is_checked_whatever_its_name(key: str, is_refused: bool) -> None:  # noqa: FBT001 - a case
    store: Any = Memory(b"a,b\n1,2\n", 100)
    source = Source(key=key, version_id="v", bytes=8)
    with pytest.raises(Unprocessable) if is_refused else nullcontext():
        assert len(list(split_lines(source, split_at(0, 100, 8), store))) == 2


def lines_of_splits(data: bytes, split_bytes: int, piece: int, max_bytes: int = LONG) -> list[list[Line]]:
    count = -(-len(data) // split_bytes)
    return [lines_of_split(data, index, split_bytes, piece, max_bytes)[0] for index in range(count)]


def lines_of_split(
    data: bytes, index: int, split_bytes: int, piece: int, max_bytes: int = LONG
) -> tuple[list[Line], int]:
    """The lines, and how many bytes were read for them."""
    store: Any = Memory(data, piece)
    source = Source(key="input/f.jsonl", version_id="v", bytes=len(data))
    split = split_at(index, split_bytes, len(data))
    return list(split_lines(source, split, store, max_bytes=max_bytes)), store.read


@given(requests, st.integers(1, 30), st.sampled_from([5, 1_000]), st.integers(1, 20))
def test_a_split_has_the_same_lines_in_blocks_and_reads_no_more(
    data: bytes, piece: int, max_bytes: int, block_bytes: int
) -> None:
    source = Source(key="input/f.jsonl", version_id="v", bytes=len(data))
    for split_bytes in range(1, len(data) + 2):
        for index in range(-(-len(data) // split_bytes)):
            lines, read = lines_of_split(data, index, split_bytes, piece, max_bytes)
            store: Any = Memory(data, piece)
            split = split_at(index, split_bytes, len(data))
            found = split_blocks(source, split, store, max_bytes=max_bytes, block_bytes=block_bytes)
            assert lines_in(found, max_bytes) == lines, (split_bytes, index)
            assert store.read <= read, (split_bytes, index)


def split_at(index: int, size: int, total: int) -> Split:
    end = min((index + 1) * size, total)
    return a_split(index, start=index * size, end=end)


@given(requests, st.integers(1, 12))
def test_a_file_has_the_same_lines_however_it_is_split(data: bytes, piece: int) -> None:
    whole = cut(data, max_bytes=plan.MAX_LINE_BYTES)
    for split_bytes in range(1, len(data) + 2):
        splits = lines_of_splits(data, split_bytes, piece)
        assert [line for lines in splits for line in lines] == whole, split_bytes


@given(requests, st.integers(1, 30), st.integers(1, 50))
def test_lines_that_are_too_long_are_the_same_ones_however_the_file_is_split(
    data: bytes, piece: int, max_bytes: int
) -> None:
    whole = [bounded(line, max_bytes) for line in cut(data, max_bytes=max_bytes)]
    for split_bytes in range(1, len(data) + 2):
        splits = lines_of_splits(data, split_bytes, piece, max_bytes)
        assert [bounded(line, max_bytes) for lines in splits for line in lines] == whole, split_bytes


def bounded(line: Line, max_bytes: int) -> Line:
    """How long a line is that is too long, nobody reads."""
    return Line(line.offset, min(line.length, max_bytes + 1), line.bytes)


@given(requests, st.integers(1, 12), st.integers(1, 12), st.integers(1, 50))
def test_a_split_reads_its_range_and_one_line_beyond(data: bytes, split_bytes: int, piece: int, max_bytes: int) -> None:
    for index in range(-(-len(data) // split_bytes)):
        lines, read = lines_of_split(data, index, split_bytes, piece, max_bytes)
        assert read <= 1 + split_bytes + (max_bytes + 1 if lines else 0)


@given(requests, st.integers(1, 30))
def test_a_line_belongs_to_the_split_that_it_begins_in(data: bytes, split_bytes: int) -> None:
    for index, lines in enumerate(lines_of_splits(data, split_bytes, 7)):
        assert all(index * split_bytes <= line.offset < (index + 1) * split_bytes for line in lines)


def test_the_end_of_a_splits_last_line_is_read_however_far_it_is() -> None:
    far = b"y" * (2 * 1024 * 1024)
    data = b"a\n" + far + b"\nb\n"
    half = len(data) // 2
    assert (
        lines_of_splits(data, half, 100_000)
        == [
            [Line(0, 1, b"a"), Line(2, len(far), far)],
            [Line(len(far) + 3, 1, b"b")],
            [],
        ][: -(-len(data) // half)]
    )


@pytest.mark.parametrize("before", [b"", b"a\n"])
def test_a_line_that_is_too_long_is_not_read_to_its_end(before: bytes) -> None:
    data = before + b"x" * (LONG + 20_000_000) + b"\nb\n"
    size = 10_000_000
    splits = [lines_of_split(data, index, size, 1_000_000) for index in range(-(-len(data) // size))]
    starts = [line.offset for lines, _ in splits for line in lines]
    assert starts == [*range(0, len(before), 2), len(before), len(data) - 2]
    assert splits[0][0][-1].bytes is None
    assert splits[0][1] <= size + LONG + 1_000_000
    assert max(read for _, read in splits[1:]) <= size + 1


@pytest.mark.parametrize(("extra", "fits"), [(0, True), (1, False)])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\nb"])
def test_the_longest_line_that_is_taken_is_taken_in_any_split(extra: int, end: bytes, fits: bool) -> None:  # noqa: FBT001 - a parameter
    text = b"x" * (LONG + extra - end.startswith(b"\r"))
    data = b"a\n" + text + end
    for size in (1, 2, 3, LONG, len(data)):
        lines, _ = lines_of_split(data, 2 // size, size, 8_000_000)
        (line,) = (line for line in lines if line.offset == 2)
        assert line.bytes == (text if fits else None), size

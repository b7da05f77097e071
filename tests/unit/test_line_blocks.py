"""A stream is cut into blocks of whole lines; a line that is too long for one is read as it comes."""

from batchdrop.batches.line_blocks import cut_blocks
from batchdrop.jsonl import cut_lines
from hypothesis import given
from hypothesis import strategies as st


@given(
    chunks=st.lists(st.text(alphabet="ab\n", max_size=12).map(str.encode), max_size=12),
    size=st.integers(1, 20),
    lines=st.integers(1, 4),
)
def test_blocks_hold_the_lines_of_the_stream_each_at_its_place(chunks: list[bytes], size: int, lines: int) -> None:
    whole = list(cut_lines([b"".join(chunks)], offset=0, max_bytes=99))
    found, parts = [], []
    for block in cut_blocks(chunks, size):
        for part in block.cut(lines):
            found += cut_lines(part.pieces(), offset=part.offset, max_bytes=99)
            parts.append(part)
    assert found == whole
    assert all(part.text.count(b"\n") <= lines for part in parts if not part.more)


def test_a_long_line_is_never_held() -> None:
    chunks = [b"a\n", *[b"x" * 10] * 9, b"x\nb\n", b"c"]
    found = [(block.offset, block.text, list(block.more)) for block in cut_blocks(chunks, 8)]
    assert found == [(0, b"a\n", []), (2, b"x" * 20, [*[b"x" * 10] * 7, b"x\n"]), (94, b"b\nc", [])]

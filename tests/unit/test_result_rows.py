"""Rows are found wherever they stand in a stream, and however it comes in pieces."""

import json

import pytest
from batchdrop.protocols.result_rows import Piece, cut_rows
from hypothesis import given
from hypothesis import strategies as st

ROWS = [{"custom_id": "a", "x": '}{"[\\'}, {"custom_id": "b", "y": [{"z": "\n\\\\"}]}, {"custom_id": "c"}]
LAYOUTS = {
    "two on a line": " ".join(map(json.dumps, ROWS)),
    "on one line": "".join(map(json.dumps, ROWS)),
    "an array": json.dumps(ROWS),
    "an array, printed": json.dumps(ROWS, indent=2),
    "printed": "\n".join(json.dumps(row, indent=1) for row in ROWS),
    "printed, with CRLF": "\r\n\r\n".join(json.dumps(row, indent=4) for row in ROWS).replace("\n", "\r\n"),
    "behind a mark": "\ufeff" + json.dumps(ROWS),
}


def pieces(text: bytes, *, size: int | None = None, max_bytes: int = 10_000) -> list[Piece]:
    size = size or len(text) or 1
    chunks = [text[at : at + size] for at in range(0, len(text), size)]
    return list(cut_rows(chunks, offset=0, max_bytes=max_bytes))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_are_found_in_any_layout_and_by_any_pieces(layout: str) -> None:
    text = LAYOUTS[layout].encode()
    for size in (1, 2, 7, None):
        found = pieces(text, size=size)
        assert [json.loads(each.text or b"") for each in found] == ROWS
        assert all(text[each.offset :][: each.length] == each.text for each in found)


def test_a_broken_string_costs_its_line_only() -> None:
    text = b'{"custom_id":"a","x":"bro\n{"custom_id":"b"}{"custom_id":"c"}\n'
    assert [(each.text, each.is_row) for each in pieces(text)] == [
        (b'{"custom_id":"a","x":"bro\n', False),
        (b'{"custom_id":"b"}', True),
        (b'{"custom_id":"c"}', True),
    ]


def test_a_row_that_never_ends_is_a_piece_with_all_behind_it() -> None:
    assert pieces(b'{"a":{}}{"b":{"c":1}') == [(0, 8, b'{"a":{}}', True), (8, 12, b'{"b":{"c":1}', False)]


def test_a_row_over_the_limit_is_told_without_its_bytes() -> None:
    text = b'[{"a":1},{"b":"' + b"x" * 50 + b'"},{"c":2}]'
    for size in (3, 1_000):
        found = pieces(text, size=size, max_bytes=20)
        assert [(each.length, each.text is None, each.is_row) for each in found] == [
            (7, False, True),
            (58, True, True),
            (7, False, True),
        ]


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",\\\n a', max_size=60).map(str.encode), st.integers(1, 9))
def test_no_byte_is_told_twice_and_none_is_left_out_but_those_between_rows(text: bytes, size: int) -> None:
    found = pieces(text, size=size)
    assert found == pieces(text)
    ends = [each.offset + each.length for each in found]
    assert all(before <= each.offset for before, each in zip(ends, found[1:], strict=False))
    kept = b"".join(each.text or b"" for each in found)
    assert sorted(kept.translate(None, b" \t\r\n,[]\xef\xbb\xbf")) == sorted(
        text.translate(None, b" \t\r\n,[]\xef\xbb\xbf")
    )

"""Tables as lines of JSON: every cell as it is, whatever its quotes and line ends, in pieces of any size."""

import csv
import io
import json
from collections.abc import Iterator

import pytest
from batchdrop.errors import Unprocessable
from batchdrop.inputs import tables
from batchdrop.inputs.request_lines import MAX_LINE_BYTES
from batchdrop.inputs.tables import to_jsonl
from hypothesis import given
from hypothesis import strategies as st

CELLS = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ['"', '""', ",", ";", "\n", "\r\n", "\r", "\0", "\u2028", "\ufeff", " ", "'", "\x85", "\x1c"]
)


def test_the_limit_of_the_users_own_process_is_never_lowered() -> None:
    before = csv.field_size_limit(2 * MAX_LINE_BYTES)
    try:
        lines(b"a\nb\n")
        assert csv.field_size_limit() == 2 * MAX_LINE_BYTES
    finally:
        csv.field_size_limit(before)


def pieces(body: bytes, size: int) -> Iterator[bytes]:
    return (body[at : at + size] for at in range(0, len(body), size))


def lines(body: bytes, size: int = 1 << 20, delimiter: str = ",") -> list[bytes]:
    return b"".join(to_jsonl(pieces(body, size), delimiter=delimiter)).split(b"\n")[:-1]


def written(rows: list[list[str]], end: str, quoting: int, delimiter: str = ",") -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator=end, quoting=quoting, delimiter=delimiter).writerows(rows)  # type: ignore[arg-type]  # one of csv's constants
    return out.getvalue().encode()


@given(
    rows=st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=1, max_size=6),
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    size=st.integers(5, 60),
    form=st.tuples(st.sampled_from([b"", b"\xef\xbb\xbf"]), st.sampled_from(",;\t|")),
)
def test_every_cell_comes_through_as_it_is(
    rows: list[list[str]], end: str, quoting: int, size: int, form: tuple[bytes, str]
) -> None:
    bom, delimiter = form
    body = bom + written([["a", "b"], *rows], end, quoting, delimiter)
    assert [json.loads(line) for line in lines(body, size, delimiter)] == [{"a": a, "b": b} for a, b in rows]


def test_line_n_is_row_n_and_a_blank_row_is_a_blank_line() -> None:
    body = b'\xef\xbb\xbf"a",b\r\n1,"x\n\ny"\r\n\r\n3,z\r\n4\r\n5,"",\r\n6,end'
    assert lines(body, 3) == [
        b'{"a":"1","b":"x\\n\\ny"}',
        b"",
        b'{"a":"3","b":"z"}',
        b'["4"]',
        b'["5","",""]',
        b'{"a":"6","b":"end"}',
    ]


def test_rows_come_in_pieces_that_do_not_grow_with_the_file() -> None:
    body = b"a,b\n" + b"x,y\n" * 5_000
    assert max(piece.count(b"\n") for piece in to_jsonl(pieces(body, 100), delimiter=",")) <= tables._ROWS  # noqa: SLF001 - the bound itself


def test_a_quote_that_is_never_closed_is_found_before_it_fills_the_memory() -> None:
    def endless() -> Iterator[bytes]:
        yield b'a,b\n1,2\n3,"'
        while True:
            yield b"x" * 999_999 + b"\n"

    with pytest.raises(Unprocessable) as caught:
        list(to_jsonl(endless(), delimiter=","))
    assert str(caught.value) == (
        f"Row 2 of the table cannot be read: it is longer than {MAX_LINE_BYTES:,} bytes: is a quote not closed?"
    )


def test_a_header_says_nothing_of_what_it_holds() -> None:
    with pytest.raises(Unprocessable) as caught:
        list(to_jsonl(iter([b"secret,text of a row\n1,2\n"]), delimiter=",", columns=["text"]))
    assert str(caught.value) == (
        'The table has no column "text", which the template names (missing_column). Its header has 2 columns: correct '
        "the name in [template], or set delimiter to what stands between the cells."
    )


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "The table is empty: it has no header and no row."),
        (b"\xef\xbb\xbf", "The table is empty: it has no header and no row."),
        (b"\n", "The table begins with a blank line: its first line must name its columns."),
        (b"id,text\n", "The table has a header and no row below it."),
    ],
)
def test_a_table_without_rows_says_what_it_lacks(body: bytes, problem: str) -> None:
    with pytest.raises(Unprocessable) as caught:
        list(to_jsonl(iter([body]), delimiter=","))
    assert str(caught.value) == problem

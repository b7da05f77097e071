"""What is accounted for each request, whatever layout and spelling its result row has."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from batchdrop.batches.accounting import Accounts
from batchdrop.batches.request_files import custom_id_prefix
from batchdrop.batches.result_index import Found
from batchdrop.records import Batch, Protocol
from faking.rows import a_batch
from faking.work import count_work
from hypothesis import given
from hypothesis import strategies as st

type Row = Callable[[str], dict[str, Any]]


def gpt(custom_id: str) -> dict[str, Any]:
    answer = {"status_code": 200, "request_id": None, "body": {"choices": [{"message": {"content": "}\n{"}}]}}
    return {"id": "x", "custom_id": custom_id, "response": answer, "error": None}


def claude(custom_id: str) -> dict[str, Any]:
    return {"custom_id": custom_id, "result": {"type": "succeeded", "message": {"content": [{"text": "}\n{"}]}}}


KINDS = pytest.mark.parametrize("row", [gpt, claude])
ROWS = 7


def batch(row: Row) -> Batch:
    return a_batch(requests=ROWS, endpoint="/v1/messages" if row is claude else "/v1/chat/completions")


def read(row: Row, text: bytes, *, size: int | None = None, max_bytes: int = 100_000) -> Accounts:
    accounts = Accounts(batch(row), "test", max_bytes=max_bytes)
    size = size or len(text) or 1
    spans = accounts.read((text[at : at + size] for at in range(0, len(text), size)), 0)

    def from_copy(start: int, end: int) -> Iterator[bytes]:
        yield from (text[at : min(at + 50, end)] for at in range(start, end, 50))

    for span in spans:
        accounts.read_rows(from_copy, 0, span)
    return accounts


def ids(row: Row) -> list[str]:
    prefix = custom_id_prefix("test", batch(row).token)
    return [f"{prefix}{number}" for number in range(ROWS)]


def found(accounts: Accounts) -> list[Found]:
    return [Found(each) for each in accounts.collected.found]


LAYOUTS: dict[str, Callable[[list[dict[str, Any]]], str]] = {
    "one per line": lambda rows: "\n".join(map(json.dumps, rows)),
    "two per line": lambda rows: "\n".join(
        json.dumps(row) + (json.dumps(after) if after else "")
        for row, after in zip(rows[::2], [*rows[1::2], None], strict=True)
    ),
    "all on one line": lambda rows: " ".join(map(json.dumps, rows)),
    "an array": json.dumps,
    "an array, printed": lambda rows: json.dumps(rows, indent=2),
    "an array, a row a line": lambda rows: "[\n" + ",\n".join(map(json.dumps, rows)) + "\n]",
    "an array within an object": lambda rows: json.dumps({"object": "list", "data": rows, "has_more": False}),
    "the same, printed": lambda rows: json.dumps({"object": "list", "data": rows}, indent=2),
    "printed": lambda rows: "\n".join(json.dumps(row, indent=4) for row in rows),
    "printed, with CRLF": lambda rows: "\r\n\r\n".join(json.dumps(row, indent=4) for row in rows).replace("\n", "\r\n"),
    "an array behind a mark": lambda rows: "\ufeff" + json.dumps(rows),
}


@KINDS
@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_are_answers_in_any_layout(row: Row, layout: str) -> None:
    rows = [row(each) for each in ids(row)]
    text = LAYOUTS[layout](rows).encode()
    for size in (None, 13):
        accounts = read(row, text, size=size)
        assert found(accounts) == [Found.ANSWERED] * ROWS
        noted = accounts.collected
        kept = [text[at:][:length] for at, length in zip(noted.offsets, noted.lengths, strict=True)]
        assert [json.loads(each.removeprefix(b"\xef\xbb\xbf")) for each in kept] == rows


@KINDS
@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_longer_than_memory_allows_between_them_are_answers_too(row: Row, layout: str) -> None:
    text = LAYOUTS[layout]([row(each) for each in ids(row)]).encode()
    accounts = read(row, text, size=13, max_bytes=len(json.dumps(row("x" * 64), indent=8)))
    within = "within" in layout or layout == "the same, printed"  # the object that holds them all is too long, too
    assert found(accounts) == [Found.UNREADABLE if within else Found.ANSWERED] * ROWS


@KINDS
def test_what_cannot_be_read_row_by_row_is_noted_under_each_request_that_it_names(row: Row) -> None:
    mine = ids(row)
    broken = b"".join(json.dumps(row(each)).encode()[:-2] for each in mine[:3])
    text = broken + b"\n" + json.dumps(row(mine[4])).encode()
    accounts = read(row, text)
    unreadable = [Found.UNREADABLE] * 3
    assert found(accounts) == [*unreadable, Found.NOTHING, Found.ANSWERED, Found.NOTHING, Found.NOTHING]
    noted = accounts.collected
    kept = b"".join(text[noted.offsets[at] :][: noted.lengths[at]] for at in range(3))
    assert kept == broken


@KINDS
def test_an_id_that_a_wrapper_names_beside_its_rows_costs_no_row(row: Row) -> None:
    mine = ids(row)
    rows = [{**row(each), "note": mine[6]} for each in mine[:-2]]  # what a row quotes is no request's row
    wrapper = {"data": rows, "first_id": mine[0], "last_id": mine[4], "lost": mine[5]}
    kinds = [*[Found.ANSWERED] * 5, Found.UNREADABLE, Found.NOTHING]  # what stands beside the rows may be paid
    assert found(read(row, json.dumps(wrapper).encode())) == kinds
    assert found(read(row, json.dumps({"page": wrapper}).encode())) == kinds


@KINDS
@pytest.mark.parametrize("junk", [b"junk\n", b"{", b'{"', b"}", b"[{"], ids=repr)
def test_junk_is_passed_over_once(row: Row, junk: bytes) -> None:
    mine = json.dumps(row(ids(row)[5])).encode()

    def work(size: int) -> int:
        return count_work(lambda: read(row, junk * size + b"\n" + mine, max_bytes=10**7))

    assert work(2_000) < 5 * work(500)
    assert work(2_000) < 30 * 2_000  # none of it is decoded, repaired and decoded again
    assert found(read(row, junk * 2_000 + b"\n" + mine))[5] == Found.ANSWERED


@KINDS
def test_a_broken_line_costs_none_beside_it(row: Row) -> None:
    lines = [json.dumps(row(each)).encode() for each in ids(row)]
    lines[2] = lines[2][:-1]  # with all that is behind it, it would be one row that never ends
    lines[3] += lines.pop()
    accounts = read(row, b"\n".join(lines))
    assert found(accounts) == [Found.UNREADABLE if at == 2 else Found.ANSWERED for at in range(ROWS)]
    assert accounts.malformed == 0


@KINDS
@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace('{"', '{"score":NaN,"', 1),
        lambda text: text.replace('{"', '{"score":-Infinity,"', 1),
        lambda text: text.replace("}\\n{", "a\\ud83d b"),
        lambda text: text.replace("}\\n{", "\\ude00\\ud83d"),
        lambda text: text.replace("}\\n{", "a\\ud83d"),
        lambda text: text.replace("}\\n{", "a\tb\x00c"),
        lambda text: text.replace("}\\n{", "a\\qb\\'c"),
        lambda text: text.replace("}\\n{", "a\\u00zz"),
        lambda text: "\ufeff" + text,
    ],
)
def test_an_answer_that_is_nearly_json_is_an_answer(row: Row, spoil: Callable[[str], str]) -> None:
    text = spoil(json.dumps(row(ids(row)[3])))
    accounts = read(row, text.encode())
    assert found(accounts)[3] == Found.ANSWERED
    assert json.loads(bytes(accounts.outcome(text.encode()).response.body))  # type: ignore[union-attr]


@KINDS
@pytest.mark.parametrize("number", ["1" * 5_000, str(ROWS), "-1", "٣", "1x", ""])
def test_a_number_that_is_no_place_in_the_batch_is_nobodys(row: Row, number: str) -> None:
    accounts = read(row, json.dumps(row(ids(row)[0][:-1] + number)).encode())
    assert (found(accounts), accounts.foreign, accounts.malformed) == ([Found.NOTHING] * ROWS, 0, 1)


@KINDS
def test_what_may_be_paid_goes_before_what_would_be_sent_again(row: Row) -> None:
    mine = ids(row)[0]
    error = {"custom_id": mine, "response": None, "error": {"code": "batch_expired", "message": "x"}}
    expired = error if row is gpt else {"custom_id": mine, "result": {"type": "expired"}}
    garbled = json.dumps(row(mine)).encode()[:-3]
    for text in (garbled + b"\n" + json.dumps(expired).encode(), json.dumps(expired).encode() + b"\n" + garbled):
        assert found(read(row, text))[0] == Found.UNREADABLE


@KINDS
@given(text=st.text(alphabet='{}[]",:\\\n ax0', max_size=80), size=st.integers(1, 40))
def test_whatever_is_read_costs_no_row_beside_it(row: Row, text: str, size: int) -> None:
    line = json.dumps(row(ids(row)[5]))
    accounts = read(row, f"{line}\n{text}\n".encode(), size=size)
    assert found(accounts)[5] == Found.ANSWERED


def test_protocols_are_told_apart() -> None:
    assert (batch(gpt).protocol, batch(claude).protocol) == (Protocol.OPENAI, Protocol.ANTHROPIC)

"""Blocks of usual result rows are read at once: exactly as they would be row by row, whatever stands among them."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from batchdrop.batches.accounting import Accounts
from batchdrop.batches.request_files import custom_id_prefix
from batchdrop.batches.result_index import Found
from batchdrop.protocols.readers import answer_reader, outcome_reader
from batchdrop.protocols.usual_rows import AnthropicRows, OpenAIRows, UsualReader, line_ends
from batchdrop.records import Protocol
from faking.result_files import FAULTS, a_row, claude, gpt, result_files
from faking.rows import a_batch
from hypothesis import given
from hypothesis import strategies as st

REQUESTS = 70  # more than two parts of a block
MAX_BYTES = 4_000
KINDS = pytest.mark.parametrize("kind", [gpt, claude])
PREFIX = custom_id_prefix("test", a_batch().token)


class NothingIsUsual:
    """A reader that leaves everything to the careful one."""

    def names(self, text: bytes, ends: list[int]) -> None: ...

    def answers(self, text: bytes, ends: list[int]) -> None: ...

    def sum_usage(self, usages: Any) -> Any: ...


class Counting:
    """A reader that counts the rows that it takes."""

    def __init__(self, reader: UsualReader) -> None:
        self._reader, self.taken = reader, 0

    def names(self, text: bytes, ends: list[int]) -> Any:
        found = self._reader.names(text, ends)
        self.taken += len(found.custom_ids) if found else 0
        return found


def accounts_of(kind: Callable[..., Any]) -> Accounts:
    endpoint = "/v1/messages" if kind is claude else "/v1/chat/completions"
    return Accounts(a_batch(requests=REQUESTS, endpoint=endpoint), "test", max_bytes=MAX_BYTES)


def read(accounts: Accounts, text: bytes, *, size: int = 1_000, block: int = 256 * 1024) -> tuple[Any, ...]:
    """All that is known after a file is read in pieces of a size."""
    spans = accounts.read((text[at : at + size] for at in range(0, len(text), size)), 3, block_bytes=block)

    def from_copy(start: int, end: int) -> Iterator[bytes]:
        yield text[start:end]

    for span in spans:
        accounts.read_rows(from_copy, 3, span)
    return accounts.collected, accounts.foreign, accounts.malformed, spans


def read_carefully(kind: Callable[..., Any], text: bytes) -> tuple[Any, ...]:
    accounts = accounts_of(kind)
    accounts.usual = NothingIsUsual()  # type: ignore[assignment]  # it takes nothing, and so sums nothing up
    return read(accounts, text)


@KINDS
@given(data=st.data(), size=st.integers(1, 3_000), block=st.sampled_from([1, 500, 3_000, 256 * 1024]))
def test_blocks_are_accounted_for_as_their_rows_are(
    kind: Callable[..., Any], data: st.DataObject, size: int, block: int
) -> None:
    text = data.draw(result_files(kind, PREFIX, REQUESTS))
    assert read(accounts_of(kind), text, size=size, block=block) == read_carefully(kind, text)


@KINDS
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_among_usual_rows_changes_nothing(kind: Callable[..., Any], fault: str) -> None:
    for places in ([5], [0, 69], [5, 5, 6]):
        order = [*range(REQUESTS), *places]
        for at in (places[0], REQUESTS):
            rows = [a_row(kind, f"{PREFIX}{each}", fault if number == at else "") for number, each in enumerate(order)]
            text = b"\n".join(rows) + b"\n"
            assert read(accounts_of(kind), text) == read_carefully(kind, text), (places, at)


@KINDS
def test_usual_rows_are_read_in_blocks_and_an_error_costs_none_of_them(kind: Callable[..., Any]) -> None:
    rows = [a_row(kind, f"{PREFIX}{each}", "expired" if each % 10 == 3 else "") for each in range(REQUESTS)]
    accounts = accounts_of(kind)
    counting = accounts.usual = Counting(accounts.usual)  # type: ignore[assignment]  # collect sums nothing up
    read(accounts, b"\n".join(rows) + b"\n")
    assert counting.taken == REQUESTS
    assert Found.NOTHING not in accounts.collected.found


@KINDS
def test_a_row_that_is_not_usual_leaves_the_other_parts_of_its_block_usual(kind: Callable[..., Any]) -> None:
    rows = [a_row(kind, f"{PREFIX}{each}", "NaN" if each == 40 else "") for each in range(REQUESTS)]
    accounts = accounts_of(kind)
    counting = accounts.usual = Counting(accounts.usual)  # type: ignore[assignment]  # collect sums nothing up
    read(accounts, b"\n".join(rows) + b"\n")
    assert counting.taken == REQUESTS - 32
    assert {*accounts.collected.found} == {Found.ANSWERED}


@pytest.mark.parametrize(("reader", "kind"), [(OpenAIRows(), gpt), (AnthropicRows(), claude)])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda one, two: [one + b"\r", two],
        lambda one, two: [one.replace(b",", b",\r"), two],
        lambda one, two: [b"\xef\xbb\xbf" + one, two],
        lambda one, two: [one.replace(b'"x"', b'"\xff"'), two],
        lambda one, two: [one + b" ", two],
        lambda one, two: [one, b" " + two],
        lambda one, two: [one, b"", two],
        lambda one, two: [one, two, b""],
        lambda one, two: [one + two],
        lambda one, two: [one + two, one.replace(b",", b",\n", 1)],  # as many rows as lines
        lambda one, two: [one, two + b","],
        lambda one, two: [b"[" + one, two + b"]"],
    ],
)
def test_what_is_not_one_row_a_line_is_not_taken(
    reader: UsualReader, kind: Callable[..., Any], spoil: Callable[[bytes, bytes], list[bytes]]
) -> None:
    one, two = a_row(kind, f"{PREFIX}1", ""), a_row(kind, f"{PREFIX}2", "")
    usual, text = b"\n".join([one, two]), b"\n".join(spoil(one, two))
    assert reader.names(usual, line_ends(usual)) is not None
    assert reader.answers(usual, line_ends(usual)) is not None
    assert reader.names(text, line_ends(text)) is None
    assert reader.answers(text, line_ends(text)) is None


@pytest.mark.parametrize(("reader", "kind"), [(OpenAIRows(), gpt), (AnthropicRows(), claude)])
@pytest.mark.parametrize("fault", ["", *FAULTS])
def test_what_is_taken_as_an_answer_says_what_the_careful_reader_says(
    reader: UsualReader, kind: Callable[..., Any], fault: str
) -> None:
    protocol = Protocol.ANTHROPIC if kind is claude else Protocol.OPENAI
    text = a_row(kind, f"{PREFIX}5", fault)
    taken = reader.answers(text, line_ends(text))
    if taken is None:
        assert fault
        return
    outcome = outcome_reader(protocol)(text)
    assert outcome.error is None
    assert outcome.response is not None
    answer = answer_reader(protocol)(outcome.response.body)
    assert msgspec.json.encode(taken.responses) == msgspec.json.encode([outcome.response])
    assert (list(taken.ids), list(taken.finish_reasons)) == ([outcome.id], [answer.finish_reason])
    assert reader.sum_usage(taken.usages) == answer.usage
    assert reader.sum_usage([*taken.usages, None, *taken.usages]) == answer.usage + answer.usage

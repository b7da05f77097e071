"""The lines of a plan are read some at a time; an index that ends too early is no end of its lines."""

from itertools import count
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from batchdrop.batches.split_plan import IndexedLine, LineIndex, Plan
from batchdrop.errors import Transient
from faking.assemblies import MemoryFiles

PLAN = Plan(lines=9, blank_lines=0, invalid=0, index_key="index", routes=[], batches=[], first_errors=[])


def index_of(text: bytes) -> LineIndex:
    files: Any = MemoryFiles()
    files.put("index", text)
    return LineIndex(files, PLAN)


def a_line(number: int, size: int = 1) -> IndexedLine:
    return IndexedLine(number, 7 * number, 6, 0, msgspec.Raw(b'"%b"' % (b"x" * size)))


@pytest.mark.parametrize("most", [1, 3, 9, 50])
def test_lines_come_in_their_order_however_many_are_taken(most: int) -> None:
    lines = [a_line(number, 300_000 if number == 5 else 1) for number in range(9)]
    index = index_of(b"".join(msgspec.json.encode(each) + b"\n" for each in lines))
    found: list[IndexedLine] = []
    for _ in count():
        taken = index.take(most)
        assert 0 < len(taken) <= most
        found += taken
        if len(found) >= len(lines):
            break
    assert [msgspec.json.encode(each) for each in found] == [msgspec.json.encode(each) for each in lines]


def test_custom_ids_that_are_long_are_not_held_together() -> None:
    index = index_of(b"".join(msgspec.json.encode(a_line(number, 400_000)) + b"\n" for number in range(6)))
    assert [len(index.take(6)) for _ in range(6)] == [1] * 6


def test_kept_rows_of_megabytes_are_not_held_together() -> None:
    lines = [
        msgspec.structs.replace(a_line(at), row=msgspec.Raw(b'{"a":"%b"}' % (b"x" * 1_000_000))) for at in range(6)
    ]
    text = b"".join(msgspec.json.encode(each) + b"\n" for each in lines)
    files: Any = SimpleNamespace(stream=lambda _: iter([text]))  # all of them in one chunk
    index = LineIndex(files, PLAN)
    assert [len(index.take(6)) for _ in range(6)] == [1] * 6


def test_an_index_that_ends_too_early_is_damaged() -> None:
    index = index_of(msgspec.json.encode(a_line(0)) + b"\n")
    index.take(9)
    with pytest.raises(Transient):
        index.take(9)

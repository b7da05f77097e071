"""Equal requests are found however they are looked at, within a bound; which lines share comes back as it was noted."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from batchdrop.batches.shared_lines import LineSharing, read_pairs
from batchdrop.inputs.equal_requests import EqualRequests
from hypothesis import given
from hypothesis import strategies as st

requests = st.lists(st.tuples(st.sampled_from([b"a", b"b", b"a ", b"", b"c" * 300]), st.integers(0, 2)), max_size=30)


def one_by_one(asked: list[tuple[bytes, int]], most: int) -> list[int | None]:
    """Whose request each one is, or None; with a dictionary of them all."""
    known: dict[tuple[bytes, int], int] = {}
    found: list[int | None] = []
    for place, request in enumerate(asked):
        found.append(known.get(request))
        if request not in known and len(known) < most:
            known[request] = place
    return found


@given(requests, st.lists(st.integers(1, 7), max_size=30), st.integers(0, 6))
def test_blocks_of_any_size_find_what_a_dictionary_finds(
    asked: list[tuple[bytes, int]], sizes: list[int], most: int
) -> None:
    equal, found, place = EqualRequests(most), list[int | None](), 0
    for size in [*sizes, len(asked)]:
        block = asked[place : place + size]
        seen = equal.look([body for body, _ in block], [route for _, route in block], place)
        equal.remember(seen)
        shared = dict(seen.shared)
        assert sorted([*seen.sent, *shared]) == [*range(len(block))]
        found += [shared.get(at) for at in range(len(block))]
        place += len(block)
    assert found == one_by_one(asked, most)


def test_what_was_not_put_into_a_batch_is_nobodys_answer() -> None:
    equal = EqualRequests()
    assert equal.look([b"a"], [0], 0).sent == [0]
    assert equal.look([b"a"], [0], 1).sent == [0]


class Objects(dict[str, bytes]):
    def put(self, key: str, body: Path, **_: str) -> None:
        self[key] = body.read_bytes()

    def stream(self, key: str) -> Any:
        return (self[key][at : at + 5] for at in range(0, len(self[key]), 5))


@pytest.mark.parametrize("is_on", [True, False])
def test_pairs_come_back_as_they_were_noted(tmp_path: Path, *, is_on: bool) -> None:
    sharing, files = LineSharing(tmp_path, is_on=is_on), Objects()
    for place, body in enumerate([b"a", b"b", b"a", b"b", b"c", b"a"]):
        sharing.note(sharing.of_line(msgspec.Raw(body), 0, place), place)
    key = sharing.finish("shared", files)  # type: ignore[arg-type]  # a stand-in by shape
    pairs = [*read_pairs(files, key)]  # type: ignore[arg-type]
    assert (key, pairs) == (("shared", [(2, 0), (3, 1), (5, 0)]) if is_on else (None, []))


def test_where_nothing_is_shared_nothing_is_written(tmp_path: Path) -> None:
    sharing, files = LineSharing(tmp_path, is_on=True), Objects()
    sharing.note(sharing.of_line(msgspec.Raw(b"a"), 0, 0), 0)
    assert (sharing.finish("shared", files), files) == (None, {})  # type: ignore[arg-type]

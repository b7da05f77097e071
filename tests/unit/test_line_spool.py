"""Lines are copied from where they lie, read in as few calls as is sensible, and found again by their place."""

import tempfile
from collections.abc import Iterator

from batchdrop.outputs.line_spool import Spool, read_spans
from hypothesis import given
from hypothesis import strategies as st

spans_in = st.lists(st.integers(0, 200), max_size=20).map(
    lambda edges: list(zip(*[iter(sorted(edges))] * 2, strict=False))
)


class Memory:
    def __init__(self, data: bytes, piece: int) -> None:
        self._data, self._piece = data, piece
        self.calls: list[tuple[int, int]] = []

    def read(self, start: int, end: int) -> Iterator[bytes]:
        self.calls.append((start, end))
        return (self._data[at : min(at + self._piece, end)] for at in range(start, end, self._piece))


@given(spans_in, st.integers(1, 60))
def test_spans_are_read_whole_and_nothing_else(spans: list[tuple[int, int]], piece: int) -> None:
    data = bytes(range(201))
    found = [b""]
    for chunk, is_last in read_spans(Memory(data, piece).read, spans):
        found[-1] += chunk
        if is_last:
            found.append(b"")
    assert found == [*(data[start:end] for start, end in spans), b""]


def test_what_lies_near_is_read_in_one_call_and_what_lies_far_is_not() -> None:
    memory = Memory(bytes(5_000_000), 100_000)
    spans = [(10, 20), (1_000_000, 1_000_100), (3_000_000, 3_000_000), (4_900_000, 5_000_000)]
    assert sum(len(chunk) for chunk, _ in read_spans(memory.read, spans)) == 10 + 100 + 100_000
    assert memory.calls == [(10, 1_000_100), (3_000_000, 3_000_000), (4_900_000, 5_000_000)]


@given(st.lists(st.binary(max_size=9).map(lambda text: text.replace(b"\n", b".")), max_size=12), st.data())
def test_lines_are_found_by_their_place_whichever_were_wanted(lines: list[bytes], data: st.DataObject) -> None:
    offsets = [sum(len(line) + 1 for line in lines[:number]) for number in range(len(lines))]
    places = data.draw(st.permutations(range(len(lines))))
    wanted = data.draw(st.lists(st.sampled_from(range(len(lines))), unique=True).map(sorted)) if lines else []
    cut = data.draw(st.integers(0, len(wanted)))
    memory = Memory(b"\n".join(lines), 5)
    with tempfile.TemporaryFile() as file:
        spool = Spool(file, len(lines))
        for some in (wanted[:cut], wanted[cut:]):
            spool.take(memory.read, ((places[each], offsets[each], len(lines[each])) for each in some))
        assert [spool.line(places[each], len(lines[each])) for each in wanted] == [lines[each] for each in wanted]
        if wanted:
            some = data.draw(st.permutations(wanted))
            found = spool.lines([places[each] for each in some], [len(lines[each]) for each in some])
            assert found == [lines[each] for each in some]
        spool.clear()
        spool.take(memory.read, ((places[each], offsets[each], len(lines[each])) for each in wanted))
        assert [spool.line(places[each], len(lines[each])) for each in wanted] == [lines[each] for each in wanted]
        file.seek(0, 2)
        assert file.tell() <= sum(len(lines[each]) + 1 for each in wanted)

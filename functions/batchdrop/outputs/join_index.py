"""Maps each line of a split to the batch that answers it. Pure."""

from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence

from batchdrop.batches.result_index import Found

NO_BATCH = 0xFFFF_FFFF
"""The number in `JoinIndex.batches` of a line that was in no batch."""

_PAID = {int(Found.MISFIT): 1, int(Found.CUT_OFF): 1, int(Found.ANSWERED): 2}  # what goes before what, and is paid


class JoinIndex:
    """For each line, by its place: the number of the batch that speaks for it, and the position in that batch.

    An answer speaks before one that does not fit the output schema, and that before an error; of several answers the
    first does, of several others the last, unless it is a duplicate's. Batches have the numbers 0, 1, … in the order
    in which they are added.

    `firsts` has for each line the one whose request was sent for it: itself, unless it shares the request of another.
    """

    def __init__(self, lines: int) -> None:
        self.batches, self.positions = array("I", [NO_BATCH]) * lines, array("I", bytes(4 * lines))
        self.firsts: range | array[int] = range(lines)
        self._members: list[Sequence[int]] = []
        self._found: list[Sequence[int]] = []
        self._has_rivals = False

    def add(self, members: Sequence[int], found: Sequence[int], *, is_duplicate: bool = False) -> None:
        """Add a batch: `members` are the lines of its requests, `found` what was found of each."""
        number, batches, positions = len(self._members), self.batches, self.positions
        self._members.append(members)
        self._found.append(found)
        self._has_rivals = self._has_rivals or is_duplicate
        answered = int(Found.ANSWERED)
        for position, place in enumerate(members):
            before = batches[place]
            if before != NO_BATCH:
                self._has_rivals = True
                rank = _PAID.get(self._found[before][positions[place]], 0)
                if rank == _PAID[answered] or rank > _PAID.get(found[position], 0):
                    continue
            if not is_duplicate or found[position] == answered:
                batches[place], positions[place] = number, position

    def unused(self) -> Iterator[tuple[int, int]]:
        """The answers, by batch and position, of lines for which something else speaks: they were paid, too."""
        if not self._has_rivals:
            return
        batches, positions = self.batches, self.positions
        for number, (members, found) in enumerate(zip(self._members, self._found, strict=True)):
            for position, place in enumerate(members):
                speaks = batches[place] == number and positions[place] == position
                if found[position] in _PAID and not speaks:
                    yield number, position

    def share(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Let lines have what is said of others, whose request is theirs, too; after all batches were added.

        `pairs` are the places of such a line, and of the other.
        """
        for place, first in pairs:
            if isinstance(self.firsts, range):
                self.firsts = array("I", self.firsts)
            self.firsts[place] = first
            self.batches[place], self.positions[place] = self.batches[first], self.positions[first]

    def firsts_before(self, window: range) -> set[int]:
        """The lines before a window whose request is also that of lines in it."""
        if isinstance(self.firsts, range) or not window.start:
            return set()
        return {first for first in self.firsts[window.start : window.stop] if first < window.start}

    def positions_in(self, number: int, window: range, also: Collection[int] = ()) -> list[int]:
        """The positions at which a batch speaks for lines of a window, or for others, and has something to say."""
        batches, positions, found = self.batches, self.positions, self._found[number]
        start, stop = window.start, window.stop
        return [
            position
            for position, place in enumerate(self._members[number])
            if batches[place] == number
            and positions[place] == position
            and found[position]
            and (start <= place < stop or place in also)
        ]

"""Which batch answers which line of a split. Pure."""

from array import array
from collections.abc import Sequence

from batchdrop.batches.result_index import Found

NO_BATCH = 0xFFFF_FFFF
"""The number in `JoinIndex.batches` of a line that was in no batch."""


class JoinIndex:
    """For each line, by its place: the number of the batch that speaks for it, and the position in that batch.

    An answer speaks before an error; of several errors the last one does, unless it is a duplicate's. Batches have the
    numbers 0, 1, … in the order in which they are added.

    `unused` are the answers, by batch and position, of lines for which another one speaks: they were paid, too.
    """

    def __init__(self, lines: int) -> None:
        self.batches, self.positions = array("I", [NO_BATCH]) * lines, array("I", bytes(4 * lines))
        self.unused: list[tuple[int, int]] = []
        self._members: list[Sequence[int]] = []
        self._found: list[Sequence[int]] = []

    def add(self, members: Sequence[int], found: Sequence[int], *, is_duplicate: bool = False) -> None:
        """Add a batch: `members` are the lines of its requests, `found` what was found of each."""
        number, batches, positions = len(self._members), self.batches, self.positions
        self._members.append(members)
        self._found.append(found)
        answered = int(Found.ANSWERED)
        for position, place in enumerate(members):
            before = batches[place]
            is_open = before == NO_BATCH or self._found[before][positions[place]] != answered
            if is_open and (not is_duplicate or found[position] == answered):
                batches[place], positions[place] = number, position
            elif not is_open and found[position] == answered:
                self.unused.append((number, position))

    def positions_in(self, number: int, window: range) -> list[int]:
        """The positions at which a batch speaks for lines of a window, and has something to say."""
        batches, positions, found = self.batches, self.positions, self._found[number]
        start, stop = window.start, window.stop
        return [
            position
            for position, place in enumerate(self._members[number])
            if batches[place] == number and positions[place] == position and found[position] and start <= place < stop
        ]

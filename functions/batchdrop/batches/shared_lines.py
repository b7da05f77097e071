"""Lines of a split that share another's request: found while it is planned, read while it is assembled.

Pairs of places in the split's index lie in one object of `work/`, 8 bytes for each line that shares: its own, and that
of the first line with the same request, which is in a batch.
"""

from array import array
from collections.abc import Iterator, Sequence
from itertools import batched, chain
from pathlib import Path
from typing import NamedTuple

from msgspec import Raw
from msgspec.structs import replace

from batchdrop.aws.bucket import Files
from batchdrop.inputs.equal_requests import EqualRequests, Place, Seen
from batchdrop.inputs.usual_lines import UsualLines

_PAIR_BYTES = 8
_SENT = Seen(sent=[0], shared=[], new={})


class BlockToSend(NamedTuple):
    """The lines of a block that are sent, with their places, and the sharing to note once they are in batches."""

    usual: UsualLines
    places: Sequence[Place]
    seen: Seen | None


class LineSharing:
    """Finds equal requests while a split is planned, if the job wants it.

    Args:
        folder: A folder on disk for the pairs, until they are whole.
        is_on: Whether the job wants it.
    """

    def __init__(self, folder: Path, *, is_on: bool) -> None:
        self._requests = EqualRequests() if is_on else None
        self._path = folder / "shared"
        self._file = self._path.open("wb") if is_on else None
        self.lines = 0

    def of_line(self, body: Raw, route: int, place: Place) -> Seen:
        """Return whether a line's request is sent; nothing is noted yet."""
        return _SENT if self._requests is None else self._requests.look([memoryview(body)], [route], place)

    def of_block(self, usual: UsualLines, routes: Sequence[int], place: Place) -> BlockToSend:
        """The same of a block: `routes` are the numbers of its routes, `place` is its first line's."""
        if self._requests is None:
            return BlockToSend(usual, range(place, place + len(usual.bodies)), None)
        seen = self._requests.look(usual.bodies, [routes[kind] for kind in usual.kinds], place)
        if not seen.shared:
            return BlockToSend(usual, range(place, place + len(usual.bodies)), seen)
        bodies, kinds = [usual.bodies[at] for at in seen.sent], [usual.kinds[at] for at in seen.sent]
        return BlockToSend(replace(usual, bodies=bodies, kinds=kinds), [place + at for at in seen.sent], seen)

    def note(self, seen: Seen | None, place: Place) -> None:
        """Note what was found of lines from a place on; those that are sent are in batches now."""
        if self._requests is None or self._file is None or seen is None:
            return
        self._requests.remember(seen)
        self.lines += len(seen.shared)
        self._file.write(array("I", chain.from_iterable((place + at, first) for at, first in seen.shared)))

    def finish(self, key: str, files: Files) -> str | None:
        """Write the pairs; their key, or None where no line shares another's request."""
        if self._file is not None:
            self._file.close()
        if not self.lines:
            return None
        files.put(key, self._path, content_type="application/octet-stream")
        return key


def read_pairs(files: Files, key: str | None) -> Iterator[tuple[Place, Place]]:
    """The places of lines that share, each with that of the line whose request was sent, in ascending order."""
    held = b""
    for chunk in () if key is None else files.stream(key):
        held += chunk
        whole = len(held) - len(held) % _PAIR_BYTES
        yield from batched(array("I", held[:whole]), 2, strict=True)
        held = held[whole:]

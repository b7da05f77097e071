"""The result index of a batch: for each request, where its result line lies in the raw copies."""

from array import array
from collections.abc import Iterable
from enum import IntEnum

import msgspec

from batchdrop.aws.bucket import Files


class Found(IntEnum):
    NOTHING = 0  # no line: lost, or the batch failed as a whole
    RETRYABLE = 1  # an error that may pass
    REFUSED = 2  # an error for good
    ANSWERED = 3
    UNREADABLE = 4  # what may be a paid answer, and nobody can read
    OF_ACCOUNT = 5  # an error of the account: it may pass, and says nothing of the request
    NOT_SERVED = 6  # an error for good that is the model's: another may answer the same request
    DOUBT = 7  # a call whose reply was lost: it may be paid, and is made again
    MISFIT = 8  # an answer that does not fit the job's output schema
    CUT_OFF = 9  # the same, since it was cut off at its limit of tokens: it would be again


UNCHARGED = frozenset({Found.OF_ACCOUNT})  # what is sent again without counting an attempt
CHARGED = frozenset({Found.NOTHING, Found.RETRYABLE, Found.DOUBT})  # what is sent again while there are attempts left
MISFITS = frozenset({Found.MISFIT})  # the same, and an attempt whatever became of its batch: it is paid
_RANKS = (0, 1, 3, 6, 2, 1, 3, 1, 4, 5)  # of each, by its number: what may be paid goes before what would be sent again


class Collected(msgspec.Struct, kw_only=True):
    """By position in the batch. `streams` counts the raw copies from 0; `offsets` and `lengths` are bytes in them."""

    found: array[int]
    streams: array[int]
    offsets: array[int]
    lengths: array[int]

    @classmethod
    def empty(cls, requests: int) -> "Collected":
        return cls(
            found=array("B", bytes(requests)),
            streams=array("B", bytes(requests)),
            offsets=array("Q", bytes(8 * requests)),
            lengths=array("I", bytes(4 * requests)),
        )

    def note(self, position: int, found: Found, stream: int, offset: int, length: int) -> None:
        """Keep the best line of a request: an answer before an error, the first of two equals."""
        if _RANKS[found] > _RANKS[self.found[position]]:
            self.found[position] = found
            self.streams[position] = stream
            self.offsets[position] = offset
            self.lengths[position] = length

    def note_answers(self, positions: list[int], stream: int, offsets: list[int], lengths: list[int]) -> None:
        """Keep answers as `note` does, one after the other: the first of each request."""
        found, streams, answered = self.found, self.streams, int(Found.ANSWERED)
        for position, offset, length in zip(positions, offsets, lengths, strict=True):
            if found[position] != answered:
                found[position], streams[position] = answered, stream
                self.offsets[position], self.lengths[position] = offset, length

    def count(self, kinds: Iterable[Found]) -> int:
        """Of how many requests one of these was found."""
        return sum(self.found.count(int(kind)) for kind in kinds)

    def to_bytes(self) -> bytes:
        return b"".join(each.tobytes() for each in (self.offsets, self.lengths, self.found, self.streams))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Collected":
        requests = len(data) // 14
        read = cls.empty(0)
        at = 0
        for each in (read.offsets, read.lengths, read.found, read.streams):
            size = requests * each.itemsize
            each.frombytes(data[at : at + size])
            at += size
        return read


def raw_key(prefix: str, stream: int) -> str:
    return f"{prefix}raw-{stream}.jsonl"


def index_key(prefix: str) -> str:
    return f"{prefix}index"


def read_collected(files: Files, prefix: str) -> Collected:
    return Collected.from_bytes(files.get(index_key(prefix)))

"""Optimistic writes: read, decide, write if nothing changed; where something did, all of it again."""

from collections.abc import Callable

from batchdrop.aws.retrying import retry
from batchdrop.errors import ClaimLost, Transient

_MOST_TRIES = 20
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 1.0  # seconds


class ConcurrentChange(Exception):  # noqa: N818 - it is an outcome: read again and decide anew
    """Another row of the transaction changed (a counter, a ledger, the job): read again and decide again.

    Args:
        refused: Which of the other writes were, counted from 0.
    """

    def __init__(self, refused: frozenset[int] = frozenset()) -> None:
        super().__init__(f"refused: {sorted(refused)}")
        self.refused = refused


def until_unchanged[T](attempt: Callable[[], T], *, on: type[ConcurrentChange | ClaimLost] = ConcurrentChange) -> T:
    """Do what reads, decides and writes, again from its reading on where another changed what was read.

    Args:
        attempt: All of it: nothing that it read before may be used again.
        on: What says that it changed.

    Raises:
        Transient: It changed each time: the message is delivered again, or sweep sends it.
    """
    again = retry(
        on=on,
        attempts=_MOST_TRIES,
        timeout=None,
        wait_initial=_FIRST_PAUSE,
        wait_jitter=_FIRST_PAUSE,
        wait_max=_LONGEST_PAUSE,
    )
    try:
        return again(attempt)()
    except on as error:
        raise Transient("what was read changed each time before it could be written") from error

"""Optimistic writes: read, decide, write if nothing changed; where something did, all of it again."""

from collections.abc import Callable

from batchdrop.aws.retrying import retry
from batchdrop.aws.row_versions import NewerRow
from batchdrop.errors import ClaimLost, Transient

_MOST_TRIES = 20
# Seconds. What is drawn is longer than what grows: 320 workers that met at one counter all write within five seconds;
# without it they meet again and again.
_FIRST_PAUSE, _GROWTH, _DRAWN = 0.01, 1.2, 0.4


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
        NewerRow: What was read is left to newer code, which no repetition changes.
    """
    again = retry(
        on=lambda error: isinstance(error, on) and not isinstance(error, NewerRow),
        attempts=_MOST_TRIES,
        timeout=None,
        wait_initial=_FIRST_PAUSE,
        wait_exp_base=_GROWTH,
        wait_jitter=_DRAWN,
    )
    try:
        return again(attempt)()
    except NewerRow:
        raise
    except on as error:
        raise Transient("the rows that were read changed each time before they could be written") from error

"""Counts failures of a unit, and decides when it is retried and when it is given up. Pure.

A claim that was taken and never given back is a failure, whether its worker raised or died; work that needs no claim is
counted where it failed. Put-offs (no room, a pause, a provider that is slow) are none, and end the count, unless the
unit was deferred before anything was tried.
"""

from typing import Protocol

from batchdrop.row_changes import RowChanges
from batchdrop.states import BatchState, JobState, SplitState, State

MOST_UNPAID = 6  # failures in a row of what was never sent: about five hours
MOST_PAID = 24  # of what may have been paid: about a day, in which a deployment can be fixed
LAST = MOST_PAID + MOST_UNPAID  # then the job is given up, whatever stands in the way of ending the unit alone
LONGEST_DELAY = 3_600  # seconds
IN_A_ROW_SECONDS = 4 * LONGEST_DELAY  # tries are two hours apart at most, some in `poll_schedule`, and may be late
_DOUBLINGS = 12
_UNPAID = frozenset(
    {JobState.PLANNING, JobState.HELD, SplitState.PENDING, BatchState.WAITING, BatchState.ADMITTED},
)


class Failing(Protocol):
    """The failures that a row notes."""

    @property
    def failures(self) -> int: ...
    @property
    def failed_at(self) -> int: ...
    @property
    def claimed_until(self) -> int: ...


def failures_of(row: Failing, now: int) -> int:
    """Failures in a row, the claim among them that ran out."""
    return row.failures + (0 < row.claimed_until <= now)


def counted_failures(row: Failing, now: int) -> RowChanges:
    """Return a row's failures once a claim that ran out is counted among them."""
    failures = failures_of(row, now)
    return {"failures": failures, "failed_at": now if failures > row.failures else row.failed_at}


def failures_before(failures: int, failed_at: int, most: int, now: int) -> int:
    """Return how many failures in a row one that is counted now follows, in work that writes nothing when it succeeds.

    None where the last one was too long ago; but what has failed for good stays so.
    """
    is_recent = now - failed_at <= IN_A_ROW_SECONDS
    return failures if is_recent or failures >= most else 0


def most_failures(state: State | str, called: int = 0) -> int:
    """Return how often a unit may fail in this state (or, in a row that cannot be decoded, in what stands there).

    Args:
        state: The state.
        called: How many of its requests may have been called at real time, and paid.
    """
    return MOST_UNPAID if state in _UNPAID and not called else MOST_PAID


def retry_delay(failures: int, lease: int) -> int:
    """Seconds until a unit is tried again: past its claim's end, ever later, an hour at most."""
    return max(lease, min(lease << min(failures, _DOUBLINGS), LONGEST_DELAY))

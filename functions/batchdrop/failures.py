"""How often a unit has failed, when it is tried again, and when that is enough. Pure.

A claim that was taken and never given back is a failure, whether its worker raised or died; work that needs no claim is
counted where it failed. Put-offs (no room, a pause, a provider that is slow) are none.
"""

from typing import Protocol

from batchdrop.states import BatchState, JobState, SplitState, State

MOST_UNPAID = 6  # failures in a row of what was never sent: about five hours
MOST_PAID = 24  # of what may have been paid: about a day, in which a deployment can be mended
LAST = MOST_PAID + MOST_UNPAID  # then the job is given up, whatever stands in the way of ending the unit alone
LONGEST_DELAY = 3_600  # seconds
_DOUBLINGS = 12
_UNPAID = frozenset(
    {JobState.PLANNING, SplitState.PENDING, BatchState.WAITING, BatchState.ADMITTED},
)


class Failing(Protocol):
    """What a row says of its failures."""

    @property
    def failures(self) -> int: ...
    @property
    def claimed_until(self) -> int: ...


def failures_of(row: Failing, now: int) -> int:
    """Failures in a row, the claim among them that ran out."""
    return row.failures + (0 < row.claimed_until <= now)


def most_failures(state: State | str) -> int:
    """How often a unit may fail in this state (or, in a row that cannot be decoded, in what stands there)."""
    return MOST_UNPAID if state in _UNPAID else MOST_PAID


def retry_delay(failures: int, lease: int) -> int:
    """Seconds until a unit is tried again: past its claim's end, ever later, an hour at most."""
    return max(lease, min(lease << min(failures, _DOUBLINGS), LONGEST_DELAY))

"""A job's deadline as `show` tells it: until when its batches run, and whether they are likely to meet it."""

import msgspec
from batchdrop.manifest import timestamp
from batchdrop.records import Job
from batchdrop.states import TERMINAL_JOBS

from batchdrop_cli.expected import ExpectedEnd


class ShownDeadline(msgspec.Struct, frozen=True, kw_only=True):
    """When a job must be done, and what is done for that.

    Attributes:
        at: The deadline.
        last_safe_moment: Until then its batches run; null before it is known, and where nothing is called.
        finishing_since: When what was left began to be called at real time.
        is_likely: Whether its batches will probably have ended by the last safe moment; null where nothing is known.
        reason: Why nothing is called although the deadline comes near.
    """

    at: str
    last_safe_moment: str | None
    finishing_since: str | None
    is_likely: bool | None
    reason: str | None

    def __str__(self) -> str:
        return f"{_minute(self.at)}{self._what()}"

    def _what(self) -> str:
        if self.reason is not None:
            return f". {self.reason}"
        if self.finishing_since is not None:
            return f"; its remaining requests are called at real time since {_minute(self.finishing_since)}"
        if self.last_safe_moment is None:
            return ""
        likely = {True: ", probably not needed", False: ", probably needed", None: ""}[self.is_likely]
        return f"; calls at real time from {_minute(self.last_safe_moment)} on{likely}"


def deadline_of(job: Job, expected: ExpectedEnd | None) -> ShownDeadline | None:
    """Return the deadline to show of a job that is not over; a finished one has it in its manifest."""
    if job.deadline_at is None or job.state in TERMINAL_JOBS:
        return None
    is_off = job.settings.realtime == "off"
    moment = None if is_off or job.last_safe_at is None else timestamp(job.last_safe_at)
    return ShownDeadline(
        at=timestamp(job.deadline_at),
        last_safe_moment=moment,
        finishing_since=None if job.finishing_at is None else timestamp(job.finishing_at),
        is_likely=None if expected is None or moment is None else expected.high <= moment,
        reason='Nothing is called at real time (realtime = "off").' if is_off else job.late_reason,
    )


def _minute(at: str) -> str:
    return f"{at.replace('T', ' ')[:16]} UTC"

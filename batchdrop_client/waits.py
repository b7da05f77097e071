"""Waiting for a job without a terminal: notifications go to the log; the pauses are a clock's."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from batchdrop.records import Job
from batchdrop.states import JobState

from batchdrop_cli.progress import Stage
from batchdrop_client.errors import CloudFailed, JobFailed, JobHeld, WaitTimeout, in_words

logger = logging.getLogger("batchdrop.client")

_AWAY_SECONDS = 300


class Unwatched:
    """A display that shows nothing, and logs why nothing happens."""

    def show(self, now: Stage) -> None:
        """Nothing: nobody looks."""

    def notify(self, text: str) -> None:
        logger.warning(text)


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Seconds that only rise, and the pauses of a program with threads and of one with a loop."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    rest: Callable[[float], Awaitable[None]] = asyncio.sleep


class Looks:
    """Looks at a job that outlast a network that is away for a while: the job goes on, and so may who waits."""

    def __init__(self, look: Callable[[], Job | None], now: Callable[[], float]) -> None:
        self._look, self._now = look, now
        self._answered_at: float | None = None

    def look(self) -> Job | None:
        """Return the value that is found; None where nothing answers, but did lately.

        Raises:
            CloudFailed: Nothing has answered for five minutes, or ever.
        """
        try:
            with in_words():
                found = self._look()
        except CloudFailed as error:
            if self._answered_at is None or self._now() - self._answered_at > _AWAY_SECONDS:
                raise
            logger.warning("%s The job continues, and is looked at again.", error)
            return None
        self._answered_at = self._now()
        return found


class Deadline:
    """When a wait ends in any case; never without a timeout."""

    def __init__(self, job_id: str, timeout: float | None, now: Callable[[], float]) -> None:
        self._job_id, self._timeout, self._now, self._began = job_id, timeout, now, now()

    def within(self, pause: float) -> float:
        """The pause, shortened to what is left.

        Raises:
            WaitTimeout: Nothing is.
        """
        if self._timeout is None:
            return pause
        left = self._began + self._timeout - self._now()
        if left <= 0:
            raise WaitTimeout(f"Job {self._job_id} is not over after {self._timeout:g} seconds; it continues.")
        return min(pause, left)


def raise_unless_answered(row: Job) -> None:
    """Tell a job that has results from one that has none.

    Raises:
        JobHeld: It waits for a person.
        JobFailed: It failed as a whole.
    """
    if row.state is JobState.HELD:
        raise JobHeld(row.id, row.reason)
    if row.state is JobState.FAILED:
        raise JobFailed(row.id, row.reason)

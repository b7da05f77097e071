"""When a job should be done, when it must be, and when it is too old. Pure."""

import re
from datetime import UTC, datetime, timedelta

from batchdrop.records import Job

ROWS_LIVE = 90 * 86_400  # seconds after a job's end; SQS keeps a message 14 days: a late event still finds its job
_COLLECTION_SECONDS = 3 * 86_400  # seconds; results of a cancelled batch are collected meanwhile
_LAST_TRIES = 86_400
_LEAST_TICKS = 30
_SECONDS = {"m": 60, "h": 3_600, "d": 86_400}
DURATION = re.compile(r"([1-9][0-9]{0,4})([mhd])")


def expected_at(job: Job) -> int | None:
    """Return when the job should be done (`expected_by`): a time after the drop, or a time of day."""
    wanted = job.settings.expected_by
    return None if wanted is None else moment_after(job.dropped_at, wanted)


def moment_after(dropped_at: int, wanted: str) -> int:
    """The time so long after a drop (`"6h"`), or the first time of that name after it (`"07:00Z"`)."""
    if DURATION.fullmatch(wanted):
        return dropped_at + seconds(wanted)
    dropped = datetime.fromtimestamp(dropped_at, UTC)
    hour, minute = (int(part) for part in wanted.removesuffix("Z").split(":"))
    found = dropped.replace(hour=hour, minute=minute, second=0)
    return int((found if found > dropped else found + timedelta(days=1)).timestamp())


def last_moment(job: Job) -> int:
    """Return when the job ends, done or not (`max_age`)."""
    return job.dropped_at + seconds(job.settings.max_age)


def given_up_at(job: Job) -> int:
    """Return when what is at a provider is no longer waited for, although the job should have ended long ago."""
    return last_moment(job) + _COLLECTION_SECONDS


def collection_deadline(job: Job) -> int:
    """Return when a job that cannot be put together, or published, ends all the same."""
    return max(given_up_at(job), job.published_at or 0) + _LAST_TRIES


def next_deadline(job: Job) -> int:
    """Return when somebody should look at the clock for this job, what is called at real time aside."""
    expected = None if job.is_late else expected_at(job)
    deadline = None if job.is_past_deadline else job.deadline_at
    return min(each for each in (expected, deadline, last_moment(job)) if each is not None)


def why_too_soon(wanted: str, at: int, *, now: int, tick: int) -> str | None:
    """Why no job can be done by a deadline that was set as `wanted` and means `at`, in words; None where one can.

    Half an hour on AWS: ten minutes that a cancel may take (OpenAI's documentation), ten of margin, and as many in
    which a batch may end by itself.

    Args:
        wanted: The setting.
        at: What it means.
        now: Seconds.
        tick: The pace of poll and sweep, seconds.
    """
    least = _LEAST_TICKS * tick
    if at <= now:
        return f"deadline = {wanted!r}: that time was over before the file was taken."
    if at - now < least:
        return (
            f"deadline = {wanted!r}: {_in_words(at - now)} are left, and a job takes {_in_words(least)} at least, "
            "since cancelling its batches takes a while. For answers at once, call the provider directly."
        )
    return None


def _in_words(duration: int) -> str:
    return f"{duration // 60} minutes" if duration >= 2 * 60 else f"{duration} seconds"


def seconds(duration: str) -> int:
    """`"30d"`, `"6h"`, `"45m"` as seconds."""
    match = DURATION.fullmatch(duration)
    if match is None:
        raise ValueError(duration)
    return int(match[1]) * _SECONDS[match[2]]

"""When a job is late, and when it is too old. Pure."""

import re
from datetime import UTC, datetime, timedelta

from batchdrop.records import Job

ROWS_LIVE = 90 * 86_400  # seconds after a job's end; SQS keeps a message 14 days: a late event still finds its job
_PATIENCE = 3 * 86_400  # seconds; results of a cancelled batch are collected meanwhile
_LAST_TRIES = 86_400
_SECONDS = {"m": 60, "h": 3_600, "d": 86_400}
DURATION = re.compile(r"([1-9][0-9]{0,4})([mhd])")


def expected_at(job: Job) -> int | None:
    """When the job should be done (`expected_by`): a time after the drop, or a time of day."""
    wanted = job.settings.expected_by
    if wanted is None:
        return None
    if DURATION.fullmatch(wanted):
        return job.dropped_at + seconds(wanted)
    dropped = datetime.fromtimestamp(job.dropped_at, UTC)
    hour, minute = (int(part) for part in wanted.removesuffix("Z").split(":"))
    found = dropped.replace(hour=hour, minute=minute, second=0)
    return int((found if found > dropped else found + timedelta(days=1)).timestamp())


def last_moment(job: Job) -> int:
    """When the job ends, done or not (`max_age`)."""
    return job.dropped_at + seconds(job.settings.max_age)


def given_up_at(job: Job) -> int:
    """When what is at a provider is no longer waited for, although the job should have ended long ago."""
    return last_moment(job) + _PATIENCE


def collection_deadline(job: Job) -> int:
    """When a job that cannot be put together, or published, ends all the same."""
    return max(given_up_at(job), job.published_at or 0) + _LAST_TRIES


def next_deadline(job: Job) -> int:
    """When somebody should look at the clock for this job."""
    expected = expected_at(job)
    return last_moment(job) if expected is None or job.is_late else min(expected, last_moment(job))


def seconds(duration: str) -> int:
    """`"30d"`, `"6h"`, `"45m"` as seconds."""
    match = DURATION.fullmatch(duration)
    if match is None:
        raise ValueError(duration)
    return int(match[1]) * _SECONDS[match[2]]

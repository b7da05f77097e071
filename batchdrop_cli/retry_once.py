"""The same lines are retried by one command at a time, and answers that a retry brought are not paid for again."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count as counting
from pathlib import Path

from batchdrop.aws.store import Store
from batchdrop.records import Job
from batchdrop.states import TERMINAL_JOBS

from batchdrop_cli import drop, merge
from batchdrop_cli.cloud import Cloud
from batchdrop_cli.retry import RETRY_LINES, Chosen, beside
from batchdrop_cli.user_errors import UserError


@contextmanager
def only_retry(cloud: Cloud, chosen: Chosen, fixed: Path | None, *, again: bool) -> Iterator[list[str]]:
    """Be the only command that retries these lines, fixed or not; the caller appends the id of the job.

    With `again` nobody is asked.

    Raises:
        UserError: They are being retried already, or a retry answered some that are sent.
    """
    if again:
        yield []
        return
    digest = f"retry-{hashlib.sha256(f'{chosen.job.id} {chosen.key}'.encode()).hexdigest()}"
    size = 0 if fixed is None else fixed.stat().st_size
    running = partial(_already_retrying_error, cloud)
    with drop.only_command(cloud, digest, size=size, what="the same lines", running=running) as dropped:
        _refuse_twice(cloud, chosen, fixed)
        yield dropped


def _already_retrying_error(cloud: Cloud, job_id: str) -> UserError:
    return UserError(
        f"Job {job_id} is already retrying these lines. See: {cloud.command(f'show {job_id}')} - "
        "to send and pay for them again: --again"
    )


def _refuse_twice(cloud: Cloud, chosen: Chosen, fixed: Path | None) -> None:
    """Refuse what would be paid twice: the same lines are being retried, or a retry answered some that are sent.

    Raises:
        UserError: So it is.
    """
    same = [each for each in merge.fitting(cloud.store, chosen.job) if each.retry_lines == chosen.key]
    earlier = [each for retry in same for each in _with_retries(cloud.store, retry)]
    running = [each.id for each in earlier if each.state not in TERMINAL_JOBS] or _just_dropped(cloud, chosen)
    if running:
        raise _already_retrying_error(cloud, running[0])
    for retry in same:
        answered = _answered_again(cloud, retry, fixed)
        if answered:
            those = cloud.command(f"retry {retry.id}{' --finish length' if chosen.cut else ''}")
            which = "were cut off" if chosen.cut else "failed"
            raise UserError(
                f"Job {retry.id} has already answered {answered:,} of these lines. To retry those that {which} again: "
                f"{those} - to send and pay for all of them again: --again"
            )


def _answered_again(cloud: Cloud, retry: Job, fixed: Path | None) -> int:
    """How many of the lines that are to be sent a retry, or one of its own retries, has answered."""
    places = counting(1) if fixed is None else _filled(fixed)
    place = next(places, None)
    answered = 0
    for result in merge.results(cloud, merge.family(cloud.store, retry)):
        while place is not None and place < result.line:
            place = next(places, None)
        answered += result.line == place and result.error is None
    return answered


def _filled(path: Path) -> Iterator[int]:
    """The places of the lines that are not empty."""
    with path.open("rb") as file:
        yield from (place for place, line in enumerate(file, start=1) if line.strip())


def _with_retries(store: Store, job: Job) -> Iterator[Job]:
    yield job
    for retry in merge.fitting(store, job):
        yield from _with_retries(store, retry)


def _just_dropped(cloud: Cloud, chosen: Chosen) -> list[str]:
    """The retries of the same lines that may be too young to be jobs."""
    same = [each for each in beside(cloud, chosen.job) if each[1].metadata.get(RETRY_LINES) == chosen.key]
    return [found for key, head in same if (found := drop.unfinished(cloud, key, head))]

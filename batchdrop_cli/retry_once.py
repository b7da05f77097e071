"""Failed lines are dropped again: by one command at a time, and answers that a retry brought are not paid for twice."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count as counting
from pathlib import Path

from batchdrop.records import Job
from batchdrop.states import TERMINAL_JOBS

from batchdrop_cli import drop, merge
from batchdrop_cli import retry as retries
from batchdrop_cli.check import check_kind
from batchdrop_cli.claims import Dropping, only_command
from batchdrop_cli.cloud import Cloud
from batchdrop_cli.exit_codes import WRONG_USE
from batchdrop_cli.retry import RETRY_LINES, Chosen, beside
from batchdrop_cli.say import count
from batchdrop_cli.user_errors import AlreadyRunning, UserError


def drop_lines(  # noqa: PLR0913 - what a retry is
    cloud: Cloud,
    chosen: Chosen,
    file: Path | None,
    key: str | None,
    *,
    again: bool,
    showing: drop.Showing = drop.unseen,
) -> str:
    """Drop the lines as a job of their own; its id.

    Args:
        cloud: Where the job is.
        chosen: The lines.
        file: A fixed copy of them; None for the lines as they are.
        key: In the folder of the job's file; None for one beside it.
        again: Send them although they are being retried, or were.
        showing: Shows the upload of the fixed copy.

    Raises:
        UserError: The lines, the copy or the key do not fit, or would be paid twice.
    """
    if file is None and chosen.cut:
        raise _uncut_error(cloud, chosen)
    if file is not None:
        retries.check_fixed(cloud, chosen, file)
    if key is not None:
        retries.check_folder(chosen.job, drop.check_key(key))
    with only_retry(cloud, chosen, file, again=again) as dropping:
        key = key or retries.free_key(cloud, chosen.job)
        send = partial(drop.drop_file, again=again, showing=showing, ending=dropping.ending)
        job_id = dropping.job = _drop(cloud, chosen, file, key, send)
    return job_id


def _uncut_error(cloud: Cloud, chosen: Chosen) -> UserError:
    save, send = (f"retry {chosen.job.id}{words} --finish length" for words in ("", " FILE"))
    return UserError(
        f"{chosen} of job {chosen.job.id}: the same limit would cut them again. Raise max_tokens in a copy: "
        f"{cloud.command(f'{save} --save FILE')} - and send that: {cloud.command(send)}",
        code=WRONG_USE,
    )


def _drop(cloud: Cloud, chosen: Chosen, file: Path | None, key: str, send: Callable[..., str]) -> str:
    if file is not None:
        check_kind(file, key)
        _warn_unchanged(cloud, retries.find_unchanged(cloud, chosen, file), file)
        metadata = retries.lineage(cloud, chosen)
        return send(cloud, file, key, metadata=metadata)
    warn_hopeless(cloud, chosen)
    job_id = retries.send_failed(cloud, chosen, key)
    cloud.notify(f"Dropped {chosen} of job {chosen.job.id} at s3://{cloud.bucket}/{key} ({cloud.title}).")
    return job_id


def warn_hopeless(cloud: Cloud, chosen: Chosen) -> None:
    """Notify which lines cannot succeed as they are; nothing where there is none."""
    if chosen.hopeless.count:
        cloud.notify(f"{chosen.hopeless.count:,} of {chosen} cannot succeed unless changed: {chosen.hopeless}.")


def _warn_unchanged(cloud: Cloud, unchanged: retries.Hopeless, file: Path) -> None:
    if unchanged.count:
        cloud.notify(f"{file} leaves {count(unchanged.count, 'line')} unchanged that cannot succeed: {unchanged}.")


@contextmanager
def only_retry(cloud: Cloud, chosen: Chosen, fixed: Path | None, *, again: bool) -> Iterator[Dropping]:
    """Be the only command that retries these lines, fixed or not; the caller says which job came of it.

    With `again` nobody is asked.

    Raises:
        UserError: They are being retried already, or a retry answered some that are sent.
    """
    if again:
        yield Dropping()
        return
    digest = f"retry-{hashlib.sha256(f'{chosen.job.id} {chosen.key}'.encode()).hexdigest()}"
    size = 0 if fixed is None else fixed.stat().st_size
    running = partial(_already_retrying_error, cloud)
    with only_command(
        cloud, digest, place=chosen.job.id, size=size, what="the same lines", running=running
    ) as dropping:
        _refuse_twice(cloud, chosen, fixed)
        yield dropping


def _already_retrying_error(cloud: Cloud, job_id: str) -> UserError:
    see = cloud.command(f"show {job_id}")
    return AlreadyRunning(
        f"Job {job_id} is already retrying these lines. See: {see} - to send and pay for them again: --again",
        job_id=job_id,
    )


def _refuse_twice(cloud: Cloud, chosen: Chosen, fixed: Path | None) -> None:
    """Refuse what would be paid twice: the same lines are being retried, or a retry answered some that are sent.

    Raises:
        UserError: So it is.
    """
    same = [each for each in merge.fitting(cloud, chosen.job) if each.retry_lines == chosen.key]
    earlier = [each for retry in same for each in _with_retries(cloud, retry)]
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
    """Return how many of the lines that are to be sent a retry, or one of its own retries, has answered."""
    places = counting(1) if fixed is None else _filled(fixed)
    place = next(places, None)
    answered = 0
    for result in merge.results(cloud, merge.family(cloud, retry)):
        while place is not None and place < result.line:
            place = next(places, None)
        answered += result.line == place and result.error is None
    return answered


def _filled(path: Path) -> Iterator[int]:
    """The places of the lines that are not empty."""
    with path.open("rb") as file:
        yield from (place for place, line in enumerate(file, start=1) if line.strip())


def _with_retries(cloud: Cloud, job: Job) -> Iterator[Job]:
    yield job
    for retry in merge.fitting(cloud, job):
        yield from _with_retries(cloud, retry)


def _just_dropped(cloud: Cloud, chosen: Chosen) -> list[str]:
    """The retries of the same lines that may be too young to be jobs."""
    same = [each for each in beside(cloud, chosen.job) if each[1].metadata.get(RETRY_LINES) == chosen.key]
    return [found for key, head in same if (found := drop.unfinished(cloud, key, head))]

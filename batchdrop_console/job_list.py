"""Finds the jobs of a page: by folder, state, day and text, the newest first, a page at a time, in bounded time."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from datetime import UTC, date, datetime
from functools import partial
from itertools import batched, islice
from typing import Any
from urllib.parse import urlencode

import msgspec
from batchdrop.aws.keys import INPUT, is_job_id
from batchdrop.records import Job
from batchdrop.states import TERMINAL_JOBS, JobState

from batchdrop_cli import jobs
from batchdrop_cli.say import Notify, describe_newer
from batchdrop_cli.totals import Totals
from batchdrop_console.pages import Console, notifier

DAYS = 35  # without a day: as far back as `latest` looks
MOST_COUNTED = 10_000
PAGE = 25
_MOST_SEARCHED = 2_000  # rows that a filter reads for one page; it offers to go on
_AT_ONCE = 100
_DAYS_AT_ONCE = 7
_LONGEST = 200  # characters of a filter
ACTIVE = "ACTIVE"


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """The filter of a list; empty for all. `before` is the last job of the page before."""

    folder: str = ""
    state: str = ""
    day: str = ""
    text: str = ""
    before: str = ""

    @property
    def is_given(self) -> bool:
        return any((self.folder, self.state, self.text))

    def query(self, **changes: str) -> str:
        values = {**msgspec.structs.asdict(self), **changes}
        return urlencode({name: value for name, value in values.items() if value})

    def takes(self, job: Job) -> bool:
        if self.state == ACTIVE and job.state in TERMINAL_JOBS:
            return False
        if self.state not in {"", ACTIVE, job.state}:
            return False
        folder = f"{self.folder.strip('/')}/".removeprefix(INPUT).removeprefix("/")
        if not job.key.removeprefix(INPUT).startswith(folder):
            return False
        words = f"{job.id} {job.key} {job.settings.summary or ''} {job.reason or ''}".casefold()
        return self.text.casefold() in words


def read_filter(query: Mapping[str, Any]) -> Filter:
    """The filter of an address; what has no sense in it is left out."""
    given = {name: str(query.get(name, ""))[:_LONGEST].strip() for name in Filter.__struct_fields__}
    given["state"] = given["state"] if given["state"] in {ACTIVE, *JobState} else ""
    given["before"] = given["before"] if is_job_id(given["before"]) else ""
    given["day"] = given["day"] if _is_day(given["day"]) else ""
    return Filter(**given)


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text) <= datetime.now(UTC).date()
    except ValueError:
        return False


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A page of jobs.

    Attributes:
        rows: The jobs.
        count: How many there are in the days that are looked at, whatever the filter, `MOST_COUNTED` at most; None
            where they were not counted.
        is_more: Whether there are more than `count`.
        searched: How many rows were read for the filter.
        next: Where the next page begins; empty at the end.
    """

    rows: list[Job]
    count: int | None
    is_more: bool
    searched: int
    next: str


def find_jobs(console: Console, wanted: Filter, pool: Executor, *, counts: bool) -> Found:
    """A page of the jobs that are wanted; with `counts` all of their days are counted beside it."""
    enough = _MOST_SEARCHED if wanted.is_given else PAGE
    after, goes_on = _ids(console, wanted, pool, enough, before=wanted.before)
    counted, is_more = _ids(console, wanted, pool, MOST_COUNTED) if counts else (None, False)
    rows, searched, last, notify = list[Job](), 0, "", notifier()
    for some in batched(after, _AT_ONCE if wanted.is_given else PAGE, strict=False):
        for name, job in zip(some, pool.map(partial(_row, console, notify), some), strict=True):
            searched, last = searched + 1, name
            if job is not None and wanted.takes(job):
                rows.append(job)
            if len(rows) == PAGE:
                break
        if len(rows) == PAGE:
            break
    return Found(
        rows=rows,
        count=None if counted is None else len(counted),
        is_more=is_more,
        searched=searched,
        next=last if searched < len(after) or goes_on else "",
    )


def _ids(console: Console, wanted: Filter, pool: Executor, enough: int, *, before: str = "") -> tuple[list[str], bool]:
    """The newest ids of the days that are looked at, `enough` of them, and whether there are more.

    With `before` only those of older jobs.
    """
    last, *earlier = [wanted.day.replace("-", "")] if wanted.day else jobs.last_days(DAYS)
    today, found = jobs.last_days(1)[0], list[str]()
    for days in ((last,), *batched(earlier, _DAYS_AT_ONCE, strict=False)):
        looked_at = [each for each in days if not before or each <= before[: len(each)]]
        for ids in pool.map(partial(_ids_of_day, console, today, enough, before), looked_at):
            found += ids
        if len(found) > enough:
            return found[:enough], True
    return found, False


def _ids_of_day(console: Console, today: str, enough: int, before: str, day: str) -> list[str]:
    """The newest ids of a day, more than `enough` where it has them; with `before` from that job of the day on.

    A past day is kept, unless it is begun within, or has more than is counted.
    """
    begins = before if before.startswith(day) else ""
    known = console.memory.ids_of(day) if day != today else None
    if known is None or (begins and len(known) > MOST_COUNTED):
        is_kept = day != today and not begins
        found = console.cloud.store.recent_job_ids([day], before=begins)
        known = [*islice(found, (MOST_COUNTED if is_kept else enough) + 1)]
        if is_kept:
            console.memory.keep_ids(day, known)
    return [each for each in known if each < begins] if begins else known


def _row(console: Console, notify: Notify, job: str) -> Job | None:
    known = console.memory.row(job)
    if known is None:
        known = console.cloud.store.readable_job(job, newer=lambda name: notify(describe_newer(name)))
        if known is not None:
            console.memory.keep_row(known)
    return known


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A job of the list: its row; its sums when it is over, else how far it is. Neither is there before it was read."""

    job: Job
    is_over: bool
    is_read: bool
    totals: Totals | None = None
    progress: jobs.Progress | None = None


def with_facts(console: Console, rows: Sequence[Job], pool: Executor) -> list[Listed]:
    """The jobs with what takes reads of its own."""
    return list(pool.map(partial(_with_facts, console), rows))


def _with_facts(console: Console, job: Job) -> Listed:
    if job.state not in TERMINAL_JOBS:
        progress = jobs.ended_requests(list(console.cloud.store.batches(job.id)))
        return Listed(job=job, is_over=False, is_read=True, progress=progress)
    if not console.memory.has_totals(job.id):
        console.memory.keep_totals(job, jobs.totals_of_job(console.cloud, job))
    return Listed(job=job, is_over=True, is_read=True, totals=console.memory.totals(job.id))


def as_known(console: Console, rows: Sequence[Job]) -> Iterator[Listed]:
    """The jobs with what is known of them without another read."""
    for job in rows:
        is_over = job.state in TERMINAL_JOBS
        is_read = is_over and console.memory.has_totals(job.id)
        yield Listed(job=job, is_over=is_over, is_read=is_read, totals=console.memory.totals(job.id))

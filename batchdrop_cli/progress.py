"""Waiting for a job: how far it is, shown until its manifest is there. Ctrl-C leaves the job running."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from importlib.util import find_spec
from typing import NamedTuple, Protocol

from batchdrop.records import Batch, Job
from batchdrop.states import TERMINAL_JOBS, JobState
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TimeElapsedColumn,
)
from rich.table import Column
from rich.text import Text

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.jobs import groups
from batchdrop_cli.say import err, note, wrap
from batchdrop_cli.stalled import QUIET_SECONDS, describe_stall, where_to_look
from batchdrop_cli.user_errors import UserError
from batchdrop_cli.waiting import waits_for
from batchdrop_cli.words import JOB_WORDS, OVER, batch_counts

_NOTICED_WITHIN = 600  # seconds from the drop to its job; the event takes less than one

_LATER_STAGES = {JobState.CANCELLING: "being cancelled", JobState.PUBLISHING: "writing the results"}
_SHORTEST_PAUSE = 0.1  # seconds between two looks at first; then longer ones


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Where a job is, and what it waits for, a sentence each.

    `done` of `total` counts requests while it runs, parts of the file while that is read. `job` and `batches` are what
    was found, for who shows more; they do not make one stage another.
    """

    text: str
    waits: tuple[str, ...] = ()
    done: int = 0
    total: int | None = None
    job: Job | None = field(default=None, compare=False, repr=False)
    batches: Sequence[Batch] = field(default=(), compare=False, repr=False)


class Display(Protocol):
    """Shows a wait: `show` whenever a job was looked at, `notify` for a sentence that stays."""

    def show(self, now: Stage) -> None: ...

    def notify(self, text: str) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Seconds that only rise, and a pause."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def stage(job: Job | None, batches: Sequence[Batch], waits: Sequence[str]) -> Stage:
    """Return the stage to show of a job and its batches."""
    if job is None:
        return Stage(text="dropped: waiting for the functions to notice it")
    if job.state is JobState.PLANNING:
        return Stage(text="reading the file", done=job.splits - job.unplanned, total=job.splits or None)
    counted_once = [(each.state, each.requests - each.moved) for each in groups(batches)]
    done = sum(requests for state, requests in counted_once if state in OVER)
    total = sum(requests for _, requests in counted_once)
    counted = f"batches: {batch_counts(batches)}" if batches else ""
    words = "; ".join(filter(None, [_LATER_STAGES.get(job.state, ""), counted]))
    return Stage(text=words or JOB_WORDS[job.state], waits=tuple(waits), done=done, total=total or None)


class _Snapshot(NamedTuple):
    """The state of a job at one moment."""

    job: Job | None
    batches: Sequence[Batch]
    waits: Sequence[str]
    stage: Stage


class _Silence:
    """Measures how long nothing has changed; reports each stall once."""

    def __init__(self, cloud: Cloud, now: float) -> None:
        self._cloud = cloud
        self._last: Stage | None = None
        self._since = now
        self._reported: set[str] = set()

    def describe(self, look: _Snapshot, now: float) -> str | None:
        """Return where to look, once for each stall; None while something happens."""
        if look.stage != self._last:
            self._last, self._since = look.stage, now
        if now - self._since < QUIET_SECONDS:
            return None
        found = describe_stall(self._cloud, look.job, look.batches, look.waits)
        if found is None or found in self._reported:
            return None
        self._reported.add(found)
        return found


class Wait:
    """A wait for one job, a look at a time; who waits sleeps for `pause` seconds between two."""

    def __init__(self, cloud: Cloud, job_id: str, *, display: Display, now: Callable[[], float]) -> None:
        self._cloud, self._job_id, self._display, self._now = cloud, job_id, display, now
        self._began = now()
        self._silence = _Silence(cloud, self._began)
        self.pause = _SHORTEST_PAUSE

    def look(self) -> Job | None:
        """The job once it is over or held; tells where to look when nothing happens for half a minute.

        Raises:
            UserError: The file did not become a job in ten minutes.
        """
        job, waited = self._cloud.store.job(self._job_id), self._now() - self._began
        if job is not None and (job.state in TERMINAL_JOBS or _waits_for_a_person(job)):
            return job
        if job is None and waited > _NOTICED_WITHIN:
            raise _no_job_error(self._cloud, self._job_id)
        look = _read_progress(self._cloud, job)
        self._display.show(look.stage)
        stall = self._silence.describe(look, self._now())
        if stall is not None:
            self._display.notify(stall)
        self.pause = min(self._cloud.poll_seconds, _SHORTEST_PAUSE + waited / 10)
        return None


def wait_for_job(cloud: Cloud, job_id: str, *, display: Display, clock: Clock) -> Job:
    """Look at a job until it is over or held.

    Raises:
        UserError: The file did not become a job in ten minutes.
    """
    wait = Wait(cloud, job_id, display=display, now=clock.now)
    while (job := wait.look()) is None:
        clock.sleep(wait.pause)
    return job


def _waits_for_a_person(job: Job) -> bool:
    return job.state is JobState.HELD and job.is_approved is None


def _read_progress(cloud: Cloud, job: Job | None) -> _Snapshot:
    batches = [] if job is None else list(cloud.store.batches(job.id))
    waits = [] if job is None else waits_for(cloud, job, batches)
    return _Snapshot(job, batches, waits, replace(stage(job, batches, waits), job=job, batches=batches))


def _no_job_error(cloud: Cloud, job_id: str) -> UserError:
    return UserError(
        f"The file is in the bucket, but it has not become job {job_id} in {_NOTICED_WITHIN // 60} minutes. Look at "
        f"{where_to_look(cloud, 'intake')}. The job may still begin; see: {cloud.command(f'wait {job_id}')}"
    )


@contextmanager
def shown(console: Console | None = None) -> Iterator[Display]:
    """A bar on a terminal and in a notebook that has widgets; elsewhere a line whenever the words change."""
    console = console or err()
    if not console.is_terminal and not (console.is_jupyter and find_spec("ipywidgets")):
        yield _Lines()
        return
    with _Bars(console, MofNCompleteColumn(table_column=_whole())) as bars:
        yield _OnBars(bars)


class _Bars(Progress):
    """A bar with count, per cent and time, which are always whole; sentences stand under it."""

    def __init__(self, console: Console, count: ProgressColumn) -> None:
        self.sentences: Sequence[str] = ()
        self._columns = console.width
        super().__init__(
            BarColumn(bar_width=None),
            count,
            TaskProgressColumn(table_column=_whole(), show_speed=False),
            TimeElapsedColumn(table_column=_whole()),
            console=console,
            transient=True,
            expand=True,
        )

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        for sentence in self.sentences:
            yield Text("\n".join(wrap(f"  {sentence}", self._columns)))


def _whole() -> Column:
    return Column(no_wrap=True, justify="right")


class _OnBars:
    def __init__(self, bars: _Bars) -> None:
        self._bars = bars
        self._task = bars.add_task("", total=None)

    def show(self, now: Stage) -> None:
        self._bars.sentences = (now.text, *now.waits)
        self._bars.update(self._task, completed=now.done, total=now.total)

    def notify(self, text: str) -> None:
        for line in wrap(text, self._bars.console.width):
            self._bars.console.print(line, soft_wrap=True)


class _Lines:
    """A line whenever the words change, with the count, the part that is done and the time since the beginning."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._last: Stage | None = None
        self._now, self._began = now, now()

    def show(self, now: Stage) -> None:
        words = replace(now, done=0, total=None)
        if words != self._last:
            self._last = words
            self.notify(f"  {self._measure(now)}{'; '.join((now.text, *now.waits))}")

    def notify(self, text: str) -> None:
        note(text)

    def _measure(self, now: Stage) -> str:
        elapsed = timedelta(seconds=int(self._now() - self._began))
        if now.total is None:
            return f"{elapsed} "
        return f"{elapsed} {now.done:,}/{now.total:,} {100 * now.done // now.total}% "


@contextmanager
def upload_shown(name: str, size: int, console: Console | None = None) -> Iterator[Callable[[int], None]]:
    """A bar of bytes on a terminal; nothing elsewhere."""
    console = console or err()
    if not console.is_terminal:
        yield lambda _: None
        return
    with _Bars(console, DownloadColumn(table_column=_whole())) as bars:
        bars.sentences = (f"uploading {name}",)
        task = bars.add_task("", total=size)
        yield lambda sent: bars.advance(task, sent)

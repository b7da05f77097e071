"""Waiting for a job: how far it is, shown until its manifest is there. Ctrl-C leaves the job running."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from batchdrop.records import Batch, Job
from batchdrop.states import TERMINAL_JOBS, JobState
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.jobs import groups, waits_for
from batchdrop_cli.mistakes import Mistake
from batchdrop_cli.say import err, note
from batchdrop_cli.words import JOB_WORDS, OVER, batch_counts

_NOTICED_WITHIN = 600  # seconds from the drop to its job; the event takes less than one

_LATER_STAGES = {JobState.CANCELLING: "being cancelled", JobState.PUBLISHING: "writing the results"}
_SHORTEST_PAUSE = 0.1  # seconds between two looks at first; then longer ones


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Where a job is. `done` of `total` counts requests while it runs, parts of the file while that is read."""

    text: str
    done: int = 0
    total: int | None = None


Show = Callable[[Stage], None]


def stage(job: Job | None, batches: Sequence[Batch], waits: Sequence[str]) -> Stage:
    """What to show of a job and its batches."""
    if job is None:
        return Stage(text="dropped: waiting for the functions to notice it")
    if job.state is JobState.PLANNING:
        return Stage(text="reading the file", done=job.splits - job.unplanned, total=job.splits or None)
    counted_once = [(each.state, each.requests - each.moved) for each in groups(batches)]
    done = sum(requests for state, requests in counted_once if state in OVER)
    total = sum(requests for _, requests in counted_once)
    counted = f"batches: {batch_counts(batches)}" if batches else ""
    words = [_LATER_STAGES.get(job.state, ""), counted, *waits]
    return Stage(text="; ".join(filter(None, words)) or JOB_WORDS[job.state], done=done, total=total or None)


def wait_for_job(cloud: Cloud, job_id: str, *, show: Show, sleep: Callable[[float], None]) -> Job:
    """Look at a job until it is over.

    Raises:
        Mistake: The file did not become a job in ten minutes.
    """
    waited = 0.0
    while True:
        job = cloud.store.job(job_id)
        if job is not None and job.state in TERMINAL_JOBS:
            return job
        if job is None and waited > _NOTICED_WITHIN:
            raise Mistake(
                f"The file is in the bucket, but nothing made job {job_id} of it: are the functions deployed?"
            )
        batches = [] if job is None else list(cloud.store.batches(job_id))
        show(stage(job, batches, waits_for(cloud, job, batches) if job else []))
        pause = min(cloud.poll_seconds, _SHORTEST_PAUSE + waited / 10)
        sleep(pause)
        waited += pause


@contextmanager
def shown() -> Iterator[Show]:
    """A bar on a terminal; elsewhere a line whenever the words change."""
    console = err()
    if not console.is_terminal:
        yield _line_by_line()
        return
    text = TextColumn("{task.description}", markup=False)
    with Progress(
        text, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console, transient=True
    ) as bars:
        yield _on_bar(bars, bars.add_task("dropped", total=None))


def _on_bar(bars: Progress, task: TaskID) -> Show:
    def show(now: Stage) -> None:
        bars.update(task, description=now.text, completed=now.done, total=now.total)

    return show


def _line_by_line() -> Show:
    last = ""

    def show(now: Stage) -> None:
        nonlocal last
        if now.text != last:
            last = now.text
            note(f"  {now.text}")

    return show


@contextmanager
def upload_shown(name: str, size: int) -> Iterator[Callable[[int], None]]:
    """A bar of bytes on a terminal; nothing elsewhere."""
    console = err()
    if not console.is_terminal:
        yield lambda _: None
        return
    with Progress(console=console, transient=True) as bars:
        task = bars.add_task(f"uploading {name}".replace("[", "\\["), total=size)
        yield lambda sent: bars.advance(task, sent)

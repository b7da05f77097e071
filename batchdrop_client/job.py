"""One job: how far it is, its answers, and what can be decided about it."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal
from functools import cached_property
from itertools import islice
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal, Self

import msgspec
from batchdrop.jsonl import cut_lines
from batchdrop.manifest import File, Manifest
from batchdrop.money import Quote
from batchdrop.records import Job as Row
from batchdrop.states import TERMINAL_JOBS, JobState

from batchdrop_cli import decisions, fetch, jobs, merge, progress, retry_once
from batchdrop_cli import retry as retries
from batchdrop_cli.cloud import Cloud
from batchdrop_client import frames
from batchdrop_client.errors import in_words
from batchdrop_client.results import Result, read_results
from batchdrop_client.settings import metadata_of
from batchdrop_client.sources import Source, as_file
from batchdrop_client.waits import Clock, Deadline, Looks, Unwatched, raise_unless_answered

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

_AT_ONCE = 100  # results that a thread reads for a loop


class Job:
    """A job, by its id. What is known of it was read at the last `refresh` or `wait`; methods that read do so anew."""

    def __init__(self, cloud: Cloud, job_id: str, clock: Clock, row: Row | None = None) -> None:
        self.id = job_id
        self._cloud, self._clock, self._row = cloud, clock, row

    def __repr__(self) -> str:
        return f"Job({self.id!r}, state={self.state and self.state.value!r})"

    @property
    def state(self) -> JobState | None:
        """As it was last read; None while the drop is so young that no job was made of it."""
        return None if self._row is None else self._row.state

    @property
    def reason(self) -> str | None:
        """Why it is held, failed or was cancelled, in a sentence; None where there is nothing to say."""
        return None if self._row is None else self._row.reason

    @property
    def is_over(self) -> bool:
        return self.state in TERMINAL_JOBS

    @in_words()
    def refresh(self) -> Self:
        """Read it again."""
        self._row = self._cloud.store.job(self.id)
        return self

    # Waiting

    def wait(self, *, timeout: float | None = None, progress: bool = False) -> Self:
        """Wait until it is over, looking every few seconds.

        Args:
            timeout: Seconds; None waits for ever.
            progress: Show it: a bar on a terminal and in a notebook with widgets, else lines.

        Returns:
            Itself: completed or cancelled, so that it has results. Lines that failed are results with `error`.

        Raises:
            JobHeld: It is over its budget, and waits for a person.
            JobFailed: It failed as a whole.
            WaitTimeout: It is not over; it goes on.
            CloudFailed: Nothing has answered for five minutes; a shorter silence is waited out.
            BatchdropError: The file did not become a job in ten minutes.
        """
        deadline = Deadline(self.id, timeout, self._clock.now)
        with _display(shown=progress) as display:
            wait, looks = self._looks(display)
            while (row := looks.look()) is None:
                self._clock.sleep(deadline.within(wait.pause))
        return self._take(row)

    async def wait_async(self, *, timeout: float | None = None) -> Self:  # noqa: ASYNC109 - as `wait` has it
        """The same in a loop: looks are made in a thread, pauses hold nothing."""
        deadline = Deadline(self.id, timeout, self._clock.now)
        wait, looks = self._looks(Unwatched())
        while (row := await asyncio.to_thread(looks.look)) is None:
            await self._clock.rest(deadline.within(wait.pause))
        return self._take(row)

    def _looks(self, display: progress.Display) -> tuple[progress.Wait, Looks]:
        wait = progress.Wait(self._cloud, self.id, display=display, now=self._clock.now)
        return wait, Looks(wait.look, self._clock.now)

    def _take(self, row: Row) -> Self:
        self._row = row
        raise_unless_answered(row)
        return self

    # Answers

    @cached_property
    def manifest(self) -> Manifest:
        """Counts, tokens, cost and files, once it is over.

        Raises:
            NotOver: It is not.
        """
        with in_words():
            row = self._found()
            jobs.refuse_unfinished(self._cloud, row)
            return jobs.read_manifest(self._cloud, row)

    @property
    @in_words()
    def quote(self) -> Quote | None:
        """The quote from before anything was paid; None where that is not known, or not yet."""
        row = self._found()
        return self.manifest.quote if row.state in TERMINAL_JOBS else jobs.quote_of(self._cloud, row)

    def results(self, *, with_retries: bool = False) -> Iterator[Result]:
        """Its results in the order of the input, read as they are asked for: memory is constant.

        Args:
            with_retries: Put the results of its retries in their places; the files are copied to this machine first.

        Raises:
            NotOver: It is not over.
            JobFailed: It failed as a whole.
        """
        row = self._answered()
        if with_retries:
            return _merged(self._cloud, row)
        return self._read(self.manifest.files.results)

    async def results_async(self, *, with_retries: bool = False) -> AsyncIterator[Result]:
        """The same in a loop, a hundred at a time."""
        results = await asyncio.to_thread(self.results, with_retries=with_retries)
        while some := await asyncio.to_thread(lambda: list(islice(results, _AT_ONCE))):
            for result in some:
                yield result

    def errors(self) -> Iterator[Result]:
        """The results with an error, in order."""
        self._answered()
        errors = self.manifest.files.errors
        return self._read([] if errors is None else [errors])

    @in_words()
    def download(self, folder: str | PathLike[str]) -> list[Path]:
        """Fetch its files as they lie in the bucket, the results first.

        Raises:
            BatchdropError: A file of that name is there that does not belong to this job.
        """
        return fetch.fetch(self._cloud, self._found(), self.manifest, Path(folder))

    def to_pandas(self, *, with_retries: bool = False) -> "pd.DataFrame":
        """Its results as a table; docs/python.md lists the columns. All rows are in memory."""
        return frames.to_pandas(self.results(with_retries=with_retries), self._cloud.prices)

    def to_polars(self, *, with_retries: bool = False) -> "pl.DataFrame":
        return frames.to_polars(self.results(with_retries=with_retries), self._cloud.prices)

    def to_arrow(self, *, with_retries: bool = False) -> "pa.Table":
        return frames.to_arrow(self.results(with_retries=with_retries), self._cloud.prices)

    # Decisions

    @in_words()
    def cancel(self) -> Self:
        """Stop it; answers received before are still published. What was sent is paid.

        Raises:
            BatchdropError: It is too late.
        """
        self._row = decisions.cancel(self._cloud, self._found())
        return self

    @in_words()
    def approve(self) -> Self:
        """Let it be sent although it is over its budget.

        Raises:
            BatchdropError: It is not held.
        """
        self._row = decisions.approve(self._cloud, self._found())
        return self

    @in_words()
    def reject(self) -> Self:
        """End it with nothing paid.

        Raises:
            BatchdropError: It is not held.
        """
        self._row = decisions.reject(self._cloud, self._found())
        return self

    @in_words()
    def retry(
        self,
        fixed: Source | None = None,
        *,
        finish: Literal["length"] | None = None,
        max_cost: str | float | Decimal | None = None,
        again: bool = False,
    ) -> "Job":
        """Send the lines that failed again, as a job of their own.

        Args:
            fixed: A copy of them to be sent instead, a line for each, in the same order; None sends them as they are.
            finish: "length" takes the lines whose answers their limit of tokens cut off.
            max_cost: The new job's budget in US dollars.
            again: Send them although they are being retried, or were.

        Raises:
            AlreadyRunning: A retry of the same lines is not over.
            BatchdropError: There is nothing to retry, or the copy does not fit.
        """
        settings = metadata_of({}, max_cost)
        with TemporaryDirectory() as folder:
            numbers = Path(folder) / "numbers"
            chosen = retries.choose(self._cloud, self._found(), numbers, cut=finish is not None, settings=settings)
            with nullcontext(None) if fixed is None else as_file(fixed, "fixed.jsonl", self._has_template) as file:
                return Job(
                    self._cloud,
                    retry_once.drop_lines(self._cloud, chosen, file, None, again=again),
                    self._clock,
                )

    def _has_template(self) -> bool:
        return self._found().template_key is not None

    def _found(self) -> Row:
        """Its row; read where it is not known to be over."""
        if self._row is None or not self.is_over:
            self._row = jobs.find(self._cloud, self.id)
        return self._row

    @in_words()
    def _answered(self) -> Row:
        row = self._found()
        jobs.refuse_unfinished(self._cloud, row)
        raise_unless_answered(row)
        return row

    def _read(self, files: Sequence[File]) -> Iterator[Result]:
        with in_words():
            for file in files:
                chunks = self._cloud.files.stream(file.key, version_id=file.version_id)
                lines = cut_lines(chunks, offset=0, max_bytes=sys.maxsize)  # answers are as long as they are
                yield from read_results(line.bytes or b"" for line in lines)


def _display(*, shown: bool) -> AbstractContextManager[progress.Display]:
    return progress.shown() if shown else nullcontext(Unwatched())


def _merged(cloud: Cloud, row: Row) -> Iterator[Result]:
    with in_words():
        yield from read_results(map(msgspec.json.encode, merge.results(cloud, merge.family(cloud, row))))

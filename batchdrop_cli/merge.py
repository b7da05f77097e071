"""A job's results with those of its retries in their places, and of the retries of these.

A retry's results come in the order of its lines, whose numbers in the retried job rise: so two streams are laid over
each other, again for each retry, with a line of each in memory.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from batchdrop.files import Gone
from batchdrop.records import Job
from batchdrop.results import Result
from batchdrop.states import JobState
from batchdrop.store import Store

from batchdrop_cli import fetch, jobs
from batchdrop_cli.cloud import Cloud
from batchdrop_cli.mistakes import Mistake

_HAVE_RESULTS = frozenset({JobState.COMPLETED, JobState.CANCELLED})
_decode = msgspec.json.Decoder(Result).decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, kw_only=True)
class Family:
    """A job and its retries in the order of their drops, each with its own."""

    job: Job
    retries: Sequence["Family"]

    @property
    def has_results(self) -> bool:
        return self.job.state in _HAVE_RESULTS

    def with_results(self) -> Iterator[Job]:
        """The job and its retries, as far as they have results."""
        if self.has_results:
            yield self.job
        for retry in self.retries:
            yield from retry.with_results()

    def left_out(self) -> Iterator[Job]:
        """The retries with no results: not over yet, or failed as a whole."""
        for retry in self.retries:
            if not retry.has_results:
                yield retry.job
            yield from retry.left_out()


def family(store: Store, job: Job) -> Family:
    return Family(job=job, retries=[family(store, retry) for retry in store.retries(job.id)])


@dataclass(frozen=True, kw_only=True)
class Merged:
    """What was written, the results first, and how many lines have an answer or none."""

    paths: Sequence[Path]
    answered: int
    failed: int


def merge(cloud: Cloud, whole: Family, folder: Path) -> Merged:
    """Write `results.jsonl`, a line for each of the job's results, and `errors.jsonl`, those still without an answer.

    Raises:
        Mistake: A retry's list of lines does not fit.
    """
    folder.mkdir(parents=True, exist_ok=True)
    answered = failed = 0
    with tempfile.TemporaryDirectory(prefix=".", dir=folder) as name:
        unfinished = Path(name)
        results, errors = unfinished / "results.jsonl", unfinished / "errors.jsonl"
        with results.open("wb") as to_results, errors.open("wb") as to_errors:
            for result in _Streams(cloud, unfinished).merged(whole):
                line = _encode(result) + b"\n"
                to_results.write(line)
                if result.error is None:
                    answered += 1
                else:
                    failed += 1
                    to_errors.write(line)
        paths = [path.replace(folder / path.name) for path in (results, errors)]
    return Merged(paths=paths, answered=answered, failed=failed)


def results(cloud: Cloud, whole: Family) -> Iterator[Result]:
    """The results of a job, those of its retries in their places; none where it has none."""
    if whole.has_results:
        with tempfile.TemporaryDirectory() as name:
            yield from _Streams(cloud, Path(name)).merged(whole)


class _Streams:
    """Results as streams from this machine's disk: a stream from the bucket would be idle for too long."""

    def __init__(self, cloud: Cloud, folder: Path) -> None:
        self._cloud, self._folder = cloud, folder

    def merged(self, whole: Family) -> Iterator[Result]:
        """The results of a job, those of its retries laid over them one after the other."""
        stream = self._results(whole.job)
        for retry in whole.retries:
            if retry.has_results:
                stream = _laid_over(stream, self._renumbered(retry), retry.job, self._cloud)
        return stream

    def _results(self, job: Job) -> Iterator[Result]:
        folder = self._folder / job.id
        folder.mkdir()
        for file in jobs.read_manifest(self._cloud, job).files.results:
            path = fetch.download(self._cloud, file, folder)
            with path.open("rb") as lines:
                yield from map(_decode, lines)
            path.unlink()

    def _renumbered(self, retry: Family) -> Iterator[Result]:
        """A retry's results, each with the number that its line has in the retried job."""
        numbers, at, number = self._numbers(retry.job), 0, 0
        for result in self.merged(retry):
            while at < result.line:
                at, before, number = at + 1, number, next(numbers, 0)
                if number <= before:
                    raise _unfit(retry.job, f"has no rising number in line {at}", self._cloud)
            yield _moved(result, number)

    def _numbers(self, retry: Job) -> Iterator[int]:
        key, path = retry.retry_lines or "", self._folder / f"{retry.id}.lines"
        try:
            self._cloud.files.download(key, path)
            with path.open("rb") as lines:
                yield from map(int, lines)
        except Gone:
            raise _unfit(retry, "is not there", self._cloud) from None
        except ValueError:
            raise _unfit(retry, "does not hold one number a line", self._cloud) from None


def _moved(result: Result, number: int) -> Result:
    """Under another line's number, which an error may tell as well."""
    error, told = result.error, f"Line {result.line}: "
    if error is not None and error.message.startswith(told):
        error = msgspec.structs.replace(error, message=f"Line {number}: {error.message.removeprefix(told)}")
    return msgspec.structs.replace(result, line=number, error=error)


def _laid_over(results: Iterator[Result], retried: Iterator[Result], retry: Job, cloud: Cloud) -> Iterator[Result]:
    newer = next(retried, None)
    for result in results:
        if newer is not None and newer.line == result.line:
            yield _chosen(result, newer)
            newer = next(retried, None)
        else:
            yield result
    if newer is not None:
        raise _unfit(retry, f"names line {newer.line}, which has no result in job {retry.retry_of}", cloud)


def _chosen(older: Result, newer: Result) -> Result:
    """The retry's result where it is an answer, or where there was none; under the custom_id of the retried line.

    A line that could not be read had none: then it is the retry's.
    """
    if newer.error is not None and older.error is None:
        return older
    custom_id = newer.custom_id if bytes(older.custom_id) == b"null" else older.custom_id
    return msgspec.structs.replace(newer, custom_id=custom_id)


def _unfit(retry: Job, problem: str, cloud: Cloud) -> Mistake:
    return Mistake(
        f"Retry {retry.id} cannot be merged: its list of line numbers, {retry.retry_lines}, {problem}. "
        f"Its own results: {cloud.command(f'results {retry.id}')}"
    )

"""A job's results with those of its retries in their places, and of the retries of these.

A retry's results come in the order of its lines, whose numbers in the retried job rise: so two streams are laid over
each other, again for each retry, with a line of each in memory. A retry that does not fit is named and left out before
anything of it is laid over.
"""

import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
from batchdrop.errors import Gone
from batchdrop.inputs.retry_lineage import find_misfit
from batchdrop.records import Job
from batchdrop.result_line import Result
from batchdrop.states import JobState
from msgspec import UNSET

from batchdrop_cli import fetch, jobs
from batchdrop_cli.answers import is_cut, name_in, read_line
from batchdrop_cli.cloud import Cloud

_HAVE_RESULTS = frozenset({JobState.COMPLETED, JobState.CANCELLED})
_LONGEST_NUMBER = 32  # bytes: a longer line is no number of one
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


@dataclass(frozen=True, kw_only=True)
class Misfit:
    """A retry that is left out, and why, as the end of a sentence."""

    retry: str
    problem: str


def family(cloud: Cloud, job: Job) -> Family:
    retries = cloud.store.retries(job.id, newer=cloud.notify_newer)
    return Family(job=job, retries=[family(cloud, retry) for retry in retries])


def fitting(cloud: Cloud, job: Job) -> list[Job]:
    """The retries of a job that belong to it, in the order of their drops."""
    return [retry for retry in cloud.store.retries(job.id, newer=cloud.notify_newer) if find_misfit(retry, job) is None]


@dataclass(frozen=True, kw_only=True)
class Merged:
    """The files that were written, the results first.

    `answered` and `failed` count lines with and without an answer, `kept` those whose answer a retry did not replace.
    """

    paths: Sequence[Path]
    answered: int
    failed: int
    kept: int
    family: Family
    misfits: Sequence[Misfit]


def merge(cloud: Cloud, whole: Family, folder: Path, *, replace_answers: bool = False) -> Merged:
    """Write `results.jsonl`, a line for each of the job's results, and `errors.jsonl`, those still without an answer.

    A retry fills lines without an answer and those whose answer was cut off; with `replace_answers`, all it answered.
    """
    folder.mkdir(parents=True, exist_ok=True)
    answered = failed = 0
    with tempfile.TemporaryDirectory(prefix=".", dir=folder) as name:
        unfinished = Path(name)
        results, errors = unfinished / "results.jsonl", unfinished / "errors.jsonl"
        streams = _Streams(cloud, unfinished, replace_answers=replace_answers)
        fit = streams.fitting(whole)
        with results.open("wb") as to_results, errors.open("wb") as to_errors:
            for result in streams.merged(fit):
                line = _encode(result) + b"\n"
                to_results.write(line)
                answered += result.error is None
                failed += result.error is not None
                to_errors.write(line if result.error is not None else b"")
        paths = [path.replace(folder / path.name) for path in (results, errors)]
    return Merged(paths=paths, answered=answered, failed=failed, kept=streams.kept, family=fit, misfits=streams.misfits)


def results(cloud: Cloud, whole: Family) -> Iterator[Result]:
    """The results of a job, those of its retries in their places; none where it has none."""
    if whole.has_results:
        with tempfile.TemporaryDirectory() as name:
            streams = _Streams(cloud, Path(name), replace_answers=False)
            yield from streams.merged(streams.fitting(whole))


class _Streams:
    """Results as streams from this machine's disk: a stream from the bucket would be idle for too long.

    `misfits` are the retries that were left out, `kept` counts the lines whose answer a retry did not replace.
    """

    def __init__(self, cloud: Cloud, folder: Path, *, replace_answers: bool) -> None:
        self._cloud, self._folder, self._replace_answers = cloud, folder, replace_answers
        self._paths: dict[str, list[Path]] = {}
        self.misfits: list[Misfit] = []
        self.kept = 0

    def fitting(self, whole: Family) -> Family:
        """The family without the retries that do not fit, and without theirs."""
        retries = []
        for retry in whole.retries:
            problem = self._find_problem(whole, retry)
            if problem is None:
                retries.append(self.fitting(retry))
            else:
                self.misfits.append(Misfit(retry=retry.job.id, problem=problem))
        return replace(whole, retries=retries)

    def merged(self, whole: Family) -> Iterator[Result]:
        """The results of a job, those of its retries laid over them one after the other."""
        stream = self._results(whole.job)
        for retry in whole.retries:
            if retry.has_results:
                stream = self._laid_over(stream, self._renumbered(retry))
        return stream

    def _find_problem(self, whole: Family, retry: Family) -> str | None:
        misfit = find_misfit(retry.job, whole.job)
        if misfit is not None or not (whole.has_results and retry.has_results):
            return misfit
        numbers = self._line_numbers(whole.job)
        try:
            for number in _mapped(self._line_numbers(retry.job), self._list(retry.job)):
                if not _reaches(numbers, number):
                    return f"its list names line {number}, which has no result in job {whole.job.id}"
        except _UnfitList as error:
            return str(error)
        return None

    def _line_numbers(self, job: Job) -> Iterator[int]:
        return (line.line for path in self._downloaded(job) for line in _read(path, _numbered))

    def _results(self, job: Job) -> Iterator[Result]:
        for path in self._downloaded(job):
            yield from _read(path, _decode)

    def _downloaded(self, job: Job) -> list[Path]:
        if job.id not in self._paths:
            folder = self._folder / job.id
            folder.mkdir()
            parts = jobs.read_manifest(self._cloud, job).files.results
            self._paths[job.id] = [fetch.download(self._cloud, file, folder) for file in parts]
        return self._paths[job.id]

    def _renumbered(self, retry: Family) -> Iterator[Result]:
        """A retry's results, each with the number that its line has in the retried job."""
        numbers = _mapped(self._line_numbers(retry.job), self._list(retry.job))
        known = array("Q") if retry.job.settings.dedupe else None  # by the retry's numbers
        for result, number in zip(self.merged(retry), numbers, strict=True):
            if known is not None:
                known.extend([0] * (result.line - len(known)) + [number])
            yield _moved(result, number, known or ())

    def _list(self, retry: Job) -> Iterator[int]:
        """The numbers of a retry's list, one a line.

        Raises:
            _UnfitList: It is not there, or holds something else.
        """
        path = self._folder / f"{retry.id}.lines"
        try:
            if not path.exists():
                self._cloud.files.download(retry.retry_lines or "", path)
            with path.open("rb") as lines:
                yield from map(_number, iter(lambda: lines.readline(_LONGEST_NUMBER), b""))
        except Gone:
            path.unlink(missing_ok=True)
            raise _UnfitList(f"its list of line numbers, {retry.retry_lines}, is not there") from None
        except ValueError:
            problem = "does not hold one number a line"
            raise _UnfitList(f"its list of line numbers, {retry.retry_lines}, {problem}") from None

    def _laid_over(self, results: Iterator[Result], retried: Iterator[Result]) -> Iterator[Result]:
        newer = next(retried, None)
        for result in results:
            if newer is not None and newer.line == result.line:
                yield self._chosen(result, newer)
                newer = next(retried, None)
            else:
                yield result

    def _chosen(self, older: Result, newer: Result) -> Result:
        """The retry's result where there was no answer, or an answer was asked for; with the retried line's custom_id.

        A line that could not be read had none: then it is the retry's.
        """
        if older.error is None:
            if newer.error is not None:
                return older
            if not self._replace_answers and not is_cut(read_line(_encode(older))):
                self.kept += 1
                return older
        custom_id = newer.custom_id if bytes(older.custom_id) == b"null" else older.custom_id
        return msgspec.structs.replace(newer, custom_id=custom_id)


class _UnfitList(Exception):  # noqa: N818 - a fact about a list
    """A retry's list of line numbers does not fit; the message is the end of a sentence."""


class _Numbered(msgspec.Struct):
    line: int


_numbered = msgspec.json.Decoder(_Numbered).decode


def _read[T](path: Path, decode: Callable[[bytes], T]) -> Iterator[T]:
    with path.open("rb") as lines:
        yield from map(decode, lines)


def _reaches(rising: Iterator[int], number: int) -> bool:
    """Return whether a number comes; read on to the first that is not smaller."""
    return next((each for each in rising if each >= number), None) == number


def _mapped(lines: Iterable[int], numbers: Iterator[int]) -> Iterator[int]:
    """For each line of a retry the number that it has in the retried job.

    Raises:
        _UnfitList: The list ends before, or does not rise.
    """
    at = number = 0
    for line in lines:
        while at < line:
            at, before, number = at + 1, number, next(numbers, 0)
            if number <= before:
                raise _UnfitList(f"its list of line numbers has no rising number in line {at}")
        yield number


def _number(line: bytes) -> int:
    if not line.strip().isdigit():
        raise ValueError(line)
    return int(line)


def _moved(result: Result, number: int, known: Sequence[int]) -> Result:
    """Under another line's number, which an error may tell as well; `known` are those of the lines up to it."""
    error = result.error
    if error is not None and (name := name_in(error.message, result.line)):
        text = error.message.removeprefix(f"{name} {result.line}: ")
        error = msgspec.structs.replace(error, message=f"{name} {number}: {text}")
    first = result.shared_with
    shared_with = known[first] if first is not UNSET and first < len(known) else UNSET
    return msgspec.structs.replace(result, line=number, error=error, shared_with=shared_with)

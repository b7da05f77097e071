"""Reads the rows of jobs, splits and batches."""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from batchdrop.aws.row_versions import NewerRow
from batchdrop.aws.table import Due, Table, read_raw_row, read_row
from batchdrop.aws.table_items import RECOVERY, version_key
from batchdrop.records import Batch, Job, Split


def _leave_out(_job: str) -> None:
    """A list's reader need not know of a job that only newer code can read: the log names it."""


class Rows:
    """Reads are consistent.

    They raise `NewerRow`, which is a `ClaimLost`, where only newer code can work on a row; lists of jobs leave it out.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def job(self, job: str) -> Job | None:
        return self._get(f"JOB#{job}", "JOB", Job)

    def job_of(self, version: str) -> Job | None:
        """The job that a version of an object became, by the version's digest."""
        item = self._table.item(**version_key(version))
        return self.job(item["job"]) if item else None

    def is_known_version(self, version: str) -> bool:
        """Return whether a version of an object, by its digest, became a job, which may be deleted since."""
        return self._table.item(**version_key(version)) is not None

    def split(self, job: str, index: int) -> Split | None:
        return self._get(f"JOB#{job}", f"SPLIT#{index:05}", Split)

    def batch(self, job: str, batch: str) -> Batch | None:
        return self._get(f"JOB#{job}", f"BATCH#{batch}", Batch)

    def splits(self, job: str) -> Iterator[Split]:
        return self._rows(f"JOB#{job}", "SPLIT#", Split)

    def batches(self, job: str, split: int | None = None) -> Iterator[Batch]:
        """The batches of a job, or of one of its splits, in the order of split, round and number."""
        return self._rows(f"JOB#{job}", "BATCH#" if split is None else f"BATCH#{split:05}-", Batch)

    def pieces(self, job: str, origin: str) -> Iterator[Batch]:
        """A batch and all that was cut from it, by its id: no other rows are read."""
        whole = self.batch(job, origin)
        if whole is not None:
            yield whole
        yield from self._rows(f"JOB#{job}", f"BATCH#{origin}-", Batch)

    def readable_batches(self, job: str) -> Iterator[Batch]:
        """The batches of a job that can be read, for what is done to each alone; the log names the others."""
        return (batch for _, batch in self.found_batches(job) if batch is not None)

    def found_batches(self, job: str) -> Iterator[tuple[str, Batch | None]]:
        """The batches of a job by their ids; None where a row is damaged, or left to newer code."""
        for item in self._table.raw_items(f"JOB#{job}", "BATCH#"):
            yield item["sk"]["S"].removeprefix("BATCH#"), read_raw_row(item, Batch)

    def retries(self, job: str, *, newer: Callable[[str], object] = _leave_out) -> Iterator[Job]:
        """The jobs that retry lines of this one, in the order of their drops; `newer` gets those left out."""
        for item in self._table.items(f"JOB#{job}", "RETRY#"):
            retry = self.readable_job(item["sk"].removeprefix("RETRY#"), newer=newer)
            if retry is not None:
                yield retry

    def recent_jobs(self, days: Sequence[str], *, newer: Callable[[str], object] = _leave_out) -> Iterator[Job]:
        """The jobs dropped on these days (`YYYYMMDD`), the newest first within each.

        Args:
            days: The days.
            newer: Called with the id of each job that only newer code can read; it is left out.
        """
        for each in self.recent_job_ids(days):
            job = self.readable_job(each, newer=newer)
            if job is not None:
                yield job

    def recent_job_ids(self, days: Sequence[str], *, before: str = "") -> Iterator[str]:
        """The ids of the same jobs, by the index alone; of those before a job, where one is named."""
        end = before and f"JOB#{before}"
        return (pk.removeprefix("JOB#") for day in days for pk in self._table.job_keys(day, end))

    def readable_job(self, job: str, *, newer: Callable[[str], object] = _leave_out) -> Job | None:
        """A job of a list, which shows the others where one cannot be read; `newer` gets one of newer code."""
        try:
            item = self._table.item(f"JOB#{job}", "JOB")
        except NewerRow:
            newer(job)
            return None
        return read_row(item, Job) if item else None

    def due(self, *, by: int) -> Iterator[Due]:
        """Yield the due rows, for sweep."""
        return self._table.due(RECOVERY, by)

    def row(self, due: Due, *, by: int) -> Job | Split | Batch | None:
        """A due row as it is now; None when it is gone, or no longer due.

        Raises:
            NewerRow: It, or its job, is left to newer code.
        """
        row = self._row(due)
        if isinstance(row, Split | Batch):
            self.job(due.job)
        return row if row is not None and row.due_at is not None and row.due_at <= by else None

    def _get[R: (Job, Split, Batch)](self, pk: str, sk: str, kind: type[R]) -> R | None:
        item = self._table.item(pk, sk)
        return msgspec.convert(item, kind) if item else None

    def _row(self, due: Due) -> Job | Split | Batch | None:
        kind, _, rest = due.sk.partition("#")
        match kind:
            case "JOB":
                return self.job(due.job)
            case "SPLIT":
                return self.split(due.job, int(rest))
            case _:
                return self.batch(due.job, rest)

    def _rows[R: (Job, Split, Batch)](self, pk: str, prefix: str, kind: type[R]) -> Iterator[R]:
        return (msgspec.convert(item, kind) for item in self._table.items(pk, prefix))

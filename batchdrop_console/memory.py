"""Keeps rows and sums of finished jobs, which no longer change, while the console runs."""

from threading import Lock
from time import monotonic

from batchdrop.records import Job
from batchdrop.states import TERMINAL_JOBS

from batchdrop_cli.totals import Totals

_MOST = 20_000  # jobs; a row takes some kilobytes
_DAY_SECONDS = 60  # a past day's jobs are believed: a late event, or `forget`, may still change them


class Memory:
    """Rows and sums by job, and the ids of the jobs of past days."""

    def __init__(self) -> None:
        self._rows: dict[str, Job] = {}
        self._totals: dict[str, Totals | None] = {}
        self._days: dict[str, tuple[float, list[str]]] = {}
        self._lock = Lock()

    def row(self, job: str) -> Job | None:
        return self._rows.get(job)

    def keep_row(self, job: Job) -> None:
        if job.state in TERMINAL_JOBS:
            self._keep(self._rows, job.id, job)

    def has_totals(self, job: str) -> bool:
        return job in self._totals

    def totals(self, job: str) -> Totals | None:
        return self._totals.get(job)

    def keep_totals(self, job: Job, totals: Totals | None) -> None:
        if job.state in TERMINAL_JOBS:
            self._keep(self._totals, job.id, totals)

    def ids_of(self, day: str) -> list[str] | None:
        at, ids = self._days.get(day, (0.0, None))
        return ids if ids is not None and monotonic() - at < _DAY_SECONDS else None

    def keep_ids(self, day: str, ids: list[str]) -> None:
        self._keep(self._days, day, (monotonic(), ids))

    def _keep[V](self, where: dict[str, V], name: str, value: V) -> None:
        with self._lock:
            if len(where) >= _MOST:
                where.clear()
            where[name] = value

"""A worker's turn: it ends quietly if another worker was faster, and cleans up if it came far too late.

And a run's time: a function that has a minute for many units leaves the rest to the next run, and notes what it works
on where the run before died.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from aws_lambda_powertools import Logger

from batchdrop.aws.leases import Lease
from batchdrop.aws.metrics import Alert, count
from batchdrop.aws.table import Due
from batchdrop.errors import ClaimLost, Gone
from batchdrop.services import Services
from batchdrop.states import TERMINAL_JOBS

logger = Logger(child=True)

_SHARE = 0.7  # of a run: what was begun by then is finished
_CLEANING_SHARE = 0.5  # what is over is cleaned until then, so that what is not has its turn in each run
_MINUTE = 60  # the time limit of the functions that are started every minute
_SLOW = 10  # seconds; a call that gets no answer takes 15


def time_of_a_run(services: Services) -> Callable[[], bool]:
    """Return whether this run, which begins now, may begin something more that takes long."""
    until = services.now() + services.settings.function_seconds * _SHARE
    return lambda: services.now() < until


class Minute:
    """A run of a minute over many units: it ends in time, and leaves a provider alone that was slow once."""

    def __init__(self, services: Services) -> None:
        self._now = services.now
        self._cleaning_until = services.now() + _MINUTE * _CLEANING_SHARE
        self._until = services.now() + _MINUTE * _SHARE
        self._slow: set[str] = set()

    def has_time(self) -> bool:
        return self._now() < self._until

    def may_clean(self) -> bool:
        return self._now() < self._cleaning_until

    def may_ask(self, provider: str | None) -> bool:
        return self.has_time() and provider not in self._slow

    @contextmanager
    def asking(self, provider: str | None) -> Iterator[None]:
        """Work on a unit of a provider, if it is one's."""
        began = self._now()
        try:
            yield
        finally:
            if provider is not None and self._now() - began >= _SLOW:
                self._slow.add(provider)


@contextmanager
def turn(job_id: str, services: Services) -> Iterator[None]:
    """Work on a unit of a job until another worker turns out to have moved it.

    A worker that wakes up after the job was cleaned up finds nothing to read, or loses its turn after it wrote: the job
    becomes due once more, so that sweep deletes what was written meanwhile.
    """
    try:
        yield
    except (ClaimLost, Gone) as error:
        job = services.store.job(job_id)
        if job is not None and job.state in TERMINAL_JOBS:
            services.store.set_due(job, services.now())
        elif isinstance(error, Gone):
            raise


def failure_of(due: Due, services: Services) -> Callable[[], object]:
    """Counts a failure on a unit's row."""
    return partial(services.store.count_unit_failure, due.job, due.sk, services.settings.lease_seconds)


class Careful:
    """Notes each unit before its work, in a run that follows one that died.

    So that a unit that kills its worker each time is known, at no cost while none does: a failure of it is counted,
    which defers it, and the others have their turn.
    """

    def __init__(self, lease: Lease, services: Services) -> None:
        self._lease, self._store = lease, services.store
        self._seconds = services.settings.lease_seconds

    def count_death(self) -> int:
        """Count what the run before died of, if that is known; how many failures in a row that makes.

        First it is forgotten: a run that dies before it notes a unit says nothing of the one that was noted before.
        """
        if not self._lease.at_sk:
            return 0
        job, sk = self._lease.at_job, self._lease.at_sk
        self._store.leases.forget_noted_work(self._lease)
        logger.error("unit failed", work=f"{self._lease.name}: the run before ended at it", unit=sk)
        count(Alert.UNIT_FAILED)
        return self._store.count_unit_failure(job, sk, self._seconds)

    def begin(self, due: Due) -> None:
        """Call before a unit is worked on."""
        if self._lease.has_died:
            self._store.leases.note_work(self._lease, due.job, due.sk)

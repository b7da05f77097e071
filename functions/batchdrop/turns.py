"""A worker's turn: it ends quietly where another one was faster, and where it came far too late, leaves nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from batchdrop.errors import NotMyTurn
from batchdrop.files import Gone
from batchdrop.services import Services
from batchdrop.states import TERMINAL_JOBS

_SHARE = 0.7  # of a run: what was begun by then is finished


def time_of_a_run(services: Services) -> Callable[[], bool]:
    """Whether this run, which begins now, may begin something more that takes long."""
    until = services.now() + services.settings.function_seconds * _SHARE
    return lambda: services.now() < until


@contextmanager
def turn(job_id: str, services: Services) -> Iterator[None]:
    """Work on a unit of a job until another worker turns out to have moved it.

    A worker that wakes up after the job was cleaned up finds nothing to read, or loses its turn after it wrote: the job
    becomes due once more, so that sweep deletes what was written meanwhile.
    """
    try:
        yield
    except (NotMyTurn, Gone) as error:
        job = services.store.job(job_id)
        if job is not None and job.state in TERMINAL_JOBS:
            services.store.due_again(job, services.now())
        elif isinstance(error, Gone):
            raise

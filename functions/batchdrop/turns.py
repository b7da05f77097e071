"""A worker's turn: it ends quietly where another one was faster, and where it came far too late, leaves nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

from batchdrop.errors import NotMyTurn
from batchdrop.files import Gone
from batchdrop.services import Services
from batchdrop.states import TERMINAL_JOBS


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

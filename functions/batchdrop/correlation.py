"""The current job: its id is the correlation id of every log line written while it is worked on."""

from collections.abc import Iterator
from contextlib import contextmanager

from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

CORRELATION_ID = "correlation_id"
_FORMATTER = LambdaPowertoolsFormatter()  # the keys that are appended thread-safely are every formatter's


@contextmanager
def working_on(job: str | None) -> Iterator[None]:
    """Name a job, or none, in each log line until the unit is done; then whatever was named before is again."""
    before = current_job()
    name_job(job)
    try:
        yield
    finally:
        name_job(before)


def name_job(job: str | None) -> None:
    """Name a job from here on: a unit that is worked on already turned out to be this job's."""
    _FORMATTER.thread_safe_append_keys(**{CORRELATION_ID: job})


def job_of_key(pk: object) -> str | None:
    """The job whose row has this partition key; for a row that is no job's, the one that is worked on."""
    kind, _, job = str(pk).partition("#")
    return job if kind == "JOB" else current_job()


def current_job() -> str | None:
    """The job that log lines name now."""
    job: str | None = _FORMATTER.thread_safe_get_current_keys().get(CORRELATION_ID)
    return job

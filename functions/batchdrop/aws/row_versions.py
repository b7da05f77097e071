"""Rows of a newer version of this code, which an upgrade left behind before it was rolled back: they are left alone.

A row says which version of the code may work on it, from which on. New attributes with defaults raise no version: code
of before reads past them, and its moves keep them. What code of before would do wrong does: a new state, a value that
changes its meaning, a rule that it does not know.
"""

from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger

from batchdrop.correlation import job_of_key, working_on
from batchdrop.errors import ClaimLost
from batchdrop.states import BatchState, JobState, SplitState

logger = Logger(child=True)

ROW_VERSION = 3
BUDGETED = 2  # the version of a job with a budget: code of version 1 would send it whatever it costs
TEMPLATED = 3  # of a job with a template: older code would take its rows for requests
FALLING = 3  # of a job with a fallback: older code would count what it answered as its lines' own models'
DEDUPED = 3  # of a job whose equal requests are sent once: older code would call the lines that share one lost
STRUCTURED = 3  # of a job with an output schema: older code would neither ask for it nor look at the answers
FINISHING = 3  # of a job of which requests are called at real time: code of before would create batches of them, too
_STATES = {str(state) for states in (JobState, SplitState, BatchState) for state in states}


class NewerRow(ClaimLost):
    """Only a newer version of batchdrop can work on this row: nothing is done, and that version goes on with it.

    Args:
        text: Which row it is.
        job: Whose row it is, where it is a job's.
    """

    def __init__(self, text: str, job: str | None) -> None:
        super().__init__(text)
        self.job = job


def is_newer(row: Mapping[str, Any]) -> bool:
    """Return whether a row was written for code that is newer than this, or is in a state that this does not know.

    Args:
        row: Its attributes, decoded.
    """
    version, state = row.get("version", ROW_VERSION), row.get("state")
    return (isinstance(version, int) and version > ROW_VERSION) or (isinstance(state, str) and state not in _STATES)


def refuse_newer(row: Mapping[str, Any]) -> None:
    """Name a newer row in the log, and go no further.

    Raises:
        NewerRow: It is one.
    """
    if not is_newer(row):
        return
    pk, sk, version = row.get("pk"), row.get("sk"), row.get("version", ROW_VERSION)
    with working_on(job_of_key(pk)):
        logger.warning("row of a newer version left alone", pk=pk, sk=sk, version=version)
    raise NewerRow(
        f"{pk} {sk} was written by a newer version of batchdrop (rows of version {version}): update this one",
        job=str(pk).removeprefix("JOB#") if str(pk).startswith("JOB#") else None,
    )

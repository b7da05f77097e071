"""What of a collected batch is sent again. Pure."""

from batchdrop.batches.result_index import CHARGED, MISFITS, UNCHARGED, Collected
from batchdrop.records import Batch, Job
from batchdrop.row_changes import BatchChanges
from batchdrop.states import JobState


def sent_again(
    collected: Collected, batch: Batch, job: Job, *, is_uncharged_attempt: bool, is_final: bool = False
) -> BatchChanges:
    """How many requests are sent again, how many of them without counting an attempt, and how many are misfits.

    Account errors are no attempt of their own requests, and say nothing of the others. An answer that does not fit is
    an attempt, whatever became of its batch.

    Args:
        collected: What was found of each request.
        batch: Theirs.
        job: The batch's.
        is_uncharged_attempt: Whether what has no result was not tried.
        is_final: Whether they failed, and will again.
    """
    if job.state is not JobState.RUNNING or batch.is_duplicate or is_final:
        return {"again": 0, "uncharged": 0, "misfits": 0, "is_uncharged_attempt": is_uncharged_attempt}
    has_attempts = batch.attempt < job.settings.max_attempts
    uncharged = collected.count(UNCHARGED)
    charged = collected.count(CHARGED) if is_uncharged_attempt or has_attempts else 0
    misfits = collected.count(MISFITS) if has_attempts else 0
    return {
        "again": uncharged + charged + misfits,
        "uncharged": uncharged,
        "misfits": misfits,
        "is_uncharged_attempt": is_uncharged_attempt,
    }

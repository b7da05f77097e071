"""Decides what of a closed batch is sent again, and what of it to the fallback instead. Pure.

Only what is known not to be answered, and not to be paid, goes to another model: no call whose reply was lost, and no
request whose answer does not fit. Such an answer is an attempt, whatever became of its batch.
"""

from collections.abc import Iterable

from batchdrop.batches.result_index import CHARGED, MISFITS, UNCHARGED, Collected, Found
from batchdrop.inputs.fallbacks import fallback_of
from batchdrop.records import Batch, Job
from batchdrop.row_changes import BatchChanges
from batchdrop.states import JobState

_UNPAID = frozenset({Found.NOTHING, Found.RETRYABLE, Found.NOT_SERVED})


def may_fall(batch: Batch, job: Job) -> bool:
    """Whether requests of a batch may go to the fallback: each goes there once, and none that asked for it itself."""
    fallback = fallback_of(job.settings)
    if fallback is None or fallback.is_asked_for(batch.provider, batch.model):
        return False
    return not batch.is_fallback and not batch.stays and not batch.is_duplicate


def to_send_again(  # noqa: PLR0913 - what decides
    collected: Collected,
    batch: Batch,
    job: Job,
    *,
    is_uncharged_attempt: bool = False,
    is_final: bool = False,
    is_unserved: bool = False,
) -> BatchChanges:
    """Return the row changes that note a batch's requests to send again; none where there are none.

    Args:
        collected: What was found of each request.
        batch: The batch.
        job: Its job.
        is_uncharged_attempt: The time of this batch is no attempt of its requests.
        is_final: Its provider failed it as a whole, and will again.
        is_unserved: Its provider is not called any more for what it has not answered.
    """
    if job.state is not JobState.RUNNING or batch.is_duplicate:
        return {}
    is_last = is_final or batch.attempt >= job.settings.max_attempts
    has_attempts = not is_final and (is_uncharged_attempt or not is_last)
    falling: frozenset[Found] = frozenset()
    if may_fall(batch, job):
        falling = frozenset({Found.NOT_SERVED}) if has_attempts and not is_unserved else _UNPAID
    uncharged = 0 if is_final else collected.count(UNCHARGED)
    charged = collected.count(CHARGED - falling) if has_attempts else 0
    misfits = 0 if is_last else collected.count(MISFITS)
    fallen = collected.count(falling)
    again = uncharged + charged + misfits + fallen
    return {"again": again, "uncharged": uncharged, "misfits": misfits, **_falling(fallen, falling)}


def falls_whole(batch: Batch, job: Job | None) -> BatchChanges:
    """Return the row changes of a batch that was never sent, where all of its requests go to the fallback."""
    if job is None or not may_fall(batch, job):
        return {}
    return {"again": batch.requests, **_falling(batch.requests, [Found.NOTHING])}


def _falling(fallen: int, kinds: Iterable[Found]) -> BatchChanges:
    return {"fallen": fallen, "fallen_kinds": tuple(sorted(map(int, kinds)))} if fallen else {}

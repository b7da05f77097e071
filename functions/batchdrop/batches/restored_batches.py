"""Restored batches: resumes a batch from its state after the table's restore point, and never sends it again.

Three things tell. A raw copy of its results in `work/`, whose index is written when all of them are safe; its token at
the provider, as `reconcile` found it; and the pieces that it was cut into, whose tokens are their own.
"""

from typing import Any

from aws_lambda_powertools import Logger

from batchdrop.aws import keys
from batchdrop.aws.optimistic import ConcurrentChange
from batchdrop.aws.provider_items import Release, free_slot, own_batch_id
from batchdrop.aws.restores import FoundBatch
from batchdrop.aws.table_items import Write
from batchdrop.batches.resizing import replace_again
from batchdrop.batches.result_index import Found, index_key, read_collected
from batchdrop.batches.sent_again import to_send_again
from batchdrop.batches.transitions import WINDOW_SECONDS, back_to_waiting, slot
from batchdrop.errors import AccountRefused, ClaimLost, Gone, Missing, Refused, Transient
from batchdrop.limits.restore_hold import restored_at
from batchdrop.records import Batch, Job
from batchdrop.row_changes import BatchChanges
from batchdrop.services import Services
from batchdrop.states import BatchState, JobState

logger = Logger(child=True)

_RESERVED = frozenset({BatchState.ADMITTED, BatchState.SUBMITTING, BatchState.IN_FLIGHT})


def take_sent(batch: Batch, services: Services) -> bool:
    """Take up a batch where it was after the restore point; False where nothing shows that it was sent.

    Raises:
        ClaimLost: Another moved it first.
    """
    if not restored_at(services):
        return False
    if take_copy(batch, services) or _take_found(batch, services):
        return True
    if batch.state is BatchState.SUBMITTING or not _has_pieces(batch, services):
        return False
    waiting = back_to_waiting(batch, services) if batch.state is BatchState.ADMITTED else batch
    replace_again(waiting, services)
    return True


def take_copy(batch: Batch, services: Services) -> bool:
    """Take up a batch whose results were collected, and what its provider still keeps of it, to be deleted.

    Raises:
        ClaimLost: Another moved it first, or took its id.
    """
    found = find_copy(batch, services)
    if found is None:
        return False
    now = services.now()
    kept = _find_kept(batch, services)
    owned = [own_batch_id(batch, kept["batch_id"], now + WINDOW_SECONDS)] if batch.batch_id is None and kept else []
    try:
        services.store.move(
            batch,
            BatchState.ENDED,
            also=[*owned, *_freed(batch)],
            cost=0,
            ended_as=batch.ended_as or "completed",
            ended_at=now,
            submitted_at=batch.submitted_at or now,
            due_at=now,  # sweep sends it to collect
            **found,
            **kept,
        )
    except ConcurrentChange as error:  # another took the id meanwhile: the next look finds that
        raise ClaimLost from error
    logger.warning("results collected before are taken", batch=batch.id)
    return True


def _find_kept(batch: Batch, services: Services) -> dict[str, Any]:
    """The ids of a batch and its files at its provider; {} where it has none, or does not tell."""
    noted = services.store.restores.found(batch.provider, batch.token)
    batch_id = batch.batch_id or (noted.batch_id if noted else None)
    if batch_id is None or (batch.batch_id is None and services.store.providers.owner(batch.provider, batch_id)):
        return {}
    try:
        retrieved = services.apis[batch.provider].retrieve(batch_id)
    except (AccountRefused, Missing, Refused, Transient) as error:
        logger.warning("files of a batch not found", batch=batch.id, reason=type(error).__name__)
        return {}
    return {
        "batch_id": batch_id,
        "input_file_id": retrieved.input_file_id or batch.input_file_id or (noted.input_file_id if noted else None),
        "output_file_id": retrieved.output_file_id or batch.output_file_id,
        "error_file_id": retrieved.error_file_id or batch.error_file_id,
    }


def find_copy(batch: Batch, services: Services) -> dict[str, Any] | None:
    """Return collect's findings on a complete raw copy of a batch's results; None where there is none."""
    begin = keys.copies_prefix(batch)
    whole = [key for key in services.files.keys(begin) if _is_index(key.removeprefix(begin))]
    job = services.store.job(batch.job)
    if not whole or job is None:
        return None
    prefix = whole[-1].removesuffix(index_key(""))
    return {"collected_key": prefix, **accounted(batch, job, prefix, services)}


def _is_index(rest: str) -> bool:
    """Whether a key ends as the index of a batch's own copy, not of one of its pieces: with the epoch of its claim."""
    epoch, _, name = rest.partition("/")
    return epoch.isdecimal() and name == index_key("")


def accounted(batch: Batch, job: Job, prefix: str, services: Services, *, is_unserved: bool = False) -> BatchChanges:
    """Return collect's changes for a complete copy of a batch's results; `is_unserved` as in `to_send_again`."""
    collected = read_collected(services.files, prefix)
    failed_whole = all(each == Found.NOTHING for each in collected.found) and not is_unserved
    again = to_send_again(collected, batch, job, is_uncharged_attempt=failed_whole, is_unserved=is_unserved)
    return {**again, "is_uncharged_attempt": failed_whole} if again else {}


def _take_found(batch: Batch, services: Services) -> bool:
    found = services.store.restores.found(batch.provider, batch.token)
    if found is None:
        return False
    try:
        _adopt(batch, found, services)
    except ConcurrentChange as error:
        logger.error(  # noqa: TRY400 - a trace says nothing more
            "batch not sent: another owns what bears its token", batch=batch.id
        )
        raise ClaimLost from error
    logger.warning("batch sent before is taken", batch=batch.id, batch_id=found.batch_id)
    return True


def _adopt(batch: Batch, found: FoundBatch, services: Services) -> None:
    now = services.now()
    freed = slot(batch, free_slot) if batch.state is BatchState.SUBMITTING else []
    services.store.move(
        batch,
        BatchState.IN_FLIGHT,
        also=[own_batch_id(batch, found.batch_id, now + WINDOW_SECONDS), *freed],
        batch_id=found.batch_id,
        input_file_id=found.input_file_id or batch.input_file_id,
        submitted_at=min(found.created_at or now, now),
        cost=batch.cost if batch.state in _RESERVED else 0,  # what waits holds no share of the limits
        due_at=now,
    )


def _freed(batch: Batch) -> list[Write]:
    held: list[Write] = [Release(batch.ledger, batch.cost)] if batch.state in _RESERVED else []
    return held + (slot(batch, free_slot) if batch.state is BatchState.SUBMITTING else [])


def _has_pieces(batch: Batch, services: Services) -> bool:
    try:
        services.files.get(keys.pieces_key(batch))
    except Gone:
        return False
    job = services.store.job(batch.job)
    return job is not None and job.state is JobState.RUNNING

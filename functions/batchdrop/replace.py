"""Replace: a batch that is larger than its provider takes becomes smaller ones, down to single requests.

They are of the same round and count as the same attempt. Their files are written first; then their rows are added in
the transaction that closes the large batch, so that no request is ever in two batches that may be sent.
"""

import math
import tempfile
from pathlib import Path

from aws_lambda_powertools import Logger

from batchdrop import files
from batchdrop.admit import admit_batches
from batchdrop.batch_files import BatchWriter
from batchdrop.errors import NotMyTurn
from batchdrop.ledgers import is_too_large, most_for, most_of
from batchdrop.packing import Room, group_again
from batchdrop.plan import batch_rows
from batchdrop.providers.config import Protocol
from batchdrop.records import Batch, Split
from batchdrop.rounds import copy_requests
from batchdrop.services import Services
from batchdrop.states import BatchState, JobState
from batchdrop.store import Changed
from batchdrop.writes import add_row, update_counter

logger = Logger(child=True)

_SHARE = 16  # a batch holds this part of the large one at least: 33 batches at most, in a transaction of 100 writes
_COUNT = 0  # the place of the split's count among the writes


def replace_oversized(batch: Batch, services: Services) -> None:
    """Replace a waiting batch that is larger than it may be; one that fits by now stays."""
    provider, ledger = services.providers[batch.provider], services.store.ledger(batch.ledger)
    if not is_too_large(batch, provider, ledger, services.now()):
        return
    most = most_of(most_for(batch, provider, ledger, services.now()), ledger)
    most = max(most, -(-batch.cost // _SHARE))
    is_anthropic = provider.protocol is Protocol.ANTHROPIC
    room = Room(
        requests=most if is_anthropic else batch.requests, bytes=math.inf, tokens=math.inf if is_anthropic else most
    )
    _replace(services.store.claim(batch, services.settings.lease_seconds), room, services)


def halve(batch: Batch, services: Services) -> None:
    """Replace a waiting batch that the provider refused for its size."""
    room = Room(requests=-(-batch.requests // 2), bytes=-(-batch.bytes // 2), tokens=math.inf)
    _replace(services.store.claim(batch, services.settings.lease_seconds), room, services)


def _replace(batch: Batch, room: Room, services: Services) -> None:
    smaller = _smaller(batch, _split(batch, services), room, services)
    added = [add_row(each) for each in smaller]
    while True:
        split = _split(batch, services)
        count = update_counter(split, "open", split.open, to=split.open + len(smaller) - 1)
        try:
            services.store.move(batch, BatchState.REPLACED, also=[count, *added], cost=0, due_at=None)
        except Changed as error:
            if _COUNT not in error.refused:
                raise
            continue
        break
    logger.warning("batch replaced by smaller ones", job=batch.job, batch=batch.id, batches=len(smaller))
    admit_batches(batch.provider, services)


def _split(batch: Batch, services: Services) -> Split:
    split = services.store.split(batch.job, batch.split)
    if split is None or split.round != batch.round or not split.open:
        raise NotMyTurn
    return split


def _smaller(batch: Batch, split: Split, room: Room, services: Services) -> list[Batch]:
    job = services.store.job(batch.job)
    if job is None or job.state is not JobState.RUNNING:
        raise NotMyTurn
    prefix = f"{files.attempt_prefix(split, 'replace')}{batch.id}-{batch.epoch}/"
    with tempfile.TemporaryDirectory() as folder:
        writer = BatchWriter(batch.id, prefix, Path(folder), services, split=split.index, room=room)
        copy_requests(batch, group_again(batch), range(batch.requests), writer, services)
        return list(batch_rows(job, split, writer.finish(), services))

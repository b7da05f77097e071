"""Resizing: replaces a batch that is too large for its provider by smaller ones, down to single requests.

They are of the same round and count as the same attempt. Their files are written first; then their rows are added in
the transaction that closes the large batch, so that no request is ever in two batches that may be sent.
"""

import math
from collections.abc import Iterable
from pathlib import Path

import msgspec
from aws_lambda_powertools import Logger

from batchdrop.aws import keys
from batchdrop.aws.optimistic import ConcurrentChange, until_unchanged
from batchdrop.aws.table_items import add_row, update_counter
from batchdrop.batches.packing import Room, group_again
from batchdrop.batches.request_files import BatchWriter, copy_requests
from batchdrop.batches.rows import batch_rows, call_batches
from batchdrop.batches.split_plan import PlannedBatch
from batchdrop.errors import ClaimLost, Gone
from batchdrop.limits.admission import admit_batches
from batchdrop.limits.ledgers import batch_allowance, is_too_large, max_estimate_within, sizes_of
from batchdrop.records import Batch, Protocol, Split
from batchdrop.refusal_kinds import Kind
from batchdrop.row_changes import BatchChanges
from batchdrop.services import Services
from batchdrop.states import BatchState, JobState
from batchdrop.temporary_files import temporary_folder

logger = Logger(child=True)

_SHARE = 16  # a batch holds this part of the large one at least: 33 batches at most, in a transaction of 100 writes
_ORIGIN_PARTS = 3  # of an id, which has more where the batch is a piece of another
_MOST_PARTS = 16  # the same, where named requests are taken out: names of files have room for halves of halves, too
_COUNT = 0  # the place of the split's count among the writes


class PieceExists(Exception):  # noqa: N818 - a fact that nobody expects: it counts as a failure of the batch
    """One of the batches that were to replace this one is in the table already, and this one is not replaced."""


def replace_oversized(batch: Batch, services: Services) -> None:
    """Replace a waiting batch that is larger than it may be; one that fits by now stays."""
    provider, ledger = services.providers[batch.provider], services.store.providers.ledger(batch.ledger)
    now = services.now()
    if not is_too_large(batch, provider, ledger, now):
        return
    most = max(max_estimate_within(batch_allowance(batch, provider, ledger, now), ledger), -(-batch.cost // _SHARE))
    most_requests, most_bytes = sizes_of(ledger, now)
    is_anthropic = provider.protocol is Protocol.ANTHROPIC
    room = Room(
        requests=int(max(min(most_requests, most if is_anthropic else batch.requests), -(-batch.requests // _SHARE))),
        bytes=max(most_bytes, -(-batch.bytes // _SHARE)),
        tokens=math.inf if is_anthropic else most,
    )
    _replace(services.store.claim(batch, services.settings.lease_seconds), [(range(batch.requests), room)], services)


def halve(batch: Batch, services: Services) -> None:
    """Replace a waiting batch that the provider refused for its size."""
    room = Room(requests=-(-batch.requests // 2), bytes=-(-batch.bytes // 2), tokens=math.inf)
    _replace(services.store.claim(batch, services.settings.lease_seconds), [(range(batch.requests), room)], services)


def replace_again(batch: Batch, services: Services) -> None:
    """Replace a waiting batch by the pieces that it was cut into before its table was restored."""
    _replace(services.store.claim(batch, services.settings.lease_seconds), [], services)


def cut_in_search(batch: Batch, services: Services, *, refused_as: Kind, named: int | None = None) -> None:
    """Replace a batch by two that are sent to find out which of its requests are refused: its halves.

    Where the provider named one request, that one goes alone, and all others together.

    Args:
        batch: It was refused and waits, or it failed and is held.
        services: The services.
        refused_as: What for.
        named: The position of the request that the provider named.
    """
    claimed = batch if batch.state is BatchState.ENDED else services.store.claim(batch, services.settings.lease_seconds)
    whole = Room(requests=batch.requests, bytes=math.inf, tokens=math.inf)
    half = Room(requests=-(-batch.requests // 2), bytes=math.inf, tokens=math.inf)
    pieces: list[tuple[Iterable[int], Room]] = [(range(batch.requests), half)]
    if named is not None and batch.id.count("-") < _MOST_PARTS:
        others = (position for position in range(batch.requests) if position != named)
        pieces = [([named], whole), (others, whole)]
    _replace(claimed, pieces, services, refused_as=refused_as)


def _replace(
    batch: Batch, pieces: list[tuple[Iterable[int], Room]], services: Services, refused_as: Kind | None = None
) -> None:
    smaller = _smaller(batch, _split(batch, services), pieces, services)
    added = [add_row(each) for each in smaller]
    changes: BatchChanges = {"cost": 0, "due_at": None, "refused_as": refused_as or batch.refused_as}

    def replace() -> None:
        split = _split(batch, services)
        count = update_counter(split, "open", split.open, to=split.open + len(smaller) - 1)
        try:
            services.store.move(batch, BatchState.REPLACED, also=[count, *added], **changes)
        except ConcurrentChange as error:
            if _COUNT not in error.refused:
                raise PieceExists(batch.id) from error
            raise

    until_unchanged(replace)
    logger.warning("batch replaced by smaller ones", batch=batch.id, batches=len(smaller))
    admit_batches(batch.provider, services)
    call_batches(smaller, services)


def _split(batch: Batch, services: Services) -> Split:
    split = services.store.split(batch.job, batch.split)
    if split is None or split.round != batch.round or not split.open:
        raise ClaimLost
    return split


def _smaller(batch: Batch, split: Split, pieces: list[tuple[Iterable[int], Room]], services: Services) -> list[Batch]:
    job = services.store.job(batch.job)
    if job is None or job.state is not JobState.RUNNING:
        raise ClaimLost
    key = keys.pieces_key(batch)
    try:
        found = services.files.get(key)
    except Gone:
        written = msgspec.json.encode(_write_pieces(batch, split, pieces, services))
        found = services.files.put_first(key, written)
    return list(batch_rows(job, split, msgspec.json.decode(found, type=list[PlannedBatch]), services))


def _write_pieces(
    batch: Batch, split: Split, pieces: list[tuple[Iterable[int], Room]], services: Services
) -> list[PlannedBatch]:
    prefix = f"{keys.attempt_prefix(split, 'replace')}{batch.id}-{batch.epoch}/"
    planned: list[PlannedBatch] = []
    for number, (positions, room) in enumerate(pieces):
        name, place = (batch.id, prefix) if len(pieces) == 1 else (f"{batch.id}-{number}", f"{prefix}{number}/")
        with temporary_folder() as folder:
            writer = BatchWriter(name, place, Path(folder), services, split=split.index, room=room)
            copy_requests(batch, group_again(batch), positions, writer, services)
            planned += writer.finish()
    return planned


def origin_of(batch_id: str) -> str:
    """The id of the batch that a piece was cut from in the end: its split, its round and its number there."""
    return "-".join(batch_id.split("-")[:_ORIGIN_PARTS])

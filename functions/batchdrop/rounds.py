"""Closing a batch: its split counts one open batch less, in the same transaction; the last one lets it be assembled."""

from typing import Any

from batchdrop.records import Batch
from batchdrop.services import Services
from batchdrop.states import BatchState
from batchdrop.store import Changed, Write, update_counter


def close_batch(
    batch: Batch, state: BatchState, services: Services, *, also: tuple[Write, ...] = (), **changes: Any
) -> Batch:
    """Move a batch to a state that ends it.

    Raises:
        NotMyTurn: Another moved it first.
    """
    while True:
        split = services.store.split(batch.job, batch.split)
        if split is None:
            raise LookupError(f"{batch.job}: batch {batch.id} has no split")
        left = split.open - 1
        due = {} if left else {"due_at": services.now() + services.settings.lease_seconds}
        count = update_counter(split, "open", split.open, to=left, **due)
        try:
            closed = services.store.move(batch, state, also=[count, *also], **changes)
        except Changed:
            continue
        if not left:
            services.queues.assemble(batch.job, batch.split)
        return closed

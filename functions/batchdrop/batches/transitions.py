"""A batch whose create did not happen waits again: its share of the limits and its slot are given back."""

from collections.abc import Callable
from typing import Any

from batchdrop.aws.table_items import Release, Write, free_slot
from batchdrop.limits.ledgers import estimate_of
from batchdrop.providers.config import Protocol
from batchdrop.records import Batch
from batchdrop.services import Services
from batchdrop.states import BatchState

WINDOW_SECONDS = 29 * 86_400  # Anthropic keeps a batch's results 29 days; OpenAI's files live 30


def slot(batch: Batch, write: Callable[[Batch], Write]) -> list[Write]:
    """What is written to a batch's slot, where it needs one."""
    return [write(batch)] if needs_slot(batch) else []


def needs_slot(batch: Batch) -> bool:
    """Anthropic offers no key to ask by: creates that are not settled are told apart by their number of requests."""
    return batch.protocol is Protocol.ANTHROPIC


def back_to_waiting(
    batch: Batch,
    services: Services,
    *,
    also: tuple[Write, ...] = (),
    ticks: int = 1,
    failures: int = 0,
    **changes: Any,
) -> Batch:
    """Nothing was created: give the share of the limits back, and stand in line again in a while.

    Failures before it still count (`failures`) where nothing was tried that may have failed.
    """
    freed = slot(batch, free_slot) if batch.state is BatchState.SUBMITTING else []
    return services.store.move(
        batch,
        BatchState.WAITING,
        also=[Release(batch.ledger, batch.cost), *freed, *also],
        cost=estimate_of(batch.protocol, requests=batch.requests, tokens=batch.tokens),
        due_at=services.now() + ticks * services.settings.tick_seconds,
        failures=failures,
        **changes,
    )

"""Transitions of a batch that several steps make: back to waiting, cancelled at its provider, given up.

Where its create did not happen, or it ends, its share of the limits and its slot are given back in the same write.
"""

from collections.abc import Callable
from typing import Unpack

from aws_lambda_powertools import Logger

from batchdrop.aws.metrics import Alert, count
from batchdrop.aws.provider_items import Release, free_slot
from batchdrop.aws.table_items import Write
from batchdrop.batches.retry_rounds import close_batch
from batchdrop.errors import AccountRefused, ClaimLost, Missing, Refused, Transient
from batchdrop.limits.ledgers import estimate_of
from batchdrop.records import Batch, Protocol
from batchdrop.result_line import ErrorCode
from batchdrop.row_changes import BatchChanges
from batchdrop.services import Services
from batchdrop.states import BatchState

logger = Logger(child=True)

WINDOW_SECONDS = 29 * 86_400  # Anthropic keeps a batch's results 29 days; OpenAI's files live 30


def slot(batch: Batch, write: Callable[[Batch], Write]) -> list[Write]:
    """Return the write to a batch's slot, where it needs one."""
    return [write(batch)] if needs_slot(batch) else []


def needs_slot(batch: Batch) -> bool:
    """Anthropic offers no key to ask by: creates that are not settled are distinguished by their number of requests."""
    return batch.protocol is Protocol.ANTHROPIC


def back_to_waiting(
    batch: Batch,
    services: Services,
    *,
    also: tuple[Write, ...] = (),
    ticks: int = 1,
    **changes: Unpack[BatchChanges],
) -> Batch:
    """Nothing was created: give the share of the limits back, and stand in line again in a while.

    Failures before it still count (`failures` in `changes`) where nothing was tried that may have failed.
    """
    freed = slot(batch, free_slot) if batch.state is BatchState.SUBMITTING else []
    waiting: BatchChanges = {
        "cost": estimate_of(batch.protocol, requests=batch.requests, tokens=batch.tokens),
        "due_at": services.now() + ticks * services.settings.tick_seconds,
        "failures": 0,
        **changes,
    }
    also = (Release(batch.ledger, batch.cost), *freed, *also)
    return services.store.move(batch, BatchState.WAITING, also=also, **waiting)


def cancel_at_provider(batch: Batch, services: Services) -> None:
    """Ask the provider to stop a batch that is proven ours; what it answered before is collected as ever."""
    try:
        if not batch.adopted:
            _ask(batch, services)
        services.store.move(batch, BatchState.IN_FLIGHT, cancel_asked_at=services.now(), due_at=services.now())
    except ClaimLost:
        return
    except (AccountRefused, Transient) as error:
        logger.warning("batch not cancelled yet", batch=batch.id, reason=type(error).__name__)
    else:
        logger.info("batch cancelled at the provider", batch=batch.id, batch_id=batch.batch_id)


def give_up(batch: Batch, services: Services, *, code: ErrorCode = ErrorCode.PROVIDER_STUCK) -> None:
    """End a batch that never ends at the provider, or never tells its results: its lines are not sent again."""
    holds_share = batch.state in {BatchState.ADMITTED, BatchState.SUBMITTING, BatchState.IN_FLIGHT}
    freed = slot(batch, free_slot) if batch.state is BatchState.SUBMITTING else []
    try:
        close_batch(
            batch,
            BatchState.FAILED,
            services,
            also=(*([Release(batch.ledger, batch.cost)] if holds_share and not batch.is_realtime else []), *freed),
            failure_code=code,
            ended_at=services.now(),
            due_at=None,
        )
    except ClaimLost:
        return
    count(Alert.BATCH_GIVEN_UP)
    logger.error("batch given up", batch=batch.id, batch_id=batch.batch_id, code=code)


def _ask(batch: Batch, services: Services) -> None:
    try:
        services.apis[batch.provider].cancel(batch.batch_id or "")
    except (Missing, Refused) as error:  # it will not be stopped; the clock goes on all the same
        logger.warning("batch cannot be cancelled", batch=batch.id, reason=type(error).__name__)

"""Repairs a ledger whose sum differs from what its batches hold, so that no fault narrows a limit forever."""

from aws_lambda_powertools import Logger

from batchdrop.aws.guards import guard
from batchdrop.aws.metrics import Alert, count
from batchdrop.records import Ledger
from batchdrop.services import Services

logger = Logger(child=True)

_CHECK_SECONDS = 600


def rebuild_ledgers(provider: str, services: Services) -> None:
    """Compare a provider's ledgers with what its batches hold, once all of them are found where they are looked for.

    The sum is read from an index that may be a moment behind: a ledger is set only when it was off at two looks in a
    row, with no reservation and no release between them.
    """
    if not services.store.leases.take(f"ledgers#{provider}", _CHECK_SECONDS):
        return
    services.store.providers.gather(provider)
    held = services.store.providers.reserved_by_ledger(provider)
    for ledger in services.store.providers.ledgers(provider).values():
        with guard("ledgers", unit=ledger.name):
            _rebuild(ledger, held[ledger.name], services)


def _rebuild(ledger: Ledger, total: int, services: Services) -> None:
    if total == ledger.reserved:
        return
    if ledger.suspected != ledger.moves:
        services.store.providers.change_ledger(ledger, suspected=ledger.moves)
    elif services.store.providers.change_ledger(ledger, reserved=total):
        logger.error("ledger was off", ledger=ledger.name, reserved=ledger.reserved, held=total)
        count(Alert.LEDGER_OFF)

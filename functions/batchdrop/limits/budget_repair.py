"""Repairs a ledger of money whose sum differs from what its jobs hold, each by its own row."""

from datetime import UTC, datetime

from aws_lambda_powertools import Logger

from batchdrop.aws.guards import guard
from batchdrop.aws.metrics import Alert, count
from batchdrop.services import Services

logger = Logger(child=True)

_CHECK_SECONDS = 3_600
_LOOKBACK_SECONDS = (
    64 * 86_400
)  # a job may take 60 days, and its collection some more; then nothing moves in a month's ledger


def rebuild_budgets(services: Services) -> None:
    """Compare the ledgers of these months with their jobs' rows, and set those that are off.

    Both are written in one transaction: where no job wrote a ledger while its jobs' rows were read, they are its sum.
    """
    if not services.store.leases.take("budgets", _CHECK_SECONDS):
        return
    first = f"{datetime.fromtimestamp(services.now() - _LOOKBACK_SECONDS, UTC):%Y-%m}"
    for ledger in services.store.budgets.ledgers(since=first):
        with guard("budgets", unit=ledger.name):
            total = services.store.budgets.sum_of_jobs(ledger.name)
            if total != ledger.committed and services.store.budgets.correct(ledger, total):
                logger.error("budget was off", ledger=ledger.name, committed=ledger.committed, held=total)
                count(Alert.LEDGER_OFF)

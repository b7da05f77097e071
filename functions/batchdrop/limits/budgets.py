"""Budgets: what a job may cost, and all jobs of a folder in a month; who is over them is held before anything is paid.

What a job may cost at most is reserved before its first batch may be admitted. Requests that are sent again are no part
of that: what expired, failed or was cancelled is not charged, so that each request is charged once, in whichever round.
"""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from batchdrop.aws.table_items import Write
from batchdrop.dollars import in_words, micros_of
from batchdrop.records import Job
from batchdrop.row_changes import JobChanges
from batchdrop.services import Services


class Budgets(msgspec.Struct, frozen=True, kw_only=True):
    """US dollars; None where there is no such budget. `folder` is whose month it is."""

    job_usd: Decimal | None = None
    monthly_usd: Decimal | None = None
    folder: str | None = None


def budgets_of(job: Job) -> Budgets:
    """A job's budgets as they were when it was dropped."""
    settings = job.settings
    return Budgets(job_usd=settings.budget_usd, monthly_usd=settings.monthly_budget_usd, folder=job.budget_folder)


def has_budget(job: Job) -> bool:
    return budgets_of(job) != Budgets()


def ledger_of(budgets: Budgets, now: int) -> str | None:
    """The ledger of this month (UTC); None without a monthly budget."""
    if budgets.monthly_usd is None or budgets.folder is None:
        return None
    return f"{datetime.fromtimestamp(now, UTC):%Y-%m}#{budgets.folder}"


def why_over(most: int | None, budgets: Budgets, ledger: str | None, committed: int) -> str | None:
    """Return why a job is not sent, in words; None where its budgets allow it. Pure.

    Args:
        most: What it may cost at most, in millionths of a dollar; None where that is unknown.
        budgets: Its budgets.
        ledger: The name of the month's ledger.
        committed: What other jobs have reserved or spent of it.
    """
    if budgets.job_usd is None and ledger is None:
        return None
    if most is None:
        return f"What it may cost at most is unknown, so that {_names(budgets)} cannot be kept."
    costs = f"It may cost {in_words(most)} at most"
    if budgets.job_usd is not None and most > micros_of(budgets.job_usd):
        return f"{costs}, more than its budget of {_dollars(budgets.job_usd)} (budget_usd)."
    if budgets.monthly_usd is not None and ledger is not None and committed + most > micros_of(budgets.monthly_usd):
        return (
            f"{costs}, and {in_words(committed)} of the {_dollars(budgets.monthly_usd)} of {budgets.folder} in "
            f"{ledger.partition('#')[0]} (monthly_budget_usd) are spent or reserved."
        )
    return None


def _names(budgets: Budgets) -> str:
    names = []
    if budgets.job_usd is not None:
        names.append(f"its budget of {_dollars(budgets.job_usd)} (budget_usd)")
    if budgets.monthly_usd is not None:
        names.append(f"the {_dollars(budgets.monthly_usd)} a month of {budgets.folder} (monthly_budget_usd)")
    return " and ".join(names)


def _dollars(dollars: Decimal) -> str:
    return in_words(micros_of(dollars))


def reservation(job: Job, budgets: Budgets, most: int, services: Services) -> tuple[list[Write], JobChanges]:
    """Return the writes of the move that starts a job, and its row changes: none without a monthly budget.

    The move is refused where the month has no room for it, but for a job that somebody approved.
    """
    ledger = ledger_of(budgets, services.now())
    if ledger is None or budgets.monthly_usd is None:
        return [], {}
    limit = None if job.is_approved else micros_of(budgets.monthly_usd)
    taken = services.store.budgets.reserve(ledger, job.id, most, limit=limit)
    return taken, {"budget_ledger": ledger, "reserved_micros": most}


def raise_reservation(job: Job, budgets: Budgets, most: int, services: Services) -> tuple[list[Write], JobChanges]:
    """Return the writes and row changes of the move after which a running job may cost up to `most`.

    The move is refused where the month has no room for it, but for a job that somebody approved.
    """
    if job.budget_ledger is None:
        return [], {}
    limit = None if job.is_approved or budgets.monthly_usd is None else micros_of(budgets.monthly_usd)
    taken = services.store.budgets.reserve(job.budget_ledger, job.id, most - job.reserved_micros, limit=limit)
    return taken, {"reserved_micros": most}


def settlement(job: Job, spent: int | None, services: Services) -> list[Write]:
    """Return the writes of the move that ends a job: its cost in the place of what it reserved.

    Where its cost is not known, what it reserved counts as spent.
    """
    if job.budget_ledger is None or spent is None:
        return []
    return services.store.budgets.settle(job.budget_ledger, job.id, reserved=job.reserved_micros, spent=spent)

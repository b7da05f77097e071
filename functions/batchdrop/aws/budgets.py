"""The ledgers of money: what the jobs of a folder have reserved or spent in a month, and each job's part of that.

A ledger is named by its month and folder: `2026-11#input/team/`. Its row holds the sum; beside it, one row for each job
holds what that job has reserved or, once it is over, spent. Both are written in the transaction of the job's own move,
so that the sum can be computed again, also when a job's own row is gone. Amounts are millionths of a US dollar.
"""

from collections.abc import Callable, Iterator

import msgspec

from batchdrop.aws.table import Table, read_row
from batchdrop.aws.table_items import Update, Write

_LEDGERS = "BUDGETS"  # all lie together: a job writes one of them twice in its life
_KEPT_SECONDS = 180 * 86_400  # after its last write; a job may take 60 days, and `work/` of what was given up 90 more


class BudgetLedger(msgspec.Struct, frozen=True, kw_only=True):
    """The sum of a folder's month. `moves` is raised by each write of it."""

    name: str
    committed: int = 0
    moves: int = 0


class BudgetStore:
    """The rows of budgets; `Store` has one."""

    def __init__(self, table: Table, *, now: Callable[[], int]) -> None:
        self._table, self._now = table, now

    def ledger(self, name: str) -> BudgetLedger:
        item = self._table.item(_LEDGERS, name) or {}
        return msgspec.convert({**item, "name": name}, BudgetLedger)

    def ledgers(self, *, since: str) -> Iterator[BudgetLedger]:
        """Yield the ledgers of a month (`2026-11`) and of later ones; one that cannot be read is left out."""
        items = (each for each in self._table.items(_LEDGERS, "20") if each["sk"] >= since)
        found = (read_row({**each, "name": each["sk"]}, BudgetLedger) for each in items)
        return (ledger for ledger in found if ledger is not None)

    def sum_of_jobs(self, name: str) -> int:
        """Return the sum that a ledger's jobs hold, each by its own row."""
        return sum(item["micros"] for item in self._table.items(_parts(name), "JOB#"))

    def correct(self, ledger: BudgetLedger, committed: int) -> bool:
        """Set the sum of a ledger as it was read; False when a job wrote it since."""
        update = self._ledger_move(ledger.name)
        update.when("moves", "=", ledger.moves)
        update.set("committed", committed)
        return self._table.update_once(update) is not None

    def reserve(self, name: str, job: str, micros: int, *, limit: int | None) -> list[Write]:
        """Reserve what a job may cost, for its move to RUNNING; refused where the sum would pass the limit.

        Args:
            name: The ledger's.
            job: Whose part it is.
            micros: What it may cost at most.
            limit: What the sum may not pass; None for a job that somebody approved.
        """
        update = self._ledger_move(name)
        update.raise_by("committed", micros)
        if limit is not None:
            sum_ = update.name("committed")
            is_first = f"attribute_not_exists({sum_}) OR " if micros <= limit else ""
            update.when_expression(f"({is_first}{sum_} <= {update.value(limit - micros)})")
        return [_as_write(update), self._add_to_part(name, job, micros)]

    def settle(self, name: str, job: str, *, reserved: int, spent: int) -> list[Write]:
        """Put what a job cost in the place of what it reserved, for the move that ends it."""
        update = self._ledger_move(name)
        update.raise_by("committed", spent - reserved)
        return [_as_write(update), self._add_to_part(name, job, spent - reserved)]

    def _add_to_part(self, name: str, job: str, micros: int) -> Write:
        update = Update(_parts(name), f"JOB#{job}")
        update.raise_by("micros", micros)
        update.set("expires_at", self._now() + _KEPT_SECONDS)
        return _as_write(update)

    def _ledger_move(self, name: str) -> Update:
        update = Update(_LEDGERS, name)
        update.raise_by("moves", 1)
        update.set("expires_at", self._now() + _KEPT_SECONDS)
        return update


def _parts(name: str) -> str:
    return f"BUDGET#{name}"


def _as_write(update: Update) -> Write:
    return lambda table: {"Update": update.request(table)}

"""Whose the table is: one that was restored, or kept and adopted, does not know what was sent since it was written.

The table names its owner: the deployment, and the table itself by its name and the time at which it was made. A copy of
the row in another table, or under another stack, names another: so nobody has to remember that a table was restored.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from batchdrop.aws.optimistic import until_unchanged
from batchdrop.aws.provider_items import checked_key, found_key
from batchdrop.aws.table import Table
from batchdrop.aws.table_items import Update, decode, put_new
from batchdrop.errors import ClaimLost

KEY = ("TABLE", "TABLE")
# A table is restored under another name, for which a function is started anew, or under the same one after it was
# deleted, which takes minutes longer.
_BELIEVED_SECONDS = 60
_FOUND_SECONDS = 40 * 86_400  # a job that goes on meets its batch within its greatest age, 30 days by default


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """How far a provider's batches are listed.

    Attributes:
        is_released: All are known, and batches are sent to it again.
        batches: Those that the table did not know, of this deployment or another that shares the key.
        live: Those that have not ended and do not show whose they are.
        reason: Why it goes on no further for now, in words for people.
    """

    is_released: bool = False
    batches: int = 0
    live: int = 0
    reason: str = ""


class Restore(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the table is held, and how far `reconcile` is.

    Attributes:
        owner: Who may send batches by this table; "" where that was never said.
        epoch: Raised by each write.
        held_by: Who found that it is not the owner, and sends nothing yet; "" where nothing is held.
        held_at: Since when; kept when it is over. 0 for a table that was never restored.
        asked_at: When somebody asked to reconcile; 0 before.
        jobs_after: The last job of which was looked whether it is published.
        has_checked_jobs: All of them were.
        has_listed_input: All dropped files were found that the table does not know.
        providers: By name.
    """

    owner: str = ""
    epoch: int = 0
    held_by: str = ""
    held_at: int = 0
    asked_at: int = 0
    jobs_after: str = ""
    has_checked_jobs: bool = False
    has_listed_input: bool = False
    providers: dict[str, Listed] = {}

    @property
    def is_held(self) -> bool:
        return bool(self.held_by)

    def holds(self, provider: str) -> bool:
        """Return whether nothing may be sent to a provider."""
        return self.is_held and not self.providers.get(provider, Listed()).is_released


class FoundBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's batch that the table did not know, found by its token."""

    batch_id: str
    created_at: int | None = None
    input_file_id: str | None = None


class Restores:
    """The rows of a restore; `Store` has one."""

    def __init__(self, table: Table, *, now: Callable[[], int]) -> None:
        self._table, self._now = table, now
        self._believed: Restore | None = None
        self._believed_until = 0

    def current(self, deployment: str) -> Restore:
        """Return a deployment's hold; a new table is its own from now on, and another's is held."""
        if self._believed is not None and self._now() < self._believed_until:
            return self._believed
        described = self._table.description()
        made_at = int(described["CreationDateTime"].timestamp())
        found = self._judge(f"{deployment}/{self._table.name}/{made_at}", is_new="RestoreSummary" not in described)
        if not found.is_held:
            self._believed, self._believed_until = found, self._now() + _BELIEVED_SECONDS
        return found

    def _judge(self, me: str, *, is_new: bool) -> Restore:
        def judge() -> Restore:
            found = self.read()
            if found.owner == me:
                return msgspec.structs.replace(found, held_by="")
            if found.held_by == me:
                return found
            if not found.owner and not found.held_by and is_new:
                return self.save(found, owner=me)
            nothing = {"jobs_after": "", "has_checked_jobs": False, "has_listed_input": False, "providers": {}}
            return self.save(found, held_by=me, held_at=self._now(), asked_at=0, **nothing)

        return until_unchanged(judge, on=ClaimLost)

    def read(self) -> Restore:
        """The row as it is."""
        return msgspec.convert(decode(self._table.raw_item(*KEY)), Restore)

    def save(self, restore: Restore, **changes: Any) -> Restore:
        """Change the row as it was read.

        Raises:
            ClaimLost: Another changed it since.
        """
        update = Update(*KEY)
        if restore.epoch:
            update.when("epoch", "=", restore.epoch)
        else:
            update.when_expression(f"attribute_not_exists({update.name('epoch')})")
        for name, value in {**changes, "epoch": restore.epoch + 1}.items():
            update.set(name, msgspec.to_builtins(value))
        if self._table.update_once(update) is None:
            raise ClaimLost
        return msgspec.structs.replace(restore, epoch=restore.epoch + 1, **changes)

    def end(self, restore: Restore) -> None:
        """Nothing is held any more: who found it not to be its own owns it."""
        self.save(restore, owner=restore.held_by, held_by="")

    def ask(self) -> Restore:
        """Have a held table reconciled; the row as it is then. Twice is as good as once."""

        def ask() -> Restore:
            found = self.read()
            return found if not found.is_held or found.asked_at else self.save(found, asked_at=self._now())

        return until_unchanged(ask, on=ClaimLost)

    def is_checked(self, provider: str, batch_id: str) -> bool:
        return bool(self._table.raw_item(*checked_key(provider, batch_id)))

    def add_found(self, provider: str, batch_id: str, token: str | None, found: FoundBatch) -> bool:
        """Note a batch, by the token that it tells if it is one of ours; the newest of several of a token stays.

        True where the token was new.
        """
        is_new = token is not None and self._put_new(found_key(provider, token), msgspec.to_builtins(found))
        self._put_new(checked_key(provider, batch_id), {})
        return is_new

    def found(self, provider: str, token: str) -> FoundBatch | None:
        """The provider's batch that bears a token, if it was found by `reconcile`."""
        item = decode(self._table.raw_item(*found_key(provider, token)))
        return msgspec.convert(item, FoundBatch) if item else None

    def _put_new(self, key: tuple[str, str], values: dict[str, Any]) -> bool:
        known = {name: value for name, value in values.items() if value is not None}
        row = {"pk": key[0], "sk": key[1], **known, "expires_at": self._now() + _FOUND_SECONDS}
        return self._table.put_new(put_new(row))

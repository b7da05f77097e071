"""Leases and claims, for one holder at a time: a function's run, the search for missed drops, the drop of a file."""

import uuid
from collections.abc import Callable

import msgspec

from batchdrop.aws.table import Table, read_row
from batchdrop.aws.table_items import Update, drop_key, listing_key
from batchdrop.errors import ClaimLost


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The right to be the only run of something, and what the run before left.

    Attributes:
        last: When the last whole round began; 0 before the first.
        cut_at: Where a round was cut; None when it was not.
        usual: How long a batch usually takes; 0 while that is not known.
        runs: How many runs there were, this one included.
        ended: Which of them was the last to end, and not to die.
        at_job, at_sk: The unit that the run before was at when it died, if that was noted.
    """

    name: str
    until: int
    last: int = 0
    cut_at: int | None = None
    usual: int = 0
    runs: int = 0
    ended: int = 0
    at_job: str = ""
    at_sk: str = ""

    @property
    def has_died(self) -> bool:
        """Whether the run before did not come to its end."""
        return self.ended != self.runs - 1


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """How far the search for drops is that no event reported (see `missed_drops`).

    Attributes:
        name: The deployment that searches.
        epoch: Raised by each write.
        begun_at: When the deployment searched for the first time; 0 before.
        round_at: When the round under way began; None between two.
        oldest: What was dropped before then is left alone in this round.
        after: The last key that it looked at.
        last_at: When the last whole round began; 0 before its end.
        next_at: No round begins before.
    """

    name: str
    epoch: int = 0
    begun_at: int = 0
    round_at: int | None = None
    oldest: int = 0
    after: str = ""
    last_at: int = 0
    next_at: int = 0


class DropClaim(msgspec.Struct, frozen=True, kw_only=True):
    """The claim on a drop of certain bytes: one holder at a time, then the job that they became.

    Attributes:
        is_held: By the one who asked; False for another's.
    """

    digest: str
    holder: str = ""
    job: str | None = None
    is_held: bool = False


class Leases:
    """The rows of leases; `Store` has one."""

    def __init__(self, table: Table, *, now: Callable[[], int]) -> None:
        self._table, self._now = table, now

    def take(self, name: str, seconds: int) -> Lease | None:
        """Be the only run of something until `end`, or for `seconds`; None while another is at it."""
        now = self._now()
        update = Update(f"LEASE#{name}", "LEASE")
        until = update.name("until")
        update.when_expression(f"(attribute_not_exists({until}) OR {until} <= {update.value(now)})")
        update.set("until", now + seconds)
        update.raise_by("runs", 1)
        found = self._table.update_once(update)
        if found is None:
            return None
        return read_row({**found, "name": name}, Lease) or Lease(name=name, until=now + seconds)

    def extend(self, lease: Lease, seconds: int) -> Lease:
        """Hold it for so many seconds from now.

        Raises:
            ClaimLost: It ran out, and another run has begun.
        """
        until = self._now() + seconds
        update = Update(f"LEASE#{lease.name}", "LEASE")
        update.when("until", "=", lease.until)
        update.set("until", until)
        if self._table.update_once(update) is None:
            raise ClaimLost
        return msgspec.structs.replace(lease, until=until)

    def note_work(self, lease: Lease, job: str, sk: str) -> None:
        """Name the unit that a run is at, so that the next one knows what it died of."""
        update = Update(f"LEASE#{lease.name}", "LEASE")
        update.when("until", "=", lease.until)
        update.set("at_job", job)
        update.set("at_sk", sk)
        self._table.update(update)

    def forget_noted_work(self, lease: Lease) -> None:
        """Name no unit any more; nothing happens when another run has begun."""
        update = Update(f"LEASE#{lease.name}", "LEASE")
        update.when("until", "=", lease.until)
        update.remove("at_job")
        update.remove("at_sk")
        self._table.update(update)

    def end(self, lease: Lease, **left: int | None) -> None:
        """Let the next run begin, with what this one leaves to it; None removes what was left before.

        Nothing happens when it has begun already, since this one took too long.
        """
        update = Update(f"LEASE#{lease.name}", "LEASE")
        update.when("until", "=", lease.until)
        update.set("until", 0)
        update.set("ended", lease.runs)
        update.remove("at_job")
        update.remove("at_sk")
        for name, value in left.items():
            update.remove(name) if value is None else update.set(name, value)
        self._table.update(update)

    def listing(self, name: str) -> Listing:
        """How far a deployment's search is; a row that cannot be read, or is not there, is a search that begins."""
        item = self._table.item(*listing_key(name))
        return (read_row({**item, "name": name}, Listing) if item else None) or Listing(name=name)

    def save_listing(self, listing: Listing, **changes: int | str | None) -> Listing:
        """Change a search as it was read; None removes.

        Raises:
            ClaimLost: Another run went on with it.
        """
        update = Update(*listing_key(listing.name))
        epoch = update.name("epoch")
        update.when("epoch", "=", listing.epoch) if listing.epoch else update.when_expression(
            f"attribute_not_exists({epoch})"
        )
        changes["epoch"] = listing.epoch + 1
        for name, value in changes.items():
            update.remove(name) if value is None else update.set(name, value)
        if self._table.update_once(update) is None:
            raise ClaimLost
        return msgspec.structs.replace(listing, **changes)

    def claim_drop(
        self, digest: str, seconds: int, *, after: str | None = None, holder: str | None = None
    ) -> DropClaim:
        """Be the only one to drop these bytes for a while; the claim that stands against it where there is one.

        Args:
            digest: Names the bytes.
            seconds: How long the drop may take.
            after: The job that a claim names and that is over: such a claim is taken.
            holder: Who asks; the holder of a claim that names no job gets it again.
        """
        now, holder = self._now(), holder or uuid.uuid4().hex
        update = Update(*drop_key(digest))
        until = update.name("until")
        is_free = f"attribute_not_exists({until}) OR {until} <= {update.value(now)}"
        is_over = f" OR {update.name('job')} = {update.value(after)}" if after else ""
        is_own = f"{update.name('holder')} = {update.value(holder)} AND attribute_not_exists({update.name('job')})"
        update.when_expression(f"({is_free}{is_over} OR ({is_own}))")
        update.set("until", now + seconds)
        update.set("expires_at", now + seconds)
        update.set("holder", holder)
        update.remove("job")
        found = self._table.update_once(update)
        if found is None:
            return msgspec.convert({**(self._table.item(*drop_key(digest)) or {}), "digest": digest}, DropClaim)
        return DropClaim(digest=digest, holder=holder, is_held=True)

    def end_drop(self, claim: DropClaim, job: str | None, seconds: int) -> None:
        """Say which job the bytes became, for as long as its row may not be there yet; None lets the next one drop."""
        update = Update(*drop_key(claim.digest))
        update.when("holder", "=", claim.holder)
        update.set("until", self._now() + seconds if job else 0)
        update.set("job", job) if job else update.remove("job")
        self._table.update(update)

"""The keys and writes of the rows of providers: ids, slots, ledgers, pauses, hours."""

from dataclasses import dataclass, replace
from typing import Any

from batchdrop.aws.table_items import Item, Update, Write, encode, put_new
from batchdrop.records import Batch

HOUR, PART_OF_HOUR = 3_600, 300  # seconds


def own_batch_id(batch: Batch, batch_id: str, expires_at: int) -> Write:
    """The one row that says whose a provider's batch is; refused when any batch has it already."""
    whose = {"job": batch.job, "batch": batch.id, "expires_at": expires_at}
    return put_new({"pk": f"PROVIDER#{batch.provider}", "sk": f"BATCH#{batch_id}", **whose})


def found_key(provider: str, token: str) -> tuple[str, str]:
    """A batch that `reconcile` found, by the token that it tells."""
    return f"PROVIDER#{provider}", f"FOUND#{token}"


def checked_key(provider: str, batch_id: str) -> tuple[str, str]:
    """Says that `reconcile` knows whose a batch is."""
    return f"PROVIDER#{provider}", f"LOOKED#{batch_id}"


def times_key(provider: str, day: str, size: int, model: str) -> tuple[str, str]:
    """Return how long the batches of a model and size took that ended on a day (`YYYYMMDD`)."""
    return f"PROVIDER#{provider}", f"TIMES#{day}#{size}#{model}"


def take_slot(batch: Batch) -> Write:
    """Be the only batch of its provider with this number of requests whose create is not settled; refused if not."""
    return put_new({**slot_key(batch), "job": batch.job, "batch": batch.id})


def free_slot(batch: Batch) -> Write:
    return lambda table: {"Delete": {"TableName": table, "Key": encode(slot_key(batch))}}


def slot_key(batch: Batch) -> Item:
    return {"pk": f"SLOTS#{batch.provider}", "sk": f"{batch.requests:06}"}


def reserve(ledger: str, cost: int, *, limit: int, **changes: Any) -> Write:
    """Take `cost` of a ledger whose sum stays within `limit`; refused when it does not fit.

    Args:
        ledger: Its name.
        cost: In the ledger's own units: tokens, or requests.
        limit: What the sum may not pass.
        changes: Other attributes of the ledger.
    """
    update = _ledger_move(ledger)
    reserved = update.name("reserved")
    update.when_expression(f"(attribute_not_exists({reserved}) OR {reserved} <= {update.value(limit - cost)})")
    update.raise_by("reserved", cost)
    for name, value in changes.items():
        update.set(name, value)
    return lambda table: {"Update": update.request(table)}


@dataclass(frozen=True)
class Release:
    """Gives back what `reserve` took, in the transaction of the move that ends the need for it.

    A ledger is never negative: the write is refused where less is reserved, and `Store.move` then writes what it is
    `fallback`, for a row that is off must not hold up a batch for ever.
    """

    ledger: str
    cost: int
    estimated: int = 0
    used: int = 0
    takes_all: bool = False

    def __call__(self, table: str) -> Item:
        update = _ledger_move(self.ledger)
        if self.used:
            update.raise_by("estimated", self.estimated)
            update.raise_by("used", self.used)
        reserved, cost = update.name("reserved"), update.value(self.cost)
        if self.takes_all:
            update.when_expression(f"(attribute_not_exists({reserved}) OR {reserved} < {cost})")
            update.set("reserved", 0)
        else:
            update.when_expression(f"{reserved} >= {cost}")
            update.set_to("reserved", f"{reserved} - {cost}")
        return {"Update": update.request(table)}

    def fallback(self) -> "Release":
        """Take all there is, refused where that is enough after all; and the other way round."""
        return replace(self, takes_all=not self.takes_all)


def _ledger_move(ledger: str) -> Update:
    update = Update(*ledger_key(ledger))
    update.raise_by("moves", 1)
    return update


def ledger_key(ledger: str) -> tuple[str, str]:
    """Its `pk` and `sk`: all ledgers of a provider lie together."""
    return f"PROVIDER#{ledger.partition('/')[0]}", f"LEDGER#{ledger}"


def pause_key(provider: str) -> tuple[str, str]:
    return f"PROVIDER#{provider}", "PAUSE"


def take_probe(batch: Batch, pause_until: int, until: int, now: int) -> Write:
    """Be the one batch that tries a paused provider; refused when another is, or the pause is over."""
    update = Update(*pause_key(batch.provider))
    update.when("until", "=", pause_until)
    update.set("until", until)
    update.set("probe", batch.token)
    update.raise_by("probes", 1)
    update.set("probed_at", now)
    return lambda table: {"Update": update.request(table)}


def end_pause(provider: str, now: int) -> Write:
    """Let batches go again at once; never refused. Sweep announces the end, and clears what it finds ended."""
    update = Update(*pause_key(provider))
    set_ended(update, now)
    return lambda table: {"Update": update.request(table)}


def set_ended(update: Update, now: int) -> None:
    """Note that a pause is over; when that was noted first stays."""
    for name, value in {"until": 0, "failures": 0, "failed_at": 0, "as_of": now}.items():
        update.set(name, value)
    update.set_once("ended_at", now)


def count_in_hour(provider: str, part: int, *, room: int) -> Write:
    """One more batch of a provider in the part of an hour that began then; refused where that has no room for it."""
    update = Update(*hour_key(provider, part))
    batches = update.name("batches")
    is_free = f"{batches} < {update.value(room)}"
    update.when_expression(f"(attribute_not_exists({batches}) OR {is_free})" if room > 0 else is_free)
    update.raise_by("batches", 1)
    update.set("expires_at", part + 2 * HOUR)
    return lambda table: {"Update": update.request(table)}


def hour_key(provider: str, part: int) -> tuple[str, str]:
    return f"PROVIDER#{provider}", f"HOUR#{part}"

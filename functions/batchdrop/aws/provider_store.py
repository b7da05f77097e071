"""Keeps the state of providers: their ledgers, their pauses and the owners of their batches."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import product

import msgspec
from aws_lambda_powertools import Logger

from batchdrop.aws.exception_log import log_exception
from batchdrop.aws.pause_history import PauseTimes, history_key, move_times, own_times, past_pauses
from batchdrop.aws.provider_items import (
    hour_key,
    ledger_key,
    pause_key,
    set_ended,
    slot_key,
    times_key,
)
from batchdrop.aws.row_versions import ROW_VERSION, NewerRow
from batchdrop.aws.table import Due, Table, read_row, readable_attributes
from batchdrop.aws.table_items import DUE_SHARDS, RECOVERY, Item, Update, due_key, put_new
from batchdrop.aws.table_writes import ConditionFailed
from batchdrop.records import Batch, Intent, Ledger
from batchdrop.states import BatchState

logger = Logger(child=True)

_BIN = "bin_"  # begins the names of attributes


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """The pause of a provider, and its failures.

    Attributes:
        until: Nothing is submitted until then, and one batch to try it after that; 0 when it is over, or never was.
        reason: Why; empty while only failures are counted.
        reason_code: The same for programs; empty in a pause that an older version wrote.
        announced: Its event was sent.
        probe: The token of the batch that tries it.
        failures: Calls that failed in a row, through no fault of the account.
        failed_at: When the last of them did, or a call for a batch that was submitted before was refused.
    """

    until: int = 0
    reason: str = ""
    reason_code: str = ""
    announced: bool = msgspec.field(default=False, name="told")  # rows keep the first name
    probe: str = ""
    failures: int = 0
    failed_at: int = 0


class ProviderStore:
    """The rows of providers; `Store` has one. Lists leave out rows that cannot be read."""

    def __init__(self, table: Table, *, now: Callable[[], int]) -> None:
        self._table, self._now = table, now

    def waiting(self, provider: str, *, by: int) -> Iterator[Due]:
        """A provider's batches that may be admitted."""
        return self._table.due(f"{BatchState.WAITING}#{provider}", by)

    def in_flight(self, provider: str) -> Iterator[Due]:
        """A provider's batches that it has not ended."""
        return self._table.due(f"{BatchState.IN_FLIGHT}#{provider}", None)

    def gather(self, provider: str) -> None:
        """Move a provider's batches to its one key of the index, from those that earlier versions spread them over.

        Until then neither admission nor poll finds them. What newer code wrote stays where it is.
        """
        for state, shard in product((BatchState.WAITING, BatchState.IN_FLIGHT), range(1, DUE_SHARDS)):
            group = f"{state}#{provider}"
            for pk, sk in self._table.keys_of_due(due_key(group, shard)):
                update = Update(pk, sk)
                update.when("due_key", "=", due_key(group, shard))
                version = update.name("version")
                update.when_expression(f"(attribute_not_exists({version}) OR {version} <= {update.value(ROW_VERSION)})")
                update.set("due_key", due_key(group, 0))
                self._table.update(update)

    def watched(self, provider: str) -> list[Intent]:
        """Creates of a provider that were given up and may still arrive."""
        found = (self._intent(each) for each in self._table.due(f"WATCH#{provider}", None))
        return [intent for intent in found if intent is not None]

    def record_foreign_batch(self, intent: Intent, batch_id: str) -> bool:
        """Record that a provider's batch duplicates one that was given up; False when it is known."""
        values = {
            "pk": f"PROVIDER#{intent.provider}",
            "sk": f"BATCH#{batch_id}",
            "job": intent.job,
            "batch": intent.batch,
            "duplicate": True,
            "expires_at": intent.expires_at,
        }
        return self._table.put_new(put_new(values))

    def owner(self, provider: str, batch_id: str) -> tuple[str, str] | None:
        """The job and batch that own a provider's batch id, or None."""
        item = self._table.item(f"PROVIDER#{provider}", f"BATCH#{batch_id}")
        return (item["job"], item["batch"]) if item else None

    def slot_is_taken(self, batch: Batch) -> bool:
        """Return whether a create of its provider with this number of requests is not settled."""
        return self._table.item(**slot_key(batch)) is not None

    def ledger(self, name: str) -> Ledger:
        return self._ledger(name, self._table.item(*ledger_key(name)) or {})

    def ledgers(self, provider: str) -> dict[str, Ledger]:
        """The ledgers of a provider that were ever used, by name."""
        items = self._table.items(f"PROVIDER#{provider}", "LEDGER#")
        found = (self._ledger(item["sk"].removeprefix("LEDGER#"), item) for item in items)
        return {ledger.name: ledger for ledger in found}

    def admitted_between(self, provider: str, since: int, until: int) -> int:
        """Return how many of a provider's batches were admitted in the parts of an hour that began then."""
        items = self._table.items(f"PROVIDER#{provider}", "HOUR#")
        first, end = hour_key(provider, since)[1], hour_key(provider, until)[1]
        return sum(item["batches"] for item in items if first <= item["sk"] < end)

    def reserved_by_ledger(self, provider: str) -> Counter[str]:
        """Return how much a provider's batches hold of each of its ledgers, by the index."""
        held = Counter[str]()
        for due in (*self.in_flight(provider), *self._table.due(RECOVERY, None)):
            if due.ledger.partition("/")[0] == provider:
                held[due.ledger] += due.cost
        return held

    def count_completion(self, batch: Batch, *, day: str, size: int, number: int, expires_at: int) -> None:
        """Count one more batch whose time is in this bin. Counted twice, or not at all, it is still about right."""
        update = Update(*times_key(batch.provider, day, size, batch.model or ""))
        update.raise_by(f"{_BIN}{number}", 1)
        update.set("expires_at", expires_at)
        self._table.update(update)

    def completions(self, provider: str) -> Iterator[tuple[str, int, str, dict[int, int]]]:
        """Days, sizes and models, each with the number of batches by bin."""
        for item in self._table.items(f"PROVIDER#{provider}", "TIMES#"):
            day, size, model = item["sk"].removeprefix("TIMES#").split("#", 2)
            bins = {int(name.removeprefix(_BIN)): count for name, count in item.items() if name.startswith(_BIN)}
            yield day, int(size), model, bins

    def change_ledger(self, ledger: Ledger, **changes: int) -> bool:
        """Change a ledger as it was read; False when batches moved since."""
        update = Update(*ledger_key(ledger.name))
        update.when("moves", "=", ledger.moves)
        for name, value in changes.items():
            update.set(name, value)
        return self._table.update_once(update) is not None

    def learn_limit(self, ledger: str, limit: int, until: int) -> None:
        """Believe a limit that a refusal stated, until then, unless a later one stated another."""
        self._learn(ledger, "learned_until", until, learned=limit)

    def learn_sizes(self, ledger: str, until: int, **sizes: int) -> None:
        """The same for the size of one batch (`most_requests`, `most_bytes`)."""
        self._learn(ledger, "sizes_until", until, **sizes)

    def learn_refused_model(self, ledger: str, endpoint: str, words_key: str | None, until: int) -> None:
        """The same for a model that is not taken in batches at an endpoint."""
        self._learn(ledger, "refused_until", until, refused_at_endpoint=endpoint, refused_key=words_key)

    def _learn(self, ledger: str, end: str, until: int, **facts: int | str | None) -> None:
        """Facts with one end: the one that ends later was learned later. A late one replaces none that is there."""
        update, late = Update(*ledger_key(ledger)), Update(*ledger_key(ledger))
        known = update.name(end)
        update.when_expression(f"(attribute_not_exists({known}) OR {known} <= {update.value(until)})")
        for name, value in {**facts, end: until}.items():
            update.set(name, value)
            late.set_once(name, value)
        if not self._table.update(update):
            self._table.update(late)

    def active_pause(self, provider: str) -> Pause | None:
        """The pause during which nothing is submitted to a provider; None when it is open."""
        found = self.get_pause(provider)
        return found if found is not None and found.until > self._now() else None

    def get_pause(self, provider: str) -> Pause | None:
        """A provider's pause until it is cleared, also when its time is over."""
        item = self._table.item(*pause_key(provider))
        return read_row(item, Pause) if item else None

    def pauses(self, provider: str) -> list[PauseTimes]:
        """Return when a provider was paused, and is: the newest first."""
        item = self._table.item(*pause_key(provider))
        own = own_times(item) if item else None
        past = past_pauses(self._table.raw_item(*history_key(provider))) or []
        return [*reversed(past)] if own is None else [own, *reversed(past)]

    def set_pause(self, provider: str, reason: str, until: int, *, code: str = "") -> bool:
        """Stop submitting to a provider until then. True unless that was announced already, or is known to be over."""
        update = _unless_newer(provider, self._now())
        update.set("reason", reason)
        update.set("reason_code", code)
        update.set("until", until)
        update.set("as_of", self._now())
        update.set_once("opened_at", self._now())
        update.remove("ended_at")
        self._keep_times(provider)
        try:
            return "told" not in self._table.update_and_read(update, returned="ALL_OLD")
        except ConditionFailed:
            return False

    def count_failure(self, provider: str) -> int:
        """One more call to a provider failed; how many did in a row, and 0 where one succeeded since."""
        update = _unless_newer(provider, self._now())
        update.raise_by("failures", 1)
        update.raise_by("until", 0)
        update.set("failed_at", self._now())
        try:
            return int(self._table.update_and_read(update)["failures"])
        except ConditionFailed:
            return 0

    def mark_pause_announced(self, provider: str) -> None:
        """Note that the pause was announced; nothing happens when it is over."""
        self._change_pause(provider, told=True)

    def extend_pause_reason(self, provider: str) -> None:
        """Keep the reason of a pause on record, without extending the pause."""
        self._change_pause(provider, failed_at=self._now())

    def end_pause(self, provider: str) -> None:
        """Let batches go again at once, if there is a pause: sweep announces the end, and clears the pause."""
        update = self._change_of_pause(provider)
        set_ended(update, self._now())
        self._table.update(update)

    def _change_pause(self, provider: str, **changes: int) -> None:
        update = self._change_of_pause(provider)
        for name, value in changes.items():
            update.set(name, value)
        self._table.update(update)

    def _change_of_pause(self, provider: str) -> Update:
        update = _unless_newer(provider, self._now())
        update.when_expression(f"attribute_exists({update.name('until')})")
        return update

    def mark_pause_over(self, provider: str, pause: Pause) -> bool:
        """Call before the end of a pause is announced: the next one will be, too. False for one that was set anew."""
        update = _unless_changed(provider, pause)
        update.remove("told")
        return self._table.update_once(update) is not None

    def clear_pause(self, provider: str, pause: Pause) -> None:
        """Forget a pause as it was read; one that was set anew stays, and one after another failure."""
        self._keep_times(provider)
        self._table.delete(_unless_changed(provider, pause))

    def _keep_times(self, provider: str) -> None:
        """Move the times of a pause that is over to those of the past; where that fails, they are lost."""
        try:
            pause = readable_attributes(self._table.raw_item(*pause_key(provider)))
            if "ended_at" in pause:
                past = past_pauses(self._table.raw_item(*history_key(provider)))
                self._table.put_all([*move_times(provider, pause, past)])
        except Exception as error:  # noqa: BLE001 - whatever it is, it hinders no pause
            log_exception(logger, "the times of a pause are not kept", error, provider=provider)

    def _intent(self, due: Due) -> Intent | None:
        with suppress(NewerRow):
            item = self._table.item(f"JOB#{due.job}", due.sk)
            return read_row(item, Intent) if item else None
        return None

    def _ledger(self, name: str, item: Item) -> Ledger:
        """A ledger that cannot be read counts as new: what it holds is still checked by the write that reserves."""
        return read_row({**item, "name": name}, Ledger) or Ledger(name=name)


def _unless_newer(provider: str, now: int) -> Update:
    """An update of a pause by what is known now, for a worker that may write it much later; refused by newer facts."""
    update = Update(*pause_key(provider))
    as_of = update.name("as_of")
    update.when_expression(f"(attribute_not_exists({as_of}) OR {as_of} <= {update.value(now)})")
    return update


def _unless_changed(provider: str, pause: Pause) -> Update:
    """An update of a pause as it was read."""
    update = Update(*pause_key(provider))
    update.when("until", "=", pause.until)
    failed_at = update.name("failed_at")
    update.when_expression(f"(attribute_not_exists({failed_at}) OR {failed_at} = {update.value(pause.failed_at)})")
    return update

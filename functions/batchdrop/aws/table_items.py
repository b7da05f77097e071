"""The rows' keys and attributes, and what a transaction writes of them. Only this module and `store` know the table.

A `Write` is one item of a transaction: `Store.move` takes any number of them beside a row's own move.
"""

import zlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from batchdrop.failures import most_failures
from batchdrop.records import Batch, Intent, Job, Row, Split
from batchdrop.states import BatchState, JobState, State, may_move

Item = dict[str, Any]
Write = Callable[[str], Item]
"""One item of a transaction, given the table's name."""

# A key of an index takes 1,000 writes a second (DynamoDB's limit for a partition): sweep's rows, of which each move
# writes one, are spread over several. Those of a provider's batches, which wait or are in flight, need one.
DUE_SHARDS = 4
RECOVERY = "HEAL"  # the name that rows have
_UNSENT: frozenset[State] = frozenset({BatchState.WAITING, BatchState.ADMITTED, BatchState.SUBMITTING})


class _Numbers(TypeDeserializer):
    def _deserialize_n(self, value: str) -> int:
        return int(value)


_from_item = _Numbers()
_to_item = TypeSerializer()


def encode(values: Mapping[str, Any]) -> Item:
    return {name: _to_item.serialize(value) for name, value in values.items()}


def decode(item: Mapping[str, Any]) -> Item:
    return {name: _from_item.deserialize(value) for name, value in item.items()}


def key_of(row: Row) -> tuple[str, str]:
    """Its `pk` and `sk`."""
    match row:
        case Job():
            return f"JOB#{row.job}", "JOB"
        case Split():
            return f"JOB#{row.job}", f"SPLIT#{row.index:05}"
        case Batch():
            return f"JOB#{row.job}", f"BATCH#{row.id}"
        case _:
            raise TypeError(type(row).__name__)


def due_key(group: str, shard: int) -> str:
    return f"{group}#{shard}"


def _due_group(row: Job | Split | Batch) -> str:
    """Return the group of a due row: admission and poll read theirs by provider, sweep all others and units that fail.

    The latter so that neither sends it or asks for it any more.
    """
    if not isinstance(row, Batch) or row.failures >= most_failures(row.state, row.called):
        return RECOVERY
    return f"{row.state}#{row.provider}" if row.state in {BatchState.WAITING, BatchState.IN_FLIGHT} else RECOVERY


def due_shard(pk: str, sk: str) -> int:
    return zlib.crc32(f"{pk}{sk}".encode()) % DUE_SHARDS


def values_of(row: Job | Split | Batch) -> Item:
    """All attributes of a row, the indexes' among them; what is None or default is left out."""
    pk, sk = key_of(row)
    values: Item = {"pk": pk, "sk": sk, **msgspec.to_builtins(row)}
    values |= {"version": row.version, "epoch": row.epoch}
    if row.due_at is not None:
        group = _due_group(row)
        values["due_key"] = due_key(group, due_shard(pk, sk) if group == RECOVERY else 0)
    if isinstance(row, Job):
        values["day"] = row.job[:8]
    return {name: value for name, value in values.items() if value is not None}


def key_item(pk: str, sk: str) -> Item:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


class Update:
    """Builds one Update: what to set, what to remove, on which condition."""

    def __init__(self, pk: str, sk: str) -> None:
        self._key = key_item(pk, sk)
        self._names: dict[str, str] = {}
        self._values: Item = {}
        self._sets: list[str] = []
        self._removes: list[str] = []
        self._conditions: list[str] = []

    def name(self, attribute: str) -> str:
        self._names[f"#{attribute}"] = attribute
        return f"#{attribute}"

    def value(self, value: object) -> str:
        placeholder = f":v{len(self._values)}"
        self._values[placeholder] = _to_item.serialize(value)
        return placeholder

    def set(self, attribute: str, value: object) -> None:
        self._sets.append(f"{self.name(attribute)} = {self.value(value)}")

    def set_to(self, attribute: str, expression: str) -> None:
        self._sets.append(f"{self.name(attribute)} = {expression}")

    def set_once(self, attribute: str, value: object) -> None:
        """Set an attribute that is not there; leave it where it is."""
        self.set_to(attribute, f"if_not_exists({self.name(attribute)}, {self.value(value)})")

    def raise_by(self, attribute: str, number: int) -> None:
        self.set_to(attribute, f"if_not_exists({self.name(attribute)}, {self.value(0)}) + {self.value(number)}")

    def remove(self, attribute: str) -> None:
        self._removes.append(self.name(attribute))

    def when(self, attribute: str, operator: str, value: object) -> None:
        self._conditions.append(f"{self.name(attribute)} {operator} {self.value(value)}")

    def when_expression(self, expression: str) -> None:
        self._conditions.append(expression)

    def request(self, table: str) -> Item:
        parts = []
        if self._sets:
            parts.append("SET " + ", ".join(self._sets))
        if self._removes:
            parts.append("REMOVE " + ", ".join(self._removes))
        request: Item = {"TableName": table, "Key": self._key, "ExpressionAttributeNames": self._names}
        if parts:
            request["UpdateExpression"] = " ".join(parts)
        if self._conditions:
            request["ConditionExpression"] = " AND ".join(self._conditions)
            request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        if self._values:
            request["ExpressionAttributeValues"] = self._values
        return request


def next_row[R: (Job, Split, Batch)](row: R, state: State, changes: Mapping[str, Any]) -> R:
    """The row as it is after a move to `state`, whose claim and sends are over.

    A new state is a success, which ends the count of failures; a batch's is that the provider has it: whether a move
    before that, or a claim given back, ends the count says who makes it.

    Raises:
        ValueError: There is no such move.
    """
    if not may_move(row.state, state):
        raise ValueError(f"{row.state} does not move to {state}")
    is_success = state is not row.state and not {state, row.state} <= _UNSENT
    over = {"claimed_until": 0, "sends": 0, "resends": 0, "failures": 0 if is_success else row.failures}
    return row.with_(epoch=row.epoch + 1, state=state, **{**over, **changes})


def moved[R: (Job, Split, Batch)](old: R, new: R, move_id: str) -> Write:
    """Return the update from one value of a row to another, on the state and the epoch of the old one."""
    update = Update(*key_of(old))
    update.when("state", "=", old.state)
    update.when("epoch", "=", old.epoch)
    before, after = values_of(old), values_of(new)
    for name in sorted(after.keys() | before.keys()):
        if name not in after:
            update.remove(name)
        elif before.get(name) != after[name]:
            update.set(name, after[name])
    update.set("moved_by", move_id)
    return lambda table: {"Update": update.request(table)}


def update_counter(row: Job | Split, counter: str, value: int, *, to: int, **changes: Any) -> Write:
    """Set a counter that was read as `value`; refused when it, or a job's state, has changed.

    Never conditioned on the epoch.
    """
    update = Update(*key_of(row))
    update.when(counter, "=", value)
    if isinstance(row, Job):
        update.when("state", "=", row.state)
    update.set(counter, to)
    for name, change in changes.items():
        update.set(name, change)
    if changes.get("due_at") is not None:
        update.set("due_key", values_of(row.with_(due_at=0))["due_key"])
    return lambda table: {"Update": update.request(table)}


def increment_open(split: Split) -> Write:
    """One more batch is open in a split's round; refused when the round is over, or another count was changed."""
    update = Update(*key_of(split))
    update.when("open", "=", split.open)
    update.when("round", "=", split.round) if split.round else update.when_expression(
        f"attribute_not_exists({update.name('round')})"
    )
    update.set("open", split.open + 1)
    return lambda table: {"Update": update.request(table)}


def require_state(row: Job, state: JobState) -> Write:
    """Refused unless the job is in this state."""
    update = Update(*key_of(row))
    update.when("state", "=", state)
    return lambda table: {"ConditionCheck": update.request(table)}


def put_new(values: Item) -> Write:
    """Refused when there is a row with this key."""
    put = {"Item": encode(values), "ConditionExpression": "attribute_not_exists(pk)"}
    return lambda table: {"Put": {"TableName": table, **put}}


def add_row(row: Job | Split | Batch) -> Write:
    """Refused when the row exists."""
    return put_new(values_of(row))


def put_version_pointer(job: Job, digest: str, expires_at: int) -> Write:
    """Say which job a version of an object became: its events find the job when the version is gone."""
    values = {**version_key(digest), "job": job.id, "expires_at": expires_at}
    return lambda table: {"Put": {"TableName": table, "Item": encode(values)}}


def version_key(digest: str, kind: str = "VERSION") -> Item:
    return {"pk": f"VERSION#{digest}", "sk": kind}


def listing_key(name: str) -> tuple[str, str]:
    return f"LISTING#{name}", "LISTING"


def drop_key(digest: str) -> tuple[str, str]:
    return f"DROP#{digest}", "DROP"


def add_retry(job: Job, original: str, expires_at: int) -> Write:
    """Name a job among the retries of another, which need not be known."""
    values = {"pk": f"JOB#{original}", "sk": f"RETRY#{job.id}", "expires_at": expires_at}
    return lambda table: {"Put": {"TableName": table, "Item": encode(values)}}


def add_intent(intent: Intent) -> Write:
    values = {"pk": f"JOB#{intent.job}", "sk": _intent_sk(intent.batch, intent.started_at)}
    values |= {name: value for name, value in msgspec.to_builtins(intent).items() if value is not None}
    return lambda table: {"Put": {"TableName": table, "Item": encode(values)}}


def watch_intent(batch: Batch) -> Write:
    """A create was given up that may still arrive: its intent is looked at until it expires."""
    update = Update(f"JOB#{batch.job}", _intent_sk(batch.id, batch.intended_at or 0))
    update.set("due_key", due_key(f"WATCH#{batch.provider}", 0))
    update.set("due_at", batch.intended_at or 0)
    return lambda table: {"Update": update.request(table)}


def _intent_sk(batch: str, started_at: int) -> str:
    return f"INTENT#{batch}#{started_at}"


def move_in_transaction[R: (Job, Split, Batch)](row: R, state: State, **changes: Any) -> Write:
    """Another row's move in a transaction: on the state and epoch that were read, as `Store.move` has it."""
    return moved(row, next_row(row, state, changes), "")

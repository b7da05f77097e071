"""The table as DynamoDB has it: rows are read consistently, and written on conditions, by their keys.

One table: `pk`, `sk`; the index `due` holds the rows that somebody must look at, by state and time; the index `days`
lists jobs. What the rows mean is known by `store`, `provider_store`, `leases` and `restores`.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
from aws_lambda_powertools import Logger

from batchdrop.aws.exception_log import log_exception
from batchdrop.aws.optimistic import ConcurrentChange
from batchdrop.aws.row_versions import NewerRow, refuse_newer
from batchdrop.aws.table_items import DUE_SHARDS, RECOVERY, Item, Update, Write, decode, due_key, key_item
from batchdrop.aws.table_writes import CONDITION, ConditionFailed, TableWrites
from batchdrop.correlation import job_of_key, working_on
from batchdrop.errors import ClaimLost

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

logger = Logger(child=True)

MOST_WRITES = 100  # of a transaction (DynamoDB's limit)
_MINUTE = 60


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the index `due`: which row, and when it is due."""

    job: str
    sk: str
    due_at: int
    batch_id: str | None = None
    submitted_at: int | None = None
    priority: int = 0
    ledger: str = ""
    cost: int = 0

    @property
    def batch(self) -> str:
        return self.sk.removeprefix("BATCH#")

    @property
    def split(self) -> int:
        return int(self.batch.split("-")[0])

    @property
    def round(self) -> int:
        return int(self.batch.split("-")[1])


class Table:
    """One table of DynamoDB.

    Reads raise `NewerRow` where only newer code can work on a row. Writes raise `Transient` where DynamoDB does not
    take them now; one whose reply was lost is repeated, and knows its own mark.
    """

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self._writes = TableWrites(client)
        self.name = name

    def description(self) -> Mapping[str, Any]:
        """Return DynamoDB's description of the table."""
        return self._client.describe_table(TableName=self.name)["Table"]

    # Reading

    def item(self, pk: str, sk: str) -> Item | None:
        """A row's attributes; None where there is no such row."""
        raw = self.raw_item(pk, sk)
        if not raw:
            return None
        item = decode(raw)
        refuse_newer(item)
        return item

    def raw_item(self, pk: str, sk: str) -> Item:
        """A row as DynamoDB sends it, whoever wrote it; empty where there is none."""
        answer = self._client.get_item(TableName=self.name, Key=key_item(pk, sk), ConsistentRead=True)
        return {**answer.get("Item", {})}

    def items(self, pk: str, prefix: str) -> Iterator[Item]:
        """The rows of a `pk` whose `sk` begins so, in order."""
        for item in map(decode, self.raw_items(pk, prefix)):
            refuse_newer(item)
            yield item

    def keys(self, pk: str, prefix: str) -> Iterator[Item]:
        return ({"pk": item["pk"], "sk": item["sk"]} for item in self.raw_items(pk, prefix))

    def raw_items(self, pk: str, prefix: str) -> Iterator[Item]:
        return self._query(
            KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
            ExpressionAttributeValues={":pk": {"S": pk}, ":prefix": {"S": prefix}},
            ConsistentRead=True,
        )

    def job_keys(self, day: str, before: str = "") -> Iterator[str]:
        """The `pk` of each job of a day (`YYYYMMDD`), the newest first; of those before a `pk`, where one is named."""
        condition, values = "#day = :day", {":day": {"S": day}}
        if before:
            condition, values = f"{condition} AND pk < :before", values | {":before": {"S": before}}
        items = self._query(
            IndexName="days",
            KeyConditionExpression=condition,
            ExpressionAttributeNames={"#day": "day"},
            ExpressionAttributeValues=values,
            ScanIndexForward=False,
        )
        return (item["pk"]["S"] for item in items)

    def due(self, group: str, by: int | None) -> Iterator[Due]:
        """The rows of a group of the index `due`: those that are due by then, or all.

        Each minute another key comes first: a run that has no time for all looks at others than the run before.
        """
        shards = DUE_SHARDS if group == RECOVERY else 1
        first = (by or 0) // _MINUTE
        for shard in ((first + number) % shards for number in range(shards)):
            condition, values = "due_key = :key", {":key": {"S": due_key(group, shard)}}
            if by is not None:
                condition, values = condition + " AND due_at <= :by", values | {":by": {"N": str(by)}}
            items = self._query(IndexName="due", KeyConditionExpression=condition, ExpressionAttributeValues=values)
            yield from filter(None, map(_read_due, items))

    def keys_of_due(self, key: str) -> Iterator[tuple[str, str]]:
        """The rows of one key of the index `due`."""
        values: Item = {":key": {"S": key}}
        found = self._query(IndexName="due", KeyConditionExpression="due_key = :key", ExpressionAttributeValues=values)
        return ((item["pk"]["S"], item["sk"]["S"]) for item in found)

    def _query(self, **query: Any) -> Iterator[Item]:
        for page in self._client.get_paginator("query").paginate(TableName=self.name, **query):
            yield from page["Items"]

    # Writing

    def put_new(self, write: Write) -> bool:
        """Put one row; False where there is one."""
        try:
            self._writes.write("Put", write(self.name)["Put"])
        except ConditionFailed:
            return False
        return True

    def update(self, update: Update) -> bool:
        """Update a row; False when it is refused."""
        try:
            self._writes.write("Update", update.request(self.name))
        except ConditionFailed:
            return False
        return True

    def update_and_read(self, update: Update, *, returned: str = "ALL_NEW") -> Item:
        """Update a row; the row as it is then, or as it was (`ALL_OLD`).

        Raises:
            ConditionFailed: It is refused.
        """
        return decode(self._writes.write("Update", update.request(self.name) | {"ReturnValues": returned}))

    def update_once(self, update: Update, mark: str | None = None) -> Item | None:
        """Update a row and leave one's mark; the row, or None when it was refused.

        A refusal that shows one's own mark is a repetition: the reply to the write was lost.
        """
        mark = mark or uuid.uuid4().hex
        update.set("sent_by", mark)
        try:
            return self.update_and_read(update)
        except ConditionFailed as error:
            found = decode(error.found or {})
            return found if found.get("sent_by") == mark else None

    def delete(self, condition: Update) -> bool:
        """Delete the row of an update without changes; False where its condition does not hold."""
        try:
            self._writes.write("Delete", condition.request(self.name))
        except ConditionFailed:
            return False
        return True

    def delete_all(self, keys: Sequence[Item]) -> None:
        """Delete these rows, `MOST_WRITES` at most."""
        self._writes.transact([{"Delete": {"TableName": self.name, "Key": key}} for key in keys])

    def put_all(self, writes: Sequence[Write]) -> list[bool]:
        """Put all of these rows, or none; then, of each, whether it was in the way."""
        reasons = self._writes.transact([write(self.name) for write in writes])
        return [reason.get("Code") == CONDITION for reason in reasons]

    def write(self, own: Write, also: Sequence[Write], move_id: str) -> None:
        """Write a row that bears `move_id` as its mark, and others with it: all or none.

        Raises:
            ClaimLost: The row's own condition does not hold.
            ConcurrentChange: Another's does not.
        """
        items = [write(self.name) for write in (own, *also)]
        reasons = self._writes.transact(items) if also else self._update_one(items[0]["Update"])
        if not reasons:
            return
        found = decode(reasons[0].get("Item") or {})
        if found.get("moved_by") == move_id:
            return  # the reply to our own write was lost, and its repetition found it
        if reasons[0].get("Code") == CONDITION:
            raise ClaimLost
        raise ConcurrentChange(
            frozenset(number - 1 for number, reason in enumerate(reasons) if reason.get("Code") == CONDITION)
        )

    def _update_one(self, request: Item) -> list[Item]:
        try:
            self._writes.write("Update", request)
        except ConditionFailed as error:
            return [{"Code": CONDITION, "Item": error.found}]
        return []


def read_row[T](item: Item, kind: type[T]) -> T | None:
    """A row of a list, or one that others are not to wait for; None, and a word in the log, where it cannot be read."""
    try:
        return msgspec.convert(item, kind)
    except (msgspec.ValidationError, ValueError, TypeError) as error:
        _log_unread(error, item.get("pk"), item.get("sk"), kind=kind.__name__)
        return None


def read_raw_row[T](raw: Item, kind: type[T], **more: str) -> T | None:
    """The same of a row as DynamoDB sends it; None for one of newer code, too."""
    try:
        row = decode(raw)
        refuse_newer(row)
    except NewerRow:
        return None
    except (ValueError, ArithmeticError) as error:  # a number with a fraction
        _log_unread(error, raw["pk"].get("S"), raw["sk"].get("S"))
        return None
    return read_row({**row, **more}, kind)


def readable_attributes(raw: Item) -> Item:
    """A raw row's attributes, but those that cannot be decoded."""
    found: Item = {}
    for name, value in raw.items():
        with suppress(ValueError, ArithmeticError):
            found |= decode({name: value})
    return found


def number_of(raw: Item, name: str) -> int:
    """A number of a raw row; 0 where there is none, or what stands there is none."""
    text = raw.get(name, {}).get("N", "0")
    return int(text) if text.isdecimal() else 0


def _read_due(raw: Item) -> Due | None:
    return read_raw_row(raw, Due, job=raw["pk"]["S"].removeprefix("JOB#"))


def _log_unread(error: Exception, pk: object, sk: object, **more: str) -> None:
    with working_on(job_of_key(pk)):
        log_exception(logger, "row cannot be read", error, pk=pk, sk=sk, **more)

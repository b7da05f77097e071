"""The state of every job in DynamoDB: read and written here. Only this module, `restores` and `table_items` know it.

One table: `pk`, `sk`; the index `due` holds the rows that somebody must look at, by state and time; the index `days`
lists jobs. Every write of a row with a state is conditional on the state and the epoch that were read.
"""

import uuid
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import batched, chain
from typing import TYPE_CHECKING, Any

import msgspec
from aws_lambda_powertools import Logger

from batchdrop.aws.exception_log import log_exception
from batchdrop.aws.restores import Restores
from batchdrop.aws.row_versions import ROW_VERSION, NewerRow, is_newer, refuse_newer
from batchdrop.aws.table_items import (
    DUE_SHARDS,
    RECOVERY,
    Item,
    Release,
    Update,
    Write,
    add_row,
    decode,
    drop_key,
    due_key,
    due_shard,
    hour_key,
    key_item,
    key_of,
    ledger_key,
    listing_key,
    moved,
    next_row,
    pause_key,
    put_new,
    slot_key,
    values_of,
    version_key,
)
from batchdrop.aws.table_writes import CONDITION, ConditionFailed, TableWrites
from batchdrop.correlation import job_of_key, working_on
from batchdrop.errors import ClaimLost
from batchdrop.failures import LONGEST_DELAY, MOST_UNPAID, counted_failures, failures_before, most_failures, retry_delay
from batchdrop.records import Batch, Intent, Job, Ledger, Split
from batchdrop.states import BatchState, State

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


logger = Logger(child=True)

_INTAKE_ROW_SECONDS = 14 * 86_400  # as long as SQS keeps a message
_MOST_WRITES = 100  # of a transaction (DynamoDB's limit)


class ConcurrentChange(Exception):  # noqa: N818 - it is an outcome: read again and decide anew
    """Another row of the transaction changed (a counter, a ledger, the job): read again and decide again.

    Args:
        refused: Which of the other writes were, counted from 0.
    """

    def __init__(self, refused: frozenset[int] = frozenset()) -> None:
        super().__init__(f"refused: {sorted(refused)}")
        self.refused = refused


def _with_fallbacks(also: Sequence[Write], error: ConcurrentChange) -> list[Write]:
    """The writes of a refused transaction, where releases that were refused take all there is, or their share again.

    Raises:
        ConcurrentChange: It was refused for another reason.
    """
    refused = [each for number, each in enumerate(also) if number in error.refused and isinstance(each, Release)]
    if not refused:
        raise error
    for each in refused:
        logger.error("ledger was off: less was reserved than its batches hold", ledger=each.ledger)
    return [each.fallback() if isinstance(each, Release) and each in refused else each for each in also]


def _number(item: Item, name: str) -> int:
    """A number of a raw item; 0 where there is none, or what stands there is none."""
    text = item.get(name, {}).get("N", "0")
    return int(text) if text.isdecimal() else 0


def _readable(item: Item) -> Item:
    """A raw item's attributes, but those that cannot be decoded."""
    found: Item = {}
    for name, value in item.items():
        with suppress(ValueError, ArithmeticError):
            found |= decode({name: value})
    return found


def _unless_changed(provider: str, pause: "Pause") -> Update:
    """An update of a pause as it was read."""
    update = Update(*pause_key(provider))
    update.when("until", "=", pause.until)
    failed_at = update.name("failed_at")
    update.when_expression(f"(attribute_not_exists({failed_at}) OR {failed_at} = {update.value(pause.failed_at)})")
    return update


def _read[T](item: Item, kind: type[T]) -> T | None:
    """A row of a list, or one that others are not to wait for; None, and a word in the log, where it cannot be read."""
    try:
        return msgspec.convert(item, kind)
    except (msgspec.ValidationError, ValueError, TypeError) as error:
        _log_unread(error, item.get("pk"), item.get("sk"), kind=kind.__name__)
        return None


def _log_unread(error: Exception, pk: object, sk: object, **more: str) -> None:
    with working_on(job_of_key(pk)):
        log_exception(logger, "row cannot be read", error, pk=pk, sk=sk, **more)


def _read_item[T](item: Item, kind: type[T], **more: str) -> T | None:
    try:
        row = decode(item)
        refuse_newer(row)
    except NewerRow:
        return None
    except (ValueError, ArithmeticError) as error:  # a number with a fraction
        _log_unread(error, item["pk"].get("S"), item["sk"].get("S"))
        return None
    return _read({**row, **more}, kind)


def _leave_out(_job: str) -> None:
    """A list's reader need not know of a job that only newer code can read: the log names it."""


def _read_due(item: Item) -> "Due | None":
    return _read_item(item, Due, job=item["pk"]["S"].removeprefix("JOB#"))


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
    """How far the search for drops is that no event told of (see `missed_drops`).

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
    """Who drops certain bytes: one holder at a time, then the job that they became.

    Attributes:
        is_held: By the one who asked; False for another's.
    """

    digest: str
    holder: str = ""
    job: str | None = None
    is_held: bool = False


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """What is known against a provider.

    Attributes:
        until: Nothing is submitted until then, and one batch to try it after that; 0 when it is over, or never was.
        reason: Why; empty while only failures are counted.
        announced: Its event was sent.
        probe: The token of the batch that tries it.
        failures: Calls that failed in a row, through no fault of the account.
        failed_at: When the last of them did, or a call for a batch that was submitted before was refused.
    """

    until: int = 0
    reason: str = ""
    announced: bool = msgspec.field(default=False, name="told")  # rows keep the first name
    probe: str = ""
    failures: int = 0
    failed_at: int = 0


class Store:
    """Reads are consistent; writes raise `ClaimLost` when the row was moved by another since it was read.

    Reads raise `NewerRow`, which is a `ClaimLost`, where only newer code can work on a row; lists of jobs leave it out.
    """

    def __init__(self, client: "DynamoDBClient", table: str, *, now: Callable[[], int]) -> None:
        self._client = client
        self._writes = TableWrites(client)
        self._table = table
        self._now = now
        self.restores = Restores(client, table, now=now)

    # Reading

    def job(self, job: str) -> Job | None:
        return self._get(f"JOB#{job}", "JOB", Job)

    def job_of(self, version: str) -> Job | None:
        """The job that a version of an object became, by the version's digest."""
        item = self._item(**version_key(version))
        return self.job(item["job"]) if item else None

    def is_known_version(self, version: str) -> bool:
        """Whether a version of an object, by its digest, became a job, which may be deleted since."""
        return self._item(**version_key(version)) is not None

    def split(self, job: str, index: int) -> Split | None:
        return self._get(f"JOB#{job}", f"SPLIT#{index:05}", Split)

    def batch(self, job: str, batch: str) -> Batch | None:
        return self._get(f"JOB#{job}", f"BATCH#{batch}", Batch)

    def splits(self, job: str) -> Iterator[Split]:
        return self._rows(f"JOB#{job}", "SPLIT#", Split)

    def batches(self, job: str, split: int | None = None) -> Iterator[Batch]:
        """The batches of a job, or of one of its splits, in the order of split, round and number."""
        return self._rows(f"JOB#{job}", "BATCH#" if split is None else f"BATCH#{split:05}-", Batch)

    def pieces(self, job: str, origin: str) -> Iterator[Batch]:
        """A batch and all that was cut from it, by its id: no other rows are read."""
        whole = self.batch(job, origin)
        if whole is not None:
            yield whole
        yield from self._rows(f"JOB#{job}", f"BATCH#{origin}-", Batch)

    def readable_batches(self, job: str) -> Iterator[Batch]:
        """The batches of a job that can be read, for what is done to each alone; the log names the others."""
        return (batch for _, batch in self.found_batches(job) if batch is not None)

    def found_batches(self, job: str) -> Iterator[tuple[str, Batch | None]]:
        """The batches of a job by their ids; None where a row is damaged, or left to newer code."""
        for item in self._raw_items(f"JOB#{job}", "BATCH#"):
            yield item["sk"]["S"].removeprefix("BATCH#"), _read_item(item, Batch)

    def retries(self, job: str, *, newer: Callable[[str], object] = _leave_out) -> Iterator[Job]:
        """The jobs that retry lines of this one, in the order of their drops; `newer` is told of those left out."""
        for item in self._items(f"JOB#{job}", "RETRY#"):
            retry = self._readable_job(item["sk"].removeprefix("RETRY#"), newer)
            if retry is not None:
                yield retry

    def recent_jobs(self, days: Sequence[str], *, newer: Callable[[str], object] = _leave_out) -> Iterator[Job]:
        """The jobs dropped on these days (`YYYYMMDD`), the newest first within each.

        Args:
            days: The days.
            newer: Called with the id of each job that only newer code can read; it is left out.
        """
        for day in days:
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                IndexName="days",
                KeyConditionExpression="#day = :day",
                ExpressionAttributeNames={"#day": "day"},
                ExpressionAttributeValues={":day": {"S": day}},
                ScanIndexForward=False,
            )
            for page in pages:
                for item in page["Items"]:
                    job = self._readable_job(item["pk"]["S"].removeprefix("JOB#"), newer)
                    if job is not None:
                        yield job

    def due(self, *, by: int) -> Iterator[Due]:
        """What sweep should look at: the rows whose time has come."""
        return self._due(RECOVERY, by)

    def row(self, due: Due, *, by: int) -> Job | Split | Batch | None:
        """A due row as it is now; None when it is gone, or no longer due.

        Raises:
            NewerRow: It, or its job, is left to newer code.
        """
        row = self._row(due)
        if isinstance(row, Split | Batch):
            self.job(due.job)
        return row if row is not None and row.due_at is not None and row.due_at <= by else None

    def waiting(self, provider: str, *, by: int) -> Iterator[Due]:
        """A provider's batches that may be admitted."""
        return self._due(f"{BatchState.WAITING}#{provider}", by)

    def in_flight(self, provider: str) -> Iterator[Due]:
        """A provider's batches that it has not ended."""
        return self._due(f"{BatchState.IN_FLIGHT}#{provider}", None)

    def watched(self, provider: str) -> list[Intent]:
        """Creates of a provider that were given up and may still arrive."""
        found = (self._intent(each) for each in self._due(f"WATCH#{provider}", None))
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
        return self._put_new(put_new(values))

    def owner(self, provider: str, batch_id: str) -> tuple[str, str] | None:
        """The job and batch that own a provider's batch id, or None."""
        item = self._item(f"PROVIDER#{provider}", f"BATCH#{batch_id}")
        return (item["job"], item["batch"]) if item else None

    def slot_is_taken(self, batch: Batch) -> bool:
        """Whether a create of its provider with this number of requests is not settled."""
        return self._item(**slot_key(batch)) is not None

    def ledger(self, name: str) -> Ledger:
        return self._ledger(name, self._item(*ledger_key(name)) or {})

    def ledgers(self, provider: str) -> dict[str, Ledger]:
        """The ledgers of a provider that were ever used, by name."""
        items = self._items(f"PROVIDER#{provider}", "LEDGER#")
        found = (self._ledger(item["sk"].removeprefix("LEDGER#"), item) for item in items)
        return {ledger.name: ledger for ledger in found}

    def admitted_between(self, provider: str, since: int, until: int) -> int:
        """How many of a provider's batches were admitted in the parts of an hour that began then."""
        items = self._items(f"PROVIDER#{provider}", "HOUR#")
        first, end = hour_key(provider, since)[1], hour_key(provider, until)[1]
        return sum(item["batches"] for item in items if first <= item["sk"] < end)

    def reserved_by_ledger(self, provider: str) -> Counter[str]:
        """How much a provider's batches hold of each of its ledgers, by the index."""
        held = Counter[str]()
        for due in (*self.in_flight(provider), *self._due(RECOVERY, None)):
            if due.ledger.partition("/")[0] == provider:
                held[due.ledger] += due.cost
        return held

    def active_pause(self, provider: str) -> tuple[str, int] | None:
        """Why nothing is submitted to a provider, and until when; None when it is open."""
        found = self.get_pause(provider)
        return (found.reason, found.until) if found is not None and found.until > self._now() else None

    def listing(self, name: str) -> Listing:
        """How far a deployment's search is; a row that cannot be read, or is not there, is a search that begins."""
        item = self._item(*listing_key(name))
        return (_read({**item, "name": name}, Listing) if item else None) or Listing(name=name)

    def table_created_at(self) -> int:
        """When the table was made; of a restored one, when it was restored."""
        return int(self._client.describe_table(TableName=self._table)["Table"]["CreationDateTime"].timestamp())

    # Writing

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
        if self._update_as(uuid.uuid4().hex, update) is None:
            raise ClaimLost
        return msgspec.structs.replace(listing, **changes)

    def add(self, row: Job | Split | Batch, *, also: Sequence[Write] = ()) -> bool:
        """Put a row that does not exist, with other writes; False when it does (the first one stays).

        Raises:
            ConcurrentChange: Another row's condition was refused: read it again.
            Transient: DynamoDB does not take the write now.
        """
        if also:
            return self._add_with(row, also)
        return self._put_new(add_row(row))

    def _put_new(self, write: Write) -> bool:
        try:
            self._writes.write("Put", write(self._table)["Put"])
        except ConditionFailed:
            return False
        return True

    def _add_with(self, row: Job | Split | Batch, also: Sequence[Write]) -> bool:
        try:
            self._write(add_row(row), also, uuid.uuid4().hex)
        except ClaimLost:
            return False
        return True

    def add_all[R: (Split, Batch)](self, rows: Iterable[R]) -> None:
        """Put rows whose values are the same whoever writes them, many in a call; those that exist stay as they are.

        Raises:
            Transient: DynamoDB does not take them all now.
        """
        for some in batched(rows, _MOST_WRITES, strict=False):
            missing: Sequence[R] = some
            while missing:
                missing = self._add_some(missing)

    def _add_some[R: (Split, Batch)](self, rows: Sequence[R]) -> Sequence[R]:
        """Put all of these rows, or none where one of them exists; those that are left to be put then."""
        if len(rows) == 1:
            self.add(rows[0])  # half the price of a transaction
            return []
        reasons = self._writes.transact([add_row(row)(self._table) for row in rows])
        pairs = zip(rows, reasons, strict=False)  # no reasons: all are there
        return [row for row, reason in pairs if reason.get("Code") != CONDITION]

    def move[R: (Job, Split, Batch)](self, row: R, state: State, *, also: Sequence[Write] = (), **changes: Any) -> R:
        """Move a row to a state, with other writes in the same transaction: all happen or none.

        Args:
            row: As it was read; the move is refused when its state or epoch has changed since.
            state: The new state, or the same one for a claim.
            also: Other rows' writes.
            changes: Attributes of the row; None removes one.

        Raises:
            ClaimLost: Another moved the row first.
            ConcurrentChange: Another row's condition was refused: read it again.
            Transient: DynamoDB does not take the write now.
        """
        new = next_row(row, state, changes)
        move_id = uuid.uuid4().hex
        own = moved(row, new, move_id)
        while True:
            try:
                self._write(own, also, move_id)
            except ConcurrentChange as error:
                also = _with_fallbacks(also, error)
            else:
                return new

    def claim[R: (Job, Split, Batch)](self, row: R, lease: int, **changes: Any) -> R:
        """Hold a row for `lease` seconds: nobody else's claim succeeds meanwhile, and older holders cannot write.

        Raises:
            ClaimLost: Another holds it, or moved it first.
        """
        now = self._now()
        if row.claimed_until > now:
            raise ClaimLost
        counted = counted_failures(row, now)
        due_at = now + retry_delay(counted["failures"], lease)
        held = {"claimed_until": now + lease, "due_at": due_at, "sends": row.sends, **counted}
        return self.move(row, row.state, **(held | changes))

    def release[R: (Job, Split, Batch)](self, row: R, due_at: int, *, failures: int = 0, **changes: Any) -> R:
        """Give a claim back, which is no failure; sweep sends the row again from `due_at` on.

        Args:
            row: It was worked on to an orderly end, whatever came of that.
            due_at: When it is sent again.
            failures: Those before it still count where nothing was tried that may have failed.
            changes: Attributes of the row.
        """
        return self.move(row, row.state, due_at=due_at, sends=row.sends, failures=failures, **changes)

    def count_unit_failure(self, job: str, sk: str, lease: int) -> int:
        """One more failure of a unit that nobody holds, which is due again later each time; how many in a row.

        The row is taken as it lies there, so that one that cannot be decoded is counted too. 0 for one that is gone,
        or held: the claim counts for itself. What is left to newer code has no failures.
        """
        pk, now = f"JOB#{job}", self._now()
        answer: Item = {**self._client.get_item(TableName=self._table, Key=key_item(pk, sk), ConsistentRead=True)}
        item: Item = answer.get("Item", {})
        if not item or _number(item, "claimed_until") > now:
            return 0
        if is_newer(_readable(item)) or self._is_of_newer_job(pk):
            return 0
        state = str(item.get("state", {}).get("S"))
        failures = failures_before(_number(item, "failures"), _number(item, "failed_at"), state, now) + 1
        update = Update(pk, sk)
        update.when("epoch", "=", _number(item, "epoch"))
        update.set("failures", failures)
        update.set("failed_at", now)
        if "due_key" in item:
            update.set("due_at", now + retry_delay(failures, lease))
        if "due_key" in item and failures >= most_failures(state):
            update.set("due_key", due_key(RECOVERY, due_shard(pk, sk)))
        return 0 if self._update_as(uuid.uuid4().hex, update) is None else failures

    def _is_of_newer_job(self, pk: str) -> bool:
        answer = self._client.get_item(TableName=self._table, Key=key_item(pk, "JOB"), ConsistentRead=True)
        return is_newer(_readable(dict(answer.get("Item", {}))))

    def has_failed_at_intake(self, digest: str) -> bool:
        """Count one more try at a version that has no job yet; whether enough of them failed, over an hour at least."""
        now = self._now()
        update = Update(**version_key(digest, "INTAKE"))
        update.raise_by("failures", 1)
        update.set_to("since", f"if_not_exists({update.name('since')}, {update.value(now)})")
        update.set("expires_at", now + _INTAKE_ROW_SECONDS)
        found = self._changed(update)
        return bool(found["failures"] > MOST_UNPAID and now - found["since"] >= LONGEST_DELAY)

    def first_refused_at(self, digest: str) -> int:
        """Note that S3 refuses to let a version be read that has no job yet; since when it does."""
        update = Update(**version_key(digest, "INTAKE"))
        update.set_to("refused_at", f"if_not_exists({update.name('refused_at')}, {update.value(self._now())})")
        update.set("expires_at", self._now() + _INTAKE_ROW_SECONDS)
        return int(self._changed(update)["refused_at"])

    def claim_drop(self, digest: str, seconds: int, *, after: str | None = None) -> DropClaim:
        """Be the only one to drop these bytes for a while; the claim that stands against it where there is one.

        Args:
            digest: Names the bytes.
            seconds: How long the drop may take.
            after: The job that a claim names and that is over: such a claim is taken.
        """
        now, mark = self._now(), uuid.uuid4().hex
        update = Update(*drop_key(digest))
        until = update.name("until")
        is_free = f"attribute_not_exists({until}) OR {until} <= {update.value(now)}"
        is_over = f" OR {update.name('job')} = {update.value(after)}" if after else ""
        update.when_expression(f"({is_free}{is_over})")
        update.set("until", now + seconds)
        update.set("expires_at", now + seconds)
        update.set("holder", mark)
        update.remove("job")
        found = self._update_as(mark, update)
        if found is None:
            return msgspec.convert({**(self._item(*drop_key(digest)) or {}), "digest": digest}, DropClaim)
        return DropClaim(digest=digest, holder=mark, is_held=True)

    def end_drop(self, claim: DropClaim, job: str | None, seconds: int) -> None:
        """Say which job the bytes became, for as long as its row may not be there yet; None lets the next one drop."""
        update = Update(*drop_key(claim.digest))
        update.when("holder", "=", claim.holder)
        update.set("until", self._now() + seconds if job else 0)
        update.set("job", job) if job else update.remove("job")
        self._update(update)

    def try_mark_sent(self, row: Job | Split | Batch, due_at: int, *, is_again: bool = False) -> bool:
        """Note that a message for this row is about to be sent: sweep leaves it alone until `due_at`.

        Not a claim: the epoch stays. False when another sender or worker was faster, who then sees to it. `is_again`
        says that a message before this one may be lost.
        """
        update = Update(*key_of(row))
        update.when("state", "=", row.state)
        update.when("epoch", "=", row.epoch)
        update.when("sends", "=", row.sends) if row.sends else update.when_expression(
            f"attribute_not_exists({update.name('sends')})"
        )
        update.set("due_at", due_at)
        update.set("due_key", values_of(row.with_(due_at=due_at))["due_key"])
        update.set("sends", row.sends + 1)
        if is_again:
            update.set("resends", row.resends + 1)
        return self._update_as(uuid.uuid4().hex, update) is not None

    def change_ledger(self, ledger: Ledger, **changes: int) -> bool:
        """Change a ledger as it was read; False when batches moved since."""
        update = Update(*ledger_key(ledger.name))
        update.when("moves", "=", ledger.moves)
        for name, value in changes.items():
            update.set(name, value)
        return self._update_as(uuid.uuid4().hex, update) is not None

    def learn_limit(self, ledger: str, limit: int, until: int) -> None:
        """Believe a limit that a refusal told, until then."""
        update = Update(*ledger_key(ledger))
        update.set("learned", limit)
        update.set("learned_until", until)
        self._update(update)

    def learn_sizes(self, ledger: str, until: int, **sizes: int) -> None:
        """Believe what a refusal told of the size of one batch (`most_requests`, `most_bytes`), until then."""
        update = Update(*ledger_key(ledger))
        update.set("sizes_until", until)
        for name, value in sizes.items():
            update.set(name, value)
        self._update(update)

    def learn_refused_model(self, ledger: str, endpoint: str, words_key: str | None, until: int) -> None:
        """Believe that a model is not taken in batches at an endpoint, until then."""
        update = Update(*ledger_key(ledger))
        update.set("refused_at_endpoint", endpoint)
        update.set("refused_key", words_key)
        update.set("refused_until", until)
        self._update(update)

    def clear_due(self, row: Job | Batch) -> None:
        """Take a finished row out of the index of due rows: nobody looks at it again."""
        update = Update(*key_of(row))
        update.when("state", "=", row.state)
        update.remove("due_at")
        update.remove("due_key")
        self._update(update)

    def set_due(self, job: Job, due_at: int) -> None:
        """Make a finished job due for sweep; nothing happens when it was moved meanwhile."""
        update = Update(*key_of(job))
        update.when("state", "=", job.state)
        update.set("due_at", due_at)
        update.set("due_key", values_of(job.with_(due_at=due_at))["due_key"])
        self._update(update)

    def keep_batch(self, job: str, batch: str, expires_at: int) -> None:
        """Let a batch's row live until then, with nobody to look at it. One that newer code wrote stays as it is."""
        update = Update(f"JOB#{job}", f"BATCH#{batch}")
        version = update.name("version")
        update.when_expression(f"attribute_exists({update.name('epoch')})")
        update.when_expression(f"(attribute_not_exists({version}) OR {version} <= {update.value(ROW_VERSION)})")
        update.set("expires_at", expires_at)
        update.remove("due_at")
        update.remove("due_key")
        self._update(update)

    def delete_work_rows(
        self, job: str, has_time: Callable[[], bool] = lambda: True, *, kept_batches: Container[str] = ()
    ) -> bool:
        """Delete the rows of a job's splits and batches, as long as there is time; the job's own stays.

        False when some are left, but those of `kept_batches`.

        Raises:
            Transient: DynamoDB does not take all now: the next call deletes what is left.
        """
        keys = chain(self._keys(f"JOB#{job}", "SPLIT#"), self._keys(f"JOB#{job}", "BATCH#"))
        doomed = (key for key in keys if key["sk"]["S"].removeprefix("BATCH#") not in kept_batches)
        for some in batched(doomed, _MOST_WRITES, strict=False):
            if not has_time():
                return False
            self._writes.transact([{"Delete": {"TableName": self._table, "Key": key}} for key in some])
        return True

    def delete_job(self, job: Job) -> None:
        """Delete all rows of a job that name more than ids; its own goes last.

        Which version it was stays known until that row expires: a late event of the version makes no job.
        """
        self.delete_work_rows(job.id)
        keys = [*self._keys(f"JOB#{job.id}", "RETRY#"), key_item(*key_of(job))]
        if job.retry_of is not None:
            keys.insert(0, key_item(f"JOB#{job.retry_of}", f"RETRY#{job.id}"))
        for some in batched(keys, _MOST_WRITES, strict=False):
            self._writes.transact([{"Delete": {"TableName": self._table, "Key": key}} for key in some])

    def set_pause(self, provider: str, reason: str, until: int) -> bool:
        """Stop submitting to a provider until then. True unless that was announced already."""
        update = Update(*pause_key(provider))
        update.set("reason", reason)
        update.set("until", until)
        request = {**update.request(self._table), "ReturnValues": "ALL_OLD"}
        old = decode(self._writes.write("Update", request))
        return "told" not in old

    def count_failure(self, provider: str) -> int:
        """One more call to a provider failed; how many did in a row."""
        update = Update(*pause_key(provider))
        update.raise_by("failures", 1)
        update.raise_by("until", 0)
        update.set("failed_at", self._now())
        return int(self._changed(update)["failures"])

    def mark_pause_announced(self, provider: str) -> None:
        """Note that the pause was announced; nothing happens when it is over."""
        self._change_pause(provider, told=True)

    def extend_pause_reason(self, provider: str) -> None:
        """Keep the reason of a pause on record, without extending the pause."""
        self._change_pause(provider, failed_at=self._now())

    def end_pause(self, provider: str) -> None:
        """Let batches go again at once, if there is a pause: sweep announces the end, and clears the pause."""
        self._change_pause(provider, until=0, failures=0, failed_at=0)

    def _change_pause(self, provider: str, **changes: int) -> None:
        update = Update(*pause_key(provider))
        update.when_expression(f"attribute_exists({update.name('until')})")
        for name, value in changes.items():
            update.set(name, value)
        self._update(update)

    def get_pause(self, provider: str) -> Pause | None:
        """A provider's pause until it is cleared, also when its time is over."""
        item = self._item(*pause_key(provider))
        return _read(item, Pause) if item else None

    def mark_pause_over(self, provider: str, pause: Pause) -> bool:
        """Call before the end of a pause is announced: the next one will be, too. False for one that was set anew."""
        update = _unless_changed(provider, pause)
        update.remove("told")
        return self._update_as(uuid.uuid4().hex, update) is not None

    def clear_pause(self, provider: str, pause: Pause) -> None:
        """Forget a pause as it was read; one that was set anew stays, and one after another failure."""
        with suppress(ConditionFailed):
            self._writes.write("Delete", _unless_changed(provider, pause).request(self._table))

    def lease(self, name: str, seconds: int) -> Lease | None:
        """Be the only run of something until `end_lease`, or for `seconds`; None while another is at it."""
        now = self._now()
        update = Update(f"LEASE#{name}", "LEASE")
        until = update.name("until")
        update.when_expression(f"(attribute_not_exists({until}) OR {until} <= {update.value(now)})")
        update.set("until", now + seconds)
        update.raise_by("runs", 1)
        found = self._update_as(uuid.uuid4().hex, update)
        if found is None:
            return None
        return _read({**found, "name": name}, Lease) or Lease(name=name, until=now + seconds)

    def note_work(self, lease: Lease, job: str, sk: str) -> None:
        """Name the unit that a run is at, so that the next one knows what it died of."""
        update = Update(f"LEASE#{lease.name}", "LEASE")
        update.when("until", "=", lease.until)
        update.set("at_job", job)
        update.set("at_sk", sk)
        self._update(update)

    def forget_noted_work(self, lease: Lease) -> None:
        """Name no unit any more; nothing happens when another run has begun."""
        update = Update(f"LEASE#{lease.name}", "LEASE")
        update.when("until", "=", lease.until)
        update.remove("at_job")
        update.remove("at_sk")
        self._update(update)

    def end_lease(self, lease: Lease, **left: int | None) -> None:
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
        self._update(update)

    # Inside

    def _item(self, pk: str, sk: str) -> Item | None:
        answer = self._client.get_item(TableName=self._table, Key=key_item(pk, sk), ConsistentRead=True)
        if "Item" not in answer:
            return None
        item = decode(answer["Item"])
        refuse_newer(item)
        return item

    def _get[R: (Job, Split, Batch)](self, pk: str, sk: str, kind: type[R]) -> R | None:
        item = self._item(pk, sk)
        return msgspec.convert(item, kind) if item else None

    def _row(self, due: Due) -> Job | Split | Batch | None:
        kind, _, rest = due.sk.partition("#")
        match kind:
            case "JOB":
                return self.job(due.job)
            case "SPLIT":
                return self.split(due.job, int(rest))
            case _:
                return self.batch(due.job, rest)

    def _due(self, group: str, by: int | None) -> Iterator[Due]:
        for shard in range(DUE_SHARDS):
            condition, values = "due_key = :key", {":key": {"S": due_key(group, shard)}}
            if by is not None:
                condition, values = condition + " AND due_at <= :by", values | {":by": {"N": str(by)}}
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                IndexName="due",
                KeyConditionExpression=condition,
                ExpressionAttributeValues=values,
            )
            for page in pages:
                yield from filter(None, map(_read_due, page["Items"]))

    def _readable_job(self, job: str, newer: Callable[[str], object]) -> Job | None:
        """A job of a list, which shows the others where one cannot be read."""
        try:
            item = self._item(f"JOB#{job}", "JOB")
        except NewerRow:
            newer(job)
            return None
        return _read(item, Job) if item else None

    def _intent(self, due: Due) -> Intent | None:
        with suppress(NewerRow):
            item = self._item(f"JOB#{due.job}", due.sk)
            return _read(item, Intent) if item else None
        return None

    def _ledger(self, name: str, item: Item) -> Ledger:
        """A ledger that cannot be read counts as new: what it holds is still checked by the write that reserves."""
        return _read({**item, "name": name}, Ledger) or Ledger(name=name)

    def _rows[R: (Job, Split, Batch)](self, pk: str, prefix: str, kind: type[R]) -> Iterator[R]:
        return (msgspec.convert(item, kind) for item in self._items(pk, prefix))

    def _items(self, pk: str, prefix: str) -> Iterator[Item]:
        for item in map(decode, self._raw_items(pk, prefix)):
            refuse_newer(item)
            yield item

    def _keys(self, pk: str, prefix: str) -> Iterator[Item]:
        return ({"pk": item["pk"], "sk": item["sk"]} for item in self._raw_items(pk, prefix))

    def _raw_items(self, pk: str, prefix: str) -> Iterator[Item]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
            ExpressionAttributeValues={":pk": {"S": pk}, ":prefix": {"S": prefix}},
            ConsistentRead=True,
        )
        for page in pages:
            yield from page["Items"]

    def _update(self, update: Update) -> bool:
        """Update a row; False when it is refused."""
        try:
            self._writes.write("Update", update.request(self._table))
        except ConditionFailed:
            return False
        return True

    def _changed(self, update: Update) -> Item:
        """Update a row; the row as it is then."""
        return decode(self._writes.write("Update", update.request(self._table) | {"ReturnValues": "ALL_NEW"}))

    def _update_as(self, sender: str, update: Update) -> Item | None:
        """Update a row and leave one's mark; the row, or None when it was refused.

        A refusal that shows one's own mark is a repetition: the reply to the write was lost.
        """
        update.set("sent_by", sender)
        try:
            return self._changed(update)
        except ConditionFailed as error:
            found = decode(error.found or {})
            return found if found.get("sent_by") == sender else None

    def _update_one(self, request: Item) -> list[Item]:
        try:
            self._writes.write("Update", request)
        except ConditionFailed as error:
            return [{"Code": CONDITION, "Item": error.found}]
        return []

    def _write(self, own: Write, also: Sequence[Write], move_id: str) -> None:
        items = [write(self._table) for write in (own, *also)]
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

"""The state of every job: each write of a row with a state is conditional on the state and the epoch that were read."""

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import batched, chain
from typing import TYPE_CHECKING, Any, Unpack, overload

from aws_lambda_powertools import Logger

from batchdrop.aws.answer_history import AnswerHistory
from batchdrop.aws.budgets import BudgetStore
from batchdrop.aws.leases import Leases
from batchdrop.aws.optimistic import ConcurrentChange
from batchdrop.aws.provider_items import Release
from batchdrop.aws.provider_store import ProviderStore
from batchdrop.aws.restores import Restores
from batchdrop.aws.row_versions import ROW_VERSION, is_newer
from batchdrop.aws.rows import Rows
from batchdrop.aws.table import MOST_WRITES, Table, number_of, readable_attributes
from batchdrop.aws.table_items import (
    RECOVERY,
    Item,
    Update,
    Write,
    add_row,
    due_key,
    due_shard,
    key_item,
    key_of,
    moved,
    next_row,
    values_of,
    version_key,
)
from batchdrop.errors import ClaimLost
from batchdrop.failures import LONGEST_DELAY, MOST_UNPAID, counted_failures, failures_before, most_failures, retry_delay
from batchdrop.records import Batch, Job, Split
from batchdrop.row_changes import BatchChanges, JobChanges, SplitChanges
from batchdrop.states import BatchState, JobState, SplitState, State

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

logger = Logger(child=True)

_INTAKE_ROW_SECONDS = 14 * 86_400  # as long as SQS keeps a message


class Store(Rows):
    """Moves the rows of jobs, splits and batches; a write raises `ClaimLost` where another moved its row since.

    Attributes:
        leases: Who is the only one to run or drop something.
        providers: What is known of the providers: ledgers, pauses, ids.
        restores: Whose the table is.
        budgets: What folders have spent in a month.
        answers: What the requests of folders were answered with.
    """

    def __init__(self, client: "DynamoDBClient", table: str, *, now: Callable[[], int]) -> None:
        super().__init__(Table(client, table))
        self._now = now
        self.leases = Leases(self._table, now=now)
        self.providers = ProviderStore(self._table, now=now)
        self.restores = Restores(self._table, now=now)
        self.budgets = BudgetStore(self._table, now=now)
        self.answers = AnswerHistory(self._table, now=now)

    def table_created_at(self) -> int:
        """Return when the table was made; of a restored one, when it was restored."""
        return int(self._table.description()["CreationDateTime"].timestamp())

    def add(self, row: Job | Split | Batch, *, also: Sequence[Write] = ()) -> bool:
        """Put a row that does not exist, with other writes; False when it does (the first one stays).

        Raises:
            ConcurrentChange: Another row's condition was refused: read it again.
            Transient: DynamoDB does not take the write now.
        """
        if also:
            return self._add_with(row, also)
        return self._table.put_new(add_row(row))

    def _add_with(self, row: Job | Split | Batch, also: Sequence[Write]) -> bool:
        try:
            self._table.write(add_row(row), also, uuid.uuid4().hex)
        except ClaimLost:
            return False
        return True

    def add_all[R: (Split, Batch)](self, rows: Iterable[R]) -> None:
        """Put rows whose values are the same whoever writes them, many in a call; those that exist stay as they are.

        Raises:
            Transient: DynamoDB does not take them all now.
        """
        for some in batched(rows, MOST_WRITES, strict=False):
            missing: Sequence[R] = some
            while missing:
                missing = self._add_some(missing)

    def _add_some[R: (Split, Batch)](self, rows: Sequence[R]) -> Sequence[R]:
        """Put all of these rows, or none where one of them exists; those that are left to be put then."""
        if len(rows) == 1:
            self.add(rows[0])  # half the price of a transaction
            return []
        in_the_way = self._table.put_all([add_row(row) for row in rows])
        return [row for row, is_there in zip(rows, in_the_way, strict=False) if not is_there]  # none: all were put

    @overload
    def move(self, row: Job, state: JobState, *, also: Sequence[Write] = (), **changes: Unpack[JobChanges]) -> Job: ...

    @overload
    def move(
        self, row: Split, state: SplitState, *, also: Sequence[Write] = (), **changes: Unpack[SplitChanges]
    ) -> Split: ...

    @overload
    def move(
        self, row: Batch, state: BatchState, *, also: Sequence[Write] = (), **changes: Unpack[BatchChanges]
    ) -> Batch: ...

    def move(self, row: Any, state: State, *, also: Sequence[Write] = (), **changes: Any) -> Any:
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
                self._table.write(own, also, move_id)
            except ConcurrentChange as error:
                also = _with_fallbacks(also, error)
            else:
                return new

    @overload
    def claim(self, row: Job, lease: int, *, also: Sequence[Write] = (), **changes: Unpack[JobChanges]) -> Job: ...

    @overload
    def claim(
        self, row: Split, lease: int, *, also: Sequence[Write] = (), **changes: Unpack[SplitChanges]
    ) -> Split: ...

    @overload
    def claim(
        self, row: Batch, lease: int, *, also: Sequence[Write] = (), **changes: Unpack[BatchChanges]
    ) -> Batch: ...

    def claim(self, row: Any, lease: int, **changes: Any) -> Any:
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

    @overload
    def release(self, row: Job, due_at: int, /, **changes: Unpack[JobChanges]) -> Job: ...

    @overload
    def release(self, row: Split, due_at: int, /, **changes: Unpack[SplitChanges]) -> Split: ...

    @overload
    def release(self, row: Batch, due_at: int, /, **changes: Unpack[BatchChanges]) -> Batch: ...

    def release(self, row: Any, due_at: int, /, **changes: Any) -> Any:
        """Give a claim back, which is no failure; sweep sends the row again from `due_at` on.

        Args:
            row: It was worked on to an orderly end, whatever came of that.
            due_at: When it is sent again.
            changes: Attributes of the row; `failures` where nothing was tried that may have failed: they still count.
        """
        return self.move(row, row.state, due_at=due_at, **({"sends": row.sends, "failures": 0} | changes))

    def count_unit_failure(self, job: str, sk: str, lease: int) -> int:
        """One more failure of a unit that nobody holds, which is due again later each time; how many in a row.

        The row is taken as it lies there, so that one that cannot be decoded is counted too. 0 for one that is gone,
        or held: the claim counts for itself. What is left to newer code has no failures.
        """
        pk, now = f"JOB#{job}", self._now()
        item = self._table.raw_item(pk, sk)
        if not item or number_of(item, "claimed_until") > now:
            return 0
        if is_newer(readable_attributes(item)) or self._is_of_newer_job(pk):
            return 0
        most = most_failures(str(item.get("state", {}).get("S")), number_of(item, "called"))
        failures = failures_before(number_of(item, "failures"), number_of(item, "failed_at"), most, now) + 1
        update = Update(pk, sk)
        update.when("epoch", "=", number_of(item, "epoch"))
        update.set("failures", failures)
        update.set("failed_at", now)
        if "due_key" in item:
            update.set("due_at", now + retry_delay(failures, lease))
        if "due_key" in item and failures >= most:
            update.set("due_key", due_key(RECOVERY, due_shard(pk, sk)))
        return 0 if self._table.update_once(update) is None else failures

    def _is_of_newer_job(self, pk: str) -> bool:
        return is_newer(readable_attributes(self._table.raw_item(pk, "JOB")))

    def has_failed_at_intake(self, digest: str) -> bool:
        """Count one more try at a version that has no job yet; whether enough of them failed, over an hour at least."""
        now = self._now()
        update = Update(**version_key(digest, "INTAKE"))
        update.raise_by("failures", 1)
        update.set_to("since", f"if_not_exists({update.name('since')}, {update.value(now)})")
        update.set("expires_at", now + _INTAKE_ROW_SECONDS)
        found = self._table.update_and_read(update)
        return bool(found["failures"] > MOST_UNPAID and now - found["since"] >= LONGEST_DELAY)

    def first_refused_at(self, digest: str) -> int:
        """Note that S3 refuses to let a version be read that has no job yet; since when it does."""
        update = Update(**version_key(digest, "INTAKE"))
        update.set_to("refused_at", f"if_not_exists({update.name('refused_at')}, {update.value(self._now())})")
        update.set("expires_at", self._now() + _INTAKE_ROW_SECONDS)
        return int(self._table.update_and_read(update)["refused_at"])

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
        return self._table.update_once(update) is not None

    def clear_due(self, row: Job | Batch) -> None:
        """Take a finished row out of the index of due rows: nobody looks at it again.

        A job that was made due once more since it was read, by a worker that came late, stays there.
        """
        update = Update(*key_of(row))
        update.when("state", "=", row.state)
        if isinstance(row, Job) and row.due_at is not None:
            update.when("due_at", "=", row.due_at)
        update.remove("due_at")
        update.remove("due_key")
        self._table.update(update)

    def set_due(self, job: Job, due_at: int) -> None:
        """Make a finished job due for sweep; nothing happens when it was moved meanwhile."""
        update = Update(*key_of(job))
        update.when("state", "=", job.state)
        update.set("due_at", due_at)
        update.set("due_key", values_of(job.with_(due_at=due_at))["due_key"])
        self._table.update(update)

    def keep_batch(self, job: str, batch: str, expires_at: int) -> None:
        """Let a batch's row live until then, with nobody to look at it. One that newer code wrote stays as it is."""
        update = Update(f"JOB#{job}", f"BATCH#{batch}")
        version = update.name("version")
        update.when_expression(f"attribute_exists({update.name('epoch')})")
        update.when_expression(f"(attribute_not_exists({version}) OR {version} <= {update.value(ROW_VERSION)})")
        update.set("expires_at", expires_at)
        update.remove("due_at")
        update.remove("due_key")
        self._table.update(update)

    def delete_work_rows(self, job: str) -> None:
        """Delete the rows of a job's splits and batches; the job's own stays.

        Raises:
            Transient: DynamoDB does not take all now: the next call deletes what is left.
        """
        for some in batched(self._work_keys(job), MOST_WRITES, strict=False):
            self._table.delete_all(some)

    def _work_keys(self, job: str) -> Iterator[Item]:
        return chain(self._table.keys(f"JOB#{job}", "SPLIT#"), self._table.keys(f"JOB#{job}", "BATCH#"))

    def delete_rows_of(self, job: Job, batches: Iterable[str], has_time: Callable[[], bool] = lambda: True) -> bool:
        """Delete the rows of all of a job's splits and of these batches, as long as there is time; False: not all.

        Raises:
            Transient: As above.
        """
        names = chain((f"SPLIT#{index:05}" for index in range(job.splits)), (f"BATCH#{batch}" for batch in batches))
        doomed = (key_item(f"JOB#{job.id}", name) for name in names)
        for some in batched(doomed, MOST_WRITES, strict=False):
            if not has_time():
                return False
            self._table.delete_all(some)
        return True

    def delete_job(self, job: Job) -> None:
        """Delete all rows of a job that name more than ids; its own goes last.

        Which version it was stays known until that row expires: a late event of the version makes no job.
        """
        self.delete_work_rows(job.id)
        keys = [*self._table.keys(f"JOB#{job.id}", "RETRY#"), key_item(*key_of(job))]
        if job.retry_of is not None:
            keys.insert(0, key_item(f"JOB#{job.retry_of}", f"RETRY#{job.id}"))
        for some in batched(keys, MOST_WRITES, strict=False):
            self._table.delete_all(some)


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

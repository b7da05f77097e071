"""Every move is a conditional write: of two workers one wins, and a lost reply is no lost move."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import batchdrop
import pytest
import stamina
from batchdrop.aws.leases import DropClaim, Lease
from batchdrop.aws.optimistic import ConcurrentChange
from batchdrop.aws.provider_items import HOUR, PART_OF_HOUR, Release, count_in_hour, own_batch_id, reserve
from batchdrop.aws.provider_store import Pause
from batchdrop.aws.store import Store
from batchdrop.aws.table_items import add_intent, add_row, move_in_transaction, require_state, update_counter
from batchdrop.errors import ClaimLost, Transient
from batchdrop.records import Intent, Ledger
from batchdrop.states import BatchState, JobState, SplitState
from botocore.exceptions import ClientError, ConnectionClosedError
from faking.cloud import TABLE
from faking.dynamodb import TableClient
from faking.rows import JOB, NOW, a_batch, a_job, a_split
from faults.table import Table
from moto.core.models import botocore_stubber
from store.conftest import Clock

LEDGER = "openai/gpt-4o"
PACKAGE = Path(batchdrop.__file__).parent


# One wins


def test_a_move_raises_the_epoch_ends_the_claim_and_starts_the_count_of_messages_anew(store: Store) -> None:
    batch = a_batch(epoch=4, claimed_until=NOW + 50, sends=3)
    store.add(batch)
    moved = store.move(batch, BatchState.ADMITTED, due_at=NOW + 7, failure_code="x")
    assert moved == batch.with_(
        state=BatchState.ADMITTED, epoch=5, claimed_until=0, sends=0, due_at=NOW + 7, failure_code="x"
    )
    assert store.batch(JOB, batch.id) == moved


def test_a_change_to_none_removes_the_attribute(store: Store) -> None:
    batch = a_batch(state=BatchState.SUBMITTING, create_by=NOW)
    store.add(batch)
    store.move(batch, BatchState.WAITING, create_by=None)
    found = store.batch(JOB, batch.id)
    assert found is not None
    assert found.create_by is None


@pytest.mark.parametrize("also", [[], [reserve(LEDGER, 1, limit=100)]], ids=["alone", "in a transaction"])
def test_of_two_workers_with_the_same_row_one_wins(store: Store, also: list[Any]) -> None:
    batch = a_batch()
    store.add(batch)
    winner = store.move(batch, BatchState.ADMITTED, also=also, due_at=1)
    with pytest.raises(ClaimLost):
        store.move(batch, BatchState.ADMITTED, also=also, due_at=2)
    with pytest.raises(ClaimLost):
        store.move(batch, BatchState.CANCELLED, also=also)
    assert (store.batch(JOB, batch.id), store.providers.ledger(LEDGER).reserved) == (winner, len(also))


def test_a_row_in_another_state_is_not_moved_even_if_its_epoch_is_the_same(store: Store) -> None:
    store.add(a_batch(state=BatchState.ADMITTED, epoch=4))
    with pytest.raises(ClaimLost):
        store.move(a_batch(epoch=4), BatchState.CANCELLED)


def test_a_row_that_is_gone_is_nobodys_turn(store: Store) -> None:
    with pytest.raises(ClaimLost):
        store.move(a_batch(), BatchState.ADMITTED)
    assert store.batch(JOB, a_batch().id) is None


def test_a_move_that_the_table_of_moves_does_not_have_is_never_written(store: Store) -> None:
    store.add(a_batch())
    with pytest.raises(ValueError, match=r"^WAITING does not move to COLLECTED$"):
        store.move(a_batch(), BatchState.COLLECTED)
    assert store.batch(JOB, a_batch().id) == a_batch()


# Claims


def test_a_claim_holds_until_it_ends_and_then_the_next_one_holds(store: Store, clock: Clock) -> None:
    split = a_split()
    store.add(split)
    first = store.claim(split, 60)
    assert first == split.with_(epoch=2, claimed_until=NOW + 60, due_at=NOW + 60)
    clock.now = NOW + 59
    with pytest.raises(ClaimLost):
        store.claim(first, 60)
    clock.now = NOW + 60
    second = store.claim(first, 60)
    with pytest.raises(ClaimLost):  # the first worker wakes up again
        store.move(first, SplitState.PLANNED)
    assert store.move(second, SplitState.PLANNED).epoch == 4


def test_of_two_claims_of_the_same_row_one_holds(store: Store) -> None:
    split = a_split()
    store.add(split)
    store.claim(split, 60)
    with pytest.raises(ClaimLost):
        store.claim(split, 60)


def test_a_claim_keeps_the_count_of_messages_and_may_change_more(store: Store) -> None:
    batch = a_batch(state=BatchState.ADMITTED, sends=3)
    store.add(batch)
    claimed = store.claim(batch, 60, input_file_id="file_1")
    assert (claimed.sends, claimed.input_file_id, store.batch(JOB, batch.id)) == (3, "file_1", claimed)


def test_letting_go_lets_the_next_one_claim_at_once(store: Store) -> None:
    batch = a_batch(state=BatchState.ENDED, sends=2)
    store.add(batch)
    free = store.release(store.claim(batch, 60), NOW + 5)
    assert free == batch.with_(epoch=3, due_at=NOW + 5)
    assert store.claim(free, 60).epoch == 4


def test_what_is_over_cannot_be_claimed(store: Store) -> None:
    job = a_job(state=JobState.COMPLETED)
    store.add(job)
    with pytest.raises(ValueError, match=r"^COMPLETED does not move to COMPLETED$"):
        store.claim(job, 60)


# Messages


def test_of_two_senders_one_sends(store: Store) -> None:
    split = a_split()
    store.add(split)
    assert [store.try_mark_sent(split, NOW + 900), store.try_mark_sent(split, NOW + 900)] == [True, False]
    read = store.split(JOB, 0)
    assert read == split.with_(due_at=NOW + 900, sends=1)
    assert [store.try_mark_sent(read, NOW + 1800), store.try_mark_sent(read, NOW + 1800)] == [True, False]


def test_sending_is_no_claim(store: Store) -> None:
    split = a_split()
    store.add(split)
    store.try_mark_sent(split, NOW + 900)
    assert store.claim(split, 60).epoch == 2  # as it was read before the message was sent


def test_a_row_that_moved_is_not_sent_for(store: Store) -> None:
    split = a_split()
    store.add(split)
    store.claim(split, 60)
    assert not store.try_mark_sent(split, NOW + 900)
    assert not store.try_mark_sent(a_split(5), NOW + 900)


def test_a_row_that_moved_is_not_taken_out_of_the_index(store: Store) -> None:
    batch = a_batch(state=BatchState.ENDED)
    store.add(batch)
    store.move(batch, BatchState.COLLECTED, due_at=NOW + 9)
    store.clear_due(batch)
    assert [row.due_at for row in store.due(by=NOW + 9)] == [NOW + 9]


# Transactions


def counter(store: Store, name: str) -> int | None:
    job = store.job(JOB)
    return None if job is None else getattr(job, name)


def test_a_counter_moves_with_the_state_or_not_at_all(store: Store) -> None:
    job, first, second = a_job(), a_split(0), a_split(1)
    for row in (job, first, second):
        store.add(row)
    store.move(first, SplitState.PLANNED, also=[update_counter(job, "unplanned", 2, to=1)])
    with pytest.raises(ConcurrentChange):  # the other worker read the counter before
        store.move(second, SplitState.PLANNED, also=[update_counter(job, "unplanned", 2, to=1)])
    assert (counter(store, "unplanned"), store.split(JOB, 1)) == (1, second)
    read = store.job(JOB)
    assert read is not None
    store.move(second, SplitState.PLANNED, also=[update_counter(read, "unplanned", 1, to=0, due_at=NOW)])
    assert store.job(JOB) == job.with_(unplanned=0, due_at=NOW)
    assert store.job(JOB) in [store.row(due, by=NOW) for due in store.due(by=NOW)]


def test_a_counter_never_asks_for_the_epoch(store: Store) -> None:
    job, split = a_job(), a_split()
    store.add(job)
    store.add(split)
    store.claim(job, 60)
    store.move(split, SplitState.PLANNED, also=[update_counter(job, "unplanned", 2, to=1)])
    assert counter(store, "unplanned") == 1


def test_a_counter_of_a_job_is_refused_where_its_state_has_changed(store: Store) -> None:
    job, split = a_job(), a_split()
    store.add(job)
    store.add(split)
    store.move(job, JobState.CANCELLING)
    with pytest.raises(ConcurrentChange):
        store.move(split, SplitState.PLANNED, also=[update_counter(job, "unplanned", 2, to=1)])


def test_when_ones_own_row_and_another_were_changed_it_is_not_ones_turn(store: Store) -> None:
    job, split = a_job(), a_split()
    store.add(job)
    store.add(split)
    also = [update_counter(job, "unplanned", 2, to=1)]
    store.move(split, SplitState.PLANNED, also=also)
    with pytest.raises(ClaimLost):
        store.move(split, SplitState.PLANNED, also=also)
    assert counter(store, "unplanned") == 1


@pytest.mark.parametrize(
    ("state", "fits"), [(JobState.RUNNING, True), (JobState.PLANNING, False), (JobState.CANCELLING, False)]
)
def test_a_move_may_require_the_jobs_state(store: Store, state: JobState, fits: bool) -> None:  # noqa: FBT001 - a table
    batch, job = a_batch(state=BatchState.ADMITTED), a_job(state=state)
    store.add(batch)
    store.add(job)
    intent = Intent(
        job=JOB,
        batch=batch.id,
        token=batch.token,
        provider="openai",
        requests=5,
        started_at=NOW,
        create_by=NOW + 9,
        expires_at=NOW + 99,
    )
    also = [add_intent(intent), require_state(job, JobState.RUNNING)]
    if fits:
        store.move(batch, BatchState.SUBMITTING, also=also)
    else:
        with pytest.raises(ConcurrentChange):
            store.move(batch, BatchState.SUBMITTING, also=also)
    found = store.batch(JOB, batch.id)
    assert found is not None
    assert (found.state, intents(store)) == (
        (BatchState.SUBMITTING, [f"INTENT#{batch.id}#{NOW}"]) if fits else (BatchState.ADMITTED, [])
    )


def intents(store: Store) -> list[str]:
    items = store._table._client.scan(TableName=TABLE)["Items"]  # noqa: SLF001 - a test looks at the table
    return [item["sk"]["S"] for item in items if item["sk"]["S"].startswith("INTENT#")]


def test_a_providers_batch_has_one_owner(store: Store) -> None:
    one, other = a_batch(0, BatchState.SUBMITTING), a_batch(1, BatchState.SUBMITTING)
    store.add_all([one, other])
    store.move(one, BatchState.IN_FLIGHT, also=[own_batch_id(one, "batch_1", NOW)], batch_id="batch_1")
    with pytest.raises(ConcurrentChange):
        store.move(other, BatchState.IN_FLIGHT, also=[own_batch_id(other, "batch_1", NOW)], batch_id="batch_1")
    assert (store.providers.owner("openai", "batch_1"), store.batch(JOB, other.id)) == ((JOB, one.id), other)
    assert store.providers.owner("groq", "batch_1") is None


def test_two_rows_move_together_or_not_at_all(store: Store) -> None:
    job, split = a_job(state=JobState.RUNNING), a_split(state=SplitState.PLANNED)
    store.add(job)
    store.add(split)
    stale = move_in_transaction(job, JobState.PUBLISHING, outcome=JobState.COMPLETED)
    claimed = store.claim(job, 60)
    with pytest.raises(ConcurrentChange):
        store.move(split, SplitState.ASSEMBLED, also=[stale])
    store.move(
        split,
        SplitState.ASSEMBLED,
        also=[move_in_transaction(claimed, JobState.PUBLISHING, outcome=JobState.COMPLETED)],
    )
    found = store.job(JOB)
    assert found == claimed.with_(state=JobState.PUBLISHING, epoch=3, claimed_until=0, outcome=JobState.COMPLETED)


def test_a_row_may_be_added_with_a_move_if_it_does_not_exist(store: Store) -> None:
    batch = a_batch()
    store.add(batch)
    store.move(batch, BatchState.REPLACED, also=[add_row(a_batch(1)), add_row(a_batch(2))])
    with pytest.raises(ConcurrentChange):
        store.move(a_batch(1), BatchState.REPLACED, also=[add_row(a_batch(2))])
    assert [each.state for each in store.batches(JOB)] == ["REPLACED", "WAITING", "WAITING"]


# The ledger


def test_a_ledger_is_never_over_its_limit(store: Store) -> None:
    store.add_all([a_batch(number) for number in range(5)])
    admitted = []
    for number in range(5):
        try:
            admitted.append(store.move(a_batch(number), BatchState.ADMITTED, also=[reserve(LEDGER, 40, limit=100)]))
        except ConcurrentChange:
            continue
    assert (len(admitted), store.providers.ledger(LEDGER).reserved, store.providers.ledger("another").reserved) == (
        2,
        80,
        0,
    )
    store.move(admitted[0], BatchState.WAITING, also=[Release(LEDGER, 40)])
    store.move(a_batch(4), BatchState.ADMITTED, also=[reserve(LEDGER, 60, limit=100)])
    assert store.providers.ledger(LEDGER).reserved == 100


def test_a_share_is_given_back_once(store: Store) -> None:
    batch = a_batch()
    store.add(batch)
    admitted = store.move(batch, BatchState.ADMITTED, also=[reserve(LEDGER, 40, limit=100)])
    store.move(admitted, BatchState.WAITING, also=[Release(LEDGER, 40)])
    with pytest.raises(ClaimLost):
        store.move(admitted, BatchState.WAITING, also=[Release(LEDGER, 40)])
    assert store.providers.ledger(LEDGER).reserved == 0


@pytest.mark.parametrize("reserved", [None, 0, 39])
def test_a_ledger_that_is_off_is_never_negative_and_holds_up_no_batch(store: Store, reserved: int | None) -> None:
    store.add(a_batch(state=BatchState.ADMITTED))
    store.add(a_batch(1))
    if reserved is not None:
        store.move(a_batch(1), BatchState.ADMITTED, also=[reserve(LEDGER, reserved, limit=100)])
    store.move(a_batch(state=BatchState.ADMITTED), BatchState.WAITING, also=[Release(LEDGER, 40)])
    assert (store.batch(JOB, a_batch().id), store.providers.ledger(LEDGER).reserved) == (a_batch(epoch=2), 0)


def test_a_ledger_that_is_set_right_meanwhile_holds_up_no_batch(client: Any, clock: Clock) -> None:
    store = Store(client, TABLE, now=clock)
    store.add(a_batch(state=BatchState.ADMITTED))
    store.add(a_batch(1))
    calls = []

    def meanwhile(request: Any, **_: object) -> None:
        calls.append(request)
        if len(calls) == 2:
            store.move(a_batch(1), BatchState.ADMITTED, also=[reserve(LEDGER, 60, limit=100)])

    client.meta.events.register_first("before-send.dynamodb.TransactWriteItems", meanwhile)
    store.move(a_batch(state=BatchState.ADMITTED), BatchState.WAITING, also=[Release(LEDGER, 40)])
    client.meta.events.unregister("before-send.dynamodb.TransactWriteItems", meanwhile)
    assert (store.batch(JOB, a_batch().id), store.providers.ledger(LEDGER).reserved) == (a_batch(epoch=2), 20)


def test_a_release_that_is_refused_with_another_write_is_decided_anew(store: Store) -> None:
    store.add(a_job(unplanned=3))
    store.add(a_batch(state=BatchState.ADMITTED))
    count = update_counter(a_job(), "unplanned", 1, to=0)
    with pytest.raises(ConcurrentChange) as refused:
        store.move(a_batch(state=BatchState.ADMITTED), BatchState.WAITING, also=[count, Release(LEDGER, 40)])
    assert refused.value.refused == {0}
    assert store.providers.ledger(LEDGER) == Ledger(name=LEDGER)


def test_a_ledger_learns_with_what_is_given_back(store: Store) -> None:
    store.add(a_batch())
    admitted = store.move(a_batch(), BatchState.ADMITTED, also=[reserve(LEDGER, 40, limit=100, turns={"job": NOW})])
    store.move(admitted, BatchState.WAITING, also=[Release(LEDGER, 40, estimated=40, used=35)])
    store.providers.learn_limit(LEDGER, 90_000, NOW + 60)
    store.providers.learn_limit("anthropic", 5, NOW)
    ledger = Ledger(
        name=LEDGER, moves=2, learned=90_000, learned_until=NOW + 60, estimated=40, used=35, turns={"job": NOW}
    )
    assert (store.providers.ledger(LEDGER), store.providers.ledgers("openai")) == (ledger, {LEDGER: ledger})


@pytest.mark.parametrize("limit", [1, 2, 12, 100])
def test_no_sixty_minutes_have_more_batches_than_an_hour_may(limit: int) -> None:
    store = Store(TableClient(Table()), TABLE, now=lambda: NOW)  # it is asked some hundred times
    taken: list[int] = []
    for minute in range(4, 200, 2):
        while len(taken) < 4 * limit:
            now = NOW + 60 * minute
            part = now - now % PART_OF_HOUR
            write = count_in_hour(
                "openai", part, room=limit - store.providers.admitted_between("openai", part - HOUR, part)
            )
            try:
                store.add(a_batch(len(taken) + 1), also=[write])
            except ConcurrentChange:
                break
            taken.append(60 * minute)
    in_an_hour = [sum(begin <= at < begin + 3_600 for at in taken) for begin in taken]
    assert (max(in_an_hour), len(taken)) == (limit, 4 * limit)  # at once, and again after 65 minutes


def test_what_takes_the_whole_ledger_fits_when_it_is_empty_again(store: Store) -> None:
    batch = a_batch()
    store.add(batch)
    for _ in range(2):
        batch = store.move(batch, BatchState.ADMITTED, also=[reserve(LEDGER, 100, limit=100)])
        batch = store.move(batch, BatchState.WAITING, also=[Release(LEDGER, 100)])
    assert store.providers.ledger(LEDGER).reserved == 0


# Replies that are lost


@contextmanager
def lost_reply(client: Any, operation: str) -> Iterator[list[str]]:
    """DynamoDB does what the next call asks for, and the connection breaks before the reply: botocore repeats it."""
    seen: list[str] = []

    def send(request: Any, **_: object) -> None:
        seen.append(operation)
        if len(seen) == 1:
            botocore_stubber("before-send", request)
            raise ConnectionClosedError(endpoint_url=request.url)

    event = f"before-send.dynamodb.{operation}"
    client.meta.events.register_first(event, send)
    yield seen
    client.meta.events.unregister(event, send)


def test_a_move_whose_reply_was_lost_is_found_by_its_own_id(store: Store, client: Any) -> None:
    store.add(a_batch())
    with lost_reply(client, "UpdateItem") as calls:
        moved = store.move(a_batch(), BatchState.CANCELLED)
    assert (len(calls), store.batch(JOB, moved.id), moved.epoch) == (2, moved, 2)


def test_a_claim_whose_reply_was_lost_is_held(store: Store, client: Any) -> None:
    store.add(a_split())
    with lost_reply(client, "UpdateItem") as calls:
        claimed = store.claim(a_split(), 60)
    assert (len(calls), store.split(JOB, 0)) == (2, claimed)
    assert store.move(claimed, SplitState.PLANNED).epoch == 3


def test_a_lease_whose_reply_was_lost_is_held(store: Store, client: Any) -> None:
    with lost_reply(client, "UpdateItem") as calls:
        lease = store.leases.take("sweep", 60)
    assert (lease, len(calls)) == (Lease(name="sweep", until=NOW + 60, runs=1), 2)
    assert store.leases.take("sweep", 60) is None


def test_a_message_whose_note_lost_its_reply_is_sent(store: Store, client: Any) -> None:
    store.add(a_batch())
    with lost_reply(client, "UpdateItem") as calls:
        assert store.try_mark_sent(a_batch(), NOW + 60)
    assert len(calls) == 2
    assert not store.try_mark_sent(a_batch(), NOW + 60)


def test_a_transaction_whose_reply_was_lost_happens_once(store: Store, client: Any) -> None:
    store.add(a_batch())
    with lost_reply(client, "TransactWriteItems") as calls:
        moved = store.move(a_batch(), BatchState.ADMITTED, also=[reserve(LEDGER, 40, limit=100)])
    assert (len(calls), store.batch(JOB, moved.id), store.providers.ledger(LEDGER).reserved) == (2, moved, 40)


def test_the_id_of_another_workers_move_is_not_ones_own(store: Store, client: Any) -> None:
    store.add(a_batch())
    store.move(a_batch(), BatchState.ADMITTED)
    with lost_reply(client, "UpdateItem"), pytest.raises(ClaimLost):
        store.move(a_batch(), BatchState.ADMITTED)


# DynamoDB under load


class Busy:
    """A client whose first transactions are refused for a reason that passes."""

    def __init__(self, client: Any, code: str, times: int) -> None:
        self._client, self._code, self.left = client, code, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def transact_write_items(self, TransactItems: list[Any]) -> Any:  # noqa: N803 - boto3's own
        if not self.left:
            return self._client.transact_write_items(TransactItems=TransactItems)
        self.left -= 1
        reasons = [{"Code": "None"}, {"Code": self._code}]
        answer = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
        raise self._client.exceptions.TransactionCanceledException(answer, "TransactWriteItems")


@pytest.mark.parametrize("code", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"])
def test_a_transaction_that_meets_another_is_repeated(client: Any, clock: Clock, code: str) -> None:
    busy = Busy(client, code, 3)
    store = Store(busy, TABLE, now=clock)  # type: ignore[arg-type]  # a stand-in by shape
    store.add(a_batch())
    with stamina.set_testing(True, attempts=8):
        store.move(a_batch(), BatchState.ADMITTED, also=[reserve(LEDGER, 40, limit=100)])
    assert (busy.left, store.providers.ledger(LEDGER).reserved) == (0, 40)


def test_a_transaction_that_meets_others_again_and_again_is_left_for_later(client: Any, clock: Clock) -> None:
    store = Store(Busy(client, "TransactionConflict", 1_000), TABLE, now=clock)  # type: ignore[arg-type]  # the same
    store.add(a_batch())
    with stamina.set_testing(True, attempts=8), pytest.raises(Transient):
        store.move(a_batch(), BatchState.ADMITTED, also=[reserve(LEDGER, 40, limit=100)])
    assert (store.batch(JOB, a_batch().id), store.providers.ledger(LEDGER).reserved) == (a_batch(), 0)


@pytest.mark.parametrize("code", ["ValidationError", "ItemCollectionSizeLimitExceeded", "DuplicateItem"])
def test_a_transaction_that_is_wrong_is_tried_once_and_is_an_error(client: Any, clock: Clock, code: str) -> None:
    busy = Busy(client, code, 1_000)
    store = Store(busy, TABLE, now=clock)  # type: ignore[arg-type]  # the same
    store.add(a_batch())
    with stamina.set_testing(True, attempts=8), pytest.raises(ClientError, match="TransactionCanceledException"):
        store.move(a_batch(), BatchState.ADMITTED, also=[reserve(LEDGER, 40, limit=100)])
    assert busy.left == 999


class Refusing:
    """A client of which the first single writes are refused."""

    def __init__(self, client: Any, code: str, times: int) -> None:
        self._client, self._code, self.left = client, code, times

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._client, name)
        return partial(self._refuse, real) if name in {"put_item", "update_item", "delete_item"} else real

    def _refuse(self, real: Any, **request: Any) -> Any:
        if not self.left:
            return real(**request)
        self.left -= 1
        raise ClientError({"Error": {"Code": self._code}}, "SingleWrite")


def _write_everything(store: Store) -> list[Any]:
    """Each single write of the store that submit and sweep make, by its name."""
    batch, pause = a_batch(3, state=BatchState.ENDED), Pause(until=0, reason="none")
    lease = Lease(name="sweep", until=NOW + 60, runs=1)
    return [
        lambda: store.add(a_batch(4)),
        lambda: store.move(a_batch(), BatchState.ADMITTED),
        lambda: store.count_unit_failure(JOB, "BATCH#00000-0-0003", 900),
        lambda: store.has_failed_at_intake("a digest"),
        lambda: store.leases.claim_drop("a digest", 60),
        lambda: store.leases.end_drop(DropClaim(digest="a digest", holder="me"), None, 60),
        lambda: store.try_mark_sent(batch, NOW + 9),
        lambda: store.providers.change_ledger(Ledger(name=LEDGER), suspected=1),
        lambda: store.providers.learn_limit(LEDGER, 90_000, NOW + 60),
        lambda: store.providers.learn_sizes(LEDGER, NOW + 60, most_requests=5),
        lambda: store.clear_due(batch),
        lambda: store.set_due(a_job(), NOW),
        lambda: store.providers.set_pause("openai", "no key", NOW + 60),
        lambda: store.providers.count_failure("openai"),
        lambda: store.providers.mark_pause_announced("openai"),
        lambda: store.providers.mark_pause_over("openai", pause),
        lambda: store.providers.clear_pause("openai", pause),
        lambda: store.leases.take("sweep", 60),
        lambda: store.leases.note_work(lease, JOB, "JOB"),
        lambda: store.leases.end(lease),
    ]


@pytest.mark.parametrize("number", range(20))
def test_a_single_write_that_meets_a_transaction_is_repeated(client: Any, clock: Clock, number: int) -> None:
    busy = Refusing(client, "TransactionConflictException", 0)
    store = Store(busy, TABLE, now=clock)  # type: ignore[arg-type]  # a stand-in by shape
    store.add_all([a_batch(), a_batch(3, state=BatchState.ENDED)])
    busy.left = 3
    with stamina.set_testing(True, attempts=8):
        _write_everything(store)[number]()
    assert busy.left == 0


@pytest.mark.parametrize("code", ["TransactionConflictException", "ThrottlingException"])
def test_a_single_write_that_stays_refused_for_now_is_left_for_later(client: Any, clock: Clock, code: str) -> None:
    busy = Refusing(client, code, 1_000)
    store = Store(busy, TABLE, now=clock)  # type: ignore[arg-type]  # the same
    with stamina.set_testing(True, attempts=8), pytest.raises(Transient):
        store.providers.learn_limit(LEDGER, 90_000, NOW + 60)


def test_a_single_write_that_is_wrong_is_tried_once_and_is_an_error(client: Any, clock: Clock) -> None:
    busy = Refusing(client, "ValidationException", 1_000)
    store = Store(busy, TABLE, now=clock)  # type: ignore[arg-type]  # the same
    with stamina.set_testing(True, attempts=8), pytest.raises(ClientError, match="ValidationException"):
        store.providers.learn_limit(LEDGER, 90_000, NOW + 60)
    assert busy.left == 999


def test_no_other_module_writes_to_the_table() -> None:
    calls = re.compile(r"\.(put_item|update_item|delete_item|transact_write_items|batch_write_item|execute_\w+)\b")
    found = [path.name for path in sorted(PACKAGE.rglob("*.py")) if calls.search(path.read_text(encoding="utf-8"))]
    assert found == ["table_writes.py"]


# Leases and pauses


def test_a_lease_is_held_by_one_until_it_is_given_back_or_ends(store: Store, clock: Clock) -> None:
    first = store.leases.take("sweep", 60)
    assert (first, store.leases.take("sweep", 60)) == (Lease(name="sweep", until=NOW + 60, runs=1), None)
    assert store.leases.take("poll#openai", 60) is not None
    clock.now = NOW + 60
    second = store.leases.take("sweep", 60)
    assert (second, store.leases.take("sweep", 60)) == (Lease(name="sweep", until=NOW + 120, runs=2), None)
    assert first is not None
    assert second is not None
    assert (first.has_died, second.has_died) == (False, True)  # the first did not end in time
    store.leases.end(first, last=NOW)  # it took too long, and the second has begun
    assert store.leases.take("sweep", 60) is None
    store.leases.end(second)
    assert store.leases.take("sweep", 60) == Lease(name="sweep", until=NOW + 120, runs=3, ended=2)


def test_a_run_leaves_to_the_next_what_it_says(store: Store) -> None:
    def run(**left: int | None) -> Lease:
        lease = store.leases.take("poll#openai", 60)
        assert lease is not None
        store.leases.end(lease, **left)
        return lease

    run(last=NOW, cut_at=NOW - 7, usual=90)
    until = NOW + 60
    assert run(cut_at=None) == Lease(
        name="poll#openai", until=until, last=NOW, cut_at=NOW - 7, usual=90, runs=2, ended=1
    )
    assert run() == Lease(name="poll#openai", until=until, last=NOW, usual=90, runs=3, ended=2)


def test_a_pause_holds_for_its_time_and_is_known_until_it_is_cleared(store: Store, clock: Clock) -> None:
    store.providers.set_pause("openai", "no key", NOW + 60)
    store.providers.set_pause("openai", "no key", NOW + 90)
    pause = Pause(reason="no key", until=NOW + 90)
    assert (store.providers.active_pause("openai"), store.providers.active_pause("anthropic")) == (pause, None)
    clock.now = NOW + 90
    assert store.providers.active_pause("openai") is None
    assert store.providers.get_pause("openai") == Pause(reason="no key", until=NOW + 90)
    store.providers.clear_pause(
        "openai", Pause(reason="no key", until=NOW + 60)
    )  # as it was read before it was set anew
    assert store.providers.get_pause("openai") is not None
    store.providers.clear_pause("openai", Pause(reason="no key", until=NOW + 90))
    assert store.providers.get_pause("openai") is None


def test_a_pause_is_new_until_it_was_told(store: Store) -> None:
    assert [store.providers.set_pause("openai", "no key", NOW + 60) for _ in range(2)] == [True, True]
    store.providers.mark_pause_announced("openai")
    assert store.providers.set_pause("openai", "no key", NOW + 90) is False


def test_a_pause_that_is_over_is_told_unless_another_began_which_is_new(store: Store) -> None:
    store.providers.set_pause("openai", "no key", NOW + 60)
    store.providers.mark_pause_announced("openai")
    store.providers.end_pause("openai")
    over = store.providers.get_pause("openai")
    assert over == Pause(reason="no key", announced=True)
    assert store.providers.mark_pause_over("openai", over)
    assert store.providers.set_pause("openai", "no key", NOW + 90) is True
    assert not store.providers.mark_pause_over("openai", over)
    store.providers.clear_pause("openai", over)
    assert store.providers.get_pause("openai") == Pause(reason="no key", until=NOW + 90)


def test_a_pause_that_is_not_there_is_neither_told_nor_ended(store: Store) -> None:
    store.providers.mark_pause_announced("openai")
    store.providers.end_pause("openai")
    assert store.providers.get_pause("openai") is None


def test_a_pause_that_is_ended_holds_nobody_and_is_known(store: Store) -> None:
    store.providers.set_pause("openai", "no key", NOW + 60)
    store.providers.end_pause("openai")
    assert store.providers.active_pause("openai") is None
    assert store.providers.get_pause("openai") == Pause(reason="no key", until=0)

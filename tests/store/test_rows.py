"""Rows go in and come out as the same values; indexes hold those that somebody looks at."""

from typing import Any

import pytest
from batchdrop.aws.row_versions import ROW_VERSION
from batchdrop.aws.store import Store
from batchdrop.aws.table import Due
from batchdrop.aws.table_items import DUE_SHARDS, add_retry, encode
from batchdrop.records import Batch, Job, JobSettings, Split
from batchdrop.states import BatchState, JobState, SplitState
from faking.cloud import TABLE
from faking.rows import JOB, NOW, a_batch, a_job, a_split

LATER = "20261106T091412Z-7f3a9c2e52"


def read_again(store: Store, row: Job | Split | Batch) -> Job | Split | Batch | None:
    match row:
        case Job():
            return store.job(row.id)
        case Split():
            return store.split(row.job, row.index)
        case Batch():
            return store.batch(row.job, row.id)


@pytest.mark.parametrize(
    "row",
    [
        a_job(),
        a_job(due_at=None, reason="é", outcome=JobState.FAILED, settings=JobSettings(part_bytes=6_000_000)),
        a_split(7, lines=3, start=2**40, end=2**41, plan_key="k"),
        a_batch(12, betas=("a", "b"), batch_id="batch_1", submitted_at=NOW),
    ],
    ids=lambda row: type(row).__name__,
)
def test_a_row_comes_back_as_it_was_put(row: Job | Split | Batch, store: Store) -> None:
    assert store.add(row)
    assert read_again(store, row) == row


def test_what_is_not_there_is_none(store: Store) -> None:
    assert (
        store.job(JOB),
        store.split(JOB, 0),
        store.batch(JOB, "00000-0-0000"),
        store.providers.owner("openai", "b"),
    ) == (
        None,
        None,
        None,
        None,
    )


def test_of_two_rows_with_one_key_the_first_stays(store: Store) -> None:
    assert [store.add(a_batch(requests=5)), store.add(a_batch(requests=6))] == [True, False]
    assert store.batch(JOB, "00000-0-0000") == a_batch(requests=5)


def test_the_pieces_of_a_batch_are_found_without_a_look_at_another(store: Store, client: Any) -> None:
    pieces = [a_batch(1000, id=f"00000-0-1000{end}") for end in ("", "-0-0000", "-1-0000", "-1-0000-0-0000")]
    others = [a_batch(10_000), a_batch(10_000, id="00000-0-10000-0-0000"), *map(a_batch, range(1001, 1100))]
    store.add_all([*pieces, *others])
    read: list[str] = []
    client.meta.events.register("after-call.dynamodb.*", lambda parsed, **_: read.extend(_ids(parsed)))
    assert list(store.pieces(JOB, "00000-0-1000")) == pieces
    assert sorted(read) == [f"BATCH#{each.id}" for each in pieces]
    assert list(store.pieces(JOB, "00000-0-1001")) == [a_batch(1001)]
    assert list(store.pieces(JOB, "00000-0-0005")) == []


def _ids(answer: Any) -> list[str]:
    """The rows that an answer of the table holds."""
    return [each["sk"]["S"] for each in [*answer.get("Items", []), *filter(None, [answer.get("Item")])]]


def test_putting_rows_again_leaves_what_has_moved_meanwhile(store: Store) -> None:
    store.add_all([a_batch(0)])
    moved = store.move(a_batch(0), BatchState.ADMITTED)
    store.add_all([a_batch(0), a_batch(1)])
    assert list(store.batches(JOB)) == [moved, a_batch(1)]


def test_splits_and_batches_are_listed_in_order_and_by_split(store: Store) -> None:
    store.add_all([a_split(index) for index in (10, 2, 0)])
    batches = [
        a_batch(split=split, id=f"{split:05}-{round_}-0000") for split, round_ in ((1, 1), (0, 0), (1, 0), (10, 0))
    ]
    store.add_all(batches)
    assert [split.index for split in store.splits(JOB)] == [0, 2, 10]
    assert [batch.id for batch in store.batches(JOB)] == [
        "00000-0-0000",
        "00001-0-0000",
        "00001-1-0000",
        "00010-0-0000",
    ]
    assert [batch.id for batch in store.batches(JOB, 1)] == ["00001-0-0000", "00001-1-0000"]
    assert list(store.splits("another")) == []


def test_more_rows_than_a_page_holds_are_all_listed(store: Store) -> None:
    batches = [a_batch(number, failure_code="x" * 300_000) for number in range(8)]  # DynamoDB's pages end at 1 MB
    store.add_all(batches)
    assert [batch.id for batch in store.batches(JOB)] == [batch.id for batch in batches]


def test_jobs_are_listed_by_day_the_newest_first(store: Store) -> None:
    ids = ["20261105T000000Z-0000000000", "20261105T235959Z-0000000000", "20261106T000000Z-0000000000"]
    for each in ids:
        store.add(a_job(job=each))
    days = ["20261106", "20261105", "20261104"]
    assert [job.id for job in store.recent_jobs(days)] == [ids[2], ids[1], ids[0]]
    assert [list(store.recent_job_ids(days, before=each)) for each in ids] == [[], [ids[0]], [ids[1], ids[0]]]


def test_forgetting_the_work_of_a_job_leaves_the_job_and_others(store: Store) -> None:
    store.add(a_job())
    store.add_all([a_split(0), a_split(1), a_split(0, job="other")])
    store.add_all([a_batch(1, job="other"), *(a_batch(number) for number in range(101))])  # 100 are deleted in one call
    retry = a_job(job=LATER, retry_of=JOB)
    store.add(retry, also=[add_retry(retry, JOB, NOW)])
    store.delete_work_rows(JOB)
    assert (store.job(JOB), list(store.splits(JOB)), list(store.batches(JOB))) == (a_job(), [], [])
    assert list(store.retries(JOB)) == [retry]
    assert (len(list(store.splits("other"))), len(list(store.batches("other")))) == (1, 1)


def test_forgetting_the_work_of_a_job_goes_on_in_another_run_where_time_is_out(store: Store) -> None:
    store.add_all([a_batch(number) for number in range(101)])  # 100 are deleted in one call
    has_time = iter([True, False]).__next__
    ids = [batch.id for batch in store.batches(JOB)]
    assert not store.delete_rows_of(a_job(splits=1), ids, has_time)
    assert len(list(store.batches(JOB))) == 2  # the split's row is one of the first 100
    assert store.delete_rows_of(a_job(splits=1), ids)
    assert list(store.batches(JOB)) == []


def test_the_retries_of_a_job_are_listed_in_the_order_of_their_drops(store: Store, client: Any) -> None:
    retries = [a_job(job=each, retry_of=JOB) for each in (LATER, "20261105T101412Z-0000000000")]
    assert [store.add(each, also=[add_retry(each, JOB, NOW)]) for each in (*retries, retries[0])] == [True, True, False]
    forgotten = a_job(job="20261105T111412Z-0000000000")
    store.add(forgotten, also=[add_retry(forgotten, JOB, NOW)])
    client.delete_item(TableName=TABLE, Key={"pk": {"S": f"JOB#{forgotten.id}"}, "sk": {"S": "JOB"}})
    assert list(store.retries(JOB)) == retries[::-1]
    assert list(store.retries("another")) == []


def test_a_job_that_exists_gets_no_row_beside_it(store: Store) -> None:
    store.add(a_job(job=LATER))
    assert store.add(a_job(job=LATER), also=[add_retry(a_job(job=LATER), JOB, NOW)]) is False
    assert list(store.retries(JOB)) == []


# The index `due`


def due_rows(client: Any) -> list[str]:
    """What the index holds, whoever looks at it."""
    return sorted(item["sk"]["S"] for item in client.scan(TableName=TABLE, IndexName="due")["Items"])


def test_sweep_finds_what_is_due_as_it_is_now(store: Store) -> None:
    rows = [a_job(due_at=NOW), a_split(due_at=NOW - 1), a_batch(0, BatchState.ADMITTED), a_batch(1, BatchState.ENDED)]
    later = [a_split(1, due_at=NOW + 1), a_batch(2, BatchState.SUBMITTING, due_at=NOW + 1), a_split(2, due_at=None)]
    for row in (*rows, *later):
        store.add(row)
    found = [store.row(due, by=NOW) for due in store.due(by=NOW)]
    assert sorted(found, key=repr) == sorted(rows, key=repr)


def test_waiting_batches_are_admissions_and_those_in_flight_are_polls_by_provider(store: Store) -> None:
    store.add_all(
        [
            a_batch(0, priority=4),
            a_batch(1, due_at=NOW + 1),
            a_batch(2, provider="groq"),
            a_batch(3, BatchState.IN_FLIGHT, batch_id="batch_3", submitted_at=NOW - 5, due_at=NOW + 99),
        ]
    )
    assert list(store.providers.waiting("openai", by=NOW)) == [
        Due(job=JOB, sk="BATCH#00000-0-0000", due_at=NOW, priority=4, ledger="openai/gpt-4o", cost=150)
    ]
    assert list(store.providers.in_flight("openai")) == [
        Due(
            job=JOB,
            sk="BATCH#00000-0-0003",
            due_at=NOW + 99,
            batch_id="batch_3",
            submitted_at=NOW - 5,
            ledger="openai/gpt-4o",
            cost=150,
        )
    ]
    assert ([due.batch for due in store.providers.waiting("groq", by=NOW)], list(store.due(by=NOW))) == (
        ["00000-0-0002"],
        [],
    )


def test_a_row_is_in_the_index_while_it_is_due_and_no_longer(store: Store, client: Any) -> None:
    split = a_split(due_at=None)
    store.add(split)
    seen = [due_rows(client)]
    claimed = store.claim(split, 60)
    seen.append(due_rows(client))
    store.move(claimed, SplitState.PLANNED, due_at=None)
    seen.append(due_rows(client))
    assert seen == [[], ["SPLIT#00000"], []]


def test_a_row_that_is_over_leaves_the_index_when_nothing_is_left_to_do(store: Store, client: Any) -> None:
    job = a_job(state=JobState.COMPLETED, due_at=NOW)
    store.add(job)
    store.clear_due(job)
    assert (due_rows(client), store.job(JOB)) == ([], job.with_(due_at=None))


def test_a_row_that_became_due_once_more_stays_in_the_index(store: Store, client: Any) -> None:
    job = a_job(state=JobState.COMPLETED, due_at=NOW)
    store.add(job)
    store.set_due(job, NOW + 1)  # by a worker that came late
    store.clear_due(job)
    assert due_rows(client) == ["JOB"]


def test_a_moving_batch_is_always_where_its_next_worker_looks(store: Store) -> None:
    def places() -> tuple[int, int, int]:
        return (
            len(list(store.providers.waiting("openai", by=NOW))),
            len(list(store.providers.in_flight("openai"))),
            len(list(store.due(by=NOW))),
        )

    batch = a_batch()
    store.add(batch)
    seen = [places()]
    for state in (BatchState.ADMITTED, BatchState.SUBMITTING, BatchState.IN_FLIGHT, BatchState.ENDED):
        batch = store.move(batch, state)
        seen.append(places())
    assert seen == [(1, 0, 0), (0, 0, 1), (0, 0, 1), (0, 1, 0), (0, 0, 1)]


def test_what_is_due_is_spread_over_the_indexs_keys(store: Store, client: Any) -> None:
    store.add_all([a_split(number, due_at=NOW) for number in range(60)])
    assert len(due_keys(client)) == DUE_SHARDS
    assert len(list(store.due(by=NOW))) == 60


def test_runs_that_see_a_part_of_what_is_due_see_all_in_turn(store: Store) -> None:
    store.add_all([a_split(number, due_at=NOW) for number in range(60)])
    firsts = {next(store.due(by=NOW + 60 * minutes)).sk for minutes in range(DUE_SHARDS)}
    assert len(firsts) == DUE_SHARDS


def due_keys(client: Any) -> set[str]:
    return {item["due_key"]["S"] for item in client.scan(TableName=TABLE, IndexName="due")["Items"]}


def test_a_providers_batches_lie_in_one_key_of_the_index(store: Store, client: Any) -> None:
    store.add_all([a_batch(number) for number in range(60)])
    assert due_keys(client) == {"WAITING#openai#0"}
    assert len(list(store.providers.waiting("openai", by=NOW))) == 60


def spread(client: Any, batch: Batch, key: str, **more: Any) -> None:
    """Put a batch where an earlier version had it."""
    values = encode({"due_key": key, **more})
    client.update_item(
        TableName=TABLE,
        Key=encode({"pk": f"JOB#{batch.job}", "sk": f"BATCH#{batch.id}"}),
        UpdateExpression="SET " + ", ".join(f"{name} = :{name}" for name in values),
        ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
    )


def test_batches_that_an_earlier_version_spread_are_found_once_they_are_gathered(store: Store, client: Any) -> None:
    waiting, flying, newer = a_batch(0), a_batch(1, state=BatchState.IN_FLIGHT), a_batch(2)
    store.add_all([waiting, flying, newer])
    spread(client, waiting, "WAITING#openai#1")
    spread(client, flying, "IN_FLIGHT#openai#3")
    spread(client, newer, "WAITING#openai#2", version=ROW_VERSION + 1)

    def found() -> list[str]:
        both = (*store.providers.waiting("openai", by=NOW), *store.providers.in_flight("openai"))
        return [due.batch for due in both]

    assert found() == []
    store.providers.gather("openai")
    assert found() == [waiting.id, flying.id]
    assert due_keys(client) == {"WAITING#openai#0", "IN_FLIGHT#openai#0", "WAITING#openai#2"}

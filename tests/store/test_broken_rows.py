"""A row that cannot be read hides no other: each list goes on behind it."""

from typing import Any

import pytest
from batchdrop.aws.provider_items import reserve
from batchdrop.aws.provider_store import Pause
from batchdrop.aws.store import Store
from batchdrop.states import BatchState, JobState
from faking import cloud
from faking.rows import JOB, NOW, a_batch, a_job, a_split

BROKEN = "20261105T091412Z-0000000000"


def spoil(client: Any, pk: str, sk: str, **values: dict[str, str]) -> None:
    """Write what stands in no row of ours."""
    client.update_item(
        TableName=cloud.TABLE,
        Key={"pk": {"S": pk}, "sk": {"S": sk}},
        UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
        ExpressionAttributeNames={f"#{name}": name for name in values},
        ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
    )


@pytest.mark.parametrize("values", [{"cost": {"S": "much"}}, {"cost": {"N": "1.5"}}, {"ledger": {"N": "1"}}])
def test_a_due_row_that_cannot_be_read_hides_no_other(store: Store, client: Any, values: dict[str, Any]) -> None:
    store.add_all([a_batch(0), a_batch(1)])
    spoil(client, f"JOB#{JOB}", "BATCH#00000-0-0000", **values)
    assert [due.batch for due in store.providers.waiting("openai", by=NOW)] == ["00000-0-0001"]


@pytest.mark.parametrize(
    "values", [{"state": {"S": "NO SUCH STATE"}}, {"settings": {"S": "none"}}, {"bytes": {"S": "many"}}]
)
def test_a_job_that_cannot_be_read_hides_no_other_of_its_day(store: Store, client: Any, values: dict[str, Any]) -> None:
    store.add(a_job())
    store.add(a_job(job=BROKEN))
    spoil(client, f"JOB#{BROKEN}", "JOB", **values)
    assert [job.id for job in store.recent_jobs([JOB[:8]])] == [JOB]


def test_a_ledger_that_cannot_be_read_hides_no_other_and_counts_as_new(store: Store, client: Any) -> None:
    batch = store.move(a_batch(), BatchState.ADMITTED, also=[]) if store.add(a_batch()) else a_batch()
    store.move(batch, BatchState.SUBMITTING, also=[reserve("openai/good", 5, limit=10)])
    spoil(client, "PROVIDER#openai", "LEDGER#openai/bad", turns={"S": "mine"})
    assert {name: ledger.reserved for name, ledger in store.providers.ledgers("openai").items()} == {
        "openai/good": 5,
        "openai/bad": 0,
    }


def test_a_pause_that_cannot_be_read_is_none_and_can_be_set_anew(store: Store, client: Any) -> None:
    spoil(client, "PROVIDER#openai", "PAUSE", until={"S": "later"})
    assert store.providers.get_pause("openai") is None
    store.providers.set_pause("openai", "no credit", NOW + 60)
    assert store.providers.get_pause("openai") == Pause(until=NOW + 60, reason="no credit")


def test_a_job_whose_rows_cannot_be_read_is_cleaned_up_all_the_same(store: Store, client: Any) -> None:
    store.add_all([a_split(0)])
    store.add_all([a_batch(0)])
    spoil(client, f"JOB#{JOB}", "SPLIT#00000", state={"S": "NO SUCH STATE"})
    store.delete_work_rows(JOB)
    assert client.scan(TableName=cloud.TABLE)["Count"] == 0


def test_failures_of_a_row_that_cannot_be_read_are_counted_and_put_it_off(store: Store, client: Any) -> None:
    store.add_all([a_batch(0)])
    spoil(client, f"JOB#{JOB}", "BATCH#00000-0-0000", requests={"S": "many"}, failures={"S": "some"})
    assert [store.count_unit_failure(JOB, "BATCH#00000-0-0000", 900) for _ in range(3)] == [1, 2, 3]
    assert list(store.providers.waiting("openai", by=NOW + 3_599)) == []
    assert [due.batch for due in store.providers.waiting("openai", by=NOW + 3_600)] == ["00000-0-0000"]


def test_a_row_that_failed_too_often_is_sweeps_and_no_longer_its_providers(store: Store) -> None:
    store.add_all([a_batch(0)])
    for _ in range(6):
        store.count_unit_failure(JOB, "BATCH#00000-0-0000", 900)
    assert list(store.providers.waiting("openai", by=NOW * 2)) == []
    assert [due.batch for due in store.due(by=NOW * 2)] == ["00000-0-0000"]


def test_a_claim_that_is_held_counts_for_itself(store: Store) -> None:
    job = a_job(state=JobState.PUBLISHING)
    store.add(job)
    store.claim(job, 60)
    assert store.count_unit_failure(JOB, "JOB", 60) == 0


def test_failures_of_long_ago_are_not_in_a_row(store: Store, clock: Any) -> None:
    """What worked in between may have written nothing."""
    store.add_all([a_batch(0, state=BatchState.IN_FLIGHT)])
    counted = []
    for hours in (0, 1, 2, 24, 24):
        clock.now += hours * 3_600
        counted.append(store.count_unit_failure(JOB, "BATCH#00000-0-0000", 900))
    assert counted == [1, 2, 3, 1, 1]


def test_a_unit_that_has_failed_for_good_stays_so_however_long_ago(store: Store, clock: Any) -> None:
    store.add_all([a_batch(0, state=BatchState.IN_FLIGHT)])
    counted = []
    for hours in (*[1] * 24, 24):
        clock.now += hours * 3_600
        counted.append(store.count_unit_failure(JOB, "BATCH#00000-0-0000", 900))
    assert counted == [*range(1, 26)]


def test_a_claim_that_ran_out_says_when(store: Store, clock: Any) -> None:
    job = a_job(state=JobState.PUBLISHING)
    store.add(job)
    for _ in range(2):
        job = store.claim(job, 60)
        clock.now += 60
    assert store.count_unit_failure(JOB, "JOB", 60) == 2

"""Ledgers of money: what jobs reserve and spend of a folder's month never passes its budget."""

from threading import Barrier, Lock, Thread
from typing import Any

import pytest
from batchdrop.aws.optimistic import ConcurrentChange
from batchdrop.aws.store import Store
from batchdrop.errors import ClaimLost, Transient
from batchdrop.states import JobState
from faking.cloud import TABLE
from faking.dynamodb import TableClient
from faking.rows import NOW, a_job
from faults.table import Table

LEDGER = "2026-11#input/team/"
BUDGET, COST, RACERS = 1_000, 100, 50


def start(store: Store, number: int, *, limit: int | None = BUDGET, cost: int = COST) -> bool:
    """Add a planned job, and let it run if there is room for what it may cost."""
    job = a_job(job=f"20261105T091412Z-{number:010x}")
    store.add(job)
    try:
        store.move(job, JobState.RUNNING, also=store.budgets.reserve(LEDGER, job.id, cost, limit=limit))
    except ConcurrentChange:
        return False
    return True


def committed(store: Store) -> int:
    found = store.budgets.ledger(LEDGER).committed
    assert store.budgets.sum_of_jobs(LEDGER) == found
    return found


@pytest.mark.parametrize(
    ("costs", "wanted"),
    [([1_000], [True]), ([1_001], [False]), ([999, 1, 1], [True, True, False]), ([0, 1_000], [True] * 2)],
)
def test_a_budget_is_used_to_its_last_millionth_and_not_beyond(
    store: Store, costs: list[int], wanted: list[bool]
) -> None:
    assert [start(store, number, cost=cost) for number, cost in enumerate(costs)] == wanted
    assert committed(store) == sum(cost for cost, fits in zip(costs, wanted, strict=True) if fits)


def test_a_job_that_does_not_fit_leaves_nothing(store: Store) -> None:
    start(store, 1, cost=1_000)
    assert not start(store, 2)
    assert committed(store) == 1_000
    refused = store.job(a_job(job=f"20261105T091412Z-{2:010x}").id)
    assert refused is not None
    assert (refused.state, refused.epoch) == (JobState.PLANNING, 1)


def test_an_approved_job_may_pass_the_budget(store: Store) -> None:
    assert start(store, 1, cost=900)
    assert start(store, 2, cost=900, limit=None)
    assert committed(store) == 1_800
    assert not start(store, 3, cost=1)


def test_what_a_job_cost_takes_the_place_of_what_it_reserved_once(store: Store) -> None:
    job = a_job()
    store.add(job)
    running = store.move(job, JobState.RUNNING, also=store.budgets.reserve(LEDGER, job.id, 900, limit=BUDGET))
    settle = store.budgets.settle(LEDGER, job.id, reserved=900, spent=250)
    store.move(running, JobState.PUBLISHING, also=settle)
    with pytest.raises(ClaimLost):
        store.move(running, JobState.PUBLISHING, also=settle)
    assert committed(store) == 250


def test_a_repair_that_a_job_overtook_changes_nothing(store: Store) -> None:
    start(store, 1)
    seen = store.budgets.ledger(LEDGER)
    start(store, 2)
    assert not store.budgets.correct(seen, 0)
    assert store.budgets.correct(store.budgets.ledger(LEDGER), 7)
    assert store.budgets.ledger(LEDGER).committed == 7


class OneAtATime(TableClient):
    """The table in memory, each of whose calls is one step, as DynamoDB's are."""

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        self._lock = Lock()

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        with self._lock:
            return super()._call(operation, **arguments)


def test_fifty_workers_race_for_one_budget_and_never_pass_it() -> None:
    table = Table()
    client = OneAtATime(table)
    barrier = Barrier(RACERS)
    won: list[int] = []

    def race(number: int) -> None:
        store = Store(client, TABLE, now=lambda: NOW)  # type: ignore[arg-type]  # a stand-in by shape
        job = a_job(job=f"20261105T091412Z-{number:010x}")
        store.add(job)
        barrier.wait()
        reserve = store.budgets.reserve(LEDGER, job.id, COST, limit=BUDGET)
        try:
            running = store.move(job, JobState.RUNNING, also=reserve)
        except (ConcurrentChange, Transient):
            return
        won.append(number)
        if number % 2:  # it gives back what it did not need, and others may take that
            store.move(
                running, JobState.PUBLISHING, also=store.budgets.settle(LEDGER, job.id, reserved=COST, spent=COST // 4)
            )

    threads = [Thread(target=race, args=(number,)) for number in range(RACERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = Store(client, TABLE, now=lambda: NOW)  # type: ignore[arg-type]  # a stand-in by shape
    assert committed(store) == sum(COST // 4 if number % 2 else COST for number in won) <= BUDGET
    assert len(won) >= BUDGET // COST

"""A ledger that is off is set right, and one that only moves is left alone."""

import pytest
from batchdrop.aws.provider_items import Release, reserve
from batchdrop.limits.ledger_repair import rebuild_ledgers
from batchdrop.records import Ledger
from batchdrop.states import BatchState
from faking.cloud import Cloud
from faking.rows import a_batch

LEDGER = "openai/gpt-4o"
LIMIT = 1_000
HOLDING = [BatchState.ADMITTED, BatchState.SUBMITTING, BatchState.IN_FLIGHT]


def look(cloud: Cloud, times: int = 1) -> Ledger:
    for _ in range(times):
        cloud.clock.now += 600
        rebuild_ledgers("openai", cloud.services)
    return cloud.services.store.providers.ledger(LEDGER)


def reserved(cloud: Cloud, cost: int) -> None:
    """Somebody takes a share, rightly or not."""
    batch = a_batch(9, job="another", state=BatchState.WAITING, cost=0, due_at=None)
    cloud.services.store.add(batch)
    cloud.services.store.move(batch, BatchState.ADMITTED, also=[reserve(LEDGER, cost, limit=LIMIT)], due_at=None)


@pytest.mark.parametrize("before", [0, 700])
def test_a_ledger_is_set_to_what_its_batches_hold(cloud: Cloud, before: int) -> None:
    reserved(cloud, before)
    for number, state in enumerate(HOLDING):
        cloud.services.store.add(a_batch(number, state=state, cost=100))
    for number, state in enumerate([BatchState.WAITING, BatchState.ENDED], start=5):
        cloud.services.store.add(a_batch(number, state=state, cost=100 if state is BatchState.WAITING else 0))
    cloud.services.store.add(a_batch(8, state=BatchState.ADMITTED, cost=50, ledger="openai/another"))
    assert look(cloud).reserved == before
    assert look(cloud).reserved == 300


def test_a_ledger_that_moved_between_two_looks_is_not_touched(cloud: Cloud) -> None:
    reserved(cloud, 700)
    look(cloud)
    admitted = a_batch(state=BatchState.ADMITTED, cost=100)
    cloud.services.store.add(admitted)
    cloud.services.store.move(admitted, BatchState.WAITING, also=[Release(LEDGER, 100)])
    assert look(cloud).reserved == 600
    assert look(cloud).reserved == 0


def test_two_looks_are_ten_minutes_apart(cloud: Cloud) -> None:
    reserved(cloud, 700)
    look(cloud)
    rebuild_ledgers("openai", cloud.services)
    assert cloud.services.store.providers.ledger(LEDGER).reserved == 700


def test_a_ledger_that_is_right_is_only_read(cloud: Cloud) -> None:
    reserved(cloud, 0)
    before = cloud.services.store.providers.ledger(LEDGER)
    assert look(cloud, times=3) == before

"""A folder's month: what its jobs reserve and spend stays within its budget, whoever starts, ends and dies when."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from batchdrop.aws.budgets import BudgetLedger, BudgetStore
from batchdrop.aws.table import Table
from batchdrop.batches.job_start import send_or_hold
from batchdrop.dollars import dollars_of
from batchdrop.errors import ClaimLost
from batchdrop.jobs import ask_to_cancel
from batchdrop.limits.budget_repair import rebuild_budgets
from batchdrop.limits.budgets import Budgets
from batchdrop.records import Job
from batchdrop.states import JobState
from faking.cloud import TABLE, Cloud, jsonl
from faking.dynamodb import TableClient
from faking.lines import capped, claude
from faking.rows import a_job

FOLDER = "input/team/"
SETTINGS = f"{FOLDER}batchdrop.toml"
LINES = [capped("one"), claude("two"), capped("three")]
RACERS = 50
COST = 100  # millionths of a dollar
MONTH = Budgets(monthly_usd=Decimal("0.001"), folder=FOLDER)  # ten of them


def ledger(cloud: Cloud) -> str:
    return f"{datetime.fromtimestamp(cloud.clock.now, UTC):%Y-%m}#{FOLDER}"


def committed(cloud: Cloud) -> int:
    """Of the month in which the test began: its jobs started then."""
    budgets = cloud.services.store.budgets
    ((name, found),) = [(each.name, each.committed) for each in budgets.ledgers(since="2000-01")]
    assert budgets.sum_of_jobs(name) == found
    return found


def planned(cloud: Cloud, number: int) -> Job:
    """A job that is planned, and may cost so much."""
    job = a_job(job=f"20261105T091412Z-{number:010x}", most_micros=COST, unplanned=0, splits=0)
    cloud.services.store.add(job)
    return job


def drop(cloud: Cloud, name: str = "x", **metadata: str) -> str:
    job = cloud.drop(f"{FOLDER}{name}.jsonl", jsonl(LINES), **metadata)
    assert job is not None
    cloud.deliver_all()
    return job


def of(cloud: Cloud, job: str) -> Job:
    found = cloud.services.store.job(job)
    assert found is not None
    return found


def states(cloud: Cloud, jobs: list[Job]) -> list[JobState]:
    return sorted(of(cloud, job.id).state for job in jobs)


def test_fifty_jobs_start_at_once_and_only_as_many_as_fit_run(cloud: Cloud) -> None:
    jobs = [planned(cloud, number) for number in range(RACERS)]
    for job in jobs:
        send_or_hold(job, MONTH, cloud.services)
    assert states(cloud, jobs) == [JobState.HELD] * 40 + [JobState.RUNNING] * 10
    assert committed(cloud) == 10 * COST


class StaleAtFirst(BudgetStore):
    """What a worker reads that others overtake: each job's first look finds an empty ledger."""

    def __init__(self, table: Table, *, now: Callable[[], int]) -> None:
        super().__init__(table, now=now)
        self.is_stale = False

    def ledger(self, name: str) -> BudgetLedger:
        is_stale, self.is_stale = self.is_stale, False
        return BudgetLedger(name=name) if is_stale else super().ledger(name)


def test_jobs_that_saw_the_same_room_do_not_all_take_it(cloud: Cloud) -> None:
    now = cloud.clock.seconds
    cloud.services.store.budgets = stale = StaleAtFirst(Table(TableClient(cloud.table), TABLE), now=now)  # type: ignore[arg-type]  # a stand-in by shape
    jobs = [planned(cloud, number) for number in range(RACERS)]
    for job in jobs:
        stale.is_stale = True
        send_or_hold(job, MONTH, cloud.services)
    assert states(cloud, jobs) == [JobState.HELD] * 40 + [JobState.RUNNING] * 10
    assert committed(cloud) == 10 * COST


def test_a_job_that_was_opened_twice_reserves_once(cloud: Cloud) -> None:
    job = planned(cloud, 1)
    send_or_hold(job, MONTH, cloud.services)
    with pytest.raises(ClaimLost):
        send_or_hold(job, MONTH, cloud.services)
    assert committed(cloud) == COST


def test_a_ledger_that_is_off_is_set_to_what_its_jobs_hold_once_an_hour(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    budgets = cloud.services.store.budgets
    send_or_hold(planned(cloud, 1), MONTH, cloud.services)
    rebuild_budgets(cloud.services)
    assert "LedgersOff" not in capsys.readouterr().out
    budgets.correct(budgets.ledger(ledger(cloud)), 7)
    rebuild_budgets(cloud.services)
    assert budgets.ledger(ledger(cloud)).committed == 7
    cloud.clock.now += 3_600
    rebuild_budgets(cloud.services)
    assert committed(cloud) == COST
    assert "LedgersOff" in capsys.readouterr().out


def test_the_ledger_of_a_month_long_over_is_left_alone(cloud: Cloud) -> None:
    send_or_hold(planned(cloud, 1), MONTH, cloud.services)
    budgets, old = cloud.services.store.budgets, ledger(cloud)
    budgets.correct(budgets.ledger(old), 7)
    cloud.clock.now += 100 * 86_400
    rebuild_budgets(cloud.services)
    assert budgets.ledger(old).committed == 7


def test_what_a_job_reserved_is_given_back_but_for_what_it_cost(cloud: Cloud) -> None:
    cloud.services.files.put(SETTINGS, b"monthly_budget_usd = 20")
    job = drop(cloud)
    most = of(cloud, job).most_micros
    assert most is not None
    assert (of(cloud, job).budget_ledger, of(cloud, job).reserved_micros) == (ledger(cloud), most)
    assert committed(cloud) == most
    cloud.settle()
    assert 0 < committed(cloud) < most
    assert of(cloud, job).version == 2


def test_a_cancelled_job_gives_all_back_that_was_not_sent(cloud: Cloud) -> None:
    cloud.services.files.put(SETTINGS, b"monthly_budget_usd = 20")
    cloud.secrets.values.clear()
    job = drop(cloud)
    assert committed(cloud) > 0
    ask_to_cancel(job, cloud.services.store, now=cloud.services.now())
    cloud.settle()
    assert committed(cloud) == 0


def test_a_job_waits_for_what_others_give_back(cloud: Cloud) -> None:
    cloud.services.files.put(SETTINGS, b"monthly_budget_usd = 20")
    most = of(cloud, drop(cloud, "first")).most_micros
    cloud.services.files.put(SETTINGS, f"monthly_budget_usd = {dollars_of((most or 0) * 7 // 4):f}".encode())
    second = drop(cloud, "second")
    held = of(cloud, second)
    assert held.state is JobState.HELD
    assert f"of {FOLDER} in" in (held.reason or "")
    cloud.settle()
    assert cloud.outcome(second).manifest.status == "COMPLETED"
    assert [event["detail-type"] for event in cloud.events()] == ["Job Held", "Job Completed", "Job Completed"]


def test_a_held_job_goes_on_in_the_next_month(cloud: Cloud) -> None:
    cloud.services.files.put(SETTINGS, b"monthly_budget_usd = 0.001")
    spender = planned(cloud, 7)
    taken = cloud.services.store.budgets.reserve(ledger(cloud), spender.id, 1_000, limit=None)
    cloud.services.store.move(spender, JobState.PUBLISHING, also=taken, due_at=None)
    job, month = drop(cloud, **{"batchdrop-max-age": "60d"}), ledger(cloud)
    while ledger(cloud) == month:
        assert of(cloud, job).state is JobState.HELD
        cloud.tick(86_400)
    cloud.tick(600)
    assert of(cloud, job).budget_ledger == ledger(cloud)


def test_a_job_is_of_the_month_in_which_it_started(cloud: Cloud) -> None:
    cloud.services.files.put(SETTINGS, b"monthly_budget_usd = 20")
    job, month = drop(cloud), ledger(cloud)
    cloud.tick()
    cloud.deliver("collect")
    cloud.deliver("assemble")
    while ledger(cloud) == month:
        cloud.clock.now += 86_400
    cloud.settle()
    assert cloud.outcome(job).manifest.status == "COMPLETED"
    assert [each.name for each in cloud.services.store.budgets.ledgers(since="2000-01")] == [month]
    assert 0 < committed(cloud) < (of(cloud, job).most_micros or 0)

"""Jobs that are held for their budgets: nothing is sent until somebody decides, or the budget allows it after all."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from batchdrop.errors import ClaimLost
from batchdrop.jobs import NotHeld, TooLate, approve_job, ask_to_cancel, reject_job
from batchdrop.records import Job
from batchdrop.states import TERMINAL_JOBS, JobState
from batchdrop.steps.held import check_held_job
from faking.cloud import Cloud, jsonl
from faking.cloud import cloud as new_cloud
from faking.lines import capped, chat, claude, got, wanted

LINES = [capped("one"), claude("two"), capped("three"), b"nonsense"]
BUDGET = {"batchdrop-budget_usd": "0.000001"}
SETTINGS = "input/team/batchdrop.toml"
KEY = "input/team/x.jsonl"


def hold(cloud: Cloud, **metadata: str) -> str:
    """Drop a file that is over its budget, and have it read."""
    job = cloud.drop(KEY, jsonl(LINES), **(metadata or BUDGET))
    assert job is not None
    cloud.deliver_all()
    assert of(cloud, job).state is JobState.HELD
    return job


def of(cloud: Cloud, job: str) -> Job:
    found = cloud.services.store.job(job)
    assert found is not None
    return found


def approve(cloud: Cloud, job: str) -> Job:
    return approve_job(job, cloud.services.store, now=cloud.services.now())


def reject(cloud: Cloud, job: str) -> Job:
    return reject_job(job, cloud.services.store, now=cloud.services.now())


def cancel(cloud: Cloud, job: str) -> Job:
    return ask_to_cancel(job, cloud.services.store, now=cloud.services.now())


def is_unpaid(cloud: Cloud) -> bool:
    """Nothing was even uploaded."""
    return all(each["batches"] == each["requests"] == 0 for each in cloud.simulator.charges().values())


def kinds(cloud: Cloud) -> list[str]:
    return [event["detail-type"] for event in cloud.events()]


def test_a_job_over_its_budget_is_held_and_nothing_is_sent(cloud: Cloud) -> None:
    job = hold(cloud)
    for _ in range(20):
        cloud.tick(600)
        cloud.deliver_all()
    held = of(cloud, job)
    assert held.state is JobState.HELD
    assert held.reason is not None
    assert "more than its budget of $0.000001 (budget_usd)." in held.reason
    assert f"batchdrop approve {job} - to end it: batchdrop reject {job}" in held.reason
    assert is_unpaid(cloud)


def test_its_event_is_sent_once_and_says_quote_and_budget(cloud: Cloud) -> None:
    job = hold(cloud)
    for _ in range(4):
        cloud.tick(600)
    (event,) = cloud.events()
    assert event["detail-type"] == "Job Held"
    detail = event["detail"]
    assert (detail["job"], detail["status"], detail["manifest"]) == (job, "HELD", None)
    assert detail["reason"] == of(cloud, job).reason
    assert Decimal(detail["quote"]["high_usd"]) > Decimal("0.000001")
    assert detail["budget"] == {
        "budget_usd": "0.000001",
        "monthly_budget_usd": None,
        "folder": None,
        "month": None,
        "committed_usd": None,
    }


def test_its_event_names_a_hundred_models_at_most() -> None:
    lines = [chat("x", number, model=f"openai/unheard-of-{number}") for number in range(150)]
    with new_cloud(split_bytes=len(jsonl(lines)) // 2) as cloud:
        assert cloud.drop(KEY, jsonl(lines), **BUDGET) is not None
        cloud.deliver_all()
        cloud.tick()
        (event,) = cloud.events()
    assert event["detail-type"] == "Job Held"
    assert len(event["detail"]["quote"]["unpriced_models"]) == 100


def test_an_approved_job_is_sent_and_ends_as_any_other(cloud: Cloud) -> None:
    job = hold(cloud)
    cloud.tick()
    assert approve(cloud, job).is_approved
    cloud.settle()
    assert [got(each) for each in cloud.outcome(job).results[:3]] == [wanted(line) for line in LINES[:3]]
    assert kinds(cloud) == ["Job Held", "Job Approved", "Job Completed"]
    assert of(cloud, job).reason is None


def test_a_rejected_job_ends_with_nothing_paid(cloud: Cloud) -> None:
    job = hold(cloud)
    assert reject(cloud, job).state is JobState.PUBLISHING
    cloud.settle()
    manifest = cloud.outcome(job).manifest
    assert (manifest.status, manifest.counts) == ("CANCELLED", None)
    assert manifest.reason == "It was held for its budget, and rejected: nothing was sent."
    assert kinds(cloud) == ["Job Cancelled"]
    assert is_unpaid(cloud)
    assert cloud.keys("work/") == []


def test_a_cancelled_job_that_was_held_ends_with_a_result_for_each_line(cloud: Cloud) -> None:
    job = hold(cloud)
    cancel(cloud, job)
    cloud.settle()
    codes = [each["error"]["code"] for each in cloud.outcome(job).results]
    assert codes == ["cancelled", "cancelled", "cancelled", "invalid_json"]
    assert is_unpaid(cloud)


def test_a_held_job_that_is_too_old_ends_with_nothing_paid(cloud: Cloud) -> None:
    job = hold(cloud, **BUDGET, **{"batchdrop-max_age": "3h"})
    cloud.settle(tick=1_800)
    manifest = cloud.outcome(job).manifest
    assert (manifest.status, manifest.counts) == ("FAILED", None)
    assert manifest.reason == "It was over its budget, and nobody approved it within 3h (max_age)."
    assert is_unpaid(cloud)


def test_a_job_goes_on_once_its_folders_budget_is_raised(cloud: Cloud) -> None:
    cloud.services.files.put(SETTINGS, b"budget_usd = 0.000001")
    job = hold(cloud, **{"batchdrop-priority": "1"})
    cloud.tick()
    cloud.services.files.put(SETTINGS, b"budget_usd = 20")
    cloud.settle()
    assert cloud.outcome(job).manifest.status == "COMPLETED"
    assert kinds(cloud) == ["Job Held", "Job Completed"]


@pytest.mark.parametrize("text", [b"budget_usd = 0", b"not TOML"])
def test_a_held_job_keeps_its_budget_while_the_new_one_has_no_sense(cloud: Cloud, text: bytes) -> None:
    cloud.services.files.put(SETTINGS, b"budget_usd = 0.000001")
    job = hold(cloud, **{"batchdrop-priority": "1"})
    cloud.services.files.put(SETTINGS, text)
    for _ in range(4):
        cloud.tick(600)
    assert of(cloud, job).state is JobState.HELD


def test_a_price_that_nobody_knows_holds_a_job_that_has_a_budget(cloud: Cloud) -> None:
    line = chat("one") | {"model": "gpt-unheard-of"}
    job = cloud.drop(KEY, jsonl([line]), **{"batchdrop-budget_usd": "1000"})
    cloud.deliver_all()
    assert job is not None
    assert of(cloud, job).state is JobState.HELD
    assert of(cloud, job).most_micros is None
    approve(cloud, job)
    cloud.settle()
    assert cloud.outcome(job).manifest.status == "COMPLETED"


DECISIONS: dict[str, Callable[[Cloud, str], Job]] = {"approve": approve, "reject": reject, "cancel": cancel}


@pytest.mark.parametrize("name", DECISIONS)
def test_deciding_twice_is_deciding_once(cloud: Cloud, name: str) -> None:
    job = hold(cloud)
    first = DECISIONS[name](cloud, job)
    assert DECISIONS[name](cloud, job) == first
    cloud.settle()
    if name != "cancel":
        assert DECISIONS[name](cloud, job).state in TERMINAL_JOBS


@pytest.mark.parametrize("second", DECISIONS)
@pytest.mark.parametrize("first", DECISIONS)
def test_whoever_decides_first_wins_and_the_job_ends_once(cloud: Cloud, first: str, second: str) -> None:
    """Until it is sent, an approval may be taken back; whatever comes of it, it is one end, with one event."""
    job = hold(cloud)
    DECISIONS[first](cloud, job)
    try:
        DECISIONS[second](cloud, job)
    except (NotHeld, TooLate):
        assert first != "approve"
        second = first
    cloud.settle()
    assert cloud.outcome(job).manifest.status == ("COMPLETED" if second == "approve" else "CANCELLED")
    assert second == "approve" or is_unpaid(cloud)


@pytest.mark.parametrize("name", ["approve", "reject"])
def test_what_is_not_held_cannot_be_decided(cloud: Cloud, name: str) -> None:
    job = cloud.drop(KEY, jsonl(LINES))
    assert job is not None
    with pytest.raises(NotHeld, match=r"^PLANNING$"):
        DECISIONS[name](cloud, job)
    with pytest.raises(LookupError):
        DECISIONS[name](cloud, "no-such-job")


def test_a_look_with_an_old_row_changes_nothing(cloud: Cloud) -> None:
    """Sweep read the row; then somebody rejected, cancelled or approved it."""
    for decide in DECISIONS.values():
        job = hold(cloud)
        seen = of(cloud, job)
        decided = decide(cloud, job)
        with pytest.raises(ClaimLost):
            check_held_job(seen.with_(is_approved=True), cloud.services)
        assert of(cloud, job) == decided
    cloud.settle()


def test_two_looks_open_a_job_once(cloud: Cloud) -> None:
    job = hold(cloud)
    approved = approve(cloud, job)
    check_held_job(approved, cloud.services)
    opened = of(cloud, job)
    assert opened.state is JobState.RUNNING
    with pytest.raises(ClaimLost):
        check_held_job(approved, cloud.services)
    assert of(cloud, job) == opened
    cloud.settle()
    assert sum(each["requests"] for each in cloud.simulator.charges().values()) == 3


def test_a_job_without_a_budget_is_as_ever(cloud: Cloud) -> None:
    job = cloud.drop(KEY, jsonl(LINES))
    assert job is not None
    assert of(cloud, job).version == 1
    cloud.settle()
    assert (of(cloud, job).budget_ledger, of(cloud, job).reserved_micros) == (None, 0)
    assert [pk for pk, _ in cloud.rows() if pk.startswith("BUDGET")] == []


def test_code_of_before_leaves_a_job_with_a_budget_alone(cloud: Cloud) -> None:
    job = cloud.drop(KEY, jsonl(LINES), **{"batchdrop-budget_usd": "5"})
    assert job is not None
    assert of(cloud, job).version == 2

"""How many calls of AWS a job makes, step by step: exact, so that none is added unseen."""

from collections.abc import Iterator

import pytest
from batchdrop.aws.table_items import encode
from batchdrop.states import BatchState
from faking.cloud import Cloud, cloud, jsonl
from faking.counting import PROVIDER, Calls, counted_job, idle_poll
from faking.lines import chat, claude

LINES = {"openai": chat("one"), "anthropic": claude("one")}


@pytest.fixture
def here() -> Iterator[Cloud]:
    with cloud() as made:
        yield made


def numbers(calls: Calls) -> dict[str, int]:
    """Calls of AWS by step."""
    return {
        step: sum(number for (service, _), number in its.items() if service != PROVIDER) for step, its in calls.items()
    }


def asked(calls: Calls) -> int:
    return sum(number for its in calls.values() for (service, _), number in its.items() if service == PROVIDER)


def test_a_small_job_of_one_provider_makes_these_calls(here: Cloud) -> None:
    counted = counted_job(here, jsonl([LINES["openai"]]))
    assert numbers(counted) == {
        "intake": 8,  # 3 of them learn whose the table is, once a minute
        "plan": 21,
        "submit": 8,
        "poll": 9,
        "collect": 11,
        "assemble": 13,
        "publish": 19,
    }
    assert asked(counted) == 6  # upload, create, retrieve, download, two deletions


def test_no_more_calls_are_made_for_more_lines_of_a_batch(here: Cloud) -> None:
    counted = counted_job(here, jsonl([claude(str(number)) for number in range(200)]))
    assert numbers(counted) == {
        "intake": 8,
        "plan": 20,  # its batches are not counted by the hour
        "submit": 8,
        "poll": 9,
        "collect": 11,
        "assemble": 13,
        "publish": 19,
    }
    assert asked(counted) == 4  # create, retrieve, download, deletion


def test_a_second_provider_adds_its_own_batch_and_nothing_else(here: Cloud) -> None:
    assert numbers(counted_job(here, jsonl([*LINES.values()]))) == {
        "intake": 8,
        "plan": 28,
        "submit": 16,
        "poll": 18,
        "collect": 20,
        "assemble": 16,
        "publish": 19,
    }


def test_a_provider_with_nothing_of_ours_costs_four_calls_a_minute(here: Cloud) -> None:
    assert sum(idle_poll(here, "openai").values()) == 4


def test_a_job_asks_only_its_own_providers_limits(here: Cloud) -> None:
    counted = counted_job(here, jsonl([LINES["anthropic"]]))
    assert counted["plan"]["dynamodb", "Query"] == 3  # its folder's history, what waits, and the ledgers


def test_a_split_that_was_planned_by_a_worker_that_died_is_read_no_more(here: Cloud) -> None:
    job = here.drop("input/x.jsonl", jsonl([LINES["openai"]]))
    assert job is not None
    here.deliver("plan")
    (split,) = here.services.store.splits(job)
    before = here.keys(f"work/{job}/")
    row = here.table.items[f"JOB#{job}", "SPLIT#00000"]
    row |= encode({"state": "PENDING", "epoch": split.epoch + 1})  # as if its last write had been lost
    here.table.items[f"JOB#{job}", "JOB"] |= encode({"state": "PLANNING", "unplanned": 1})
    here.call("plan", {"job": job, "split": 0})
    assert here.keys(f"work/{job}/") == before


def test_batches_of_an_earlier_version_go_their_way(here: Cloud) -> None:
    """Those that wait or are in flight lay in four keys of the index."""
    job = here.drop("input/x.jsonl", jsonl([*LINES.values()]))
    assert job is not None
    while here.deliver("plan"):
        pass
    while here.deliver("submit"):
        pass
    for batch in here.services.store.batches(job):
        assert batch.state is BatchState.IN_FLIGHT
        row = here.table.items[f"JOB#{job}", f"BATCH#{batch.id}"]
        row |= encode({"due_key": f"IN_FLIGHT#{batch.provider}#3"})
    here.settle(tick=120)
    assert here.outcome(job).manifest.status == "COMPLETED"

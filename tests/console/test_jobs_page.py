import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from batchdrop.records import Job, JobSettings
from batchdrop.states import BatchState, JobState
from faking.lines import chat
from faking.rows import a_batch, a_job
from starlette.testclient import TestClient

from batchdrop_cli import jobs
from batchdrop_console import job_list

if TYPE_CHECKING:
    from conftest import World

Add = Callable[..., Job]


@pytest.fixture
def add(world: "World") -> Add:
    """A job that was dropped at so many seconds of a day, which is today unless it is named."""

    def add_(number: int, day: str = jobs.last_days(1)[0], **changes: object) -> Job:
        id_ = f"{day}T{number // 3600:02}{number // 60 % 60:02}{number % 60:02}Z-{number:010x}"
        job = a_job(job=id_, **({"state": JobState.RUNNING, "key": f"input/mine/{number}.jsonl"} | changes))
        world.cloud.services.store.add(job)
        return job

    return add_


def listed(page: str) -> list[str]:
    return re.findall(r'<li id="job-([^"]+)"', page)


def test_jobs_are_listed_newest_first_a_page_at_a_time(browser: TestClient, add: Add) -> None:
    ids = [add(number).id for number in range(job_list.PAGE + 3)][::-1]
    first = browser.get("/")
    assert listed(first.text) == ids[: job_list.PAGE]
    (older,) = re.findall(r'id="older" href="([^"]+)"', first.text)
    second = browser.get(older.replace("&amp;", "&"))
    assert listed(second.text) == ids[job_list.PAGE :]
    assert 'id="older"' not in second.text
    assert f"{len(ids)} jobs in the last 35 days" in browser.get("/jobs").text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, {"a", "b", "c"}),
        ({"text": "HOP/re"}, {"a"}),
        ({"text": "rubric"}, {"b"}),
        ({"text": "too dear"}, {"b"}),
        ({"folder": "shop"}, {"a"}),
        ({"folder": "/shop/"}, {"a"}),
        ({"folder": "input/shop"}, {"a"}),
        ({"folder": "input/"}, {"a", "b", "c"}),
        ({"folder": "sho"}, set()),
        ({"state": "HELD"}, {"b"}),
        ({"state": "ACTIVE"}, {"a", "b"}),
        ({"state": "nonsense"}, {"a", "b", "c"}),
        ({"state": "FAILED", "folder": "shop"}, set()),
        ({"day": "2020-01-01"}, set()),
        ({"day": "not a day"}, {"a", "b", "c"}),
        ({"before": "not a job"}, {"a", "b", "c"}),
    ],
)
def test_a_filter_takes_what_it_says(browser: TestClient, add: Add, query: dict[str, str], found: set[str]) -> None:
    names = {
        add(1, key="input/shop/reviews.jsonl").id: "a",
        add(2, state=JobState.HELD, reason="Too dear.", settings=JobSettings(summary="The rubric")).id: "b",
        add(3, state=JobState.FAILED).id: "c",
    }
    assert {names[each] for each in listed(browser.get("/", params=query).text)} == found


def test_a_filter_looks_at_a_bounded_number_of_rows_and_offers_to_go_on(
    browser: TestClient, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_list, "_MOST_SEARCHED", 4)
    wanted = add(1, key="input/rare.jsonl")
    for number in range(2, 8):
        add(number)
    first = browser.get("/", params={"text": "rare"}).text
    assert listed(first) == []
    assert "No such job among the 4 that were looked at." in first
    (further,) = re.findall(r'id="older" href="([^"]+)"', first)
    assert listed(browser.get(further.replace("&amp;", "&")).text) == [wanted.id]


def test_the_count_is_bounded(browser: TestClient, add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_list, "MOST_COUNTED", 2)
    for number in range(3):
        add(number)
    assert "2+ jobs in the last 35 days" in browser.get("/jobs").text


@pytest.mark.parametrize("back", [0, 1])
@pytest.mark.parametrize("address", ["/?", "/jobs?", "/?day={day}", "/jobs?day={day}"])
def test_every_job_is_reached_however_many_there_are(
    world: "World", add: Add, monkeypatch: pytest.MonkeyPatch, back: int, address: str
) -> None:
    monkeypatch.setattr(job_list, "MOST_COUNTED", 2)
    monkeypatch.setattr(job_list, "PAGE", 2)
    day = jobs.last_days(2)[back]
    ids = [add(number, day=day).id for number in range(9)][::-1]
    path, query = address.format(day=f"{day[:4]}-{day[4:6]}-{day[6:]}").split("?")
    found = list[str]()
    with world.browser() as browser:
        for _ in range(9):
            page = browser.get(f"{path}?{query}").text
            found += listed(page)
            older = re.search(r'id="older" href="/\?([^"]+)"', page)
            if older is None:
                break
            query = older[1].replace("&amp;", "&")
    assert found == ids


def test_the_first_paint_reads_neither_manifests_nor_batches_and_the_list_that_follows_does(
    world: "World", add: Add
) -> None:
    over = world.cloud.run("input/over.jsonl", [chat("hi", "r")]).manifest
    running = add(86_399)
    world.cloud.services.store.add(a_batch(job=running.id, state=BatchState.COLLECTED, requests=30))
    world.cloud.services.store.add(a_batch(1, job=running.id, requests=10))
    with world.browser() as browser:
        first, full = browser.get("/").text, browser.get("/jobs").text
        again = browser.get("/").text
    assert "answered" not in first
    assert "ended</span>" not in first
    assert "30 of 40 ended" in full
    assert "<b>1</b> answered" in full
    assert over.money is not None
    assert "<b>1</b> answered" in again  # what is over does not change: it is known by now


def test_a_job_of_newer_code_is_named_and_the_others_are_listed(world: "World", add: Add, browser: TestClient) -> None:
    newer, other = add(1), add(2)
    world.cloud.table.items["JOB#" + newer.id, "JOB"]["version"] = {"N": "999"}
    page = browser.get("/").text
    assert listed(page) == [other.id]
    assert f"Job {newer.id} was written by a newer version of batchdrop" in page


def test_an_empty_table_says_what_to_do(browser: TestClient) -> None:
    assert "No file was dropped in the last 35 days." in browser.get("/").text

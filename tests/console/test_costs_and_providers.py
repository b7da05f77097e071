import re
from datetime import UTC, datetime
from html import unescape
from typing import TYPE_CHECKING

import msgspec
import pytest
from batchdrop.batches.completion_times import DayOfTimes, bin_of, count_completion, usual_seconds
from batchdrop.pause_codes import PauseCode
from batchdrop.states import BatchState
from faking.lines import capped
from faking.rows import a_batch
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from batchdrop_cli.costs import costs_by, costs_of
from batchdrop_console.pages import money, size
from batchdrop_console.providers_page import duration

if TYPE_CHECKING:
    from conftest import World


def test_costs_are_those_of_the_command_with_a_place_for_each_day(world: "World") -> None:
    world.cloud.run("input/mine/a.jsonl", [capped("q", n) for n in range(3)])
    today = datetime.now(UTC).date()
    cloud = world.console().cloud
    with world.browser() as browser:
        page, sums = browser.get("/costs").text, browser.get("/costs/sums?days=7").text
    assert 'data-hx-get="/costs/sums?days=30"' in page
    (data,) = re.findall(r'data-series="([^"]+)"', sums)
    days, spent, saved = msgspec.json.decode(unescape(data))
    total = costs_of(cloud, "day", today).total
    assert (len(days), spent, saved) == (7, [*[None] * 6, float(total.cost_usd)], [*[None] * 6, float(total.saved_usd)])
    assert spent[-1] > 0
    for name in ("input/mine/", "openai/gpt-4o-mini", today.isoformat()):
        assert f'<th scope="row">{name}</th>' in sums


def test_several_ways_to_sum_up_take_one_look_and_agree_with_each_alone(world: "World") -> None:
    world.cloud.run("input/mine/a.jsonl", [capped("q", n) for n in range(3)])
    cloud, today = world.console().cloud, datetime.now(UTC).date()
    ways = ["day", "folder", "model"]
    assert costs_by(cloud, ways, today) == [costs_of(cloud, each, today) for each in ways]  # type: ignore[arg-type]


def test_no_finished_job_costs_nothing(browser: TestClient) -> None:
    assert "No job that was dropped in these 30 days" in browser.get("/costs/sums?days=nonsense").text


def test_a_provider_says_whether_it_takes_batches_how_full_it_is_and_how_long_they_take(
    world: "World", browser: TestClient
) -> None:
    store, now = world.cloud.services.store, world.cloud.clock.seconds()
    for number in range(10):
        took = 600 if number < 9 else 7_200
        batch = a_batch(state=BatchState.ENDED, submitted_at=now - took, ended_at=now, ended_as="completed")
        count_completion(batch, store.providers)
    store.providers.set_pause("anthropic", "no credit", now + 500, code=PauseCode.ACCOUNT_REFUSED)
    store.providers.learn_limit("openai/gpt-4o", 90_000, now + 500)
    page = browser.get("/providers").text
    assert "anthropic: no credit. Retried automatically." in page
    assert "0 of 90,000 tokens in use (0 %)" in page
    (row,) = re.findall(r'<th scope="row">gpt-4o</th>(.+?)</tr>', page)
    assert re.findall(r">([^<]+)</td>", row) == ["10", "11 min", "11 min"]


def test_a_provider_shows_its_pauses_and_what_ended_them(world: "World", browser: TestClient) -> None:
    providers, clock = world.cloud.services.store.providers, world.cloud.clock
    for code in (PauseCode.CALLS_FAILED, "of_newer_code"):
        providers.set_pause("openai", "their words", clock.seconds() + 300, code=code)
        clock.now += 600
        providers.end_pause("openai")
    providers.set_pause("openai", "no key", clock.seconds() + 300, code=PauseCode.NO_KEY)
    rows = re.findall(r"<tr><th scope=\"row\">(.+?)</tr>", browser.get("/providers").text)
    cells = [re.findall(r"<td>(.*?)</td>", row) for row in rows]
    assert [each[:2] for each in cells] == [
        ["it has no key", "no batch"],
        ["of_newer_code", "no batch"],
        ["calls in a row failed", "no batch"],
    ]
    assert cells[0][2] == "it lasts"
    assert rows[0].startswith(cells[1][2])  # it began as that one ended


@given(st.lists(st.integers(1, 10**6), min_size=1))
def test_half_of_the_batches_ended_within_the_time_that_is_said(took: list[int]) -> None:
    days = [DayOfTimes(day="20261127", size=1, model="m", bins={bin_of(each): 1}) for each in took]
    half, most = usual_seconds(days, (0.5, 0.9))
    assert sum(bin_of(each) <= bin_of(int(half)) for each in took) * 2 >= len(took)
    assert half <= most


def test_of_no_batch_no_time_is_said() -> None:
    assert usual_seconds([], (0.5,)) == []


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(45.4, "45 s"), (119, "119 s"), (120, "2 min"), (3_570, "1 h"), (3_600, "1 h"), (6_000, "1 h 40 min")],
)
def test_a_time_is_as_exact_as_its_counts(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("dollars", "said"),
    [(None, "–"), ("0", "$0.00"), ("0.0000824", "$0.000082"), ("0.004217", "$0.0042"), ("1234.5", "$1,234.50")],  # noqa: RUF001
)
def test_money_has_as_many_digits_as_tell_something(dollars: str | None, said: str) -> None:
    assert money(dollars) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1_000, "1.0 kB"),
        (91_234, "91 kB"),
        (4_812_331, "4.8 MB"),
        (10**15, "1000.0 TB"),
    ],
)
def test_a_size_is_said_as_people_say_it(count: int, said: str) -> None:
    assert size(count) == said

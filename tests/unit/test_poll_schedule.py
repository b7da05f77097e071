"""How often, and in which order, batches are asked for."""

import pytest
from batchdrop.aws.leases import Lease
from batchdrop.aws.table import Due
from batchdrop.batches.poll_schedule import (
    in_turn,
    is_asked,
    is_confirmed,
    page_before,
    plan_poll,
    singly_after,
    usual_after,
)
from hypothesis import given
from hypothesis import strategies as st


def rounds(age: int, start: int, tick: int, count: int, usual: int = 0) -> list[int]:
    """The rounds, counted from 0, in which a batch that stays at this age is asked for."""
    times = [start + number * tick for number in range(count)]
    return [number for number, now in enumerate(times) if is_asked(age, now, now - tick, usual)]


def due(batch_id: str, submitted_at: int) -> Due:
    return Due(job="j", sk="BATCH#00000-0-0000", due_at=0, batch_id=batch_id, submitted_at=submitted_at)


@pytest.mark.parametrize("tick", [2, 60])
@pytest.mark.parametrize("start", [0, 1, 59, 1_800_000_000])
def test_a_young_batch_is_asked_for_in_every_round(start: int, tick: int) -> None:
    assert rounds(15 * tick, start, tick, 10) == list(range(10))


@given(st.integers(0, 2_000_000_000), st.sampled_from([1, 2, 7, 60, 61]))
def test_a_batch_that_ages_is_asked_for_each_fifteenth_of_its_age_and_little_oftener(start: int, tick: int) -> None:
    looks, seen = [], 0
    for age in range(tick, 15_000, tick):
        if is_asked(age, start + age, start + age - tick):
            assert age - seen <= max(age // 15, tick) + tick
            seen = age
            looks.append(age)
    old = [each for each in looks if each >= 1_800]
    assert len(old) <= sum(tick / min(age / 30, 600) for age in range(1_800, 15_000, tick)) + 2


@given(st.integers(0, 2_000_000_000), st.sampled_from([2, 60]))
def test_a_batch_that_ages_is_asked_for_by_its_id_each_third_of_its_age(start: int, tick: int) -> None:
    seen = 0
    for age in range(tick, 30_000, tick):
        if is_confirmed(age, start + age, start + age - tick):
            seen = age
        assert age - max(seen, 900) <= max(age // 3, tick) + tick


@pytest.mark.parametrize(
    ("age", "every"), [(7_200, 5), (8_000, 1), (10_000, 1), (12_000, 1), (12_060, 10), (20_000, 10)]
)
def test_a_batch_near_the_age_at_which_batches_usually_end_is_asked_for_in_every_round(age: int, every: int) -> None:
    found = rounds(age, 1_800_000_000, 60, 60, usual=10_000)
    assert found == list(range(found[0], 60, every))


def test_what_is_usual_follows_what_batches_take() -> None:
    usual = usual_after(0, 600)
    assert usual == 600
    for _ in range(40):
        usual = usual_after(usual, 3_600)
    assert 3_500 < usual <= 3_600


@given(st.integers(0, 200_000), st.integers(0, 2_000_000_000), st.integers(601, 90_000), st.integers(0, 90_000))
def test_a_round_that_was_late_asks_for_every_batch(age: int, last: int, pause: int, usual: int) -> None:
    assert is_asked(age, last + pause, last, usual)


@given(st.integers(0, 200_000), st.integers(0, 2_000_000_000), st.sampled_from([1, 2, 7, 60, 61]))
def test_no_batch_waits_longer_than_ten_minutes_and_a_round(age: int, start: int, tick: int) -> None:
    longest = 600 // tick + 1
    assert rounds(age, start, tick, longest)


NEW, MID, OLD = due("new", 30), due("mid", 20), due("old", 10)


@pytest.mark.parametrize(
    ("cut_at", "order"),
    [
        (None, [NEW, MID, OLD]),
        (99, [NEW, MID, OLD]),
        (20, [MID, OLD, NEW]),
        (19, [OLD, NEW, MID]),
        (5, [NEW, MID, OLD]),
    ],
)
def test_the_newest_come_first_or_those_behind_the_cut_of_the_round_before(
    cut_at: int | None, order: list[Due]
) -> None:
    assert in_turn([MID, OLD, NEW], cut_at) == order


def test_a_page_begins_behind_the_batch_before_also_where_a_round_goes_on() -> None:
    assert [page_before([NEW, MID, OLD], place) for place in range(3)] == [None, "new", "mid"]
    assert [page_before([MID, OLD, NEW], place) for place in range(3)] == ["new", "mid", None]
    assert page_before([NEW], 0) is None


def test_a_page_of_the_same_second_begins_behind_the_batch_before() -> None:
    same = [due("a", 10), due("b", 10)]
    assert [page_before(same, place) for place in range(2)] == [None, "a"]


def test_pages_are_tried_ever_more_seldom_while_they_are_worth_no_more_than_a_batch() -> None:
    lean, tried = 0, []
    for _ in range(4):
        lean = singly_after(1, lean)
        tried.append(lean)
    assert (tried, singly_after(2, lean)) == ([1, 3, 7, 15], 0)


def confirmed(age: int, count: int, usual: int = 0) -> list[int]:
    """The rounds, a minute apart, in which a batch of this age is asked for by its id."""
    times = [1_800_000_000 + 60 * number for number in range(count)]
    return [number for number, now in enumerate(times) if is_confirmed(age, now, now - 60, usual)]


@pytest.mark.parametrize(("age", "usual"), [(0, 0), (900, 0), (60, 60), (3_600, 3_600), (86_400, 90_000)])
def test_a_list_is_believed_of_a_batch_that_is_no_older_than_usual(age: int, usual: int) -> None:
    assert confirmed(age, 600, usual) == []


@pytest.mark.parametrize(
    ("age", "usual", "every"),
    [(240, 200, 1), (2_700, 0, 15), (7_200, 3_600, 30), (28_800, 3_600, 120), (900_000, 0, 120)],
)
def test_an_older_batch_is_asked_for_by_its_id_now_and_then(age: int, usual: int, every: int) -> None:
    found = confirmed(age, 600, usual)
    assert found == list(range(found[0], 600, every))


HOUR = 3_600
NOW = 1_800_000_137  # no interval of those batches that are long in flight begins in the minute before
LAST = Lease(name="poll#openai", until=NOW, last=NOW - 60, usual=HOUR)


def planned(*ages: int, due_at: int = 0, lease: Lease = LAST) -> tuple[set[str], set[str]]:
    """The ages of those that are asked for, and of those that no list is believed about."""
    in_flight = [
        Due(job="j", sk="BATCH#00000-0-0000", due_at=due_at, batch_id=f"{age}", submitted_at=NOW - age) for age in ages
    ]
    plan = plan_poll(in_flight, lease, overdue_after=26 * HOUR, now=NOW)
    return set(plan.asked), set(plan.confirmed)


@pytest.mark.parametrize(
    ("ages", "asked", "confirmed"),
    [
        ((), set(), set()),
        ((10,), {"10"}, set()),
        ((HOUR,), {"3600"}, set()),  # what batches usually take
        ((7_201,), set(), set()),  # neither young nor near that: in its own interval
        ((10, 7_201), {"10"}, set()),
        ((26 * HOUR,), set(), set()),
        ((7_201, 26 * HOUR, HOUR), {"3600"}, set()),
    ],
)
def test_a_round_asks_for_those_whose_time_it_is_and_for_the_newest_with_them(
    ages: tuple[int, ...], asked: set[str], confirmed: set[str]
) -> None:
    found_asked, found_confirmed = planned(*ages)
    assert (found_asked, found_confirmed & found_asked) == (asked, confirmed)


def test_a_round_that_asks_for_old_ones_asks_for_the_newest_too_and_believes_no_list_of_those_overdue() -> None:
    late = Lease(name="poll#openai", until=NOW, last=NOW - HOUR, usual=HOUR)
    assert planned(26 * HOUR, lease=late) == ({"93600"}, {"93600"})
    at_the_hour = Lease(name="poll#openai", until=NOW, last=NOW - 150, usual=10 * HOUR)
    assert planned(7_201, 9 * HOUR, 26 * HOUR - 1, lease=at_the_hour) == ({"7201", "32400", "93599"}, {"93599"})


def test_what_failed_lately_is_not_asked_for() -> None:
    assert planned(10, due_at=NOW + 1) == (set(), set())


def test_a_round_goes_on_where_the_one_before_was_cut() -> None:
    lease = Lease(name="poll#openai", until=NOW, last=NOW - 60, cut_at=NOW - 20)
    in_flight = [due("10", NOW - 10), due("20", NOW - 20)]
    plan = plan_poll(in_flight, lease, overdue_after=HOUR, now=NOW)
    assert [each.batch_id for each in plan.turn] == ["20", "10"]

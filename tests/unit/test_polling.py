"""How often a batch is asked for."""

import pytest
from batchdrop.poll import is_asked
from hypothesis import given
from hypothesis import strategies as st


def rounds(age: int, start: int, tick: int, count: int) -> list[int]:
    """The rounds, counted from 0, in which a batch that stays at this age is asked for."""
    return [number for number in range(count) if is_asked(age, start + number * tick, start + (number - 1) * tick)]


@pytest.mark.parametrize("tick", [2, 60])
@pytest.mark.parametrize("start", [0, 1, 59, 1_800_000_000])
def test_a_young_batch_is_asked_for_in_every_round(start: int, tick: int) -> None:
    assert rounds(20 * tick, start, tick, 10) == list(range(10))


@pytest.mark.parametrize(
    ("age", "every"),
    [(0, 1), (1_200, 1), (2_400, 2), (3_600, 3), (7_200, 6), (12_000, 10), (86_400, 10), (900_000, 10)],
)
def test_an_older_batch_is_asked_for_about_every_twentieth_of_its_age_at_most_every_ten_minutes(
    age: int, every: int
) -> None:
    found = rounds(age, 1_800_000_000, 60, 60)
    assert found == list(range(found[0], 60, every))


@given(st.integers(0, 200_000), st.integers(0, 2_000_000_000), st.integers(601, 90_000))
def test_a_round_that_was_late_asks_for_every_batch(age: int, last: int, pause: int) -> None:
    assert is_asked(age, last + pause, last)


@given(st.integers(0, 200_000), st.integers(0, 2_000_000_000), st.sampled_from([1, 2, 7, 60, 61]))
def test_no_batch_waits_longer_than_ten_minutes_and_a_round(age: int, start: int, tick: int) -> None:
    longest = 600 // tick + 1
    assert rounds(age, start, tick, longest)

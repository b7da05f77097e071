"""How long batches took: bins that lie a fifth apart, days that count less as they pass, and what is left of one."""

from datetime import UTC, datetime

import pytest
from batchdrop.batches.completion_times import Confidence, DayOfTimes, Times, bin_of, size_of, times_like
from faking.rows import NOW, a_batch
from hypothesis import given
from hypothesis import strategies as st

TODAY = datetime.fromtimestamp(NOW, UTC).strftime("%Y%m%d")
HOUR = 3_600
WIDTH = 2**0.25  # of a bin: from its start to its end


def a_day(*seconds: int, day: str = TODAY, requests: int = 5, model: str = "gpt-4o") -> DayOfTimes:
    bins = [bin_of(each) for each in seconds]
    return DayOfTimes(day=day, size=size_of(requests), model=model, bins={each: bins.count(each) for each in bins})


def like(*days: DayOfTimes, **fields: object) -> Times:
    found = times_like(a_batch(**fields), days, now=NOW)
    assert found is not None
    return found


@given(seconds=st.integers(1, 30 * 86_400))
def test_what_one_batch_took_is_told_to_within_a_bin(seconds: int) -> None:
    low, high = like(a_day(seconds)).left(0) or (-1.0, -1.0)
    longest = 30 * 2 ** (62 / 4)  # seconds: the last bin has no end of its own
    assert low <= seconds
    assert seconds <= high or seconds > longest
    assert high <= max(30, low * WIDTH * 1.000001)


@given(shorter=st.integers(1, 10**6), longer=st.integers(1, 10**6))
def test_a_longer_time_is_never_in_an_earlier_bin(shorter: int, longer: int) -> None:
    shorter, longer = sorted((shorter, longer))
    assert bin_of(shorter) <= bin_of(longer)


def test_eight_of_ten_lie_between_the_two_figures() -> None:
    low, high = like(a_day(*[60] * 10, *[HOUR] * 80, *[10 * HOUR] * 10)).left(0) or (0, 0)
    assert low <= HOUR <= high
    assert high < 2 * HOUR
    low, high = like(a_day(*[60] * 11, *[HOUR] * 78, *[10 * HOUR] * 11)).left(0) or (0, 0)
    assert low <= 60
    assert high >= 10 * HOUR


def test_of_a_batch_that_runs_only_longer_ones_count() -> None:
    times = like(a_day(*[60] * 90, *[10 * HOUR] * 10))
    low, high = times.left(2 * HOUR) or (0, 0)
    assert low <= 8 * HOUR <= high
    assert times.left(20 * HOUR) is None


def test_a_batch_never_ends_before_now() -> None:
    low, high = like(a_day(HOUR)).left(HOUR) or (-1, -1)
    assert 0 <= low <= high


def test_a_day_counts_a_tenth_less_than_the_next_one() -> None:
    times = like(a_day(60, 60, day="20270101"), a_day(HOUR, day=TODAY))
    assert TODAY == "20270115"
    assert times.weights == {bin_of(60): pytest.approx(2 * 0.9**14), bin_of(HOUR): 1}


def test_batches_of_the_same_model_and_size_go_before_those_of_the_model_and_those_before_all() -> None:
    days = [a_day(60), a_day(HOUR, requests=5_000), a_day(10 * HOUR, model="gpt-4o-mini")]
    assert [*like(*days).weights] == [bin_of(60)]
    assert set(like(*days, requests=100).weights) == {bin_of(60), bin_of(HOUR)}
    assert len(like(*days, model="o3").weights) == 3
    assert times_like(a_batch(), [], now=NOW) is None


@pytest.mark.parametrize(
    ("batches", "requests", "confidence"),
    [
        (2, 5, Confidence.LOW),
        (3, 5, Confidence.MEDIUM),
        (19, 5, Confidence.MEDIUM),
        (20, 5, Confidence.HIGH),
        (20, 500, Confidence.LOW),  # of another size
    ],
)
def test_many_batches_of_its_kind_make_confident(batches: int, requests: int, confidence: Confidence) -> None:
    assert like(a_day(*[60] * batches), requests=requests).confidence is confidence

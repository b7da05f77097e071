"""When a job's batches will have ended: those that run, then those that wait, as many at a time as the limit holds."""

from batchdrop.batches.completion_times import Confidence, DayOfTimes, bin_of
from batchdrop.batches.forecast import Forecast, forecast
from batchdrop.records import Batch
from batchdrop.states import OPEN_BATCHES, BatchState
from faking.rows import NOW, a_batch
from hypothesis import given
from hypothesis import strategies as st

HOUR = 3_600
DAYS = {"openai": [DayOfTimes(day="20270115", size=1, model="gpt-4o", bins={bin_of(HOUR): 30})]}


def running(minutes: int = 0, number: int = 0, **changes: object) -> Batch:
    return a_batch(number, BatchState.IN_FLIGHT, submitted_at=NOW - 60 * minutes, **changes)


def found(*batches: Batch, limit: int = 10**6) -> Forecast | None:
    return forecast(batches, DAYS, {"openai/gpt-4o": limit}, now=NOW)


def span(*batches: Batch, limit: int = 10**6) -> tuple[int, int]:
    told = found(*batches, limit=limit)
    assert told is not None
    return told.low - NOW, told.high - NOW


def test_a_batch_that_was_just_sent_takes_as_long_as_others_took() -> None:
    low, high = span(running())
    assert low <= HOUR <= high
    assert high - low < HOUR // 4


def test_what_has_passed_is_taken_off() -> None:
    (low, high), (later_low, later_high) = span(running()), span(running(30))
    assert (low - later_low, high - later_high) == (1_800, 1_800)


def test_the_last_batch_counts() -> None:
    assert span(running(30), running(10, 1), running(50, 2)) == span(running(10))


def test_batches_that_wait_come_after_those_that_run() -> None:
    alone, waiting = span(running()), span(running(), a_batch(1))
    assert waiting[0] == alone[0]  # it may be admitted at once
    assert waiting[1] == 2 * alone[1] or waiting[1] == 2 * alone[1] + 1


def test_as_many_wait_at_a_time_as_the_limit_holds() -> None:
    queue = [a_batch(number) for number in range(4)]  # of 150 tokens each
    assert span(*queue) == span(queue[0])
    twice = span(*queue, limit=300)
    assert twice[1] in {2 * span(queue[0])[1], 2 * span(queue[0])[1] + 1}


def test_a_batch_that_runs_longer_than_any_did_may_take_as_long_again_and_is_uncertain() -> None:
    told = found(running(180))
    assert told == Forecast(low=NOW, high=NOW + 3 * HOUR, confidence=Confidence.LOW)


def test_the_least_certain_batch_makes_the_whole_uncertain() -> None:
    assert [found(running()).confidence, found(running(), running(requests=500)).confidence] == [  # type: ignore[union-attr]
        Confidence.HIGH,
        Confidence.LOW,
    ]


def test_nothing_is_said_where_nothing_runs_or_a_providers_batches_are_unknown() -> None:
    assert found() is None
    assert found(a_batch(state=BatchState.COLLECTED), a_batch(1, BatchState.ENDED)) is None
    assert found(running(), running(provider="anthropic", ledger="anthropic")) is None


@given(
    batches=st.lists(
        st.tuples(st.sampled_from(sorted(OPEN_BATCHES)), st.integers(0, 10**6), st.integers(1, 10**5)), min_size=1
    ),
    limit=st.integers(0, 10**6),
)
def test_the_end_is_never_before_now_nor_the_earliest_after_the_latest(
    batches: list[tuple[BatchState, int, int]], limit: int
) -> None:
    rows = [
        a_batch(number, state, submitted_at=NOW - age if state is BatchState.IN_FLIGHT else None, requests=requests)
        for number, (state, age, requests) in enumerate(batches)
    ]
    told = found(*rows, limit=limit)
    if told is not None:
        assert NOW <= told.low <= told.high

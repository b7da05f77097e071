from itertools import pairwise

import pytest
from batchdrop.outputs.timeline import MOST_LANES, Kind, Mark, Segment, timeline
from batchdrop.records import Batch
from batchdrop.states import BatchState, JobState
from faking.rows import NOW, a_batch, a_job
from hypothesis import given
from hypothesis import strategies as st

JOB = a_job(state=JobState.RUNNING, dropped_at=NOW)
END = NOW + 1_000
ENDED = {"submitted_at": NOW, "ended_at": NOW + 500}
MOMENTS = st.none() | st.integers(-50, 3_000)


def segments_of(batch: Batch) -> list[tuple[Kind, float, float]]:
    (lane,) = timeline(JOB, [batch], None, now=END).lanes
    return [(each.kind, each.left, each.width) for each in lane.segments]


@pytest.mark.parametrize(
    ("batch", "segments"),
    [
        (a_batch(), [(Kind.WAITING, 0, 100)]),
        (a_batch(state=BatchState.IN_FLIGHT, submitted_at=NOW + 250), [(Kind.WAITING, 0, 25), (Kind.FLYING, 25, 75)]),
        (
            a_batch(state=BatchState.ENDED, submitted_at=NOW + 250, ended_at=NOW + 750),
            [(Kind.WAITING, 0, 25), (Kind.FLYING, 25, 50), (Kind.COLLECTING, 75, 25)],
        ),
        (
            a_batch(state=BatchState.COLLECTED, submitted_at=NOW + 250, ended_at=NOW + 750),
            [(Kind.WAITING, 0, 25), (Kind.FLYING, 25, 50)],
        ),
        (a_batch(state=BatchState.IN_FLIGHT, submitted_at=NOW), [(Kind.FLYING, 0, 100)]),
    ],
)
def test_a_lane_says_when_a_batch_waited_and_flew(batch: Batch, segments: list[tuple[Kind, float, float]]) -> None:
    assert segments_of(batch) == segments


def test_a_round_begins_with_the_end_of_the_one_before_it_in_its_split() -> None:
    first = a_batch(0, BatchState.COLLECTED, **ENDED, again=2)
    other = a_batch(1, BatchState.COLLECTED, split=1, submitted_at=NOW, ended_at=NOW + 900)
    second = a_batch(2, BatchState.IN_FLIGHT, round=1, submitted_at=NOW + 600)
    lanes = timeline(JOB, [first, other, second], None, now=END).lanes
    assert lanes[2].segments[0] == Segment(
        kind=Kind.WAITING, left=50, width=10, words="waiting from 2027-01-15T08:08:20Z to 2027-01-15T08:10:00Z"
    )
    assert (lanes[2].label, lanes[2].batches) == ("gpt-4o · 5 requests · round 2", [second.id])


@pytest.mark.parametrize(
    ("batch", "marks"),
    [
        (a_batch(), []),
        (
            a_batch(state=BatchState.COLLECTED, **ENDED, ended_as="completed"),
            ["collected 2027-01-15T08:08:20Z"],
        ),
        (a_batch(state=BatchState.COLLECTED, **ENDED, ended_as="expired"), ["expired"]),
        (a_batch(state=BatchState.COLLECTED, **ENDED, again=3), ["3 requests sent again"]),
        (a_batch(state=BatchState.FAILED), ["given up"]),
        (a_batch(refusals=2), ["refused 2 times"]),
        (
            a_batch(state=BatchState.ENDED, **ENDED, ended_as="failed"),
            ["failed at the provider"],
        ),
    ],
)
def test_ends_and_faults_are_marked_with_their_words(batch: Batch, marks: list[str]) -> None:
    (lane,) = timeline(JOB, [batch], None, now=END).lanes
    assert [each.words for each in lane.marks] == marks
    assert [each.is_fault for each in lane.marks] == [not each.startswith("collected") for each in marks]
    assert all(isinstance(each, Mark) for each in lane.marks)


def test_many_batches_share_a_lane_with_those_that_are_alike() -> None:
    batches = [a_batch(number, model=f"m{number % 3}") for number in range(300)]
    found = timeline(JOB, batches, None, now=END)
    assert [each.label for each in found.lanes] == [f"m{n} · 100 batches · 500 requests" for n in range(3)]
    assert found.left_out == 0


def test_lanes_are_bounded_and_what_has_none_is_counted() -> None:
    batches = [a_batch(number, model=f"m{number:03}") for number in range(MOST_LANES + 8)]
    found = timeline(JOB, batches, None, now=END)
    assert (len(found.lanes), found.left_out) == (MOST_LANES, 8)


def test_a_job_whose_rows_are_gone_shows_its_phases() -> None:
    job = JOB.with_(
        state=JobState.COMPLETED, first_submitted_at=NOW + 100, last_ended_at=NOW + 800, published_at=NOW + 1_000
    )
    found = timeline(job, [], None, now=NOW + 10**6)
    assert [(lane.label, lane.segments[0].left, lane.segments[0].width) for lane in found.lanes] == [
        ("read, checked and queued", 0, 10),
        ("at the providers", 10, 70),
        ("collected and put in order", 80, 20),
    ]
    assert found.now is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(BatchState), st.none() | st.integers(-50, 2_000), st.none() | st.integers(-50, 3_000)
        ),
        max_size=40,
    )
)
def test_nothing_is_drawn_outside_of_the_picture(rows: list[tuple[BatchState, int | None, int | None]]) -> None:
    batches = [
        a_batch(number, state, submitted_at=sent and NOW + sent, ended_at=ended and NOW + ended)
        for number, (state, sent, ended) in enumerate(rows)
    ]
    found = timeline(JOB, batches, None, now=END)
    for lane in found.lanes:
        assert all(0 <= each.left <= 100 and 0 < each.width <= 100 for each in lane.segments)
        assert all(0 <= each.left <= 100 for each in lane.marks)
    assert all(one[0] < other[0] for one, other in pairwise(found.ticks))

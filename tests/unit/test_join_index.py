"""Which batch speaks for a line: a table of what was found of it, batch by batch."""

import pytest
from batchdrop.batches.result_index import Found
from batchdrop.outputs.join_index import NO_BATCH, JoinIndex

A, R, N, U = Found.ANSWERED, Found.RETRYABLE, Found.NOTHING, Found.UNREADABLE
M, C = Found.MISFIT, Found.CUT_OFF


@pytest.mark.parametrize(
    ("found", "duplicates", "speaks"),
    [
        ([], set(), NO_BATCH),
        ([N], set(), 0),
        ([A], set(), 0),
        ([R, A], set(), 1),
        ([A, R], set(), 0),
        ([A, A], set(), 0),
        ([R, R], set(), 1),
        ([R, N], set(), 1),
        ([U, R], set(), 1),
        ([R, R, A, R], set(), 2),
        ([R, A], {1}, 1),
        ([R, R], {1}, 0),
        ([R, N], {1}, 0),
        ([N], {0}, NO_BATCH),
        ([A], {0}, 0),
        ([R, A, R], {0}, 1),
        ([M, A], set(), 1),
        ([A, M], set(), 0),
        ([M, M], set(), 1),
        ([M, C], set(), 1),
        ([M, R], set(), 0),
        ([R, M, N], set(), 1),
        ([M, M], {1}, 0),
        ([M, A], {1}, 1),
        ([M], {0}, NO_BATCH),
    ],
)
def test_an_answer_speaks_before_a_misfit_and_that_before_an_error_and_the_last_before_others(
    found: list[Found], duplicates: set[int], speaks: int
) -> None:
    join = JoinIndex(2)
    for number, each in enumerate(found):
        join.add([1], [each], is_duplicate=number in duplicates)
    assert (join.batches[0], join.batches[1]) == (NO_BATCH, speaks)


@pytest.mark.parametrize(
    ("found", "duplicates", "unused"),
    [
        ([A], set(), []),
        ([R, A], set(), []),
        ([A, A], set(), [(1, 0)]),
        ([M, A], set(), [(0, 0)]),
        ([M, C, A], set(), [(0, 0), (1, 0)]),
        ([M, R], set(), []),
        ([M, M], {1}, [(1, 0)]),
        ([M], {0}, [(0, 0)]),
    ],
)
def test_what_was_paid_and_does_not_speak_is_told(
    found: list[Found], duplicates: set[int], unused: list[tuple[int, int]]
) -> None:
    join = JoinIndex(1)
    for number, each in enumerate(found):
        join.add([0], [each], is_duplicate=number in duplicates)
    assert list(join.unused()) == unused


def test_positions_are_those_at_which_a_batch_has_something_to_say_of_a_window() -> None:
    join = JoinIndex(6)
    join.add([5, 3, 0, 1], [A, R, N, A])
    join.add([3, 2], [A, A])
    assert (join.batches.tolist(), join.positions.tolist()) == ([0, 0, 1, 1, NO_BATCH, 0], [2, 3, 1, 0, 0, 0])
    assert (join.positions_in(0, range(6)), join.positions_in(1, range(6))) == ([0, 3], [0, 1])
    assert (join.positions_in(0, range(1, 5)), join.positions_in(1, range(3, 4))) == ([3], [0])

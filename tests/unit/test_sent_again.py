"""What of a collected batch is sent again, as a table."""

from array import array

import pytest
from batchdrop.batches.result_index import Collected, Found
from batchdrop.batches.sent_again import sent_again
from batchdrop.records import JobSettings
from batchdrop.states import JobState
from faking.rows import a_batch, a_job

FOUND = (Found.NOTHING, Found.RETRYABLE, Found.REFUSED, Found.ANSWERED, Found.OF_ACCOUNT, Found.MISFIT, Found.CUT_OFF)


def collected() -> Collected:
    made = Collected.empty(len(FOUND))
    made.found = array("B", FOUND)
    return made


@pytest.mark.parametrize(
    ("attempt", "is_uncharged_attempt", "counts"),
    [
        (1, False, (4, 1, 1)),
        (2, False, (4, 1, 1)),
        (3, False, (1, 1, 0)),
        (1, True, (4, 1, 1)),
        (3, True, (3, 1, 0)),  # what was not tried goes again; an answer that does not fit was paid, and is an attempt
    ],
)
def test_what_goes_again_depends_on_the_attempts_left(
    attempt: int,
    is_uncharged_attempt: bool,  # noqa: FBT001 - a column of the table
    counts: tuple[int, int, int],
) -> None:
    job = a_job(state=JobState.RUNNING, settings=JobSettings(max_attempts=3))
    again = sent_again(collected(), a_batch(attempt=attempt), job, is_uncharged_attempt=is_uncharged_attempt)
    assert (again["again"], again["uncharged"], again["misfits"]) == counts


@pytest.mark.parametrize("state", [JobState.CANCELLING, JobState.PUBLISHING])
def test_nothing_goes_again_for_a_job_that_ends(state: JobState) -> None:
    assert sent_again(collected(), a_batch(), a_job(state=state), is_uncharged_attempt=False)["again"] == 0


def test_nothing_goes_again_of_a_duplicate_or_of_what_fails_for_good() -> None:
    running = a_job(state=JobState.RUNNING)
    assert sent_again(collected(), a_batch(is_duplicate=True), running, is_uncharged_attempt=False)["again"] == 0
    assert sent_again(collected(), a_batch(), running, is_uncharged_attempt=False, is_final=True)["again"] == 0

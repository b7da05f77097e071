"""What of a closed batch is sent again, and what goes to the fallback: one table."""

from array import array

import pytest
from batchdrop.batches.result_index import Collected, Found
from batchdrop.batches.sent_again import falls_whole, to_send_again
from batchdrop.records import Batch, JobSettings
from batchdrop.states import BatchState, JobState
from faking.rows import a_batch, a_job

EACH = tuple(Found)  # one request of each
WITH, WITHOUT = JobSettings(fallback="anthropic/claude-haiku-4-5"), JobSettings()
N, R, S = (int(each) for each in (Found.NOTHING, Found.RETRYABLE, Found.NOT_SERVED))


def of(batch: Batch, settings: JobSettings = WITH, state: JobState = JobState.RUNNING, **known: bool) -> object:
    """How many go again, how many of them without counting an attempt, how many do not fit, and what falls."""
    found = Collected.empty(len(EACH))
    found.found = array("B", EACH)
    changes = to_send_again(found, batch, a_job(state=state, settings=settings), **known)
    counts = changes.get("again", 0), changes.get("uncharged", 0), changes.get("misfits", 0)
    return *counts, changes.get("fallen_kinds", ())


FIRST, LAST = a_batch(attempt=1), a_batch(attempt=3)


@pytest.mark.parametrize(
    ("batch", "settings", "known", "expected"),
    [
        (FIRST, WITHOUT, {}, (5, 1, 1, ())),
        (LAST, WITHOUT, {}, (1, 1, 0, ())),
        (FIRST, WITHOUT, {"is_uncharged_attempt": True}, (5, 1, 1, ())),
        (LAST, WITHOUT, {"is_uncharged_attempt": True}, (4, 1, 0, ())),  # what does not fit was paid: an attempt
        (FIRST, WITHOUT, {"is_final": True}, (0, 0, 0, ())),
        (FIRST, WITH, {}, (6, 1, 1, (S,))),
        (LAST, WITH, {}, (4, 1, 0, (N, R, S))),
        (LAST, WITH, {"is_uncharged_attempt": True}, (5, 1, 0, (S,))),
        (FIRST, WITH, {"is_final": True}, (3, 0, 0, (N, R, S))),
        (FIRST, WITH, {"is_unserved": True}, (6, 1, 1, (N, R, S))),
        (LAST, WITH, {"is_unserved": True}, (4, 1, 0, (N, R, S))),
        (FIRST.with_(is_fallback=True), WITH, {}, (5, 1, 1, ())),
        (LAST.with_(is_fallback=True), WITH, {}, (1, 1, 0, ())),
        (LAST.with_(stays=True), WITH, {}, (1, 1, 0, ())),
        (LAST.with_(is_duplicate=True), WITH, {}, (0, 0, 0, ())),
    ],
)
def test_what_goes_again_and_what_falls(
    batch: Batch, settings: JobSettings, known: dict[str, bool], expected: tuple[int, int, int, tuple[int, ...]]
) -> None:
    assert of(batch, settings, **known) == expected


@pytest.mark.parametrize("state", [each for each in JobState if each is not JobState.RUNNING])
def test_nothing_goes_again_of_a_job_that_does_not_run(state: JobState) -> None:
    assert of(FIRST, state=state) == (0, 0, 0, ())


def test_a_batch_that_was_never_sent_falls_once_as_a_whole() -> None:
    batch, job = a_batch(state=BatchState.ADMITTED), a_job(state=JobState.RUNNING, settings=WITH)
    assert falls_whole(batch, job) == {"again": 5, "fallen": 5, "fallen_kinds": (N,)}
    others = [batch.with_(is_fallback=True), batch.with_(stays=True), batch.with_(is_duplicate=True)]
    assert [falls_whole(each, job) for each in others] == [{}] * 3
    assert falls_whole(batch, job.with_(settings=WITHOUT)) == falls_whole(batch, None) == {}

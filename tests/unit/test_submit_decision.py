"""What becomes of a batch whose submission did not succeed: one row for each thing that goes wrong."""

import pytest
from batchdrop.aws.optimistic import ConcurrentChange
from batchdrop.batches.submit_decision import FAILURES, Breaker, Then, decide
from batchdrop.errors import (
    AccountRefused,
    BatchdropError,
    EndpointNotFound,
    LimitReached,
    Missing,
    OutcomeUnknown,
    Refused,
    RefusedForNow,
    Transient,
    UnexpectedResponse,
    Unreachable,
)
from batchdrop.protocols.outcome import QUEUE_FULL
from batchdrop.result_line import ErrorCode
from faking.rows import a_batch

TICK = 60
REFUSED = Refused(status=400, code="x")
FOR_NOW = RefusedForNow(status=400, code="x")

TABLE = [
    (AccountRefused("no key"), Then.WAIT, Breaker.ACCOUNT_REFUSED),
    (ConcurrentChange(frozenset({1})), Then.WAIT, Breaker.NOTHING),  # its job was stopped
    (ConcurrentChange(frozenset({1, 2})), Then.WAIT, Breaker.NOTHING),
    (ConcurrentChange(frozenset({2})), Then.WAIT_FOR_SLOT, Breaker.NOTHING),
    (ConcurrentChange(), Then.WAIT_FOR_SLOT, Breaker.NOTHING),
    (Missing("404"), Then.WAIT, Breaker.CALL_FAILED),
    (EndpointNotFound(status=405, code=None), Then.WAIT, Breaker.CALL_FAILED),
    (UnexpectedResponse("a page"), Then.WAIT, Breaker.CALL_FAILED),
    (LimitReached("full", limit=None), Then.WAIT, Breaker.ANSWERS),
    (REFUSED, Then.JUDGE, Breaker.NOTHING),
    (FOR_NOW, Then.JUDGE, Breaker.NOTHING),  # which is Transient, too: what it is refused for decides
    (Unreachable("503"), Then.WAIT, Breaker.CALL_FAILED),
    (Transient("429"), Then.WAIT, Breaker.NOTHING),
    (OutcomeUnknown("lost"), Then.DOUBT, Breaker.CALL_FAILED),
]


@pytest.mark.parametrize(("error", "then", "breaker"), TABLE, ids=lambda each: type(each).__name__)
def test_each_failure_has_its_decision(error: Exception, then: Then, breaker: Breaker) -> None:
    decision = decide(error, a_batch(), tick=TICK)
    assert (decision.then, decision.breaker) == (then, breaker)


def test_the_table_has_a_row_for_each_error_that_a_submission_may_meet() -> None:
    kinds = {type(error) for error, _, _ in TABLE}
    assert {kind for kind in FAILURES if not any(issubclass(each, kind) for each in kinds)} == set()


@pytest.mark.parametrize("error", [BatchdropError("x"), ValueError("x")], ids=lambda each: type(each).__name__)
def test_what_nobody_expects_is_not_swallowed(error: Exception) -> None:
    assert not isinstance(error, FAILURES)
    with pytest.raises(type(error)):
        decide(error, a_batch(), tick=TICK)


@pytest.mark.parametrize("error", [REFUSED, FOR_NOW], ids=["for good", "for now"])
def test_a_refusal_is_judged_by_what_the_provider_said(error: Refused) -> None:
    assert decide(error, a_batch(), tick=TICK).refusal is error


@pytest.mark.parametrize(("misses", "ticks"), [(0, 1), (1, 2), (2, 4), (3, 4), (9, 4)])
def test_an_address_without_the_call_is_tried_later_each_time_with_a_new_upload(misses: int, ticks: int) -> None:
    decision = decide(Missing("404"), a_batch(endpoint_misses=misses), tick=TICK)
    assert (decision.then, decision.ticks) == (Then.WAIT, ticks)
    assert decision.changes == {"endpoint_misses": misses + 1, "input_file_id": None}


def test_an_address_without_the_call_ends_the_batch_at_the_eleventh_time() -> None:
    decision = decide(Missing("404"), a_batch(endpoint_misses=10), tick=TICK)
    assert (decision.then, decision.breaker) == (Then.END, Breaker.CALL_FAILED)
    assert decision.refusal is not None
    assert decision.refusal.code == ErrorCode.NO_SUCH_CALL


@pytest.mark.parametrize(("waits", "ticks"), [(0, 2), (1, 4), (2, 8), (20, 60)])
def test_a_full_queue_is_tried_later_each_time_an_hour_at_most(waits: int, ticks: int) -> None:
    decision = decide(LimitReached("full", limit=9), a_batch(waits=waits, endpoint_misses=3), tick=TICK)
    assert (decision.then, decision.ticks, decision.learned) == (Then.WAIT, ticks, 9)
    assert decision.changes == {"waits": waits + 1, "endpoint_misses": 0}


def test_one_request_that_never_finds_room_ends_with_that() -> None:
    decision = decide(LimitReached("full", limit=9), a_batch(requests=1, tokens=10, waits=100), tick=TICK)
    assert (decision.then, decision.breaker, decision.learned) == (Then.END, Breaker.ANSWERS, 9)
    assert decision.refusal is not None
    assert decision.refusal.code == QUEUE_FULL

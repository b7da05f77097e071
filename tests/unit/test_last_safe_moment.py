"""The last safe moment: what is left, at the allowed rates, with what a cancel takes and a margin."""

from typing import Any

import pytest
from batchdrop.deadlines import moment_after, why_too_soon
from batchdrop.limits.last_safe_moment import last_safe_moment, left_of, may_be_called, seconds_of, wants_calls
from batchdrop.providers.config import ProviderConfig
from batchdrop.providers.limits import Limits
from batchdrop.records import Batch, JobSettings, Protocol
from batchdrop.states import BatchState, JobState
from faking.rows import NOW, a_batch, a_job

DEADLINE = NOW + 21_600
LIMITS = Limits(realtime_requests_per_minute=60, realtime_tokens_per_minute=6_000, realtime_concurrency=10)
PROVIDERS = {
    name: ProviderConfig(protocol=Protocol.OPENAI, base_url="https://x.example", secret="x", name=name, limits=limits)
    for name, limits in {"openai": LIMITS, "other": Limits(realtime_requests_per_minute=1)}.items()
}
S = BatchState


def moment(*batches: Batch, tick: int = 60, **changes: Any) -> int | None:
    job = a_job(**({"deadline_at": DEADLINE, "settings": JobSettings(deadline="6h")} | changes))
    return last_safe_moment(job, batches, PROVIDERS, tick=tick)


@pytest.mark.parametrize(
    ("requests", "tokens", "seconds"),
    [
        (60, 0, 60),  # a call a second
        (1, 6_000, 60),
        (1, 60_000, 600),
        (30, 3_001, 31),  # rounded up
        (61, 0, 61),
        (1, 1, 1),
    ],
)
def test_calls_take_what_the_slowest_rate_takes(requests: int, tokens: int, seconds: int) -> None:
    assert seconds_of(requests, tokens, LIMITS) == seconds


def test_calls_take_ten_seconds_each_so_many_at_once() -> None:
    many = Limits(realtime_requests_per_minute=10**6, realtime_tokens_per_minute=10**9, realtime_concurrency=10)
    assert seconds_of(100, 1, many) == 100


def test_twenty_minutes_and_a_quarter_more_than_the_calls_are_kept() -> None:
    assert moment(a_batch(requests=60, tokens=0)) == DEADLINE - 1_200 - 60 - 15


def test_a_faster_tick_keeps_less() -> None:
    assert moment(a_batch(requests=60, tokens=0), tick=1) == DEADLINE - 20 - 60 - 15


def test_batches_of_one_provider_add_up_and_providers_run_side_by_side() -> None:
    batches = [a_batch(number, requests=60, tokens=0) for number in range(3)]
    assert moment(*batches) == DEADLINE - 1_200 - 180 - 45
    slow = a_batch(9, provider="other", requests=2, tokens=0)
    assert moment(slow) == DEADLINE - 1_200 - 120 - 30
    assert moment(*batches, slow) == DEADLINE - 1_200 - 180 - 45


def test_what_may_fall_is_given_the_time_that_the_slower_of_two_providers_takes() -> None:
    falls = {"settings": JobSettings(deadline="6h", fallback="other/m")}
    batches = [a_batch(0, requests=2, tokens=0), a_batch(1, requests=1, tokens=0)]
    assert moment(*batches, **falls) == DEADLINE - 1_200 - 180 - 45
    assert moment(*(each.with_(stays=True) for each in batches), **falls) == moment(*batches)
    fallen = a_batch(2, provider="other", requests=2, tokens=0, is_fallback=True)
    assert moment(*batches, fallen, **falls) == DEADLINE - 1_200 - 300 - 75
    gone = {"settings": JobSettings(deadline="6h", fallback="gone/m")}
    assert moment(*batches, **gone) == moment(*batches)


@pytest.mark.parametrize("state", BatchState)
def test_what_has_not_ended_may_be_called_and_what_is_not_collected_is_left(state: BatchState) -> None:
    may_be = state in {S.WAITING, S.ADMITTED, S.SUBMITTING, S.IN_FLIGHT}
    assert may_be_called(a_batch(state=state)) is may_be
    assert (moment(a_batch(state=state)) is not None) is (may_be or state is S.ENDED)


def left(*batches: Batch) -> list[tuple[str, int, int]]:
    return [(each.id, each.requests, each.tokens) for each in left_of(batches)]


def test_what_is_to_be_sent_again_is_left() -> None:
    """With its share of the tokens, rounded up."""
    part = a_batch(1, state=S.COLLECTED, requests=60, tokens=100, again=20)
    assert left(part, a_batch(2, state=S.COLLECTED, requests=60, tokens=6_000)) == [(part.id, 20, 34)]
    assert moment(a_batch(1, state=S.COLLECTED, requests=60, tokens=0, again=20)) == DEADLINE - 1_200 - 20 - 5


def test_what_the_next_round_has_sent_again_is_left_once() -> None:
    first = a_batch(1, state=S.COLLECTED, requests=60, tokens=60, again=20)
    second = a_batch(2, round=1, requests=20, tokens=20)
    other = a_batch(3, split=7, state=S.COLLECTED, requests=60, tokens=60, again=1)
    assert left(first, second, other) == [(second.id, 20, 20), (other.id, 1, 1)]


def test_a_real_time_batch_leaves_what_it_has_noted() -> None:
    called = a_batch(1, state=S.ENDED, is_realtime=True, requests=60, tokens=60, again=2)
    assert left(called) == [(called.id, 2, 2)]


@pytest.mark.parametrize(
    "changes",
    [
        {"endpoint": "/v1/videos"},
        {"endpoint": "/v1/images/edits"},
        {"endpoint": "/v1/messages", "betas": ("output-300k-2026-03-24",)},
        {"is_duplicate": True},
        {"provider": "gone"},
    ],
)
def test_what_no_call_answers_is_left_to_its_batch(changes: dict[str, Any]) -> None:
    assert moment(a_batch(**changes)) is None


def test_no_deadline_has_no_moment() -> None:
    assert moment(a_batch(), deadline_at=None) is None


@pytest.mark.parametrize(
    ("wants", "changes"),
    [
        (True, {}),
        (False, {"settings": JobSettings(deadline="6h", realtime="off")}),
        (False, {"late_reason": "no money"}),
        (False, {"outcome": JobState.FAILED}),
        (False, {"deadline_at": None}),
    ],
)
def test_calls_are_wanted_where_a_deadline_is_to_be_kept(wants: bool, changes: dict[str, Any]) -> None:  # noqa: FBT001
    job = a_job(**({"deadline_at": DEADLINE, "settings": JobSettings(deadline="6h")} | changes))
    assert wants_calls(job) is wants


DROPPED = 1_800_000_000  # 2027-01-15T08:00:00Z


@pytest.mark.parametrize(
    ("wanted", "at"),
    [
        ("6h", DROPPED + 21_600),
        ("45m", DROPPED + 2_700),
        ("2d", DROPPED + 172_800),
        ("09:30Z", DROPPED + 5_400),
        ("08:00Z", DROPPED + 86_400),
        ("07:59Z", DROPPED + 86_340),
    ],
)
def test_a_deadline_is_a_time_after_the_drop_or_the_next_of_its_name(wanted: str, at: int) -> None:
    assert moment_after(DROPPED, wanted) == at


@pytest.mark.parametrize(
    ("left", "why"),
    [
        (1_800, None),
        (1_799, "29 minutes are left, and a job takes 30 minutes at least"),
        (90, "90 seconds are left"),
        (1, "1 seconds are left"),
        (0, "that time was over before the file was taken"),
        (-5, "that time was over before the file was taken"),
    ],
)
def test_half_an_hour_is_the_least(left: int, why: str | None) -> None:
    found = why_too_soon("6h", NOW + left, now=NOW, tick=60)
    assert found == why if why is None else found is not None and why in found

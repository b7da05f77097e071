"""What becomes of a wave of calls: one table."""

from concurrent.futures import Future

import pytest
from batchdrop.batches.realtime_calls import Call, Wave, wave_of
from batchdrop.batches.reply_decision import NO_REPLY, Meaning, Then

ANSWERED, TOO_MANY = Meaning(then=Then.KEEP), Meaning(then=Then.AGAIN, wait=7)
OVERLOADED = Meaning(then=Then.AGAIN, wait=1, is_outage=True)
NOT_SAVED, NOT_MADE = OSError("not saved"), ValueError("not made")


def wave(*ends: Meaning | Exception | str | None) -> Wave:
    calls = {}
    for position, end in enumerate(ends):
        future: Future[Meaning | None] = Future()
        if isinstance(end, Exception):
            future.set_exception(end)
        elif not isinstance(end, str):
            future.set_result(end)
        calls[Call(position, b"{}")] = future
    return wave_of(calls)


YES, OUT, NO = "answered", "outage", "unreached"


@pytest.mark.parametrize(
    ("ends", "again", "says", "failure"),
    [
        ([ANSWERED, ANSWERED], {}, {YES}, None),
        ([ANSWERED, TOO_MANY], {1: 1}, {YES}, None),
        ([ANSWERED, "runs"], {}, {YES}, None),
        (["runs", "runs"], {}, {OUT}, None),
        ([None, None], {0: 0, 1: 0}, {NO}, None),
        ([None, OVERLOADED], {0: 0, 1: 1}, {OUT}, None),
        ([NO_REPLY, TOO_MANY], {1: 1}, {OUT}, None),
        ([NOT_SAVED], {}, set(), NOT_SAVED),
        ([NOT_SAVED, TOO_MANY], {1: 1}, set(), NOT_SAVED),
        ([TOO_MANY, NOT_SAVED, None], {0: 1, 2: 0}, set(), NOT_SAVED),
        ([ANSWERED, NOT_SAVED, TOO_MANY], {2: 1}, {YES}, NOT_SAVED),
        ([NOT_MADE, NOT_SAVED, "runs", TOO_MANY], {3: 1}, {OUT}, NOT_MADE),
    ],
)
def test_a_call_that_fails_is_in_doubt_and_what_the_others_say_holds(
    ends: list[Meaning | Exception | str | None], again: dict[int, int], says: set[str], failure: Exception | None
) -> None:
    found = wave(*ends)
    flags = {YES: found.is_answered, OUT: found.is_outage, NO: found.is_unreached}
    assert {each.position: each.tries for each in found.again} == again
    assert {name for name, flag in flags.items() if flag} == says
    assert found.failure is failure


def test_the_death_of_a_worker_is_no_finding() -> None:
    future: Future[Meaning | None] = Future()
    future.set_exception(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        wave_of({Call(0, b"{}"): future})

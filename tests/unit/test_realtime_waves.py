"""What becomes of a wave of calls: one table."""

from concurrent.futures import Future

import pytest
from batchdrop.batches.realtime_calls import Call, wave_of
from batchdrop.batches.reply_decision import NO_REPLY, Meaning, Then

ANSWERED, TOO_MANY = Meaning(then=Then.KEEP), Meaning(then=Then.AGAIN, wait=7)
OVERLOADED = Meaning(then=Then.AGAIN, wait=1, is_outage=True)
NOT_SAVED, NOT_MADE = OSError("not saved"), ValueError("not made")


def wave(*ends: Meaning | Exception | str | None):  # type: ignore[no-untyped-def]
    calls = {}
    for position, end in enumerate(ends):
        future: Future[Meaning | None] = Future()
        if isinstance(end, Exception):
            future.set_exception(end)
        elif not isinstance(end, str):
            future.set_result(end)
        calls[Call(position, b"{}")] = future
    return wave_of(calls)


@pytest.mark.parametrize(
    ("ends", "again", "is_answered", "is_outage", "is_unreached", "failure"),
    [
        ([ANSWERED, ANSWERED], {}, True, False, False, None),
        ([ANSWERED, TOO_MANY], {1: 1}, True, False, False, None),
        ([ANSWERED, "runs"], {}, True, False, False, None),
        (["runs", "runs"], {}, False, True, False, None),
        ([None, None], {0: 0, 1: 0}, False, False, True, None),
        ([None, OVERLOADED], {0: 0, 1: 1}, False, True, False, None),
        ([NO_REPLY, TOO_MANY], {1: 1}, False, True, False, None),
        ([NOT_SAVED, TOO_MANY], {1: 1}, False, False, False, NOT_SAVED),
        ([TOO_MANY, NOT_SAVED, None], {0: 1, 2: 0}, False, False, False, NOT_SAVED),
        ([ANSWERED, NOT_SAVED, TOO_MANY], {2: 1}, True, False, False, NOT_SAVED),
        ([NOT_MADE, NOT_SAVED, "runs", TOO_MANY], {3: 1}, False, True, False, NOT_MADE),
        ([NOT_SAVED], {}, False, False, False, NOT_SAVED),
    ],
)
def test_a_call_that_fails_is_in_doubt_and_what_the_others_say_holds(
    ends: list[Meaning | Exception | str | None],
    again: dict[int, int],
    is_answered: bool,  # noqa: FBT001 - a column of the table
    is_outage: bool,  # noqa: FBT001
    is_unreached: bool,  # noqa: FBT001
    failure: Exception | None,
) -> None:
    found = wave(*ends)
    assert {each.position: each.tries for each in found.again} == again
    assert (found.is_answered, found.is_outage, found.is_unreached) == (is_answered, is_outage, is_unreached)
    assert found.failure is failure


def test_the_death_of_a_worker_is_no_finding() -> None:
    future: Future[Meaning | None] = Future()
    future.set_exception(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        wave_of({Call(0, b"{}"): future})

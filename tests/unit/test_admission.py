"""Whose turn it is."""

import msgspec
from batchdrop.aws.table import Due
from batchdrop.limits.admission import in_turn
from batchdrop.records import Ledger


def due(job: str, number: int, *, due_at: int = 0, priority: int = 0) -> Due:
    return Due(job=job, ledger="openai/m", sk=f"BATCH#00000-0-{number:04}", due_at=due_at, priority=priority)


def test_each_job_has_its_turn_before_one_has_its_second() -> None:
    large = [due("large", number) for number in range(3)]
    small, other = due("small", 0, due_at=5), due("other", 0, due_at=9)
    assert in_turn([other, *large, small], {}) == [large[0], small, other, large[1], large[2]]


def test_a_higher_priority_goes_before_every_turn_of_a_lower_one() -> None:
    urgent = [due("urgent", number, due_at=9, priority=1) for number in range(2)]
    early = due("early", 0)
    assert in_turn([early, *urgent], {}) == [*urgent, early]


def test_the_older_of_two_goes_first() -> None:
    old, new = due("a", 1, due_at=1), due("a", 0, due_at=2)
    assert in_turn([new, old], {}) == [old, new]


def test_who_had_its_turn_longest_ago_goes_first_however_little_room_there_is() -> None:
    """A million lines do not starve fifty, though each run admits one batch and the million are older."""
    waiting = [*(due("million", number) for number in range(4)), due("fifty", 0, due_at=5), due("new", 0, due_at=9)]
    turns: dict[str, int] = {}
    order: list[str] = []
    while waiting:
        first = in_turn(waiting, {"openai/m": Ledger(name="openai/m", turns=turns)})[0]
        waiting.remove(first)
        order.append(first.job)
        turns[first.job] = len(order)
    assert order == ["million", "fifty", "new", "million", "million", "million"]


def test_each_ledger_has_turns_of_its_own() -> None:
    one, other = due("a", 0), due("a", 1)
    other = msgspec.structs.replace(other, ledger="openai/n")
    late = due("b", 0, due_at=5)
    assert in_turn([one, other, late], {}) == [one, other, late]


def test_of_two_ledgers_the_one_whose_turn_was_longer_ago_goes_first() -> None:
    early, late = due("early", 0), due("late", 0)
    other = msgspec.structs.replace(due("other", 0), ledger="openai/n")
    ledgers = {
        "openai/m": Ledger(name="openai/m", turns={"gone": 5, "early": 10, "late": 30}),
        "openai/n": Ledger(name="openai/n", turns={"other": 20}),
    }
    assert in_turn([late, other, early], ledgers) == [early, other, late]


def test_a_paused_provider_is_tried_by_each_in_turn_whatever_their_priority() -> None:
    """One that fails is behind the others of its job, since it waits anew, and its job behind the other jobs."""
    failed, next_one, other = due("urgent", 0, due_at=60, priority=9), due("urgent", 1, priority=9), due("other", 0)
    ledgers = {"openai/m": Ledger(name="openai/m", turns={"urgent": 50})}
    assert in_turn([failed, next_one, other], ledgers, by_priority=False) == [other, next_one, failed]

"""Whose turn it is."""

import msgspec
from batchdrop.admit import in_turn
from batchdrop.records import Ledger
from batchdrop.store import Due


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
    served: tuple[str, ...] = ()
    order = []
    while waiting:
        first = in_turn(waiting, {"openai/m": Ledger(name="openai/m", served=served)})[0]
        waiting.remove(first)
        served = (*(job for job in served if job != first.job), first.job)
        order.append(first.job)
    assert order == ["million", "fifty", "new", "million", "million", "million"]


def test_each_ledger_has_turns_of_its_own() -> None:
    one, other = due("a", 0), due("a", 1)
    other = msgspec.structs.replace(other, ledger="openai/n")
    late = due("b", 0, due_at=5)
    assert in_turn([one, other, late], {}) == [one, other, late]

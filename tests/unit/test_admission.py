"""Whose turn it is."""

from batchdrop.admit import in_turn
from batchdrop.store import Due


def due(job: str, number: int, *, due_at: int = 0, priority: int = 0) -> Due:
    return Due(job=job, sk=f"BATCH#00000-0-{number:04}", due_at=due_at, priority=priority)


def test_each_job_has_its_turn_before_one_has_its_second() -> None:
    large = [due("large", number) for number in range(3)]
    small, other = due("small", 0, due_at=5), due("other", 0, due_at=9)
    assert in_turn([other, *large, small]) == [large[0], small, other, large[1], large[2]]


def test_a_higher_priority_goes_before_every_turn_of_a_lower_one() -> None:
    urgent = [due("urgent", number, due_at=9, priority=1) for number in range(2)]
    early = due("early", 0)
    assert in_turn([early, *urgent]) == [*urgent, early]


def test_the_older_of_two_goes_first() -> None:
    old, new = due("a", 1, due_at=1), due("a", 0, due_at=2)
    assert in_turn([new, old]) == [old, new]

"""What another changed meanwhile is read again, and decided again, a bounded number of times."""

import pytest
import stamina
from batchdrop.aws.optimistic import ConcurrentChange, until_unchanged
from batchdrop.aws.row_versions import NewerRow
from batchdrop.errors import ClaimLost, Transient


class Changing:
    """Is changed by another so many times, and then not."""

    def __init__(self, times: int, error: type[Exception] = ConcurrentChange) -> None:
        self.left, self.error, self.tries = times, error, 0

    def __call__(self) -> str:
        self.tries += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "written"


@pytest.mark.parametrize("times", range(4))
def test_all_of_it_is_done_again_until_nothing_changed(times: int) -> None:
    changing = Changing(times)
    with stamina.set_testing(True, attempts=4):
        assert until_unchanged(changing) == "written"
    assert changing.tries == times + 1


def test_what_changes_each_time_is_left_for_later() -> None:
    changing = Changing(100)
    with stamina.set_testing(True, attempts=4), pytest.raises(Transient):
        until_unchanged(changing)
    assert changing.tries == 4


@pytest.mark.parametrize(("error", "on"), [(ClaimLost, ConcurrentChange), (ConcurrentChange, ClaimLost)])
def test_nothing_else_is_repeated(error: type[Exception], on: type[ConcurrentChange | ClaimLost]) -> None:
    changing = Changing(1, error)
    with pytest.raises(error):
        until_unchanged(changing, on=on)
    assert changing.tries == 1


@pytest.mark.parametrize("on", [ClaimLost, ConcurrentChange])
def test_what_is_left_to_newer_code_is_read_once(on: type[ConcurrentChange | ClaimLost]) -> None:
    tries = 0

    def attempt() -> None:
        nonlocal tries
        tries += 1
        raise NewerRow("a row", None)

    with pytest.raises(NewerRow):
        until_unchanged(attempt, on=on)
    assert tries == 1

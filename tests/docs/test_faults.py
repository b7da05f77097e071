"""The fault matrix is what comes of its runs, and says that nothing was lost and nothing was paid twice in silence."""

import re

import pytest
from fault_matrix import BOTH, NAMES, PAGE, line_of
from faults.cases import ANTHROPIC, CASES, OPENAI
from faults.matrix import LINES, PAID_ERRORS, RECOVERIES, every_case, rows

COLUMNS = 10
ROOT = PAGE.parents[1]
_TOLD = ("When answers do not fit the output schema", "When a deadline comes near")
MAY_BE_PAID_AGAIN = {case.title for group in _TOLD for case in CASES[group]}
SHARE = ["reply to create lost", "expired half-done", "five answers are there as expired, too"]


def cells() -> list[list[str]]:
    """The rows of the page, cell by cell."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    found = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    return [each for each in found if each[0] in every_case() and len(each) == COLUMNS]


def number(cell: str) -> int:
    """The sum of the numbers that a cell begins with, or that stand before its codes."""
    return sum(int(each.replace(",", "")) for each in re.findall(r"(?:^|, )([\d,]+)", cell))


@pytest.mark.parametrize("provider", [OPENAI, ANTHROPIC])
def test_the_page_says_what_comes_of_the_runs(provider: str) -> None:
    page = PAGE.read_text(encoding="utf-8").splitlines()
    for row in rows(provider, SHARE):
        assert row.broken == ()
        assert line_of(row, NAMES[provider]) in page or line_of(row, BOTH) in page


def test_what_healed_is_what_the_log_says() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "functions/batchdrop").rglob("*.py"))
    assert [said for said in RECOVERIES if f'"{said}"' not in code] == []


def test_each_fault_is_on_the_page_for_each_provider() -> None:
    wanted = {(case.title, name) for case in every_case().values() for name in map(NAMES.get, case.providers)}
    shown = {(title, name) for title, who, *_ in cells() for name in (NAMES.values() if who == BOTH else [who])}
    assert shown == wanted
    assert len(every_case()) == sum(map(len, CASES.values()))


def test_no_row_lost_a_line_and_none_was_paid_twice_in_silence() -> None:
    for title, who, _, charged, answers, errors, lost, twice, *_ in cells():
        assert lost == "0", title
        assert number(answers) + number(errors) == LINES, title
        may_be_told = who == "Anthropic" or title in MAY_BE_PAID_AGAIN  # what no provider can be asked for
        assert twice == "0" or ("*reported*" in twice and may_be_told), title
        wasted = number(errors) if any(code in errors for code in PAID_ERRORS) else 0
        paid = number(charged) - number(twice)
        assert number(answers) <= paid <= number(answers) + wasted, title

"""Money is exact: decimals, and whole millionths of a dollar."""

from decimal import Decimal

import pytest
from batchdrop.dollars import dollars_of, in_words, micros_of, read_budget
from batchdrop.money import usd
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(1, 10**15))
def test_what_a_row_holds_is_written_and_read_without_a_loss(micros: int) -> None:
    assert micros_of(dollars_of(micros)) == micros
    assert read_budget(usd(dollars_of(micros))) == dollars_of(micros)


def test_a_part_of_a_millionth_counts_as_a_whole_one() -> None:
    assert [micros_of(Decimal(text)) for text in ("0", "0.0000001", "0.000001", "0.0000011")] == [0, 1, 1, 2]


@pytest.mark.parametrize(
    ("micros", "words"),
    [(0, "$0.00"), (1, "$0.000001"), (12_500_000, "$12.50"), (1_234_567_890, "$1,234.56789"), (-1, "-$0.000001")],
)
def test_people_read_cents_or_as_many_decimals_as_there_are(micros: int, words: str) -> None:
    assert in_words(micros) == words


@pytest.mark.parametrize("value", [0.5, None, [], "1e3", "", Decimal("NaN"), Decimal("Infinity"), True, 0, -1, "0"])
def test_what_is_no_budget_is_none(value: object) -> None:
    assert read_budget(value) is None

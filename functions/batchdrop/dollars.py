"""US dollars: exact decimals, and whole millionths of a dollar where rows hold and sum them. Never a float."""

import re
from decimal import ROUND_CEILING, Decimal

MICROS = 1_000_000  # of a dollar
DECIMALS = 6
MAX_BUDGET = 1_000_000_000  # US dollars
BUDGET_WORDS = f"US dollars above 0, {MAX_BUDGET:,} at most, with {DECIMALS} decimals at most, as in 20 or 12.50"
_TEXT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?", re.ASCII)


def exact_decimal(value: object, decimals: int) -> Decimal | None:
    """A number of a TOML file with so few decimals; None for anything else, which `nan` and `inf` are, too.

    Args:
        value: As `tomllib` reads it with `parse_float=Decimal`.
        decimals: How many it may have; so few that sums stay exact.
    """
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    number = Decimal(value)
    if not number.is_finite() or number.adjusted() > decimals * 2:
        return None
    exponent = number.normalize().as_tuple().exponent
    return number if isinstance(exponent, int) and -exponent <= decimals else None


def read_budget(value: object) -> Decimal | None:
    """Return a budget as `BUDGET_WORDS` describes it, from a TOML number or a text; None for anything else."""
    if isinstance(value, str):
        value = Decimal(value) if _TEXT.fullmatch(value) else None
    number = exact_decimal(value, DECIMALS)
    return number if number is not None and 0 < number <= MAX_BUDGET else None


def micros_of(dollars: Decimal) -> int:
    """Millionths of a dollar, rounded up."""
    return int((dollars * MICROS).to_integral_value(ROUND_CEILING))


def dollars_of(micros: int) -> Decimal:
    """US dollars, exact."""
    return Decimal(micros) / MICROS


def in_words(micros: int) -> str:
    """`$12.50`, as people read it."""
    whole, rest = divmod(abs(micros), MICROS)
    decimals = f"{rest:0{DECIMALS}}".rstrip("0").ljust(2, "0")
    return f"{'-' if micros < 0 else ''}${whole:,}.{decimals}"

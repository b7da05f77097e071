"""What a job's budgets allow, in words for people where they do not."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from batchdrop.limits.budgets import Budgets, ledger_of, why_over

JOB = Budgets(job_usd=Decimal(10))
MONTH = Budgets(monthly_usd=Decimal("50.5"), folder="input/team/")
BOTH = Budgets(job_usd=Decimal(10), monthly_usd=Decimal("50.5"), folder="input/team/")
LEDGER = "2026-11#input/team/"
NEITHER = Budgets()
OVER_JOB = "It may cost $10.000001 at most, more than its budget of $10.00 (budget_usd)."
UNKNOWN = (
    "What it may cost at most is unknown, so that its budget of $10.00 (budget_usd) and the $50.50 a month of "
    "input/team/ (monthly_budget_usd) cannot be kept."
)
OVER_MONTH = (
    "It may cost $10.00 at most, and $40.500001 of the $50.50 of input/team/ in 2026-11 (monthly_budget_usd) are spent "
    "or reserved."
)


@pytest.mark.parametrize(
    ("budgets", "most", "committed", "why"),
    [
        (NEITHER, None, 0, None),
        (NEITHER, 10**15, 0, None),
        (JOB, 10_000_000, 0, None),
        (JOB, 10_000_001, 0, OVER_JOB),
        (BOTH, 10_000_001, 0, OVER_JOB),
        (BOTH, 10_000_000, 40_500_000, None),
        (BOTH, 10_000_000, 40_500_001, OVER_MONTH),
        (MONTH, 10_000_000, 40_500_001, OVER_MONTH),
        (MONTH, 0, 50_500_000, None),
        (BOTH, None, 0, UNKNOWN),
    ],
)
def test_a_job_is_over_a_budget_that_it_may_pass_by_a_millionth(
    budgets: Budgets, most: int | None, committed: int, why: str | None
) -> None:
    ledger = LEDGER if budgets.folder else None
    assert why_over(most, budgets, ledger, committed) == why


@pytest.mark.parametrize(
    ("moment", "month"), [("2026-11-30T23:59:59+00:00", "2026-11"), ("2026-12-01T00:30:00+01:00", "2026-11")]
)
def test_months_are_those_of_utc(moment: str, month: str) -> None:
    at = int(datetime.fromisoformat(moment).astimezone(UTC).timestamp())
    assert ledger_of(MONTH, at) == f"{month}#input/team/"
    assert ledger_of(MONTH, at + 3_600) == "2026-12#input/team/"
    assert ledger_of(JOB, at) is None

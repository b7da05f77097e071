"""The totals of a finished job: its lines, tokens and estimated cost, summed over its models."""

from decimal import Decimal

import msgspec
from batchdrop.manifest import Manifest, Usage
from batchdrop.rates import PriceList

from batchdrop_cli.prices import cost_of_job


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of a manifest. Money is an estimate, a decimal as text, and null where it is not known.

    `saved_usd` is what real time would have cost more.
    """

    lines: int
    answered: int
    failed: int
    input_tokens: int
    output_tokens: int
    cost_usd: str | None
    saved_usd: str | None


def totals_of(manifest: Manifest, prices: PriceList) -> Totals | None:
    """The sums of a job; None where it failed as a whole."""
    if manifest.counts is None:
        return None
    used = sum((each.usage for each in manifest.models), Usage())
    cost = cost_of_job(manifest, prices)
    return Totals(
        lines=manifest.counts.total,
        answered=manifest.counts.answered,
        failed=manifest.counts.failed,
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        cost_usd=_decimal(cost.dollars),
        saved_usd=_decimal(cost.saved),
    )


def _decimal(dollars: Decimal | None) -> str | None:
    return None if dollars is None else f"{dollars:.6f}"

"""What a finished job came to: its lines, tokens and estimated cost, summed over its models."""

import msgspec
from batchdrop.manifest import Manifest, Usage

from batchdrop_cli.prices import cost_of


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of a manifest. `cost_usd` is an estimate, a decimal as text; null where no model's price is known."""

    lines: int
    answered: int
    failed: int
    input_tokens: int
    output_tokens: int
    cost_usd: str | None


def totals_of(manifest: Manifest) -> Totals | None:
    """The sums of a job; None where it failed as a whole."""
    if manifest.counts is None:
        return None
    used = sum((each.usage for each in manifest.models), Usage())
    cost = cost_of(manifest.models).dollars
    return Totals(
        lines=manifest.counts.total,
        answered=manifest.counts.answered,
        failed=manifest.counts.failed,
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        cost_usd=None if cost is None else f"{cost:.6f}",
    )

"""Chooses the shape of the next batches: their faults, and when they end."""

from collections.abc import Sequence
from fnmatch import fnmatch

import msgspec

from provider_simulator.facts import Json, ProviderName


class ShapeRule(msgspec.Struct, frozen=True, kw_only=True):
    """A shape for the batches to come: for which, and for how many of them (None: all)."""

    provider: ProviderName | None
    model: str | None
    times: int | None
    shape: Json

    def fits(self, provider: ProviderName, model: str) -> bool:
        """Return whether it holds for a batch."""
        return self.provider in {None, provider} and fnmatch(model, self.model or "*")


def use_rules(rules: Sequence[ShapeRule], provider: ProviderName, model: str) -> tuple[Json, list[ShapeRule]]:
    """The shape of one batch by all rules that fit, the later over the earlier, and the rules that are left then."""
    wanted: Json = {}
    left: list[ShapeRule] = []
    for rule in rules:
        fits = rule.times != 0 and rule.fits(provider, model)
        wanted |= rule.shape if fits else {}
        used = rule.times - 1 if fits and rule.times is not None else rule.times
        if used is None or used > 0:
            left.append(msgspec.structs.replace(rule, times=used))
    return wanted, left

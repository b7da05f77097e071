"""Counts a split's routes while its lines are written; what the fallback said of their lines stands apart."""

from collections.abc import Collection, Sequence

from batchdrop.batches.split_plan import Route
from batchdrop.inputs.fallbacks import Fallback
from batchdrop.manifest import ModelCounts
from batchdrop.outputs.sealed_parts import RouteTally


class RouteTallies:
    """A tally for each route of a plan, and one more for its lines of which the fallback has the last word."""

    def __init__(self, routes: Sequence[Route], fallback: Fallback | None) -> None:
        self._routes, self._fallback = routes, fallback
        self._own = [RouteTally() for _ in routes]
        self._fallbacks = [RouteTally() for _ in routes]

    def of(self, route: int, *, is_fallback: bool) -> RouteTally:
        return (self._fallbacks if is_fallback else self._own)[route]

    def count_batch(self, routes: Collection[int], *, is_fallback: bool) -> None:
        """Count a batch that held requests of these routes; Anthropic's mix models."""
        for route in routes:
            self.of(route, is_fallback=is_fallback).batches += 1

    def models(self) -> list[ModelCounts]:
        """Return the counts of each model with requests."""
        own = [
            _counts(route.provider, route.model, route.endpoint, tally)
            for route, tally in zip(self._routes, self._own, strict=True)
        ]
        fallback = self._fallback
        if fallback is not None:
            own += [
                _counts(fallback.provider, fallback.model, route.endpoint, tally)
                for route, tally in zip(self._routes, self._fallbacks, strict=True)
            ]
        return [each for each in own if each.requests or each.batches]


def _counts(provider: str, model: str, endpoint: str, tally: RouteTally) -> ModelCounts:
    return ModelCounts(
        provider=provider,
        model=model,
        endpoint=endpoint,
        requests=tally.requests,
        answered=tally.answered,
        failed=tally.requests - tally.answered,
        batches=tally.batches,
        usage=tally.usage(),
        retries=tally.retries,
        duplicates=tally.duplicates,
        realtime=tally.realtime,
        shared=tally.shared,
    )

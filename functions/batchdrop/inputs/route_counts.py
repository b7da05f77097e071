"""Counts the tokens of a split's requests while they are planned, for each of its routes. Pure."""

from collections.abc import Collection, Sequence

import msgspec
from msgspec import Raw

from batchdrop.inputs.request_lines import Request
from batchdrop.inputs.token_counts import TokenCounts
from batchdrop.inputs.usual_lines import UsualLines
from batchdrop.protocols.token_estimates import NO_MEDIA, Media


class RouteCounts:
    """A split's token counts, by the numbers of its routes."""

    def __init__(self) -> None:
        self._counts: dict[int, TokenCounts] = {}

    def add(self, route: int, request: Request, media: Media, model: str | None) -> None:
        """Add a request; `media` and `model` are as `TokenCounts.count` has them."""
        self._of(route).count(request, media, model)

    def add_usual(self, usual: UsualLines, routes: Sequence[tuple[int, str | None]]) -> None:
        """Add the requests of a block, each as it would be added alone.

        Args:
            usual: The block.
            routes: For each of its routes the number, and the model, as above.
        """
        if not usual.is_plain:
            for body, kind in zip(usual.bodies, usual.kinds, strict=True):
                (route, model), request = routes[kind], usual.routes[kind]
                self.add(route, msgspec.structs.replace(request, body=Raw(body)), NO_MEDIA, model)
            return
        for number, sizes in enumerate(_sizes(usual)):
            if sizes:  # none, where all of a route share requests that were counted
                its = self._of(routes[number][0])
                its.count_texts(sizes, usual.output_limits[number], usual.routes[number].endpoint)

    def first(self, number: int, cached: Collection[int] = ()) -> list[TokenCounts]:
        """Return the first routes' counts, some without a request; `cached` ones write to a cache for an hour."""
        found = [self._counts.get(route) or TokenCounts() for route in range(number)]
        return [counts.kept_for_an_hour() if route in cached else counts for route, counts in enumerate(found)]

    def _of(self, route: int) -> TokenCounts:
        counts = self._counts.get(route)
        if counts is None:
            counts = self._counts[route] = TokenCounts()
        return counts


def _sizes(usual: UsualLines) -> list[list[int]]:
    """The bytes of each body, by its route."""
    sizes = list(map(len, usual.bodies))
    if len(usual.routes) == 1:
        return [sizes]
    found: list[list[int]] = [[] for _ in usual.routes]
    for size, kind in zip(sizes, usual.kinds, strict=True):
        found[kind].append(size)
    return found

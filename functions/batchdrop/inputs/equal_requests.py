"""Finds the requests of a split that equal an earlier one of it. Pure, and in bounded memory.

Equal are requests for one provider, model and endpoint whose bodies are the same bytes, as they are sent: the order of
keys and white space count, custom_ids do not.
"""

from collections.abc import Buffer, Iterable
from hashlib import blake2b
from typing import NamedTuple

MOST_DISTINCT = 500_000
"""Requests of a split that are remembered, with some 150 bytes each; of what comes after them each is sent."""

_KEY_BYTES = 16  # that two of a billion different requests share a key has a chance of less than one in 10^20

type Place = int
"""Of a line in the index of its split, from 0."""


class Seen(NamedTuple):
    """The equal requests among some, by their numbers.

    `sent` are sent; `shared` have the answer of another, whose place stands beside each; `new` are to be remembered.
    """

    sent: list[int]
    shared: list[tuple[int, Place]]
    new: dict[bytes, Place]


class EqualRequests:
    """The requests of a split, each with the place of the first line that holds it.

    Args:
        most: How many are remembered.
    """

    def __init__(self, most: int = MOST_DISTINCT) -> None:
        self._places: dict[bytes, Place] = {}
        self._most = most

    def look(self, bodies: Iterable[Buffer], routes: Iterable[int], first: Place) -> Seen:
        """Return which of some requests equal another; nothing is remembered yet.

        Args:
            bodies: As they are sent.
            routes: The number of each one's provider, model and endpoint.
            first: The place of the first one's line; the others follow it.
        """
        sent, shared, new = list[int](), list[tuple[int, Place]](), dict[bytes, Place]()
        room = self._most - len(self._places)
        for at, (body, route) in enumerate(zip(bodies, routes, strict=True)):
            key = blake2b(body, digest_size=_KEY_BYTES, salt=route.to_bytes(_KEY_BYTES)).digest()
            place = self._places.get(key, new.get(key))
            if place is not None:
                shared.append((at, place))
                continue
            sent.append(at)
            if len(new) < room:
                new[key] = first + at
        return Seen(sent, shared, new)

    def remember(self, seen: Seen) -> None:
        """Remember requests that are sent."""
        self._places |= seen.new

"""Prices of tokens, in exact decimals."""

from collections.abc import Callable
from decimal import Decimal

import msgspec

MILLION = 1_000_000


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """US dollars per million tokens.

    Attributes:
        input: Read by the model, and not from a cache.
        cached_input: Read from the provider's cache.
        cache_write: Read, and written to the cache for some minutes; `input` where writing costs nothing more.
        cache_write_1h: The same, for an hour.
        output: Written by the model, its reasoning included.
    """

    input: Decimal
    cached_input: Decimal
    cache_write: Decimal
    cache_write_1h: Decimal
    output: Decimal

    def times(self, factor: Decimal) -> "Rates":
        return Rates(**{name: value * factor for name, value in msgspec.structs.asdict(self).items()})


class ModelPrices(msgspec.Struct, frozen=True, kw_only=True):
    """The prices of a model, by the way it is asked; None where no such price is known.

    Attributes:
        batch: In a batch.
        realtime: By a call of its own.
        long_batch: A request whose input is so long that all of it costs more; None where length makes no difference.
        long_realtime: The same, by a call of its own.
    """

    batch: Rates | None
    realtime: Rates | None
    long_batch: Rates | None = None
    long_realtime: Rates | None = None


type PriceList = Callable[[str, str], ModelPrices | None]  # by provider and model as written


def charge(tokens: int, rate: Decimal) -> Decimal:
    """US dollars, not rounded."""
    return rate * tokens / MILLION

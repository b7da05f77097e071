"""What a job cost, estimated from its counted tokens and its models' prices; nothing is fetched."""

from collections.abc import Iterable
from decimal import Decimal

import msgspec
from batchdrop.manifest import ModelCounts, Usage
from batchdrop.rates import PriceList, Rates, charge


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """In US dollars.

    Attributes:
        dollars: In batches.
        realtime: What the same tokens cost by calls of their own; None where that is not known.
        is_batch: False where only that price is known, which is a ceiling.
    """

    dollars: Decimal
    realtime: Decimal | None
    is_batch: bool


def price_of(prices: PriceList, provider: str, model: str, usage: Usage) -> Price | None:
    """The estimated price of a model's tokens; None where it is not known.

    Args:
        prices: What models cost.
        provider: As configured.
        model: As written in the line, the provider's prefix included.
        usage: Over all requests.
    """
    found = prices(provider, model)
    if found is None:
        return None
    rates = found.batch or found.realtime
    if rates is None:
        return None
    realtime = None if found.realtime is None else _charge(usage, found.realtime)
    return Price(dollars=_charge(usage, rates), realtime=realtime, is_batch=found.batch is not None)


def _charge(usage: Usage, rates: Rates) -> Decimal:
    """At the rates of requests of usual length: a sum over many says nothing of how long one was."""
    cached, written = usage.cached_input_tokens, usage.cache_write_tokens
    return (
        charge(usage.input_tokens - cached - written, rates.input)
        + charge(cached, rates.cached_input)
        + charge(written, rates.cache_write)
        + charge(usage.output_tokens, rates.output)
    )


def dollars(price: Price | None) -> str:
    """`$0.0123`, `$0.0123 (standard price)`, `unknown`."""
    if price is None:
        return "unknown"
    return f"${price.dollars:.4f}" + ("" if price.is_batch else " (standard price)")


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """A sum in US dollars, None where nothing is known of it, and what is uncertain about it.

    `saved` is what real time would have cost more; None where that is not known of each model.
    """

    dollars: Decimal | None
    saved: Decimal | None = None
    doubts: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.dollars is None:
            return "unknown"
        saved = [f"saved ${self.saved:.4f} against real time"] if self.saved else []
        notes = "; ".join([*saved, *self.doubts])
        return f"${self.dollars:.4f}" + (f" ({notes})" if notes else "")


def cost_of(models: Iterable[ModelCounts], prices: PriceList) -> Cost:
    """What all models of a job cost; nothing where none was asked."""
    found = [price_of(prices, each.provider, each.model, each.usage) for each in models]
    known = [price for price in found if price is not None]
    if found and not known:
        return Cost(dollars=None)
    doubts = []
    if any(not price.is_batch for price in known):
        doubts.append("some at the standard price, since no batch price is known")
    if len(known) < len(found):
        doubts.append("without the models whose price is unknown")
    dollars = sum((price.dollars for price in known), Decimal(0))
    realtime = [price.realtime for price in known if price.realtime is not None]
    is_known = len(realtime) == len(found)
    return Cost(dollars=dollars, saved=sum(realtime, Decimal(0)) - dollars if is_known else None, doubts=tuple(doubts))

"""What a job costs, estimated from its counted tokens and the price list inside `genai-prices`; nothing is fetched."""

from collections.abc import Iterable
from decimal import Decimal

import msgspec
from batchdrop.manifest import ModelCounts, Usage
from batchdrop.rates import Rates, charge

from batchdrop_cli.price_list import listed_prices


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """In US dollars. `is_batch` is False when only the standard price of the model is known, which is a ceiling."""

    dollars: Decimal
    is_batch: bool


def price_of(provider: str, model: str, usage: Usage) -> Price | None:
    """The estimated price of a model's tokens; None when the model is not in the list.

    Args:
        provider: As configured; a name the list does not know is left out of the search.
        model: As written in the line, the provider's prefix included.
        usage: Over all requests.
    """
    name = model.removeprefix(f"{provider}/")
    prices = listed_prices(name, provider=provider) or listed_prices(name)
    if prices is None:
        return None
    rates = prices.batch or prices.realtime
    return None if rates is None else Price(dollars=_charge(usage, rates), is_batch=prices.batch is not None)


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
    """A sum in US dollars, None where nothing is known of it, and what is uncertain about it."""

    dollars: Decimal | None
    doubts: tuple[str, ...] = ()


def cost_of(models: Iterable[ModelCounts]) -> Cost:
    """What all models of a job cost; nothing where none was asked."""
    prices = [price_of(each.provider, each.model, each.usage) for each in models]
    known = [price for price in prices if price is not None]
    if prices and not known:
        return Cost(dollars=None)
    doubts = []
    if any(not price.is_batch for price in known):
        doubts.append("some at the standard price, since no batch price is known")
    if len(known) < len(prices):
        doubts.append("without the models whose price is unknown")
    return Cost(dollars=sum((price.dollars for price in known), Decimal(0)), doubts=tuple(doubts))


def total(models: Iterable[ModelCounts]) -> str:
    """The sum in words, with what is uncertain about it."""
    cost = cost_of(models)
    if cost.dollars is None:
        return "unknown"
    return f"${cost.dollars:.4f}" + (f" ({'; '.join(cost.doubts)})" if cost.doubts else "")

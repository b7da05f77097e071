"""What a job costs, estimated from its counted tokens and the price list inside `genai-prices`; nothing is fetched."""

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
from batchdrop.manifest import ModelCounts, Usage

if TYPE_CHECKING:
    from genai_prices.types import PriceCalculation


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """In US dollars. `is_batch` is False when only the standard price of the model is known, which is a ceiling."""

    dollars: Decimal
    is_batch: bool


def price_of(provider: str, model: str, usage: Usage) -> Price | None:
    """The estimated price of a model's tokens; None when the model is not in the list.

    Args:
        provider: As configured; a name the list does not know is left out of the search.
        model: As written in the line, the provider's prefix included.
        usage: Over all requests, since one look at the list takes 0.2 ms.
    """
    name = model.removeprefix(f"{provider}/")
    standard = _calculate(provider, name, usage, processing=None)
    batch = _calculate(provider, name, usage, processing="batch")
    if standard is None or batch is None:
        return None
    return Price(dollars=batch.total_price, is_batch=batch.model_price != standard.model_price)


def _calculate(provider: str, model: str, usage: Usage, *, processing: str | None) -> "PriceCalculation | None":
    # Imported here: reading the price list takes longer than most commands.
    from genai_prices import Usage as Tokens  # noqa: PLC0415
    from genai_prices import calc_price  # noqa: PLC0415

    tokens = Tokens(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cached_input_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_tokens=usage.output_tokens,
    )
    for provider_id in (provider, None):
        try:
            return calc_price(
                tokens, model, provider_id=provider_id, price_context={"processing": processing} if processing else None
            )
        except LookupError:
            continue
    return None


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

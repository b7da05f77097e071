"""Prices counted tokens by model: exact, and summed over a job's models. Pure."""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from batchdrop.manifest import Dedupe, ModelCounts, Usage
from batchdrop.money import Money, PriceSource, named, usd
from batchdrop.rates import PriceList, Rates, charge

_NONE = Usage()


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """In US dollars.

    Attributes:
        dollars: As it was asked for: in batches, or by calls.
        realtime: What the same tokens cost by calls of their own; None where that is not known.
        is_batch: False where only that price is known, which is a ceiling.
        extra: What of `dollars` calls cost more than batches would have.
    """

    dollars: Decimal
    realtime: Decimal | None
    is_batch: bool
    extra: Decimal = Decimal(0)


def price_of(prices: PriceList, provider: str, model: str, usage: Usage, *, called: Usage = _NONE) -> Price | None:
    """The price of a model's tokens; None where it is not known.

    Args:
        prices: What models cost.
        provider: As configured.
        model: As written in the line, the provider's prefix included.
        usage: Over all requests.
        called: What of it came of calls at real time.
    """
    found = prices(provider, model)
    if found is None:
        return None
    rates = found.batch or found.realtime
    if rates is None:
        return None
    realtime = None if found.realtime is None else charge_usage(usage, found.realtime)
    extra = charge_usage(called, found.realtime or rates) - charge_usage(called, rates)
    dollars = charge_usage(usage, rates) + extra
    return Price(dollars=dollars, realtime=realtime, is_batch=found.batch is not None, extra=extra)


def charge_usage(usage: Usage, rates: Rates) -> Decimal:
    """US dollars at the rates of requests of one length: a sum over many says nothing of how long one was."""
    cached, written, for_an_hour = usage.cached_input_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens
    uncached = usage.input_tokens - cached - written  # below 0 where a server counts these beside its input
    return (
        charge(uncached if uncached >= 0 else usage.input_tokens, rates.input)
        + charge(cached, rates.cached_input)
        + charge(written - for_an_hour, rates.cache_write)
        + charge(for_an_hour, rates.cache_write_1h)
        + charge(usage.output_tokens, rates.output)
    )


def settle(models: Iterable[ModelCounts], prices: PriceList, source: PriceSource) -> tuple[list[ModelCounts], Money]:
    """Return the cost of a job's models, each and together.

    Args:
        models: As they were counted.
        prices: What models cost.
        source: Where these prices are from.
    """
    priced = [(each, _priced(each, prices)) for each in models]
    known = [price for _, price in priced if price is not None]
    realtime = [price.realtime for price in known if price.realtime is not None]
    cost = _sum(price.dollars for price in known)
    retries = [_cost(prices, each, each.retries, each.realtime.retries) for each, _ in priced]
    duplicates = [_cost(prices, each, each.duplicates, each.realtime.duplicates) for each, _ in priced]
    is_known = bool(known) or not priced
    is_compared = is_known and len(realtime) == len(known)
    money = Money(
        cost_usd=usd(cost) if is_known else None,
        realtime_usd=usd(_sum(realtime)) if is_compared else None,
        saved_usd=usd(_sum(realtime) - cost) if is_compared else None,
        retries_usd=usd(_sum(retries)) if is_known else None,
        duplicates_usd=usd(_sum(duplicates)) if is_known else None,
        unpriced_models=_named(each for each, price in priced if price is None),
        no_batch_price=_named(each for each, price in priced if price is not None and not price.is_batch),
        prices=source,
    )
    return [_with_price(each, price) for each, price in priced], money


def dedupe_of(models: Iterable[ModelCounts], prices: PriceList) -> Dedupe:
    """Return the saving of sending equal requests once."""
    found = [(each.shared, _price_of_shared(prices, each)) for each in models if each.shared.requests]
    known = [price.dollars for _, price in found if price is not None]
    return Dedupe(
        requests_saved=sum(shared.requests for shared, _ in found),
        input_tokens=sum(shared.usage.input_tokens for shared, _ in found),
        output_tokens=sum(shared.usage.output_tokens for shared, _ in found),
        saved_usd=usd(_sum(known)) if len(known) == len(found) else None,
    )


def _price_of_shared(prices: PriceList, model: ModelCounts) -> Price | None:
    """Return the price that a model's shared answers would have cost."""
    return price_of(prices, model.provider, model.model, model.shared.usage, called=model.shared.realtime)


def _sum(dollars: Iterable[Decimal]) -> Decimal:
    return sum(dollars, Decimal(0))


def extra_of(models: Iterable[ModelCounts], prices: PriceList) -> Decimal | None:
    """Return the extra cost of calls over batches; None where the price of one is not known."""
    found = [_priced(each, prices) for each in models if each.realtime.answered]
    known = [each.extra for each in found if each is not None and each.realtime is not None]
    return _sum(known) if len(known) == len(found) else None


def _priced(model: ModelCounts, prices: PriceList) -> Price | None:
    return price_of(prices, model.provider, model.model, model.usage, called=model.realtime.usage)


def _cost(prices: PriceList, model: ModelCounts, usage: Usage, called: Usage) -> Decimal:
    """Return the cost of a part of a model's tokens; nothing where no price is known."""
    price = None if usage == _NONE else price_of(prices, model.provider, model.model, usage, called=called)
    return Decimal(0) if price is None else price.dollars


def _with_price(model: ModelCounts, price: Price | None) -> ModelCounts:
    if price is None:
        return model
    realtime = price.realtime
    return msgspec.structs.replace(
        model,
        cost_usd=usd(price.dollars),
        realtime_usd=None if realtime is None else usd(realtime),
        saved_usd=None if realtime is None else usd(realtime - price.dollars),
    )


def _named(models: Iterable[ModelCounts]) -> list[str]:
    return named((each.provider, each.model) for each in models)

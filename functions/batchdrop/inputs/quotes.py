"""Quotes a file's cost as a range, from its counted tokens and its models' prices. Pure; money is never rounded."""

from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Decimal

import msgspec

from batchdrop.inputs.fallbacks import Fallback
from batchdrop.inputs.token_counts import LEAST_SHARE, LoadKind, Route, TokenCounts
from batchdrop.money import named
from batchdrop.protocols import anthropic, openai
from batchdrop.protocols.token_estimates import counts_alike
from batchdrop.rates import ModelPrices, PriceList, Rates, charge
from batchdrop.records import JobSettings


class CostRange(msgspec.Struct, frozen=True, kw_only=True):
    """US dollars: as little as no output and the fewest input tokens cost, and the most; None where that is unknown."""

    low: Decimal
    high: Decimal | None

    def __add__(self, other: "CostRange") -> "CostRange":
        is_known = self.high is not None and other.high is not None
        return CostRange(
            low=self.low + other.low,
            high=self.high + other.high if is_known else None,  # type: ignore[operator]  # neither is None
        )

    def __sub__(self, other: "CostRange") -> "CostRange":
        is_known = self.high is not None and other.high is not None
        return CostRange(
            low=self.low - other.low,
            high=self.high - other.high if is_known else None,  # type: ignore[operator]  # neither is None
        )


STRUCTURED = frozenset({openai.CHAT, openai.RESPONSES, anthropic.ENDPOINT})
_WORDS_TOKENS = 2_000  # of what is said of an answer that does not fit, at most: ten problems of 500 bytes

NOTHING = CostRange(low=Decimal(0), high=Decimal(0))


class Dearest(msgspec.Struct, frozen=True, kw_only=True):
    """US dollars per million tokens that none of some requests pays more than, in a batch."""

    input: Decimal
    output: Decimal


class RouteCost(msgspec.Struct, frozen=True, kw_only=True):
    """The cost of the requests for one provider, model and endpoint; None where no price is known.

    `dearest` bounds what each of them costs. `is_batch_price` is False where the price in a batch is not known, so that
    `batch` is what real time costs: a ceiling.
    """

    counts: TokenCounts
    batch: CostRange | None
    realtime: CostRange | None
    is_batch_price: bool
    dearest: Dearest | None = None

    @property
    def saved(self) -> CostRange | None:
        if self.batch is None or self.realtime is None or not self.is_batch_price:
            return None
        return self.realtime - self.batch


class Resends(msgspec.Struct, frozen=True, kw_only=True):
    """How often requests are sent at most, each time paid, where answers may not fit the job's output schema.

    Attributes:
        attempts: The first time included.
        quotes_answers: Whether each time says what was wrong with the answers before, and has these in it.
    """

    attempts: int = 1
    quotes_answers: bool = False


ONCE = Resends()


def resends_of(settings: JobSettings, *, has_schema: bool, attempt: int = 1) -> Resends:
    """Return how requests with the job's output schema are sent again, from this attempt on."""
    if not has_schema:
        return ONCE
    left = max(settings.max_attempts - attempt + 1, 1)
    return Resends(attempts=left, quotes_answers=settings.schema_retry == "with_errors")


def quote_routes(
    counts: Mapping[Route, TokenCounts],
    prices: PriceList,
    takes: Callable[[Route], Fallback | None] = lambda _: None,
    resends: Resends = ONCE,
) -> dict[Route, RouteCost]:
    """Each route's cost, in the order of their names.

    Args:
        counts: The requests, by route.
        prices: What models cost.
        takes: The fallback of a route, which may answer any of its requests instead.
        resends: How often those with structured output are sent at most, all of them by one of the two.
    """
    costs = {}
    for route in sorted(counts):
        its, other = resends if route[2] in STRUCTURED else ONCE, takes(route)
        cost = _quote(counts[route], prices(route[0], route[1]), its)
        if other is not None:
            others = _quote(counts[route], prices(other.provider, other.model), its)
            cost = _either(cost, others, is_known=not counts[route].parts or _counts_alike(route, other))
        costs[route] = cost
    return costs


def _counts_alike(route: Route, other: Fallback) -> bool:
    """Whether a fallback takes what is no text for as many tokens as the model of a route, by whose rule they count."""
    provider, model, _ = route
    return provider == other.provider and counts_alike(model.removeprefix(f"{provider}/"), other.model)


def _either(own: RouteCost, other: RouteCost, *, is_known: bool) -> RouteCost:
    """Return the cost of requests that either of two models answers: each bound is the wider one.

    The most is not known where the other counts other tokens for what is no text.
    """
    dearest = own.dearest
    if own.dearest is not None and other.dearest is not None:
        dearest = Dearest(
            input=max(own.dearest.input, other.dearest.input), output=max(own.dearest.output, other.dearest.output)
        )
    return msgspec.structs.replace(
        own,
        batch=_widened(own.batch, other.batch, is_known=is_known),
        realtime=_widened(own.realtime, other.realtime, is_known=is_known),
        is_batch_price=own.is_batch_price and (other.is_batch_price or other.batch is None),
        dearest=dearest,
    )


def _widened(own: CostRange | None, other: CostRange | None, *, is_known: bool) -> CostRange | None:
    if own is None:
        return None
    highs = [None if each is None or not is_known else each.high for each in (own, other)]
    known = [each for each in highs if each is not None]
    return CostRange(
        low=own.low if other is None else min(own.low, other.low),
        high=max(known) if len(known) == len(highs) else None,
    )


def asked_or_fallback(routes: Collection[Route], takes: Callable[[Route], Fallback | None]) -> list[tuple[str, str]]:
    """The models that requests may be answered by (provider, and name): those that they ask, and their fallbacks."""
    others = (takes(route) for route in routes)
    return [
        *(route[:2] for route in routes),
        *{(each.provider, each.model): None for each in others if each is not None},
    ]


def unpriced_of(models: Iterable[tuple[str, str]], prices: PriceList) -> list[str]:
    """Return the models (provider, and name) with no known price."""
    return named(each for each in models if not _has_price(prices(*each)))


def without_batch_price(models: Iterable[tuple[str, str]], prices: PriceList) -> list[str]:
    """Return the models whose price is known at real time, and not in a batch."""
    found = [(each, prices(*each)) for each in models]
    return named(each for each, its in found if its is not None and its.batch is None and its.realtime is not None)


def _has_price(prices: ModelPrices | None) -> bool:
    return prices is not None and (prices.batch is not None or prices.realtime is not None)


def total_of(ranges: Iterable[CostRange | None]) -> CostRange:
    """The sum; its most is unknown where a part's price is."""
    total = NOTHING
    for each in ranges:
        total += CostRange(low=Decimal(0), high=None) if each is None else each
    return total


def _quote(counts: TokenCounts, prices: ModelPrices | None, resends: Resends) -> RouteCost:
    if prices is None:
        return RouteCost(counts=counts, batch=None, realtime=None, is_batch_price=False)
    realtime = None if prices.realtime is None else cost_of(counts, prices.realtime, prices.long_realtime, resends)
    batch = realtime if prices.batch is None else cost_of(counts, prices.batch, prices.long_batch, resends)
    rates, long_rates = (
        (prices.realtime, prices.long_realtime) if prices.batch is None else (prices.batch, prices.long_batch)
    )
    return RouteCost(
        counts=counts,
        batch=batch,
        realtime=realtime,
        is_batch_price=prices.batch is not None,
        dearest=None if rates is None else _dearest(counts, rates, long_rates),
    )


def _dearest(counts: TokenCounts, rates: Rates, long_rates: Rates | None) -> Dearest:
    used = {kind: _rates_for(kind, rates, long_rates) for kind in counts.loads}
    return Dearest(
        input=max((_highest_input(its, kind) for kind, its in used.items()), default=rates.input),
        output=max((its.output for its in used.values()), default=rates.output),
    )


def cost_of(counts: TokenCounts, rates: Rates, long_rates: Rates | None = None, resends: Resends = ONCE) -> CostRange:
    """Return the cost of requests at these rates.

    The least: the fewest input tokens, none of them from a cache, and no output. The most: every input token as
    estimated, written to a cache where the request may, and all the output that the requests allow; as often as they
    may be sent.

    Args:
        counts: The requests.
        rates: Of usual ones.
        long_rates: Of those with long inputs, where they cost more.
        resends: How often they are sent.
    """
    low = charge(counts.input_most, min(rates.input, (long_rates or rates).input)) / LEAST_SHARE
    if counts.unlimited or counts.unseen:
        return CostRange(low=low, high=None)
    high = Decimal(0)
    for kind, load in counts.loads.items():
        used = _rates_for(kind, rates, long_rates)
        high += charge(load.input_tokens, _highest_input(used, kind)) + charge(load.output_tokens, used.output)
    return CostRange(low=low, high=high + _again(counts, high, long_rates or rates, resends))


def _again(counts: TokenCounts, once: Decimal, dearest: Rates, resends: Resends) -> Decimal:
    """Return the highest cost of requests beyond the first time."""
    times = resends.attempts - 1
    if not resends.quotes_answers:
        return times * once
    outputs = sum(load.output_tokens for load in counts.loads.values())
    input_rate = _highest_input(dearest, "long-hour")
    each = max(once, charge(counts.input_most, input_rate) + charge(outputs, dearest.output))
    return times * each + charge(quoted_tokens(counts.requests, outputs, resends), input_rate)


def quoted_tokens(requests: int, outputs: int, resends: Resends) -> int:
    """The tokens of answers, and of words on them, in requests that are sent again: one answer more each time."""
    times = resends.attempts - 1
    return (outputs + requests * _WORDS_TOKENS) * times * (times + 1) // 2 if resends.quotes_answers else 0


def _rates_for(kind: LoadKind, rates: Rates, long_rates: Rates | None) -> Rates:
    return long_rates if kind.startswith("long-") and long_rates is not None else rates


def _highest_input(rates: Rates, kind: LoadKind) -> Decimal:
    if kind.endswith("-hour"):
        return max(rates.input, rates.cache_write, rates.cache_write_1h)
    return max(rates.input, rates.cache_write) if kind.endswith("-minutes") else rates.input

"""Estimates the cost of requests by the answers in their folder in the last weeks. Pure."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from batchdrop.aws.answer_history import AnsweredTokens, week_of
from batchdrop.inputs.quotes import CostRange
from batchdrop.inputs.token_counts import Route, TokenCounts
from batchdrop.rates import PriceList, charge

_WEIGHTS = (8, 4, 2, 1)  # of this week's answers, and of the weeks' before it: what is new says more
_FEW = 10  # answers, below which they say nothing of the next ones
_SIX = Decimal("0.000001")


def expected_cost(
    counts: Mapping[Route, TokenCounts],
    answered: Iterable[AnsweredTokens],
    prices: PriceList,
    within: CostRange,
    *,
    now: int,
) -> Decimal | None:
    """US dollars in batches, in the middle; None where one of the routes has no price, or too few answers yet.

    Args:
        counts: The requests, by route.
        answered: What others of the folder were answered with.
        prices: What models cost.
        within: What they cost at least and at most.
        now: Seconds since 1970.
    """
    sums = _weighted(answered, now)
    parts = [_expected(route, its, sums.get(route), prices) for route, its in counts.items()]
    known = [each for each in parts if each is not None]
    if not known or len(known) < len(parts):
        return None
    expected = max(sum(known, Decimal(0)).quantize(_SIX), within.low)
    return expected if within.high is None else min(expected, within.high)


def _expected(route: Route, counts: TokenCounts, answered: AnsweredTokens | None, prices: PriceList) -> Decimal | None:
    found = prices(route[0], route[1])
    rates = None if found is None else found.batch or found.realtime
    if rates is None or answered is None:
        return None
    read = counts.input_most * answered.input // max(answered.estimated, 1)
    written = counts.requests * answered.output // answered.answers
    return charge(read, rates.input) + charge(written, rates.output)


def _weighted(answered: Iterable[AnsweredTokens], now: int) -> dict[Route, AnsweredTokens]:
    """The sums over the weeks, by route; where there are enough answers."""
    weights = {week_of(now, before=before): weight for before, weight in enumerate(_WEIGHTS)}
    weeks: dict[Route, list[AnsweredTokens]] = {}
    for each in answered:
        if each.week in weights:
            weeks.setdefault((each.provider, each.model, each.endpoint), []).append(each)
    return {
        route: _sum(found, weights) for route, found in weeks.items() if sum(each.answers for each in found) >= _FEW
    }


def _sum(weeks: list[AnsweredTokens], weights: Mapping[str, int]) -> AnsweredTokens:
    """One for all weeks, in which each answer counts by its week's weight."""
    first = weeks[0]

    def total(name: str) -> int:
        return sum(weights[each.week] * getattr(each, name) for each in weeks)

    return AnsweredTokens(
        week=first.week,
        provider=first.provider,
        model=first.model,
        endpoint=first.endpoint,
        answers=total("answers"),
        estimated=total("estimated"),
        input=total("input"),
        output=total("output"),
    )

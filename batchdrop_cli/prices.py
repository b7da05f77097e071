"""Prices a job: as its manifest says, else by its counted tokens and its models' prices; nothing is fetched."""

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal

import msgspec
from batchdrop.costs import Price, price_of
from batchdrop.manifest import Manifest, ModelCounts
from batchdrop.money import named
from batchdrop.rates import PriceList

LEAST = Decimal("0.0001")  # that is shown


def prices_of(manifest: Manifest, prices: PriceList) -> list[Price | None]:
    """Return the cost of each model of a job: as its manifest says, or by today's prices if it is of an older version.

    None where it is not known.
    """
    money = manifest.money
    if money is None:
        return [price_of(prices, each.provider, each.model, each.usage) for each in manifest.models]
    at_standard = {*money.no_batch_price}
    return [_settled(each, is_batch=at_standard.isdisjoint(_names(each))) for each in manifest.models]


def _names(model: ModelCounts) -> list[str]:
    return named([(model.provider, model.model)])


def _settled(model: ModelCounts, *, is_batch: bool) -> Price | None:
    if model.cost_usd is None:
        return None
    realtime = None if model.realtime_usd is None else Decimal(model.realtime_usd)
    return Price(dollars=Decimal(model.cost_usd), realtime=realtime, is_batch=is_batch)


def shown(dollars: Decimal, rounding: str = ROUND_HALF_EVEN) -> str:
    """`$1,234.5000`, `under $0.0001`: a little is not shown as nothing."""
    return f"under ${LEAST}" if 0 < dollars < LEAST else f"${dollars.quantize(LEAST, rounding):,}"


def dollars(price: Price | None) -> str:
    """`$0.0123`, `$0.0123 (standard price)`, `unknown`."""
    if price is None:
        return "unknown"
    return shown(price.dollars) + ("" if price.is_batch else " (standard price)")


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
        saved = [f"saved {shown(self.saved)} against real time"] if self.saved else []
        notes = "; ".join([*saved, *self.doubts])
        return shown(self.dollars) + (f" ({notes})" if notes else "")


def cost_of_job(manifest: Manifest, prices: PriceList) -> Cost:
    """Return a job's cost; `prices` count where its manifest has none."""
    return cost_of(prices_of(manifest, prices))


def cost_of(found: Sequence[Price | None]) -> Cost:
    """Return the cost of all models of a job; nothing where none was asked."""
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

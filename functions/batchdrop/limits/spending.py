"""Sums a job's spending by the tokens that its providers counted: never less than it may have been charged. Pure."""

from collections.abc import Iterable
from decimal import Decimal

from msgspec.structs import replace

from batchdrop.costs import charge_usage
from batchdrop.dollars import micros_of
from batchdrop.manifest import Manifest, ModelCounts
from batchdrop.rates import PriceList, Rates
from batchdrop.result_line import ErrorCode

# Codes of lines that their provider may have answered, and charged for, without their results being read.
_MAYBE_PAID = frozenset({ErrorCode.PROVIDER_STUCK, ErrorCode.COLLECT_FAILED})


def spent_by(manifest: Manifest, reserved: int, prices: PriceList) -> int | None:
    """Return a job's cost, second answers included, in millionths of a dollar; None where that is not known.

    Sums of tokens do not say how long a request was, and long ones may cost more each: then what all of them would cost
    counts, up to what was reserved, in which each request has its own price.

    Args:
        manifest: The job's.
        reserved: What it reserved; 0 where it was not known what it may cost.
        prices: What models cost, by provider and model as written.
    """
    if manifest.counts is None or _MAYBE_PAID & manifest.counts.errors.keys():
        return None
    if manifest.deadline is not None and manifest.deadline.doubts:
        return None
    sums = _sums(manifest.models, prices)
    if sums is None:
        return None
    least, most = (micros_of(each) for each in sums)
    return max(least, min(most, reserved))


def _sums(models: Iterable[ModelCounts], prices: PriceList) -> tuple[Decimal, Decimal] | None:
    """Return the cost of all tokens at their lowest and at their highest price; None where one is unknown."""
    least = most = Decimal(0)
    for each in models:
        found = prices(each.provider, each.model)
        usual = None if found is None else found.batch or found.realtime
        if found is None or usual is None:
            if each.answered:
                return None
            continue
        long = (found.long_realtime if found.batch is None else found.long_batch) or usual
        called = found.realtime or usual
        long_called = found.long_realtime or called
        least += _cost(each, usual, called)
        most += _cost(each, _dearest(long), _dearest(long_called))
    return least, most


def _dearest(rates: Rates) -> Rates:
    return replace(rates, cache_write=max(rates.cache_write, rates.cache_write_1h))


def _cost(counts: ModelCounts, batch: Rates, realtime: Rates) -> Decimal:
    called = counts.realtime.usage + counts.realtime.duplicates
    return charge_usage(counts.usage + counts.duplicates - called, batch) + charge_usage(called, realtime)

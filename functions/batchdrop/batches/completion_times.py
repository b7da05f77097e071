"""How long a provider's batches took, by model and size: counts of each day, in the table, and what they say."""

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from enum import StrEnum

import msgspec

from batchdrop.aws.provider_store import ProviderStore
from batchdrop.records import Batch

_KEPT_SECONDS = 28 * 86_400
_BINS_PER_DOUBLING = 4  # so that a bin is a fifth wide: as exact as a look a minute can be
_SHORTEST = 30  # seconds: what took less is in the first bin
_MOST_BINS = 64  # the last one begins after 19 days
_DAILY_WEIGHT = 0.9  # what a day counts against the next one: a week is worth half
_LOW, _HIGH = 0.1, 0.9
_TAKEN_TO_THE_END = {"completed", "expired"}
_FEW, _MANY = 3, 20  # batches, weighted


class Confidence(StrEnum):
    LOW = "low"  # of few batches, of other sizes, or of other models
    MEDIUM = "medium"
    HIGH = "high"


class DayOfTimes(msgspec.Struct, frozen=True, kw_only=True):
    """The batches of one model and size that ended on one day (`YYYYMMDD`), counted by bin."""

    day: str
    size: int
    model: str
    bins: Mapping[int, int]


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """Weighted counts of batches, by bin of how long they took."""

    weights: Mapping[int, float]
    is_like: bool

    @property
    def batches(self) -> float:
        return sum(self.weights.values())

    def left(self, elapsed: int) -> tuple[float, float] | None:
        """Seconds from now within which one that runs so long already ends: the tenth and the ninetieth percentile.

        None where none took so long.
        """
        longer = {each: weight for each, weight in self.weights.items() if _end_of(each) > elapsed}
        if not longer:
            return None
        low = max(_start_of(_percentile(longer, _LOW)), elapsed) - elapsed
        return low, _end_of(_percentile(longer, _HIGH)) - elapsed

    @property
    def confidence(self) -> Confidence:
        if not self.is_like or self.batches < _FEW:
            return Confidence.LOW
        return Confidence.HIGH if self.batches >= _MANY else Confidence.MEDIUM


def count_completion(batch: Batch, store: ProviderStore) -> None:
    """Count an ended batch; one that failed or was cancelled says nothing of how long batches take."""
    if batch.ended_as not in _TAKEN_TO_THE_END or batch.submitted_at is None or batch.ended_at is None:
        return
    store.count_completion(
        batch,
        day=datetime.fromtimestamp(batch.ended_at, UTC).strftime("%Y%m%d"),
        size=size_of(batch.requests),
        number=bin_of(batch.ended_at - batch.submitted_at),
        expires_at=batch.ended_at + _KEPT_SECONDS,
    )


def read_days(store: ProviderStore, provider: str) -> list[DayOfTimes]:
    """All that is known of how long a provider's batches took."""
    return [
        DayOfTimes(day=day, size=size, model=model, bins=bins) for day, size, model, bins in store.completions(provider)
    ]


def bin_of(seconds: int) -> int:
    """The bin of a batch that took so long."""
    if seconds <= _SHORTEST:
        return 0
    return min(int(math.log2(seconds / _SHORTEST) * _BINS_PER_DOUBLING) + 1, _MOST_BINS - 1)


def _start_of(number: int) -> float:
    return 0 if not number else _SHORTEST * 2 ** ((number - 1) / _BINS_PER_DOUBLING)


def _end_of(number: int) -> float:
    return _SHORTEST * 2 ** (number / _BINS_PER_DOUBLING)


def size_of(requests: int) -> int:
    """Return how many decimal digits the number has: batches of 1,000 to 9,999 requests are alike."""
    return len(str(requests))


def usual_seconds(days: Iterable[DayOfTimes], shares: Iterable[float]) -> list[float]:
    """Within how many seconds these shares of the batches had ended, each of these days counting alike."""
    counts: dict[int, float] = {}
    for each in days:
        for number, count in each.bins.items():
            counts[number] = counts.get(number, 0) + count
    return [_end_of(_percentile(counts, share)) for share in shares] if counts else []


def times_like(batch: Batch, days: Iterable[DayOfTimes], *, now: int) -> Times | None:
    """Return how long batches like this one took: of its model and size, else of its model, else of its provider.

    Args:
        batch: Of one provider.
        days: All that is known of that provider.
        now: Seconds.
    """
    known = [*days]
    of_model = [each for each in known if each.model == (batch.model or "")]
    like = [each for each in of_model if each.size == size_of(batch.requests)]
    found = like or of_model or known
    if not found:
        return None
    return Times(weights=_weighted(found, datetime.fromtimestamp(now, UTC).date()), is_like=bool(like))


def _weighted(days: Iterable[DayOfTimes], today: date) -> dict[int, float]:
    weights: dict[int, float] = {}
    for each in days:
        age = max((today - datetime.strptime(each.day, "%Y%m%d").replace(tzinfo=UTC).date()).days, 0)
        for number, count in each.bins.items():
            weights[number] = weights.get(number, 0) + count * _DAILY_WEIGHT**age
    return weights


def _percentile(weights: Mapping[int, float], share: float) -> int:
    """The bin in which this share of the weight is reached."""
    wanted, reached = share * sum(weights.values()), 0.0
    for number in sorted(weights):
        reached += weights[number]
        if reached >= wanted:
            return number
    return max(weights)

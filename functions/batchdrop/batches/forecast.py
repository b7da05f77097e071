"""When a job's batches will have ended, by how long others took. Pure; a job that retries takes longer."""

from collections.abc import Mapping, Sequence

import msgspec

from batchdrop.batches.completion_times import Confidence, DayOfTimes, Times, times_like
from batchdrop.records import Batch
from batchdrop.states import OPEN_BATCHES, BatchState

_STARTED = {BatchState.SUBMITTING, BatchState.IN_FLIGHT}
_ORDER = [Confidence.LOW, Confidence.MEDIUM, Confidence.HIGH]


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds since 1970: eight of ten times the last batch ends in between."""

    low: int
    high: int
    confidence: Confidence


class _End(msgspec.Struct, frozen=True):
    low: float
    high: float
    confidence: Confidence


def forecast(
    batches: Sequence[Batch],
    days: Mapping[str, Sequence[DayOfTimes]],
    limits: Mapping[str, int],
    *,
    now: int,
) -> Forecast | None:
    """Return when the last open batch ends; None where none is open, or nothing is known of a provider's batches.

    Batches that wait follow those of their ledger that run, as many at a time as its limit holds.

    Args:
        batches: Of one job.
        days: How long batches took, by provider.
        limits: What a ledger holds, by its name.
        now: Seconds.
    """
    still_open = [each for each in batches if each.state in OPEN_BATCHES and each.state is not BatchState.ENDED]
    found = {each.id: times_like(each, days.get(each.provider, ()), now=now) for each in still_open}
    times = {name: each for name, each in found.items() if each is not None}
    if not times or len(times) < len(found):
        return None
    started = {each.id: _end(each, times[each.id], now) for each in still_open if each.state in _STARTED}
    waiting = [each for each in still_open if each.state not in _STARTED]
    ends = [*started.values(), *_ends_of_waiting(waiting, _by_ledger(still_open, started), times, limits, now)]
    return Forecast(
        low=int(max(each.low for each in ends)),
        high=int(max(each.high for each in ends)),
        confidence=min((each.confidence for each in ends), key=_ORDER.index),
    )


def _end(batch: Batch, times: Times, now: int) -> _End:
    elapsed = max(now - (batch.submitted_at or now), 0)
    left = times.left(elapsed)
    if left is None:  # none took so long: as long again is as good a guess as any
        return _End(now, now + elapsed, Confidence.LOW)
    return _End(now + left[0], now + left[1], times.confidence)


def _by_ledger(batches: Sequence[Batch], started: Mapping[str, _End]) -> dict[str, _End]:
    """The last end of those that run, by ledger."""
    found: dict[str, _End] = {}
    for each in batches:
        end = started.get(each.id)
        last = found.get(each.ledger)
        if end is not None and (last is None or end.high > last.high):
            found[each.ledger] = end
    return found


def _ends_of_waiting(
    waiting: Sequence[Batch],
    running: Mapping[str, _End],
    times: Mapping[str, Times],
    limits: Mapping[str, int],
    now: int,
) -> list[_End]:
    ends = []
    for ledger in {each.ledger for each in waiting}:
        queue = [each for each in waiting if each.ledger == ledger]
        alone = [_end(each.with_(submitted_at=now), times[each.id], now) for each in queue]
        first = running.get(ledger, _End(now, now, Confidence.HIGH))
        turns = max(-(-sum(each.cost for each in queue) // max(limits.get(ledger, 1), 1)), 1)
        ends.append(
            _End(
                now + turns * (max(each.low for each in alone) - now),
                first.high + turns * (max(each.high for each in alone) - now),
                min((each.confidence for each in (first, *alone)), key=_ORDER.index),
            )
        )
    return ends

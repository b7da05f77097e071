"""Where a batch stands at a moment: a pure function of its facts and the clock. There are no background threads."""

from enum import Enum

from provider_simulator.facts import DAY, Batch


class Phase(Enum):
    VALIDATING = "validating"
    FAILED = "failed"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


ENDED = frozenset({Phase.FAILED, Phase.COMPLETED, Phase.EXPIRED, Phase.CANCELLED})
VALIDATING_SHARE = 0.05
FINALIZING_SHARE = 0.05
CANCELLING_SHARE = 0.1
LONGEST_CANCEL = 600.0  # seconds; "cancelling" lasts up to ten minutes at OpenAI


def window_seconds(batch: Batch) -> float:
    """After how long it expires: `24h`, `7d`."""
    return float(batch.window[:-1]) * (DAY if batch.window.endswith("d") else DAY / 24)


def validated_at(batch: Batch) -> float:
    return batch.created_at + VALIDATING_SHARE * min(batch.shape.seconds_to_complete, window_seconds(batch))


def finalizing_at(batch: Batch) -> float:
    return due_at(batch) - FINALIZING_SHARE * min(batch.shape.seconds_to_complete, window_seconds(batch))


def due_at(batch: Batch) -> float:
    """Return when it ends if nobody cancels it."""
    if batch.shape.stuck:
        return float("inf")
    return batch.created_at + min(batch.shape.seconds_to_complete, window_seconds(batch))


def cancelled_at(batch: Batch) -> float:
    if batch.cancel_at is None or batch.shape.stuck == "always":
        return float("inf")
    seconds = batch.shape.seconds_to_cancel
    if seconds is None:
        seconds = min(LONGEST_CANCEL, CANCELLING_SHARE * batch.shape.seconds_to_complete)
    return batch.cancel_at + seconds


def failed(batch: Batch) -> bool:
    return batch.scan is not None and bool(batch.scan.errors)


def ends_at(batch: Batch) -> float:
    if failed(batch):
        return validated_at(batch)
    return due_at(batch) if batch.cancel_at is None else cancelled_at(batch)


def phase(batch: Batch, now: float) -> Phase:
    if failed(batch):
        return Phase.FAILED
    if batch.cancel_at is not None:
        return Phase.CANCELLED if now >= cancelled_at(batch) else Phase.CANCELLING
    if now >= due_at(batch):
        return _due_phase(batch)
    if now < validated_at(batch):
        return Phase.VALIDATING
    return Phase.FINALIZING if now >= finalizing_at(batch) else Phase.IN_PROGRESS


def _due_phase(batch: Batch) -> Phase:
    if batch.shape.cancel_fraction is not None:
        return Phase.CANCELLED
    return Phase.EXPIRED if expires(batch) else Phase.COMPLETED


def is_live(batch: Batch, now: float) -> bool:
    """Does it still take work and queue space at this moment?"""
    return batch.created_at <= now < ends_at(batch) and not failed(batch)


def expires(batch: Batch) -> bool:
    return batch.shape.expire_fraction is not None or batch.shape.seconds_to_complete > window_seconds(batch)


def answered_share(batch: Batch) -> float:
    """The share of the requests that is answered when the batch ends."""
    if batch.cancel_at is not None:
        return progress(batch, batch.cancel_at)
    if batch.shape.cancel_fraction is not None:
        return batch.shape.cancel_fraction
    if batch.shape.expire_fraction is not None:
        return batch.shape.expire_fraction
    if batch.shape.seconds_to_complete > window_seconds(batch):
        return window_seconds(batch) / batch.shape.seconds_to_complete
    return 1.0


def progress(batch: Batch, now: float) -> float:
    """The share of the requests that is answered at this moment, by the clock alone."""
    start = validated_at(batch)
    seconds = (1 - VALIDATING_SHARE - FINALIZING_SHARE) * batch.shape.seconds_to_complete
    share = 1.0 if seconds <= 0 else min(1.0, max(0.0, (now - start) / seconds))
    if batch.shape.stuck:
        share = min(share, 0.5)
    return share if batch.shape.expire_fraction is None else share * batch.shape.expire_fraction

"""Meters an account's calls at real time: a row for each charge, and limits over 60 seconds of the simulator's clock.

The vendors fill an account's budget up all the time, at an unpublished grain. A window that slides is as strict over a
minute, and needs nothing but the charges.
"""

import math
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from provider_simulator.errors import RefusedError
from provider_simulator.facts import Limits, ProviderName, RealtimeCharge
from provider_simulator.store import Store

WINDOW = 60.0  # seconds

type Unit = Literal["requests", "tokens"]
UNITS: tuple[Unit, ...] = ("requests", "tokens")


class Rate(NamedTuple):
    """One limit of an account, as it stands at a moment."""

    unit: Unit
    limit: int
    used: int
    at: float
    unused_at: float
    """When nothing of it will be used, if nothing more is sent."""

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used)


class Rates:
    """Writes charges down, each under the limits. Safe to use from many threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()

    def charge(self, charge: RealtimeCharge, limits: Limits) -> dict[str, str]:
        """Write a charge down; returns the headers that tell what is left, none where no limit is set.

        Raises:
            RefusedError: 429, it would pass a limit, and was not charged.
        """
        of_account = _of_account(charge.provider, limits)
        with self._lock:
            window = self._window(charge) if of_account else []
            refused = _refusal(charge, window, of_account)
            if refused is not None:
                raise refused
            self._store.add_realtime(charge)
        return _headers(charge, [*window, charge], of_account)

    def _window(self, charge: RealtimeCharge) -> list[RealtimeCharge]:
        return self._store.realtime(charge.provider, charge.org, after=charge.at - WINDOW)


def _of_account(provider: ProviderName, limits: Limits) -> dict[Unit, int]:
    """The limits that are set."""
    found: dict[Unit, int | None] = {unit: getattr(limits, f"{provider}_{unit}_per_minute") for unit in UNITS}
    return {unit: limit for unit, limit in found.items() if limit is not None}


def _amount(charge: RealtimeCharge, unit: Unit) -> int:
    return 1 if unit == "requests" else charge.tokens


def _used(window: Sequence[RealtimeCharge], unit: Unit) -> int:
    return sum(_amount(each, unit) for each in window)


def _refusal(
    charge: RealtimeCharge, window: Sequence[RealtimeCharge], limits: Mapping[Unit, int]
) -> RefusedError | None:
    """The first limit that a charge would pass; None for none."""
    for unit, limit in limits.items():
        used, asked = _used(window, unit), _amount(charge, unit)
        if used + asked > limit:
            refused = _in_vendors_words(charge, unit, f"Limit {limit}, Used {used}, Requested {asked}.")
            refused.headers = _headers(charge, window, limits)
            return refused.after(_seconds_until(limit - asked, unit, charge.at, window))
    return None


def _seconds_until(most: int, unit: Unit, now: float, window: Sequence[RealtimeCharge]) -> float | None:
    """In how many whole seconds no more than `most` will be used; None: never, as one request is above the limit."""
    used = _used(window, unit)
    for each in window if most >= 0 else ():
        used -= _amount(each, unit)
        if used <= most:
            return float(math.ceil(each.at + WINDOW - now))
    return None


def _in_vendors_words(charge: RealtimeCharge, unit: Unit, said: str) -> RefusedError:
    if charge.provider == "anthropic":
        message = f"This request would exceed your organization's rate limit of {unit} per minute. {said}"
        return RefusedError(429, message)
    short = "RPM" if unit == "requests" else "TPM"
    message = f"Rate limit reached in organization {charge.org} on {unit} per min ({short}): {said}"
    return RefusedError(429, message, kind=unit, code="rate_limit_exceeded")


def _headers(charge: RealtimeCharge, window: Sequence[RealtimeCharge], limits: Mapping[Unit, int]) -> dict[str, str]:
    headers: dict[str, str] = {}
    unused_at = window[-1].at + WINDOW if window else charge.at
    for unit, limit in limits.items():
        rate = Rate(unit, limit, _used(window, unit), charge.at, unused_at)
        headers |= _openai_headers(rate) if charge.provider == "openai" else _anthropic_headers(rate)
    return headers


def _openai_headers(rate: Rate) -> dict[str, str]:
    minutes, seconds = divmod(round(rate.unused_at - rate.at, 3), 60)
    return {
        f"x-ratelimit-limit-{rate.unit}": str(rate.limit),
        f"x-ratelimit-remaining-{rate.unit}": str(rate.remaining),
        f"x-ratelimit-reset-{rate.unit}": (f"{minutes:g}m" if minutes else "") + f"{seconds:g}s",
    }


def _anthropic_headers(rate: Rate) -> dict[str, str]:
    reset = datetime.fromtimestamp(math.ceil(rate.unused_at), UTC)
    return {
        f"anthropic-ratelimit-{rate.unit}-limit": str(rate.limit),
        f"anthropic-ratelimit-{rate.unit}-remaining": str(rate.remaining),
        f"anthropic-ratelimit-{rate.unit}-reset": reset.isoformat().replace("+00:00", "Z"),
    }

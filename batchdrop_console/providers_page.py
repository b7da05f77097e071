"""The page Providers: who takes batches, how much of the limits is free, how long batches took."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec
from batchdrop.aws.row_versions import NewerRow
from batchdrop.batches.completion_times import DayOfTimes, read_days, usual_seconds
from batchdrop.manifest import timestamp
from batchdrop.pause_codes import PauseCode
from batchdrop.providers.config import load_providers
from starlette.requests import Request
from starlette.responses import Response

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.headroom import ShownProvider, shown_providers
from batchdrop_console.pages import console_of, page, render

DAYS = 14
_SHARES = (0.5, 0.9)
_REASONS: dict[str, str] = {
    PauseCode.NO_KEY: "it has no key",
    PauseCode.KEY_REFUSED: "its key was refused",
    PauseCode.ACCOUNT_REFUSED: "the account was refused",
    PauseCode.CALLS_FAILED: "calls in a row failed",
    PauseCode.BATCH_REFUSED: "a batch was refused whole",
}
_MINUTE, _HOUR = 60, 3_600


class ModelTimes(msgspec.Struct, frozen=True, kw_only=True):
    """How long a model's batches took, as people say it."""

    model: str
    batches: int
    half: str
    most: str


class ShownOne(msgspec.Struct, frozen=True, kw_only=True):
    """A provider, its breaker as it stands, and its times; `times` is None where newer code counts them."""

    shown: ShownProvider
    failures: int
    failed_at: str | None
    until: str | None
    times: list[ModelTimes] | None


@page
def show_providers(request: Request) -> Response:
    cloud = console_of(request).cloud
    shown = shown_providers(cloud, load_providers(cloud.providers_file))
    return render(
        request,
        "providers.html",
        title="Providers",
        providers=[_one(cloud, each, console_of(request).now()) for each in shown],
        days=DAYS,
        reasons=_REASONS,
    )


def _one(cloud: Cloud, shown: ShownProvider, now: int) -> ShownOne:
    pause = cloud.store.providers.get_pause(shown.provider)
    return ShownOne(
        shown=shown,
        failures=0 if pause is None else pause.failures,
        failed_at=timestamp(pause.failed_at) if pause is not None and pause.failed_at else None,
        until=timestamp(pause.until) if pause is not None and shown.paused else None,
        times=_times(cloud, shown.provider, now),
    )


def _times(cloud: Cloud, provider: str, now: int) -> list[ModelTimes] | None:
    try:
        days = read_days(cloud.store.providers, provider)
    except NewerRow:
        return None
    since = (datetime.fromtimestamp(now, UTC) - timedelta(days=DAYS - 1)).strftime("%Y%m%d")
    found: dict[str, list[DayOfTimes]] = {}
    for each in days:
        if each.day >= since:
            found.setdefault(each.model or "any model", []).append(each)
    return [_model(name, found[name]) for name in sorted(found)]


def _model(name: str, days: Iterable[DayOfTimes]) -> ModelTimes:
    days = [*days]
    half, most = usual_seconds(days, _SHARES)
    batches = sum(number for each in days for number in each.bins.values())
    return ModelTimes(model=name, batches=batches, half=duration(half), most=duration(most))


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 20 min`: as exact as the counts are."""
    if seconds < _MINUTE * 2:
        return f"{seconds:.0f} s"
    minutes = round(seconds / _MINUTE)
    if minutes < _HOUR // _MINUTE:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"

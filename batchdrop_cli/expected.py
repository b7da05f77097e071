"""When a job that runs will have its answers, by how long other batches took."""

import time
from collections.abc import Sequence

import msgspec
from batchdrop.aws.row_versions import NewerRow
from batchdrop.batches.completion_times import Confidence, read_days
from batchdrop.batches.forecast import forecast
from batchdrop.errors import ConfigError
from batchdrop.limits.ledgers import limit_of
from batchdrop.manifest import timestamp
from batchdrop.providers.config import load_providers
from batchdrop.records import Batch
from batchdrop.states import OPEN_BATCHES

from batchdrop_cli.cloud import Cloud


class ExpectedEnd(msgspec.Struct, frozen=True, kw_only=True):
    """When the job's batches will have ended, by how long others took: eight of ten times in between."""

    low: str
    high: str
    confidence: Confidence

    def __str__(self) -> str:
        """`2026-11-27 05:40 to 06:20 UTC, medium confidence`."""
        low, high = (each.replace("T", " ").removesuffix("Z")[:16] for each in (self.low, self.high))
        until = high[11:] if high[:10] == low[:10] else high
        return f"{low} to {until} UTC, {self.confidence} confidence"


def expected_end(cloud: Cloud, batches: Sequence[Batch]) -> ExpectedEnd | None:
    """Return when the last batch will have ended; None where nothing runs, or nothing is known of such batches."""
    still_open = [each for each in batches if each.state in OPEN_BATCHES and not each.is_realtime]
    if not still_open:
        return None
    now, store = int(time.time()), cloud.store.providers
    try:
        days = {name: read_days(store, name) for name in {each.provider for each in still_open}}
    except NewerRow:  # a newer deployment counts in another way
        return None
    found = forecast(batches, days, _limits(cloud, still_open, now), now=now)
    if found is None:
        return None
    return ExpectedEnd(low=timestamp(found.low), high=timestamp(found.high), confidence=found.confidence)


def _limits(cloud: Cloud, batches: Sequence[Batch], now: int) -> dict[str, int]:
    """Return the limits of the ledgers; none of a provider that is not configured here."""
    try:
        providers = load_providers(cloud.providers_file)
    except (ConfigError, OSError):
        return {}
    ledgers = {each.ledger: each.provider for each in batches if each.provider in providers}
    return {
        name: limit_of(providers[provider], cloud.store.providers.ledger(name), now)
        for name, provider in ledgers.items()
    }

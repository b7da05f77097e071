"""Shows for `providers` whether a provider takes batches, and how much of its limits is free."""

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
from batchdrop.aws.pause_history import PauseTimes
from batchdrop.limits.ledgers import limit_of
from batchdrop.manifest import timestamp
from batchdrop.providers.config import ProviderConfig, Providers
from batchdrop.records import Ledger, Protocol

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.say import say_table
from batchdrop_cli.waiting import paused


class Headroom(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's ledger. `unit` is what it counts; `learned_until` is set while a refusal's limit is believed."""

    ledger: str
    unit: str
    limit: int
    taken: int
    learned_until: str | None


class ShownPause(msgspec.Struct, frozen=True, kw_only=True):
    """A pause of a provider; `ended_at` is null while it lasts.

    `reason` is one of `no_key`, `key_refused`, `account_refused`, `calls_failed` and `batch_refused`: the last one.
    `probes` says how many batches tried the provider meanwhile, `probed_at` when the last one was admitted for that.
    """

    opened_at: str
    reason: str
    probes: int
    probed_at: str | None
    ended_at: str | None


class ShownProvider(msgspec.Struct, frozen=True, kw_only=True):
    """A provider of `providers --json`; `paused` says why, in words. Only ledgers that were ever used are listed.

    `pauses` has the one that lasts and the last 20 that are over, the newest first.
    """

    provider: str
    protocol: str
    base_url: str
    paused: str | None
    ledgers: list[Headroom]
    pauses: list[ShownPause]


def shown_providers(cloud: Cloud, providers: Providers) -> list[ShownProvider]:
    """Every configured provider, as it is now."""
    return [_shown(cloud, each) for each in providers.values()]


def _shown(cloud: Cloud, provider: ProviderConfig) -> ShownProvider:
    pause = cloud.store.providers.active_pause(provider.name)
    return ShownProvider(
        provider=provider.name,
        protocol=provider.protocol,
        base_url=provider.base_url,
        paused=None if pause is None else paused(provider.name, pause, cloud.options),
        ledgers=[_headroom(provider, each) for each in cloud.store.providers.ledgers(provider.name).values()],
        pauses=[_shown_pause(each) for each in cloud.store.providers.pauses(provider.name)],
    )


def _shown_pause(pause: PauseTimes) -> ShownPause:
    return ShownPause(
        opened_at=timestamp(pause.opened_at),
        reason=pause.reason_code,
        probes=pause.probes,
        probed_at=timestamp(pause.probed_at) if pause.probed_at else None,
        ended_at=timestamp(pause.ended_at) if pause.ended_at else None,
    )


def _headroom(provider: ProviderConfig, ledger: Ledger) -> Headroom:
    now = int(datetime.now(UTC).timestamp())
    is_learned = ledger.learned is not None and ledger.learned_until > now
    return Headroom(
        ledger=ledger.name,
        unit="requests" if provider.protocol is Protocol.ANTHROPIC else "tokens",
        limit=limit_of(provider, ledger, now),
        taken=ledger.reserved,
        learned_until=timestamp(ledger.learned_until) if is_learned else None,
    )


def say_providers(providers: list[ShownProvider]) -> None:
    rows = [row for each in providers for row in _rows(each)]
    say_table(["ledger", "taken", "limit", "of", "state"], rows, numbers=["taken", "limit"])


def _rows(provider: ShownProvider) -> Iterator[tuple[str, ...]]:
    state = provider.paused or "open"
    if not provider.ledgers:
        yield provider.provider, "0", "", "", state
    for each in provider.ledgers:
        learned = (
            f"; a refusal stated this limit, which is used until {each.learned_until}" if each.learned_until else ""
        )
        yield each.ledger, f"{each.taken:,}", f"{each.limit:,}", each.unit, state + learned

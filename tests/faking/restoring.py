"""A table that is restored: its rows are those of an earlier moment, while the bucket and the providers went on."""

from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
from batchdrop.aws.store import Store

from faking.cloud import TABLE, Cloud
from faking.dynamodb import TableClient

Rows = dict[tuple[str, str], dict[str, Any]]


def save_rows(cloud: Cloud) -> Rows:
    return deepcopy(cloud.table.items)


def restore(cloud: Cloud, rows: Rows, *, deployment: str | None = None) -> None:
    """Put the functions on a table that was made now, and holds these rows; under another stack's name, perhaps."""
    cloud.clock.now += 3_600  # that takes a while
    cloud.table.items = deepcopy(rows)
    cloud.table.created_at = datetime.fromtimestamp(cloud.clock.now, UTC)
    cloud.table.is_restored = True
    store = Store(TableClient(cloud.table), TABLE, now=cloud.clock.seconds)
    settings = msgspec.structs.replace(
        cloud.services.settings, deployment=deployment or cloud.services.settings.deployment
    )
    cloud.services = replace(cloud.services, store=store, settings=settings)


def reconcile(cloud: Cloud, *, rounds: int = 60, tick: float = 1_800) -> None:
    """Ask for it, as the command does, and wait until nothing is held."""
    cloud.tick()
    cloud.services.store.restores.ask()
    for _ in range(rounds):
        if not cloud.services.store.restores.read().is_held:
            return
        cloud.tick(tick)
        while cloud.deliver("intake"):
            pass
        cloud.deliver_all()
    raise AssertionError(cloud.services.store.restores.read())

"""How long a cloud that nobody acts on may be left alone: until then, what EventBridge starts changes nothing.

The functions that it starts compare the time with moments that stand in rows, each with its own, and poll decides by
the ages of batches. So a tick changes nothing when no such moment has come since the one before, and no batch is asked
for. `tests/steps/test_idle_time.py` holds jobs whose ticks are skipped against jobs whose are not.
"""

from itertools import takewhile
from typing import TYPE_CHECKING, Any

import msgspec
from batchdrop.aws.leases import Lease
from batchdrop.aws.table_items import decode
from batchdrop.batches.poll_schedule import plan_poll
from batchdrop.states import BatchState
from batchdrop.steps.poll import OVERDUE_SECONDS

from faking.moto_models import queue_in
from faking.short_clients import REGION

if TYPE_CHECKING:
    from faking.cloud import Cloud


_PAUSE_SECONDS = 300  # after the last failure a provider's failures are forgotten


def idle_ticks(cloud: "Cloud", tick: float, most: int) -> int:
    """How many of the next ticks change nothing, each so many seconds after the one before; `most` at most."""
    now, items = cloud.clock.now, list(cloud.table.items.values())
    is_held = cloud.services.store.restores.read().is_held
    if is_held or _has_dead_letters(cloud) or any(_is_due(item, cloud) for item in items):
        return 0
    until = min((at for item in items for at in _moments(item) if at >= now), default=now)
    idle = takewhile(lambda number: now + number * tick < until, range(1, most + 1))
    return sum(1 for _ in takewhile(lambda number: not _is_any_polled(cloud, int(now + number * tick)), idle))


def _is_due(item: dict[str, Any], cloud: "Cloud") -> bool:
    """Whether each tick looks at a row, and may do something with it."""
    if item["sk"]["S"] == "LISTING" and "round_at" in item:
        return True  # a round over the bucket goes on
    if "due_key" not in item or int(item["due_at"]["N"]) > cloud.clock.now:
        return False
    group, provider, *_ = item["due_key"]["S"].split("#")
    if group == BatchState.WAITING:
        pause = cloud.services.store.providers.get_pause(provider)
        return pause is None or pause.until <= cloud.clock.now
    return group != BatchState.IN_FLIGHT


def _moments(item: dict[str, Any]) -> list[int]:
    """The numbers of a row that may be times to come: of leases and listings it is known which are."""
    kind = item["sk"]["S"]
    known = {"LEASE": {"until"}, "LISTING": {"next_at"}}.get(kind, item.keys())
    numbers = [int(value["N"]) for name, value in item.items() if "N" in value and name in known]
    return [*numbers, *(each + _PAUSE_SECONDS for each in numbers)] if kind == "PAUSE" else numbers


def _has_dead_letters(cloud: "Cloud") -> bool:
    queues = [queue_in(REGION, dead_letters) for dead_letters, _ in cloud.services.settings.redrives()]
    return any(queue is None or queue.messages for queue in queues)


def _is_any_polled(cloud: "Cloud", at: int) -> bool:
    return any(_is_polled(name, cloud, at) for name in cloud.services.providers)


def _is_polled(provider: str, cloud: "Cloud", at: int) -> bool:
    in_flight = list(cloud.services.store.providers.in_flight(provider))
    if not in_flight:
        return False
    lease = cloud.table.items.get((f"LEASE#poll#{provider}", "LEASE"))
    read = Lease(name=provider, until=0) if lease is None else msgspec.convert({**decode(lease), "name": ""}, Lease)
    overdue_after = cloud.services.providers[provider].window_hours * 3_600 + OVERDUE_SECONDS
    return bool(plan_poll(in_flight, read, overdue_after=overdue_after, now=at).asked)

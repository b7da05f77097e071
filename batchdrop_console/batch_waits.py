"""Describes the wait of each batch of a job, and its end where that is known."""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
from batchdrop.aws.provider_store import Pause
from batchdrop.aws.restores import Restore
from batchdrop.batches.unknown_creates import GRACE
from batchdrop.limits.admission import in_turn
from batchdrop.limits.ledgers import cost_of
from batchdrop.manifest import timestamp
from batchdrop.outputs.timeline import Lane
from batchdrop.records import Batch, Job, Ledger, Protocol
from batchdrop.states import OPEN_BATCHES, BatchState, JobState

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.reconcile import describe_hold
from batchdrop_cli.say import count
from batchdrop_cli.waiting import EVER, configured, full_hour, paused, place_in_queue
from batchdrop_console.pages import time_of

_MOST_OF_LANE = 3  # waits that are said of the batches which share a lane
_HOUR = 3_600


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of a provider.

    Attributes:
        hold: Why nothing is sent until the table is reconciled; empty where it is.
        pause: The pause that there is.
        paused: The same in words.
        window: How many seconds a batch may take there.
        places: Where the waiting batches of the job stand in their queues, by their ids.
        sends: Whether the job's batches are still sent.
    """

    hold: str = ""
    pause: Pause | None = None
    paused: str = ""
    window: int | None = None
    places: Mapping[str, str] = {}
    sends: bool = True


def batch_waits(cloud: Cloud, job: Job, batches: Sequence[Batch], *, now: int) -> dict[str, str]:
    """Return the wait of each of a job's open batches, by its id."""
    if job.state is JobState.HELD:
        return {}  # it says so itself
    found = [each for each in batches if each.state in OPEN_BATCHES and not each.is_realtime]
    restore = cloud.store.restores.read()
    known = {name: _know(cloud, job, restore, name, found) for name in {each.provider for each in found}}
    waits = ((each.id, wait_of(each, known[each.provider], now=now)) for each in found)
    return {name: words for name, words in waits if words}


def lane_waits(job: Job, lane: Lane, waits: Mapping[str, str]) -> str:
    """Return the waits of a lane's batches: the first few, where they differ."""
    if job.state is JobState.HELD and job.is_approved is None:
        return "until it is approved or rejected"
    found = list(dict.fromkeys(waits[each] for each in lane.batches if each in waits))
    return "; ".join([*found[:_MOST_OF_LANE], *(["and more"] if found[_MOST_OF_LANE:] else [])])


def wait_of(batch: Batch, known: Known, *, now: int) -> str:
    """Return the wait of a batch; empty where it is being worked on. Pure."""
    match batch.state:
        case BatchState.WAITING if known.sends:
            return _wait_before_it_is_sent(batch, known, now)
        case BatchState.SUBMITTING if batch.create_by is not None and batch.create_by < now:
            return f"whether it began is looked for in the provider's lists until {_at(batch.create_by + GRACE)}"
        case BatchState.IN_FLIGHT if batch.submitted_at is not None and known.window is not None:
            return f"its end, {_at(batch.submitted_at + known.window)} at the latest"
        case BatchState.ENDED if batch.defer_reason:
            return f"no results yet: {batch.defer_reason}{_next_try(batch, now)}"
    return ""


def _wait_before_it_is_sent(batch: Batch, known: Known, now: int) -> str:
    if known.hold:
        return known.hold
    if known.pause is not None:
        return f"until {_at(known.pause.until)}, then one batch tries; {known.paused}"
    if batch.refused_as is not None:
        return f"{batch.provider} refused it (kind: {batch.refused_as}){_next_try(batch, now)}"
    return known.places.get(batch.id, "") or _next_try(batch, now).removeprefix("; ")


def _next_try(batch: Batch, now: int) -> str:
    return "" if batch.due_at is None or batch.due_at <= now else f"; tried again at {_at(batch.due_at)}"


def _at(seconds: int) -> str:
    return f"{time_of(timestamp(seconds))} UTC"


def _know(cloud: Cloud, job: Job, restore: Restore, provider: str, batches: Sequence[Batch]) -> Known:
    config = configured(cloud, provider)
    pause = cloud.store.providers.active_pause(provider)
    waiting = [each for each in batches if each.provider == provider and each.state is BatchState.WAITING]
    return Known(
        hold=describe_hold(cloud, restore, provider) if restore.holds(provider) else "",
        pause=pause,
        paused="" if pause is None else paused(provider, pause, cloud.options),
        window=None if config is None else config.window_hours * _HOUR,
        places=_places(cloud, job, waiting) if waiting and pause is None else {},
        sends=job.state is not JobState.CANCELLING,
    )


def _places(cloud: Cloud, job: Job, waiting: Sequence[Batch]) -> dict[str, str]:
    """Return where batches of one provider stand in its queues, and that its hour is full, where it is."""
    provider = waiting[0].provider
    units = {each.ledger: "request" if each.protocol is Protocol.ANTHROPIC else "token" for each in waiting}
    ledgers, config = cloud.store.providers.ledgers(provider), configured(cloud, provider)
    queue = in_turn(cloud.store.providers.waiting(provider, by=EVER), ledgers)
    lengths, before = Counter(each.ledger for each in queue), Counter[str]()
    hour, places = full_hour(cloud, config), dict[str, str]()
    for due in queue:
        if due.job == job.id and due.ledger in units:
            ledger = ledgers.get(due.ledger, Ledger(name=due.ledger))
            needs = count(cost_of(due.cost, ledger), units[due.ledger])
            place = place_in_queue(before[due.ledger], lengths[due.ledger], ledger, needs, config)
            places[due.batch] = "; ".join([*hour, place])
        before[due.ledger] += 1
    return places

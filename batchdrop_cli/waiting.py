"""Describes the waits of a job: a paused provider, a full queue, a create in doubt, results that do not come."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from batchdrop.aws.provider_items import HOUR, PART_OF_HOUR
from batchdrop.aws.provider_store import Pause
from batchdrop.batches.unknown_creates import GRACE
from batchdrop.errors import ConfigError
from batchdrop.limits.admission import in_turn
from batchdrop.limits.ledgers import cost_of, limit_of
from batchdrop.manifest import timestamp
from batchdrop.pause_codes import PauseCode
from batchdrop.providers.config import ProviderConfig, load_providers
from batchdrop.records import Batch, Job, Ledger, Protocol
from batchdrop.states import OPEN_BATCHES, BatchState, JobState

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.reconcile import describe_hold
from batchdrop_cli.say import count

EVER = 2**40  # seconds: batches that wait a while before they go again are in the queue, too


def waits_for(cloud: Cloud, job: Job, batches: Sequence[Batch]) -> list[str]:
    """Why a job does not go on, in words: a paused provider, limits with no room. Empty when it is but its turn."""
    if job.state is JobState.HELD:
        return []  # its reason says it
    unfinished = [batch for batch in batches if batch.state in OPEN_BATCHES]
    sends = job.state is not JobState.CANCELLING
    reasons = []
    restore = cloud.store.restores.read()
    for provider in sorted({batch.provider for batch in unfinished}):
        its = [batch for batch in unfinished if batch.provider == provider]
        reasons += [
            *_doubt_reasons(provider, its, sends_again=sends),
            *_refusal_reasons(provider, its),
            *_deferral_reasons(provider, its),
        ]
        waiting = [batch for batch in its if batch.state is BatchState.WAITING]
        pause = cloud.store.providers.active_pause(provider)
        if waiting and restore.holds(provider):
            reasons.append(describe_hold(cloud, restore, provider))
        elif pause is not None:
            reasons.append(paused(provider, pause, cloud.options))
        elif sends and waiting:
            reasons += _places(cloud, waiting)
    return reasons


def _doubt_reasons(provider: str, batches: Sequence[Batch], *, sends_again: bool) -> list[str]:
    """Creates whose outcome is not known: nothing is sent again before the provider's lists have settled it."""
    ends = [each.create_by for each in batches if each.state is BatchState.SUBMITTING and each.create_by is not None]
    late = [end for end in ends if end < datetime.now(UTC).timestamp()]
    if not late:
        return []
    until = timestamp(max(late) + GRACE)
    said = f"{provider}: no answer said whether {len(late):,} of its batches began"
    then = "and only then sent again" if sends_again else "and not sent again: the job is being cancelled"
    return [f"{said}; looked for in its lists until {until} or a little later, {then}"]


def _refusal_reasons(provider: str, batches: Sequence[Batch]) -> list[str]:
    """Batches that the provider refused, and that are sent again, by the kind of the refusal."""
    waiting = (each for each in batches if each.state is BatchState.WAITING)
    found = Counter(each.refused_as for each in waiting if each.refused_as is not None)
    return [
        f"{provider} refused {count(number, 'batch', 'batches')} (kind: {kind}). Retried automatically."
        for kind, number in sorted(found.items())
    ]


def _deferral_reasons(provider: str, batches: Sequence[Batch]) -> list[str]:
    """Results that could not be collected so far."""
    found = Counter(each.defer_reason for each in batches if each.state is BatchState.ENDED and each.defer_reason)
    return [
        f"{provider}: no results yet of {count(number, 'batch', 'batches')} that ended: {reason}. "
        "Retried automatically."
        for reason, number in sorted(found.items())
    ]


def _places(cloud: Cloud, waiting: Sequence[Batch]) -> list[str]:
    """Where the batches of a job, all of one provider, stand in its queues; not those that have just left them."""
    provider = waiting[0].provider
    ledgers, config = cloud.store.providers.ledgers(provider), configured(cloud, provider)
    queue = in_turn(cloud.store.providers.waiting(provider, by=EVER), ledgers)
    units = {each.ledger: "request" if each.protocol is Protocol.ANTHROPIC else "token" for each in waiting}
    reasons = full_hour(cloud, config)
    for name, unit in sorted(units.items()):
        ledger = ledgers.get(name, Ledger(name=name))
        dues = [due for due in queue if due.ledger == name]
        place = next((at for at, due in enumerate(dues) if due.job == waiting[0].job), None)
        if place is not None:
            reasons.append(
                place_in_queue(place, len(dues), ledger, count(cost_of(dues[place].cost, ledger), unit), config)
            )
    return reasons


def place_in_queue(place: int, length: int, ledger: Ledger, needs: str, config: ProviderConfig | None) -> str:
    """Return where a batch stands in a queue, counted from 0, and what it waits for there."""
    stands = f"position {place + 1:,} of {length:,} in queue {ledger.name}"
    return f"{stands}; needs {needs}, {_taken(ledger, config)} in use"


def full_hour(cloud: Cloud, config: ProviderConfig | None) -> list[str]:
    """That no more batches go for a while, where so many went within the hour."""
    limit = None if config is None else config.limits.batches_per_hour
    if config is None or limit is None:
        return []
    now = int(datetime.now(UTC).timestamp())
    begun = cloud.store.providers.admitted_between(config.name, now - now % PART_OF_HOUR - HOUR, now)
    few = f"{config.name}: {begun:,} of {limit:,} batches of an hour are sent (batches_per_hour); the next one waits"
    return [few] if begun >= limit else []


def configured(cloud: Cloud, provider: str) -> ProviderConfig | None:
    """The provider as it is configured; None where that cannot be read here: a job is shown all the same."""
    try:
        providers = load_providers(cloud.providers_file)
    except (ConfigError, OSError):
        return None
    return providers.get(provider)


def _taken(ledger: Ledger, config: ProviderConfig | None) -> str:
    """Return how much of its limit is taken."""
    limit = "" if config is None else f" of {limit_of(config, ledger, int(datetime.now(UTC).timestamp())):,}"
    return f"{ledger.reserved:,}{limit}"


def paused(provider: str, pause: Pause, options: str = "") -> str:
    """A pause in words, with what ends it; `options` is what that command repeats to find its cloud."""
    set_key = f"batchdrop keys set {provider}{options}"
    match pause.reason_code:
        case PauseCode.NO_KEY:
            return f"{provider}: no key. Set it with: {set_key}"
        case PauseCode.KEY_REFUSED:
            return f"{provider}: {pause.reason}. Set another with: {set_key}"
    return f"{provider}: {pause.reason}. Retried automatically."

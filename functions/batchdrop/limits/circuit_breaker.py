"""The circuit breaker: a refused account or a provider that does not answer pauses all submits; no line is at fault.

After a while one batch probes the provider. If it is taken, or refused for its own sake, the pause is over; otherwise
the next batch probes a while later.
"""

from aws_lambda_powertools import Logger

from batchdrop.aws.metrics import Alert, count
from batchdrop.aws.provider_items import end_pause
from batchdrop.aws.provider_store import Pause
from batchdrop.aws.table_items import Write
from batchdrop.errors import AccountRefused
from batchdrop.pause_codes import PauseCode
from batchdrop.records import Batch
from batchdrop.services import Services

logger = Logger(child=True)

_TICKS = 5
_DAY = 86_400
_IN_A_ROW = 5  # failed calls, none longer than a pause after the one before


def account_refused(provider: str, error: AccountRefused, services: Services) -> None:
    """Use the key that is stored now if it is a new one; pause the provider otherwise."""
    if not services.apis.renew(provider):
        pause_provider(provider, str(error), error.code, services)


def calls_refused(provider: str, error: AccountRefused, services: Services) -> None:
    """Pause for what is refused of batches that were submitted already: they alone may be the matter.

    So the pause that is there is not moved on, and the batch that tries it is let through; its end is not sent while
    the refusals last.
    """
    pause = services.store.providers.get_pause(provider)
    if pause is None or not pause.reason:
        account_refused(provider, error, services)
    elif not services.apis.renew(provider):
        count(Alert.PROVIDER_PAUSED)
        services.store.providers.extend_pause_reason(provider)


def call_failed(provider: str, reason: str, services: Services) -> None:
    """Count a failed call that is the provider's fault; several in a row pause the provider."""
    if services.store.providers.count_failure(provider) >= _IN_A_ROW:
        words = f"{_IN_A_ROW} calls in a row failed: {reason}"
        pause_provider(provider, words, PauseCode.CALLS_FAILED, services)


def is_first_refusal(batch: Batch, services: Services) -> bool:
    """Whether nothing says that the provider takes batches at all, of the last day's refusals and of what is there now.

    True once a day at most: that refusal pauses the provider before any line ends.
    """
    now = services.now()
    pause = services.store.providers.get_pause(batch.provider)
    if pause is not None and pause.probe == batch.token:
        return False  # it was paused, and this is what tried it
    since = now - _TICKS * services.settings.tick_seconds
    if any((each.submitted_at or 0) > since for each in services.store.providers.in_flight(batch.provider)):
        return False
    return services.store.leases.take(f"refusal#{batch.provider}", _DAY) is not None


def is_held_back(batch: Batch, services: Services) -> bool:
    """Return whether the provider is paused, and the batch is not its probe."""
    return holds_back(services.store.providers.get_pause(batch.provider), batch, services)


def holds_back(pause: Pause | None, batch: Batch, services: Services) -> bool:
    """The same of a pause as it was read."""
    return pause is not None and pause.until > services.now() and pause.probe != batch.token


def end_if_probe(batch: Batch, services: Services) -> list[Write]:
    """Return the write that ends the pause if this batch is its probe, for the move that records its create."""
    pause = services.store.providers.get_pause(batch.provider)
    return [end_pause(batch.provider, services.now())] if pause is not None and pause.probe == batch.token else []


def pause_ends(services: Services) -> int:
    """Until when a pause that begins now lasts."""
    return services.now() + _TICKS * services.settings.tick_seconds


def pause_provider(provider: str, reason: str, code: PauseCode, services: Services) -> None:
    """Submit nothing to a provider for a while; a worker that writes this after that while pauses nothing."""
    count(Alert.PROVIDER_PAUSED)
    ends = pause_ends(services)
    if services.store.providers.set_pause(provider, reason, ends, code=code) and ends > services.now():
        logger.error("provider paused", provider=provider, reason=reason)
        _announce(provider, reason, services)


def announce_pause_changes(provider: str, services: Services) -> None:
    """Announce a pause that was not announced; once a batch was taken, announce its end and clear it.

    A pause that nobody ended stays: the next batch probes the provider, whenever it comes.
    """
    pause = services.store.providers.get_pause(provider)
    if pause is None:
        return
    if pause.until:
        if not (pause.announced or pause.probe or pause.until > services.now()):
            services.store.providers.clear_pause(provider, pause)  # it was written late: it never held
        elif not pause.announced:
            _announce(provider, pause.reason, services)
        return
    if pause.failed_at + _TICKS * services.settings.tick_seconds > services.now():
        return
    if pause.reason and services.store.providers.mark_pause_over(provider, pause):
        services.events.provider_resumed(provider)
    services.store.providers.clear_pause(provider, pause)


def _announce(provider: str, reason: str, services: Services) -> None:
    services.events.provider_paused(provider, reason)
    services.store.providers.mark_pause_announced(provider)

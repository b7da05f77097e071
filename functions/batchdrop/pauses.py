"""Pauses: an account that is refused is no line's fault; nothing is submitted to its provider for a while."""

from aws_lambda_powertools import Logger

from batchdrop.alerts import Alert, count
from batchdrop.errors import AccountRefused
from batchdrop.services import Services

logger = Logger(child=True)

_TICKS = 5


def account_refused(provider: str, error: AccountRefused, services: Services) -> None:
    """Take the key that is there now, if it is another one; pause the provider otherwise."""
    if not services.apis.renew(provider):
        pause_provider(provider, str(error), services)


def pause_provider(provider: str, reason: str, services: Services) -> None:
    """Submit nothing to a provider for a while."""
    until = services.now() + _TICKS * services.settings.tick_seconds
    count(Alert.PROVIDER_PAUSED)
    if services.store.set_pause(provider, reason, until):
        logger.error("provider paused", provider=provider, reason=reason)
        _tell(provider, reason, services)


def see_to_pause(provider: str, services: Services) -> None:
    """Tell what was not told of a pause, its end too: once a batch was taken, or nothing was refused for a while."""
    pause = services.store.known_pause(provider)
    if pause is None:
        return
    if not pause.told:
        _tell(provider, pause.reason, services)
    if pause.until + _TICKS * services.settings.tick_seconds <= services.now():
        services.events.provider_resumed(provider)
        services.store.clear_pause(provider, pause.until)


def _tell(provider: str, reason: str, services: Services) -> None:
    services.events.provider_paused(provider, reason)
    services.store.pause_told(provider)

"""The restore hold: nothing is sent or given up until the batches sent since the table was written are known."""

from batchdrop.services import Services


def is_held(provider: str, services: Services) -> bool:
    """Whether nothing may be sent to a provider: it may have batches of this table that the table does not know."""
    return services.store.restores.current(services.settings.deployment).holds(provider)


def restored_at(services: Services) -> int:
    """Since when this deployment has the table, where that was another's, or is a copy of one; 0 for its own."""
    return services.store.restores.current(services.settings.deployment).held_at

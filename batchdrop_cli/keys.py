"""A provider's key: into Secrets Manager, and nowhere else."""

import sys
from datetime import UTC
from getpass import getpass

import msgspec
from batchdrop.errors import AccountRefused, BatchdropError
from batchdrop.providers.clients import make_api
from batchdrop.providers.config import ProviderConfig, Providers
from batchdrop.providers.keys import Key

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.exit_codes import WRONG_USE
from batchdrop_cli.say import note, say_table
from batchdrop_cli.user_errors import UserError


def find_provider(name: str, providers: Providers, whose: str) -> ProviderConfig:
    """The provider's configuration; `whose` says where the providers are from.

    Raises:
        UserError: It is not configured.
    """
    if name not in providers:
        known = ", ".join(providers)
        raise UserError(f"{whose} has no provider {name!r}; it has: {known}.", code=WRONG_USE)
    return providers[name]


def read_key(provider: str) -> str:
    """The key from a hidden prompt, or from a pipe.

    Raises:
        UserError: It is empty, or does not look like one key.
    """
    try:
        return checked(getpass(f"Key for {provider} (it stays hidden): ") if sys.stdin.isatty() else sys.stdin.read())
    except EOFError:  # Ctrl-D
        return checked("")


def checked(raw: str) -> str:
    """The key without the blanks around it.

    Raises:
        UserError: It is empty, or does not look like one key.
    """
    key = raw.strip()
    if not key:
        raise UserError("No key was given; nothing was changed.", code=WRONG_USE)
    if not is_single(key):
        raise UserError(
            "This is not a single key: it contains blanks, control characters or letters beyond ASCII. Nothing was "
            "changed.",
            code=WRONG_USE,
        )
    return key


def is_single(key: str) -> bool:
    """Return whether it can be sent as a key: a header of HTTP."""
    return key.isascii() and key.isprintable() and " " not in key


def need_real(cloud: Cloud, name: str, config: ProviderConfig) -> None:
    """Raises: UserError, when the provider is simulated: it has a key of its own, and takes no other."""
    if cloud.simulator_url is not None and config.base_url.startswith(cloud.simulator_url):
        raise UserError(
            f"{name} is simulated in this local cloud: it needs no key. For paid answers: batchdrop local up --real",
            code=WRONG_USE,
        )


def check_key(name: str, config: ProviderConfig, key: str) -> None:
    """Ask the provider for its newest batches with the key: free, and what the functions ask every minute.

    Raises:
        UserError: The provider refuses the key.
    """
    try:
        make_api(config, Key(key)).page(None)
    except AccountRefused as error:
        raise UserError(
            f"{name} refuses this key ({error}). Nothing was changed; --unchecked stores it anyway."
        ) from error
    except BatchdropError as error:
        note(f"The key could not be checked: {error}. It is stored.")


class StoredKey(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's secret of `keys list --json`, and when it was set; null when it is not set."""

    provider: str
    secret: str
    set_at: str | None


def stored_keys(cloud: Cloud, providers: Providers) -> list[StoredKey]:
    return [
        StoredKey(provider=name, secret=config.secret, set_at=_set_at(cloud, config.secret))
        for name, config in providers.items()
    ]


def _set_at(cloud: Cloud, secret: str) -> str | None:
    try:
        found = cloud.secrets.describe_secret(SecretId=secret)
    except cloud.secrets.exceptions.ResourceNotFoundException:
        return None
    changed = found.get("LastChangedDate") or found.get("CreatedDate")
    return None if changed is None or "DeletedDate" in found else changed.astimezone(UTC).isoformat(timespec="seconds")


def say_keys(stored: list[StoredKey]) -> None:
    rows = [(each.provider, each.set_at or "not set", each.secret) for each in stored]
    say_table(("provider", "set since", "secret"), rows)


def set_key(cloud: Cloud, secret: str, key: str) -> bool:
    """Write the key. True when the secret is new; one that was marked for deletion is restored first."""
    secrets = cloud.secrets
    try:
        secrets.create_secret(Name=secret, SecretString=key, Description="A provider's key, for batchdrop")
    except (secrets.exceptions.ResourceExistsException, secrets.exceptions.InvalidRequestException):
        if "DeletedDate" in secrets.describe_secret(SecretId=secret):
            secrets.restore_secret(SecretId=secret)
        secrets.put_secret_value(SecretId=secret, SecretString=key)
        return False
    return True

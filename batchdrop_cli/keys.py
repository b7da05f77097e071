"""A provider's key: into Secrets Manager, and nowhere else."""

import sys
from getpass import getpass

from batchdrop.providers.config import ProviderConfig, Providers

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.exit_codes import WRONG_USE
from batchdrop_cli.mistakes import Mistake


def find_provider(name: str, providers: Providers, whose: str) -> ProviderConfig:
    """The provider's configuration; `whose` says where the providers are from.

    Raises:
        Mistake: It is not configured.
    """
    if name not in providers:
        known = ", ".join(providers)
        raise Mistake(f"{whose} has no provider {name!r}; it has: {known}.", code=WRONG_USE)
    return providers[name]


def read_key(provider: str) -> str:
    """The key from a hidden prompt, or from a pipe.

    Raises:
        Mistake: It is empty, or does not look like one key.
    """
    raw = getpass(f"Key for {provider} (it stays hidden): ") if sys.stdin.isatty() else sys.stdin.read()
    key = raw.strip()
    if not key:
        raise Mistake("No key was given; nothing was changed.", code=WRONG_USE)
    if any(character.isspace() for character in key) or not key.isprintable() or not key.isascii():
        raise Mistake("That is not one key: it has blanks or control characters. Nothing was changed.", code=WRONG_USE)
    return key


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

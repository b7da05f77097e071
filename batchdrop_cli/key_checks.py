"""Whether the providers take the keys that are stored: each is asked for its newest batches, which is free."""

from collections.abc import Iterable
from typing import Literal

import msgspec
from batchdrop.errors import AccountRefused, BatchdropError
from batchdrop.providers.clients import make_api
from batchdrop.providers.config import ProviderConfig
from batchdrop.providers.keys import Key
from botocore.exceptions import ClientError

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.keys import is_single
from batchdrop_cli.say import say

KeyState = Literal["taken", "refused", "not set", "unreadable", "unknown"]

_STATES: dict[str, KeyState] = {
    "ResourceNotFoundException": "not set",
    "InvalidRequestException": "not set",  # it is marked for deletion
    "AccessDeniedException": "unreadable",
    "DecryptionFailure": "unreadable",
}


class CheckedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A line of `keys check --json`. `text` says why a key is not taken, and what to do; no key stands in it."""

    provider: str
    secret: str
    state: KeyState
    text: str | None


def check_keys(cloud: Cloud, providers: Iterable[ProviderConfig]) -> list[CheckedKey]:
    """Each provider's key, by a call with it."""
    return [_checked(cloud, each) for each in providers]


def _checked(cloud: Cloud, config: ProviderConfig) -> CheckedKey:
    state, text = _state(cloud, config)
    return CheckedKey(provider=config.name, secret=config.secret, state=state, text=text)


def _state(cloud: Cloud, config: ProviderConfig) -> tuple[KeyState, str | None]:
    set_it = f"Set it with: {cloud.command(f'keys set {config.name}')}"
    try:
        key = cloud.secrets.get_secret_value(SecretId=config.secret).get("SecretString", "").strip()
    except ClientError as error:
        state = _STATES.get(error.response["Error"]["Code"])
        if state is None:
            raise
        if state == "unreadable":
            return state, "Your credentials may not read it; the functions' may."
        return state, f"Its batches wait. {set_it}"
    if not key:
        return "not set", f"The secret is empty. {set_it}"
    return _asked(config, key, set_it)


def _asked(config: ProviderConfig, key: str, set_it: str) -> tuple[KeyState, str | None]:
    if not is_single(key):
        return "refused", f"The secret is not a single key, and was not sent. {set_it}"
    try:
        make_api(config, Key(key)).page(None)
    except AccountRefused as error:
        return "refused", f"{error}. {set_it}"
    except BatchdropError as error:
        return "unknown", f"It could not be checked: {error}. Repeat the command in a moment."
    return "taken", None


def is_wrong(checked: CheckedKey) -> bool:
    """Return whether a key is not known to work."""
    return checked.state != "taken"


def say_checked(keys: list[CheckedKey]) -> None:
    for each in keys:
        style = "red" if is_wrong(each) else None
        say(f"{each.provider:10} {each.state}{f': {each.text}' if each.text else ''}", style=style)

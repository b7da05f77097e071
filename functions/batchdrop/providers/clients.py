"""One client for each provider, with its current key, whichever protocol it speaks."""

from collections.abc import Callable

from batchdrop.errors import AccountRefused, Transient
from batchdrop.providers.config import ProviderConfig, Providers
from batchdrop.providers.interface import BatchApi
from batchdrop.providers.keys import Key, Keys, account_id
from batchdrop.records import Protocol


class Apis:
    """One client for each provider, made on first use; its SDK is imported only then."""

    def __init__(
        self,
        providers: Providers,
        keys: Keys,
        make: Callable[[ProviderConfig, Key], BatchApi] | None = None,
    ) -> None:
        self._providers = providers
        self._keys = keys
        self._make = make or make_api
        self._made: dict[str, tuple[Key, BatchApi]] = {}

    def __getitem__(self, provider: str) -> BatchApi:
        """The client of a provider, with its current key.

        Raises:
            AccountRefused: There is no key, or the provider is not configured any more.
        """
        config = self._providers[provider]
        key = self._keys.key(config)
        made = self._made.get(provider)
        if made is None or made[0] != key:
            made = self._made[provider] = (key, self._make(config, key))
        return made[1]

    def account_id(self, provider: str) -> str:
        """Return the account that calls go to now."""
        config = self._providers[provider]
        return account_id(config, self._keys.key(config))

    def hide_key(self, provider: str, text: str) -> str:
        """Return a provider's words without the key that it was called with."""
        made = self._made.get(provider)
        return text.replace(made[0].value, "[key]") if made is not None else text

    def renew(self, provider: str) -> bool:
        """Read the key again after a refusal; True when it is another one now."""
        made = self._made.pop(provider, None)
        try:
            key = self._keys.key(self._providers[provider], fresh=True)
        except (AccountRefused, Transient):
            return False
        return made is None or made[0] != key


def make_api(provider: ProviderConfig, key: Key) -> BatchApi:
    if provider.protocol is Protocol.ANTHROPIC:
        from batchdrop.providers.anthropic_client import AnthropicBatches  # noqa: PLC0415 - an SDK takes a second to import

        return AnthropicBatches(provider, key)
    from batchdrop.providers.openai_client import OpenAIBatches  # noqa: PLC0415 - the same

    return OpenAIBatches(provider, key)

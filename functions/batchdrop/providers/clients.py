"""The calls that make a batch, whichever protocol carries them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol as Interface

import msgspec

from batchdrop.errors import AccountRefused, Transient
from batchdrop.protocols.outcome import Failure
from batchdrop.providers.config import Protocol, ProviderConfig, Providers
from batchdrop.providers.keys import Key, Keys, account_id
from batchdrop.records import Batch


class Missing(Exception):  # noqa: N818 - a fact about the provider
    """The provider does not know this id; for a while after a create that means nothing."""


class Undecodable(Missing):
    """The provider gives a file only in an encoding that cannot be decoded here."""

    def __init__(self, encoding: str) -> None:
        super().__init__(f"it is compressed ({encoding[:40]!r}) although it was asked not to")


class ProviderBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's batch, in our words.

    Attributes:
        ended_as: `completed`, `expired`, `cancelled` or `failed` when the provider is done with it; else None.
        failures: Why it failed as a whole.
        rows: How many of its requests it says to have a result of; None where it does not say.
        input_tokens: Those of all its requests; None until all are answered, or where the server does not say.
    """

    id: str
    ended_as: str | None
    created_at: int | None = None
    requests: int = 0
    input_file_id: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    metadata: dict[str, str] = {}
    failures: tuple[Failure, ...] = ()
    rows: int | None = None
    input_tokens: int | None = None


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A request file at the provider."""

    id: str
    name: str
    created_at: int


class BatchApi(Interface):
    """What both protocols can do. Calls raise `AccountRefused`, `Refused`, `Transient` or `Missing`."""

    needs_upload: bool

    def upload(self, requests: Path, *, name: str) -> str:
        """Upload a request file; its id."""
        ...

    def create(self, batch: Batch, requests: Path | None, *, deployment: str, seconds: float) -> str:
        """Create the batch, with no retry; its id. The call ends within `seconds`.

        Raises:
            OutcomeUnknown: It may have been created.
        """
        ...

    def retrieve(self, batch_id: str) -> ProviderBatch: ...

    def page(self, after: str | None) -> list[ProviderBatch]:
        """One page of the account's batches, the newest first: those created before `after`, if it is given."""
        ...

    def newest(self) -> Iterator[ProviderBatch]:
        """All batches of the account, the newest first; a page is asked for when it is needed."""
        ...

    def results(self, batch: ProviderBatch) -> list[str]:
        """The names of the streams that hold the batch's results."""
        ...

    def stream(self, name: str) -> Iterator[bytes]:
        """The bytes of one of them, whole: its length is checked, and a cut download goes on."""
        ...

    def length(self, name: str) -> int | None:
        """How many bytes a stream has, as the provider says; None where it does not."""
        ...

    def cancel(self, batch_id: str) -> None: ...

    def delete(self, batch: ProviderBatch) -> None:
        """Delete what the provider keeps of an ended batch; what is gone already is fine."""
        ...

    def uploads(self) -> Iterator[Upload]:
        """All request files of the account; none where there are no uploads."""
        ...

    def delete_upload(self, upload: str) -> None:
        """Delete a request file; one that is gone already is fine."""
        ...


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
        """Which account the calls go to now."""
        config = self._providers[provider]
        return account_id(config, self._keys.key(config))

    def hide_key(self, provider: str, text: str) -> str:
        """What a provider said, without the key that it was called with."""
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

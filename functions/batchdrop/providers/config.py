"""`providers.toml`: the providers' names, protocols, addresses, secrets, limits and model patterns."""

import re
from collections.abc import Mapping
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import msgspec

from batchdrop.errors import ConfigError

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]


class Protocol(StrEnum):
    OPENAI = "openai"
    ANTHROPIC = "anthropic"


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one batch, and all batches together, may hold.

    Attributes:
        requests_per_batch: OpenAI takes 50,000 requests a batch, Anthropic 100,000 (their documentation).
        bytes_per_batch: OpenAI documents 200 MB, but an upload of 158 MB was refused with 413; Anthropic takes 256 MB.
        enqueued_tokens: Prompt tokens in unfinished batches, per model (protocol openai). Not in OpenAI's API: the
            dashboard shows it. An unknown limit is taken as 2 million.
        queued_requests: Requests in unfinished batches, over all models (protocol anthropic); 200,000 in its lowest
            tier.
        batches_per_hour: Creates within an hour; None where no such limit is known.
    """

    requests_per_batch: _AtLeastOne = 50_000
    bytes_per_batch: _AtLeastOne = 90_000_000
    enqueued_tokens: _AtLeastOne = 2_000_000
    queued_requests: _AtLeastOne = 200_000
    batches_per_hour: _AtLeastOne | None = None


class ProviderConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider. `models` are shell patterns of the models that go to it when a line names no provider."""

    protocol: Protocol
    base_url: str
    secret: str
    models: tuple[str, ...] = ()
    api_version: str | None = None
    betas: tuple[str, ...] = ()
    limits: Limits = Limits()
    name: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    providers: dict[str, ProviderConfig]


class Providers(Mapping[str, ProviderConfig]):
    """The providers by name, in the order of the file."""

    def __init__(self, providers: Mapping[str, ProviderConfig]) -> None:
        self._providers = MappingProxyType(dict(providers))

    def __getitem__(self, name: str) -> ProviderConfig:
        return self._providers[name]

    def __iter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204 - Mapping's own signature
        return iter(self._providers)

    def __len__(self) -> int:
        return len(self._providers)

    @cached_property
    def _by_model(self) -> dict[str, ProviderConfig | None]:
        return {}

    def route(self, model: str) -> tuple[ProviderConfig | None, str]:
        """The provider of a model as written in a line, and the model's name on the wire.

        `name/model` names the provider if `name` is configured; only that first segment is taken off. Otherwise the
        first provider with a pattern that fits.
        """
        prefix, slash, rest = model.partition("/")
        if slash and prefix in self._providers:
            return self._providers[prefix], rest
        if model not in self._by_model:
            if len(self._by_model) > 10_000:  # noqa: PLR2004 - a file may name any number of models; memory stays constant
                self._by_model.clear()
            self._by_model[model] = self._match(model)
        return self._by_model[model], model

    def _match(self, model: str) -> ProviderConfig | None:
        for provider in self._providers.values():
            if any(fnmatchcase(model, pattern) for pattern in provider.models):
                return provider
        return None


def parse_providers(text: str, source: str = "providers.toml") -> Providers:
    """Read the configuration.

    Raises:
        ConfigError: The message names the file and the key.
    """
    try:
        file = msgspec.toml.decode(text, type=_File)
    except msgspec.DecodeError as error:
        raise ConfigError(f"{source}: {error}") from error
    for name in file.providers:
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{source}: providers.{name}: a name is lower-case letters, digits and '-', up to 32")
    if not file.providers:
        raise ConfigError(f"{source}: providers: at least one is needed")
    return Providers({name: msgspec.structs.replace(each, name=name) for name, each in file.providers.items()})


def load_providers(path: Path) -> Providers:
    return parse_providers(path.read_text(encoding="utf-8"), str(path.name))

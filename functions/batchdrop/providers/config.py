"""`providers.toml`: the providers' names, protocols, addresses, secrets, headers, limits and model patterns.

What it says of folders is in `folder_rules.py`.
"""

import re
from collections.abc import Mapping
from datetime import date
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import msgspec

from batchdrop.errors import AccountRefused, ConfigError
from batchdrop.protocols.claude_models import RuleChanges
from batchdrop.protocols.refusals import RefusalRule
from batchdrop.providers.addresses import describe_address_error
from batchdrop.providers.folder_rules import Rules, read_folders
from batchdrop.providers.headers import describe_header_error
from batchdrop.providers.limits import Limits
from batchdrop.providers.price_table import PriceTable, read_prices
from batchdrop.records import Protocol
from batchdrop.texts import cut, with_nearest

NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_NO_VERSION = 'must be a date such as "2023-06-01"'
_ONE_NAME = "Anthropic's batches show only the key they belong to, so each key must have one name"
_BATCHES = {  # what the vendors' own servers take of one batch (their documentation)
    "openai.com": {"requests_per_batch": 50_000, "bytes_per_batch": 200_000_000},
    "anthropic.com": {"requests_per_batch": 100_000, "bytes_per_batch": 256_000_000},
}
_END = r"$(?!\n)"  # "$" alone takes a line end behind it, too
_SecretName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9/_+=.@-]{1,512}" + _END)]  # Secrets Manager's; no ARN
_Pattern = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_Version = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}" + _END)]
_Beta = Annotated[str, msgspec.Meta(pattern=r"^[!-+\--~]{1,100}" + _END)]  # no comma: it travels in a header's list
_FIRST_VERSION, _NO_VERSION_YET = date(2023, 1, 1), date(2100, 1, 1)
_LONGEST_MESSAGE = 1_000  # bytes


_WindowHours = Annotated[int, msgspec.Meta(ge=1, le=672)]  # 28 days: results are kept for 29 or 30
_Window = Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,32}" + _END)]
_HOURS = {"h": 1, "d": 24}


_Endpoint = Literal[
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/images/edits",
    "/v1/images/generations",
    "/v1/moderations",
    "/v1/responses",
    "/v1/videos",
]


_ONLY = {
    "api_version": Protocol.ANTHROPIC,
    "betas": Protocol.ANTHROPIC,
    "claude_models": Protocol.ANTHROPIC,
    "completion_window": Protocol.OPENAI,
    "endpoints": Protocol.OPENAI,
    "limits.enqueued_tokens": Protocol.OPENAI,
    "limits.queued_requests": Protocol.ANTHROPIC,
}
_SHAPES = {  # instead of a pattern
    ".secret": "must be the name of a secret: letters, digits and /_+=.@-, up to 512",
    ".api_version": _NO_VERSION,
    ".betas": "must be the name of a beta: visible ASCII without a comma, up to 100 characters",
}
_TABLES: dict[str, type[msgspec.Struct]] = {  # of a provider, by path
    ".limits": Limits,
    ".claude_models": RuleChanges,
    ".refusals": RefusalRule,
}
_TAKEN = {".protocol": ': it is "openai" or "anthropic"'}  # what msgspec's own words leave out, by path


class ProviderConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider.

    Attributes:
        base_url: Where its calls go; no "/" at the end.
        price_address: The address of the vendor whose prices it charges, where its own is another's: a gateway's.
        secret: The name of the secret that holds its key, in AWS Secrets Manager.
        models: Shell patterns of the models that go to it when a line names no provider.
        default: Whether the models that no pattern fits go to it.
        headers: Sent with every call; `{key}` in a value stands for the key.
        api_version: Anthropic's API version.
        betas: Anthropic's betas.
        escape_line_separators: Whether U+0085, U+2028 and U+2029 are sent as JSON escapes, for servers that end a line
            of a request file at them.
        endpoints: By shell pattern of models, at which endpoints they answer, where our guesses by name are wrong; the
            first pattern that fits (protocol openai).
        claude_models: By shell pattern of models, what they take otherwise than our table of Claude's models says.
        window_hours: How long a batch may take at it, in hours: two more, and it is cancelled as overdue.
        completion_window: What a create asks for (protocol openai).
        refusals: What this server's refusals mean, where batchdrop does not know its codes and words; read first.
    """

    protocol: Protocol
    base_url: str
    price_address: str | None = None
    secret: _SecretName
    models: tuple[_Pattern, ...] = ()
    default: bool = False
    headers: Annotated[dict[str, str], msgspec.Meta(max_length=50)] = {}
    api_version: _Version | None = None
    betas: Annotated[tuple[_Beta, ...], msgspec.Meta(max_length=50)] = ()
    escape_line_separators: bool = False
    claude_models: dict[_Pattern, RuleChanges] = {}
    window_hours: _WindowHours = 24
    completion_window: _Window = "24h"
    endpoints: dict[_Pattern, Annotated[tuple[_Endpoint, ...], msgspec.Meta(min_length=1)]] = {}
    limits: Limits = Limits()
    refusals: tuple[RefusalRule, ...] = ()
    name: str = ""


def endpoints_of(model: str, provider: ProviderConfig) -> tuple[str, ...]:
    """The endpoints that are configured for a model; none where its name is to tell."""
    return next((each for pattern, each in provider.endpoints.items() if fnmatchcase(model, pattern)), ())


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    providers: Any = None
    folders: Any = {}
    prices: Any = {}


class NotConfigured(AccountRefused, KeyError):  # noqa: N818 - named by what is to be done
    """A provider was taken out of the file while it had work: that waits until it is put back."""

    __str__ = Exception.__str__  # a KeyError's would quote it

    def __init__(self, provider: str) -> None:
        super().__init__(f"provider {provider} is not in providers.toml any more: put it back until its jobs are done")
        self.provider = provider


class Providers(Mapping[str, ProviderConfig]):
    """The providers by name, in the order of the file.

    `folders` says which of them a folder's files may use, `prices` what their models cost.
    """

    def __init__(
        self,
        providers: Mapping[str, ProviderConfig],
        folders: Mapping[str, Rules] | None = None,
        prices: PriceTable | None = None,
    ) -> None:
        self._providers = MappingProxyType(dict(providers))
        self.folders = MappingProxyType(dict(folders or {}))
        self.prices: PriceTable = MappingProxyType(dict(prices or {}))

    def __getitem__(self, name: str) -> ProviderConfig:
        if name not in self._providers:
            raise NotConfigured(name)
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
        first provider with a pattern that fits, else the default.
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
        return next((each for each in self._providers.values() if each.default), None)


def is_api_version(text: str) -> bool:
    """Return whether it is a day of which Anthropic's API may have a version; its first is of 2023-01-01."""
    try:
        return len(text) == len("2023-06-01") and _FIRST_VERSION <= date.fromisoformat(text) < _NO_VERSION_YET
    except ValueError:
        return False


def parse_providers(text: str, source: str = "providers.toml") -> Providers:
    """Read the configuration.

    Raises:
        ConfigError: The message names the file and the key.
    """
    try:
        file = msgspec.toml.decode(text, type=_File)
        providers = _providers(file.providers)
        folders = {} if file.folders == {} else read_folders(text, providers)
        return Providers(providers, folders, {} if file.prices == {} else read_prices(text, providers))
    except RecursionError:
        raise ConfigError(f"{source}: nested too deeply to be read") from None
    except (ValueError, ConfigError) as error:  # not TOML, a number of too many digits, or of another shape
        text = str(error) if isinstance(error, ConfigError) else with_nearest(str(error), _File.__struct_fields__)
        raise ConfigError(cut(f"{source}: {text}", _LONGEST_MESSAGE)) from error


def _providers(tables: Any) -> dict[str, ProviderConfig]:  # noqa: ANN401 - whatever the file says
    if not isinstance(tables, dict) or not tables:
        raise ConfigError("needs at least one [providers.<name>] table")
    providers = {name: _provider(name, table) for name, table in tables.items()}
    _refuse_conflicts(providers)
    return providers


def _provider(name: str, table: Any) -> ProviderConfig:  # noqa: ANN401 - whatever the file says
    where = f"providers.{name}"
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: must be a table ([{where}])")
    if not NAME.fullmatch(name):
        raise ConfigError(f"{where}: a name must be lower-case letters, digits and '-', up to 32")
    if "name" in table:
        raise ConfigError(f"{where}: contains unknown field `name`")
    try:
        read = msgspec.convert(table, ProviderConfig)
    except msgspec.ValidationError as error:
        text, _, path = str(error).removeprefix("Object ").partition(" - at `$")
        path = path.rstrip("`")
        text = _SHAPES.get(path.partition("[")[0], text) if " matching regex " in text else text
        known = _TABLES.get(path.partition("[")[0], ProviderConfig).__struct_fields__
        text = with_nearest(text, [name for name in known if name != "name"])  # of the struct, not of the file
        raise ConfigError(f"{where}{_spelled(path, table)}: {text}{_TAKEN.get(path, '')}") from error
    for key, problem in _problems(read, {*table, *(f"limits.{key}" for key in table.get("limits", {}))}).items():
        if problem is not None:
            raise ConfigError(f"{where}.{key}: {problem}")
    return msgspec.structs.replace(read, name=name, base_url=read.base_url.rstrip("/"))


def _spelled(path: str, table: dict[str, Any]) -> str:
    """A path of msgspec's, which leaves out the keys of a mapping: there is one, and the first odd value is meant."""
    if path != ".headers[...]":
        return path
    return next(f".headers.{name}" for name, value in table["headers"].items() if not isinstance(value, str))


def _problems(provider: ProviderConfig, given: set[str]) -> dict[str, str | None]:
    """Return the problems that the types do not catch, by key; `given` holds the keys that are written in the file."""
    problems = {
        "base_url": describe_address_error(provider.base_url, provider.protocol),
        "price_address": provider.price_address and describe_address_error(provider.price_address, provider.protocol),
        "api_version": None if is_api_version(provider.api_version or "2023-06-01") else _NO_VERSION,
    }
    for name, value in provider.headers.items():
        is_twice = [each.lower() for each in provider.headers].count(name.lower()) > 1
        problems[f"headers.{name}"] = "is given twice" if is_twice else describe_header_error(name, value)
    for number, rule in enumerate(provider.refusals):
        if rule.status is None and not rule.code and not rule.words:
            problems[f"refusals[{number}]"] = (
                'needs "status", "code" or "words": without them it would match every refusal'
            )
    for key, protocol in _ONLY.items():
        if key in given and protocol is not provider.protocol:
            problems[key] = f"only protocol {protocol} has this key"
    problems["window_hours"] = _reject_short_window(provider)
    return problems | _limit_problems(provider)


def _reject_short_window(provider: ProviderConfig) -> str | None:
    """Return why batches would be cancelled before the time is over that their create asks for, or None."""
    asked = re.fullmatch(r"([0-9]{1,6})([hd])", provider.completion_window)
    hours = int(asked[1]) * _HOURS[asked[2]] if asked else 0
    if hours <= provider.window_hours:
        return None
    return (
        f"batches would be cancelled {provider.window_hours + 2} hours after their create, "
        f'which asks for {hours} (completion_window = "{provider.completion_window}")'
    )


def _limit_problems(provider: ProviderConfig) -> dict[str, str | None]:
    _, _, address = provider.base_url.partition("://")
    host = address.partition("/")[0].lower()
    most = next((limits for vendor, limits in _BATCHES.items() if f".{host}".endswith(f".{vendor}")), {})
    return {
        f"limits.{key}": f"{host} takes {limit:,} at most"
        for key, limit in most.items()
        if getattr(provider.limits, key) > limit
    }


def _refuse_conflicts(providers: Mapping[str, ProviderConfig]) -> None:
    default: str | None = None
    patterns: dict[str, str] = {}
    keys: dict[tuple[str, str], str] = {}
    for name, provider in providers.items():
        if provider.default and default is not None:
            raise ConfigError(f"providers.{name}.default: providers.{default} is already the default")
        default = name if provider.default else default
        if provider.protocol is Protocol.ANTHROPIC:
            first = keys.setdefault((provider.base_url, provider.secret), name)
            if first != name:
                raise ConfigError(
                    f"providers.{name}.secret: providers.{first} has it too, at the same base_url: {_ONE_NAME}"
                )
        for pattern in provider.models:
            first = patterns.setdefault(pattern, name)
            if first != name:
                raise ConfigError(f'providers.{name}.models: "{pattern}" already goes to providers.{first}')


def load_providers(path: Path) -> Providers:
    """Read the configuration from a file.

    Raises:
        ConfigError: As above, or it is no text; the file is named as it was given.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8: {error.reason} at byte {error.start}") from error
    return parse_providers(text, str(path))

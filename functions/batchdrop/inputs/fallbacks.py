"""The fallback: the model that serves lines which their own model, or its provider, failed for good. Pure."""

from collections.abc import Callable, Collection, Mapping

import msgspec
from msgspec import Raw

from batchdrop.errors import Unprocessable
from batchdrop.inputs.request_lines import LineError, LineReader, Request
from batchdrop.inputs.route_problems import provider_not_allowed, unknown_model
from batchdrop.inputs.sent_bodies import OutputFormats
from batchdrop.inputs.token_counts import Route
from batchdrop.protocols import openai
from batchdrop.protocols.request_checks import LineProblem
from batchdrop.providers.config import ProviderConfig, Providers, endpoints_of
from batchdrop.records import JobSettings, Protocol
from batchdrop.result_line import ErrorCode

_object = msgspec.json.Decoder(dict[str, Raw])
_string = msgspec.json.Decoder(str)
_IS_ASKED_FOR = "it is the model that they ask for"


class Fallback(msgspec.Struct, frozen=True, kw_only=True):
    """`model` is its name on the wire."""

    provider: str
    model: str

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.model}"

    def is_asked_for(self, provider: str, model: str | None) -> bool:
        """Return whether requests ask for it themselves, by their model's name on the wire."""
        return (provider, model) == (self.provider, self.model)


def fallback_of(settings: JobSettings) -> Fallback | None:
    """A job's fallback, as its row names it."""
    if settings.fallback is None:
        return None
    provider, _, model = settings.fallback.partition("/")
    return Fallback(provider=provider, model=model)


def find_fallback(name: str, providers: Providers, allowed: Collection[str] | None = None) -> Fallback:
    """The fallback that a setting names, as lines name their models.

    Raises:
        Unprocessable: No provider has that model, or the folder may not use it.
    """
    provider, model = providers.route(name)
    problem = None
    if provider is None:
        problem = unknown_model(name, providers)
    elif allowed is not None and provider.name not in allowed:
        problem = provider_not_allowed(allowed, {"provider": provider.name})
    if problem is not None or provider is None:
        raise Unprocessable(f"fallback = {name!r:.100}: {problem}")
    if not model:
        raise Unprocessable(f"fallback = {name!r:.100}: no model after the provider's name")
    return Fallback(provider=provider.name, model=model)


def why_untaken(route: Route, fallback: Fallback, providers: Mapping[str, ProviderConfig]) -> str | None:
    """Return why a fallback takes no request of a route, in words; None where it takes those that can be translated."""
    provider, model, endpoint = route
    if fallback.is_asked_for(provider, model.removeprefix(f"{provider}/")):
        return _IS_ASKED_FOR
    if fallback.provider not in providers:
        return f"provider {fallback.provider} is not in providers.toml"
    own, other = providers[provider].protocol, providers[fallback.provider].protocol
    if own is Protocol.ANTHROPIC:
        return None if other is own else "what goes to Claude is translated for no other vendor"
    if other is Protocol.ANTHROPIC:
        return None if endpoint == openai.CHAT else f"only {openai.CHAT} is translated for Claude, not {endpoint}"
    try:
        openai.refuse_wrong_endpoint(
            endpoint, fallback.model, endpoints_of(fallback.model, providers[fallback.provider])
        )
    except LineProblem as problem:
        return problem.message
    return None


def taking(fallback: Fallback | None, providers: Mapping[str, ProviderConfig]) -> Callable[[Route], Fallback | None]:
    """Return the fallback that may answer a route's requests; None where it cannot take them."""
    return lambda route: None if fallback is None or why_untaken(route, fallback, providers) else fallback


class FallbackReader:
    """Makes requests for a job's fallback of those that were made for other models.

    Args:
        fallback: The fallback.
        providers: Where it and the others are.
        settings: The job's.
        output_formats: Of the job's output schema; None without one.

    Raises:
        NotConfigured: Its provider was taken out of `providers.toml`.
    """

    def __init__(
        self,
        fallback: Fallback,
        providers: Providers,
        settings: JobSettings,
        *,
        output_formats: OutputFormats | None = None,
    ) -> None:
        self._fallback, self._model = fallback, Raw(msgspec.json.encode(fallback.name))
        self._lines = LineReader(
            Providers({fallback.provider: providers[fallback.provider]}),  # no other could take them, whatever fits
            api_version=settings.anthropic_version,
            betas=settings.betas,
            drop_params=settings.drop_params,
            output_formats=output_formats,
        )

    def read(self, body: bytes, endpoint: str, *, provider: str, has_schema: bool = False) -> Request:
        """The request that asks the fallback the same.

        Args:
            body: As it was, or would have been, sent.
            endpoint: Where.
            provider: To whom.
            has_schema: Whether it asks for the job's output schema: Claude is asked for it in another form.

        Raises:
            LineProblem: The fallback cannot take it.
        """
        fields = _object.decode(body)
        if self._fallback.is_asked_for(provider, _string.decode(fields["model"])):  # Claude's batches mix models
            raise LineProblem(ErrorCode.INVALID_PARAMETER, _IS_ASKED_FOR)
        fields["model"] = self._model
        if has_schema and endpoint == openai.CHAT:
            del fields["response_format"]
        line = {"method": "POST", "url": endpoint, "body": fields}
        read = self._lines.read(msgspec.json.encode(line))
        if isinstance(read, LineError):
            raise LineProblem(read.code, read.message)
        return read

"""The price list inside `genai-prices`, read offline: what models cost in a batch and at real time.

The list is asked with `{"processing": "batch"}`, its own word. Any other key or value gives the standard price without
a word, so that a model counts as having a batch price only where the two differ.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import cache, lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from batchdrop.money import PriceSource, named
from batchdrop.providers.config import Providers
from batchdrop.providers.price_table import find_own
from batchdrop.rates import ModelPrices, PriceList, Rates

if TYPE_CHECKING:
    from genai_prices.types import PriceCalculation

logger = Logger(child=True)

_FEW, _MANY = 1_000, 10_000_000  # input tokens: below every tier of the list, and above all of them
_FREE = Rates(**dict.fromkeys(Rates.__struct_fields__, Decimal(0)))
_MODELS = 1_000  # whose prices are remembered
_BATCH = {"processing": "batch"}


@cache  # a look at the installed packages takes a millisecond
def source() -> str:
    """The list's name and version."""
    return f"genai-prices {version('genai-prices')}"


def source_of(models: Iterable[tuple[str, str]], providers: Providers, *, day: str) -> PriceSource:
    """Return where the prices of models (provider, and model as written) are from that are asked for on a day."""
    own = named(each for each in models if has_own_price(providers, *each))
    return PriceSource(source=source(), date=day, own=own)


def never_failing(prices: PriceList) -> PriceList:
    """The same prices; one that cannot be found, by a mistake of ours or of the list, is unknown.

    What a job costs must never be what ends it.
    """

    def prices_of(provider: str, model: str) -> ModelPrices | None:
        try:
            return prices(provider, model)
        except Exception as error:  # noqa: BLE001 - whatever it is
            logger.warning("price unknown", provider=provider, error=type(error).__name__)
            return None

    return prices_of


def prices_for(providers: Providers) -> PriceList:
    """Return the prices of models at a configured provider: `[prices]` of `providers.toml`, then the list.

    A provider is the list's where its address is, or its `price_address`: one at an address that the list does not know
    has only the prices of `[prices]`, whatever its name and its models' names are.
    """

    def prices_of(provider: str, model: str) -> ModelPrices | None:
        name = model.removeprefix(f"{provider}/")
        config = providers[provider]
        listed = listed_prices(name, address=config.price_address or config.base_url)
        own = find_own(providers.prices, provider, name)
        return listed if own is None else own.over(listed)

    return prices_of


def settled_prices(providers: Providers) -> PriceList:
    """Return the prices of models at a provider that a job used: as `prices_for` says, or by its name if it is gone."""
    configured = prices_for(providers)

    def prices_of(provider: str, model: str) -> ModelPrices | None:
        if provider in providers:
            return configured(provider, model)
        name = model.removeprefix(f"{provider}/")
        return listed_prices(name, provider=provider) or listed_prices(name)

    return prices_of


def has_own_price(providers: Providers, provider: str, model: str) -> bool:
    """Return whether `[prices]` says something of a model."""
    return find_own(providers.prices, provider, model.removeprefix(f"{provider}/")) is not None


@lru_cache(_MODELS)
def listed_prices(model: str, *, address: str | None = None, provider: str | None = None) -> ModelPrices | None:
    """The list's prices of a model at an address, or at a provider of that name; None where it does not know both.

    With neither, at whichever provider of the list has a model of that name.
    """

    def calculate(context: dict[str, str] | None, **tokens: int) -> "PriceCalculation":
        # Imported here: reading the price list takes longer than most commands.
        from genai_prices import Usage, calc_price  # noqa: PLC0415

        if address is not None:
            return calc_price(Usage(**tokens), model, provider_api_url=address, price_context=context)
        return calc_price(Usage(**tokens), model, provider_id=provider, price_context=context)

    try:
        standard, batch = calculate(None, input_tokens=_FEW), calculate(_BATCH, input_tokens=_FEW)
    except LookupError:
        return None
    given = [name for name, price in vars(standard.model_price).items() if price is not None]
    if not given:  # so the list has what is free of charge: OpenAI's moderation, a test says
        return ModelPrices(batch=_FREE, realtime=_FREE)
    if "input_mtok" not in given:
        return None  # it is priced by the hour, the picture or the character
    has_batch_price = batch.model_price != standard.model_price
    return ModelPrices(
        batch=_rates(calculate, _BATCH, _FEW) if has_batch_price else None,
        realtime=_rates(calculate, None, _FEW),
        long_batch=_rates(calculate, _BATCH, _MANY) if has_batch_price else None,
        long_realtime=_rates(calculate, None, _MANY),
    )


def _rates(calculate: Callable[..., "PriceCalculation"], context: dict[str, str] | None, size: int) -> Rates:
    """Return the price of a million tokens of a request with so many input tokens."""

    def per_million(dollars: Decimal) -> Decimal:
        return dollars * 1_000_000 / size

    written = {"input_tokens": size, "cache_write_tokens": size}
    return Rates(
        input=per_million(calculate(context, input_tokens=size).input_price),
        cached_input=per_million(calculate(context, input_tokens=size, cache_read_tokens=size).input_price),
        cache_write=per_million(calculate(context, **written).input_price),
        cache_write_1h=per_million(calculate(context, **written, cache_write_1h_tokens=size).input_price),
        output=per_million(calculate(context, input_tokens=size, output_tokens=size).output_price),
    )

"""`[prices.<provider>."<pattern>"]` of `providers.toml`: what tokens cost where the price list does not say so."""

import tomllib
from collections.abc import Collection, Mapping
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from batchdrop.dollars import exact_decimal
from batchdrop.errors import ConfigError
from batchdrop.rates import ModelPrices, Rates
from batchdrop.texts import nearest_of

MOST_DOLLARS = 100_000  # per million tokens
_DOLLAR_DIGITS = 6  # decimals; so few that sums stay exact
_SHARE_DIGITS = 4
RATES = ("input", "cached_input", "output")
_ONE = Decimal(1)


class OwnPrices(msgspec.Struct, frozen=True, kw_only=True):
    """The file's prices of a model; None where it has none.

    Attributes:
        batch: What tokens cost in a batch.
        realtime: What they cost by a call of its own.
        batch_discount: What a batch costs less than real time, as a share.
        discount: What all costs less than the price list says, as a share; negative for a surcharge.
    """

    batch: Rates | None = None
    realtime: Rates | None = None
    batch_discount: Decimal | None = None
    discount: Decimal | None = None

    def over(self, listed: ModelPrices | None) -> ModelPrices | None:
        """These prices where they are given, the list's where it knows the model; None where nobody does."""
        factor = _ONE - (self.discount or 0)
        base = ModelPrices(batch=None, realtime=None) if listed is None else _times(listed, factor)
        realtime, long_realtime = (
            (base.realtime, base.long_realtime) if self.realtime is None else (self.realtime, None)
        )
        batch, long_batch = (base.batch, base.long_batch) if self.realtime is None else (None, None)
        if self.batch_discount is not None:
            share = _ONE - self.batch_discount
            batch, long_batch = _scaled(realtime, share), _scaled(long_realtime, share)
        if self.batch is not None:
            batch, long_batch = self.batch, None
        if batch is None and realtime is None:
            return None
        return ModelPrices(batch=batch, realtime=realtime, long_batch=long_batch, long_realtime=long_realtime)


type PriceTable = Mapping[str, Mapping[str, OwnPrices]]  # by provider, then by pattern of models


def find_own(table: PriceTable, provider: str, model: str) -> OwnPrices | None:
    """The first pattern that fits the model, as it is on the wire."""
    patterns = table.get(provider, {})
    return next((prices for pattern, prices in patterns.items() if fnmatchcase(model, pattern)), None)


def read_prices(text: str, providers: Collection[str]) -> dict[str, dict[str, OwnPrices]]:
    """The prices of a file that is TOML; none where it has no such table.

    Numbers are read as decimals, which no float ever rounded.

    Raises:
        ConfigError: The message names the provider, the pattern and the key.
    """
    tables = tomllib.loads(text, parse_float=Decimal).get("prices", {})
    if not isinstance(tables, dict):
        raise ConfigError('prices: must be tables ([prices.openai."gpt-4o*"])')
    unknown = [name for name in tables if name not in providers]
    if unknown:
        raise ConfigError(f"prices.{unknown[0]}: there is no [providers.{unknown[0]}]")
    return {name: _read_provider(name, table) for name, table in tables.items()}


def _read_provider(name: str, table: Any) -> dict[str, OwnPrices]:  # noqa: ANN401 - whatever the file says
    if not isinstance(table, dict):
        raise ConfigError(f'prices.{name}: must be tables by pattern of models ([prices.{name}."gpt-4o*"])')
    return {pattern: _read(f'prices.{name}."{pattern}"', each) for pattern, each in table.items()}


def _read(where: str, table: Any) -> OwnPrices:  # noqa: ANN401 - whatever the file says
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: must be a table ([{where}])")
    _refuse_unknown(where, table, OwnPrices.__struct_fields__)
    _refuse_conflicts(where, table)
    return OwnPrices(
        batch=_rates(f"{where}.batch", table["batch"]) if "batch" in table else None,
        realtime=_rates(f"{where}.realtime", table["realtime"]) if "realtime" in table else None,
        batch_discount=_share(f"{where}.batch_discount", table["batch_discount"], least=Decimal(0))
        if "batch_discount" in table
        else None,
        discount=_share(f"{where}.discount", table["discount"], least=Decimal(-10)) if "discount" in table else None,
    )


def _refuse_conflicts(where: str, table: Mapping[str, Any]) -> None:
    if not table:
        raise ConfigError(f"{where}: it is empty: give batch, realtime, batch_discount or discount")
    if "batch" in table and "batch_discount" in table:
        raise ConfigError(f"{where}.batch_discount: batch is given already")
    if "realtime" in table and "discount" in table:
        raise ConfigError(f"{where}.discount: it is taken off the price list, and realtime takes the list's place")


def _refuse_unknown(where: str, table: Mapping[str, Any], known: Collection[str]) -> None:
    unknown = [key for key in table if key not in known]
    if unknown:
        raise ConfigError(f"{where}: contains unknown field `{unknown[0]}`; {nearest_of(unknown[0], known)}")


def _rates(where: str, table: Any) -> Rates:  # noqa: ANN401 - whatever the file says
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: must be a table, as in {{ input = 0.075, output = 0.30 }}")
    _refuse_unknown(where, table, RATES)
    missing = [key for key in ("input", "output") if key not in table]
    if missing:
        raise ConfigError(f"{where}: missing `{missing[0]}` (US dollars per million tokens; 0 if there is none)")
    dollars = {key: _dollars(f"{where}.{key}", value) for key, value in table.items()}
    return Rates(
        input=dollars["input"],
        cached_input=dollars.get("cached_input", dollars["input"]),
        cache_write=dollars["input"],
        cache_write_1h=dollars["input"],
        output=dollars["output"],
    )


def _dollars(where: str, value: Any) -> Decimal:  # noqa: ANN401 - whatever the file says
    number = exact_decimal(value, _DOLLAR_DIGITS)
    if number is None or not 0 <= number <= MOST_DOLLARS:
        raise ConfigError(
            f"{where}: must be US dollars per million tokens: a number from 0 to {MOST_DOLLARS:,}, "
            f"with {_DOLLAR_DIGITS} decimals at most"
        )
    return number


def _share(where: str, value: Any, *, least: Decimal) -> Decimal:  # noqa: ANN401 - whatever the file says
    number = exact_decimal(value, _SHARE_DIGITS)
    if number is None or not least <= number <= 1:
        raise ConfigError(f"{where}: must be a share from {least} to 1 (0.5 is half), with {_SHARE_DIGITS} decimals")
    return number


def _times(prices: ModelPrices, factor: Decimal) -> ModelPrices:
    return ModelPrices(
        batch=_scaled(prices.batch, factor),
        realtime=_scaled(prices.realtime, factor),
        long_batch=_scaled(prices.long_batch, factor),
        long_realtime=_scaled(prices.long_realtime, factor),
    )


def _scaled(rates: Rates | None, factor: Decimal) -> Rates | None:
    return None if rates is None else rates.times(factor)

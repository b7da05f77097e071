"""Money as it is written: exact decimals in strings; what a job was quoted at, and what it cost."""

from collections.abc import Iterable
from decimal import Decimal

import msgspec


def usd(dollars: Decimal) -> str:
    """US dollars as `0.004217`: exact, without an exponent and without zeros at the end."""
    text = f"{dollars:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def named(models: Iterable[tuple[str, str]]) -> list[str]:
    """Models (provider, and name as written), each once, with the provider's name before them."""
    return sorted({f"{provider}/{model.removeprefix(f'{provider}/')}" for provider, model in models})


class TokenRange(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens at least and at most; `high` is null where it is unknown."""

    low: int
    high: int | None


class QuotedTokens(msgspec.Struct, frozen=True, kw_only=True):
    input: TokenRange
    output: TokenRange


class PriceSource(msgspec.Struct, frozen=True, kw_only=True):
    """Where prices are from.

    Attributes:
        source: The list with its version.
        date: The day, in UTC, on which it was asked.
        own: Models of which `[prices]` of `providers.toml` says something.
    """

    source: str
    date: str
    own: list[str] = []


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """A job's quote from before any of it was paid: US dollars, exact decimals as text.

    Attributes:
        expected_usd: In between, by what other jobs of the folder were answered with in the last four weeks; null where
            a model has no price, or gave fewer than ten answers there.
        high_usd: Null where a model has no price, or a request names no limit of its output.
        unpriced_models: Those with no known price; `low_usd` leaves them out.
        no_batch_price: Those whose price in a batch is not known: they count at their real-time price.
    """

    low_usd: str
    expected_usd: str | None = None
    high_usd: str | None
    tokens: QuotedTokens
    unpriced_models: list[str]
    no_batch_price: list[str]
    made_at: str
    prices: PriceSource


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """A job's cost: US dollars, exact decimals as text, by the tokens that the providers counted.

    Attributes:
        cost_usd: What its answers cost; null where no model of it has a price.
        realtime_usd: What they would have cost by calls of their own; null where that is not known of each model.
        saved_usd: The difference.
        retries_usd: What of `cost_usd` was for requests that had been sent before.
        duplicates_usd: What was paid beside `cost_usd`, for second answers of lines that had one.
        unpriced_models: Those with no known price, which the sums leave out.
        no_batch_price: Those whose price in a batch is not known: they count at their real-time price.
    """

    cost_usd: str | None
    realtime_usd: str | None
    saved_usd: str | None
    retries_usd: str | None
    duplicates_usd: str | None
    unpriced_models: list[str]
    no_batch_price: list[str]
    prices: PriceSource

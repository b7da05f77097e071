"""Money as it is written: exact decimals in strings; and what a job was quoted at."""

from decimal import Decimal

import msgspec


def usd(dollars: Decimal) -> str:
    """US dollars as `0.004217`: exact, without an exponent and without zeros at the end."""
    text = f"{dollars:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


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
    """What a job was quoted at before any of it was paid: US dollars, exact decimals as text.

    Attributes:
        expected_usd: Null: nothing is known of what such jobs are answered with.
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

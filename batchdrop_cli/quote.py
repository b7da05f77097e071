"""`quote`: what a file will come to, offline: its lines, batches, tokens and cost, as a range that is promised.

Money is exact until it is shown. What the range promises stands in docs/decisions/0046-what-a-quote-promises.md.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path

import msgspec
from batchdrop.inputs.fallbacks import Fallback, taking
from batchdrop.inputs.quotes import (
    CostRange,
    RouteCost,
    asked_or_fallback,
    quote_routes,
    total_of,
    unpriced_of,
    without_batch_price,
)
from batchdrop.inputs.token_counts import Route
from batchdrop.money import TokenRange, named
from batchdrop.providers import price_list
from batchdrop.providers.config import Providers

from batchdrop_cli.check import check_file
from batchdrop_cli.row_settings import REQUESTS, RowSettings

SCHEMA = "batchdrop.quote/1"
_SIX = Decimal("0.000001")


class DollarRange(msgspec.Struct, frozen=True, kw_only=True):
    """US dollars at least and at most, decimals as text; `high_usd` is null where it is unknown."""

    low_usd: str
    high_usd: str | None


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The media in requests: `picture`, `document`, `sound` or `video`."""

    kind: str
    parts: int
    tokens: int


class InvalidKind(msgspec.Struct, frozen=True, kw_only=True):
    """The lines that are not sent for one reason, and the numbers of the first ones."""

    code: str
    lines: int
    first_lines: list[int]


class ModelQuote(msgspec.Struct, frozen=True, kw_only=True):
    """The lines for one provider, model and endpoint.

    Attributes:
        no_output_limit: Requests that name no limit of output tokens.
        unseen_input: Requests with input that the file does not hold.
        batch: What they cost in batches; null where no price is known.
        realtime: What they would cost by calls of their own; null where that is not known.
        saved: The difference; null where one of the two is not known.
        is_batch_price: Whether the price in a batch is known. If not, `batch` is the real-time price, a ceiling.
    """

    provider: str
    model: str
    endpoint: str
    requests: int
    input_tokens: TokenRange
    output_tokens: TokenRange
    no_output_limit: int
    unseen_input: int
    media: list[Parts]
    batch: DollarRange | None
    realtime: DollarRange | None
    saved: DollarRange | None
    is_batch_price: bool


class PriceSource(msgspec.Struct, frozen=True, kw_only=True):
    """Where prices are from: the list with its version, and models of which `[prices]` says something."""

    source: str
    own: list[str]


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """The quote of a file.

    Attributes:
        shared_lines: Those that are not sent, since another's request is equal: nothing else counts them.
        input_estimate: How input tokens were estimated.
        batch: The sum; `high_usd` is null where a model has no price, or a request no known most.
        realtime: What the same requests would cost by calls of their own.
        saved: The difference, over the models whose two prices are known.
        unpriced_models: Those with no known price; the sums leave them out.
        no_batch_price: Those whose price in a batch is not known: they count at their real-time price.
    """

    schema: str = SCHEMA
    file: str
    lines: int
    blank_lines: int
    invalid_lines: int
    shared_lines: int = 0
    invalid: list[InvalidKind]
    batches: int
    models: list[ModelQuote]
    input_estimate: str
    batch: DollarRange
    realtime: DollarRange
    saved: DollarRange
    unpriced_models: list[str]
    no_batch_price: list[str]
    prices: PriceSource


INPUT_ESTIMATE = (
    "a request's bytes divided by 3.5, at most, and a quarter of that, at least; "
    "pictures, documents and sound by the vendors' rules"
)


class Priced(msgspec.Struct, frozen=True, kw_only=True):
    """A quote, its exact most in batches, None where that is unknown, and what the file's lines are called."""

    quote: Quote
    most: Decimal | None
    noun: str


def quote_file(
    path: Path,
    providers: Providers,
    *,
    name: str | None = None,
    rows: RowSettings = REQUESTS,
    fallback: Fallback | None = None,
) -> Priced:
    """Read a file as the functions will, and price it.

    Args:
        path: The file.
        providers: Where its lines go, and what `[prices]` says of them.
        name: Its key, where another name than its own tells how it is read.
        rows: What its lines are.
        fallback: The model that may answer any request that it can take: the dearer of two counts.

    Raises:
        UserError: It is no file that they read.
    """
    found = check_file(path, providers, name=name, rows=rows, count_tokens=True)
    takes = taking(fallback, providers)
    prices = price_list.prices_for(providers)
    costs = quote_routes(found.tokens or {}, prices, takes, rows.resends)
    models = asked_or_fallback(costs, takes)
    total = total_of(each.batch for each in costs.values())
    quote = Quote(
        file=str(path),
        lines=found.lines,
        blank_lines=found.blank,
        invalid_lines=found.invalid,
        shared_lines=found.shared,
        invalid=[
            InvalidKind(code=code, lines=kind.lines, first_lines=kind.first_lines)
            for code, kind in sorted(found.kinds.items())
        ],
        batches=found.batches,
        models=[_model(route, cost) for route, cost in costs.items()],
        input_estimate=INPUT_ESTIMATE,
        batch=_dollars(total),
        realtime=_dollars(total_of(each.realtime for each in costs.values())),
        saved=_dollars(total_of(each.saved for each in costs.values() if each.saved is not None)),
        unpriced_models=unpriced_of(models, prices),
        no_batch_price=without_batch_price(models, prices),
        prices=PriceSource(
            source=price_list.source(),
            own=named(each for each in models if price_list.has_own_price(providers, *each)),
        ),
    )
    return Priced(quote=quote, most=total.high, noun=found.noun)


def _model(route: Route, cost: RouteCost) -> ModelQuote:
    provider, model, endpoint = route
    counts = cost.counts
    return ModelQuote(
        provider=provider,
        model=model,
        endpoint=endpoint,
        requests=counts.requests,
        input_tokens=TokenRange(low=counts.input_least, high=None if counts.unseen else counts.input_most),
        output_tokens=TokenRange(low=0, high=counts.output_most),
        no_output_limit=counts.unlimited,
        unseen_input=counts.unseen,
        media=[
            Parts(kind=kind, parts=number, tokens=counts.part_tokens[kind])
            for kind, number in sorted(counts.parts.items())
        ],
        batch=_dollars_or_none(cost.batch),
        realtime=_dollars_or_none(cost.realtime),
        saved=_dollars_or_none(cost.saved),
        is_batch_price=cost.is_batch_price,
    )


def _dollars_or_none(cost: CostRange | None) -> DollarRange | None:
    return None if cost is None else _dollars(cost)


def _dollars(cost: CostRange) -> DollarRange:
    """Rounded outwards, so that the range still holds what it held."""
    high = None if cost.high is None else str(cost.high.quantize(_SIX, ROUND_CEILING))
    return DollarRange(low_usd=str(cost.low.quantize(_SIX, ROUND_FLOOR)), high_usd=high)


def format_quote(quote: Quote) -> str:
    return msgspec.json.format(msgspec.json.encode(quote), indent=2).decode()

"""A job's quote: what its requests cost, as a range, given before any of it is paid, and written once.

What the range promises is what `batchdrop quote` promises: docs/decisions/0046-what-a-quote-promises.md.
"""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal

import msgspec
from aws_lambda_powertools import Logger

from batchdrop.aws import keys
from batchdrop.aws.answer_history import AnsweredTokens
from batchdrop.aws.bucket import Files
from batchdrop.batches.expected_cost import expected_cost
from batchdrop.batches.split_plan import read_plan
from batchdrop.errors import Gone
from batchdrop.inputs.fallbacks import Fallback, fallback_of, taking
from batchdrop.inputs.quotes import (
    ONCE,
    Resends,
    RouteCost,
    asked_or_fallback,
    quote_routes,
    quoted_tokens,
    resends_of,
    total_of,
    unpriced_of,
    without_batch_price,
)
from batchdrop.inputs.token_counts import LEAST_SHARE, Route, TokenCounts
from batchdrop.manifest import timestamp
from batchdrop.money import Quote, QuotedTokens, TokenRange, usd
from batchdrop.providers.config import Providers
from batchdrop.providers.price_list import never_failing, settled_prices, source_of
from batchdrop.rates import charge
from batchdrop.records import Batch, Job, Split
from batchdrop.services import Services
from batchdrop.states import TERMINAL_JOBS

logger = Logger(child=True)


class RouteQuote(msgspec.Struct, frozen=True, kw_only=True):
    """The cost of the requests for one provider, model and endpoint.

    Attributes:
        model: As written in the lines.
        high: The most; None where it is unknown.
        input_rate: US dollars per million input tokens that none of them pays more than.
        output_rate: The same of output tokens.
        longest_output: The most output tokens that one of them allows.
        input_tokens: Their estimated input tokens; 0 in a quote of an earlier version.
    """

    provider: str
    model: str
    endpoint: str
    requests: int
    high: Decimal | None
    input_rate: Decimal
    output_rate: Decimal
    longest_output: int
    input_tokens: int = 0


class JobQuote(msgspec.Struct, frozen=True, kw_only=True):
    """The quote as it is published, and of each route what bounds the cost of any of its requests."""

    quote: Quote
    routes: list[RouteQuote]

    @property
    def high(self) -> Decimal | None:
        """US dollars that the job costs at most, exact; None where it is unknown.

        Each request counts once; where its answer is held against an output schema, as often as it may be sent.
        """
        return None if self.quote.high_usd is None else Decimal(self.quote.high_usd)


def write_quote(job: Job, splits: Iterable[Split], services: Services) -> JobQuote | None:
    """Quote a wholly planned job. The first quote that is written stays, whatever prices become.

    None where an earlier version planned a part of it, which counted no tokens.
    """
    counts = _counts_of(splits, services)
    if counts is None:
        return None
    answered = services.store.answers.tokens(job.key)
    fallback = fallback_of(job.settings)
    resends = resends_of(job.settings, has_schema=job.schema_key is not None)
    made = make_quote(counts, services.providers, answered, now=services.now(), fallback=fallback, resends=resends)
    written = services.files.put_first(keys.quote_key(job.id), msgspec.json.encode(made))
    return msgspec.json.decode(written, type=JobQuote)


def read_quote(job: Job, files: Files) -> JobQuote | None:
    """Return a job's quote; None where it has no quote, or is over and its quote no longer kept."""
    if job.quote_key is None:
        return None
    try:
        return msgspec.json.decode(files.get(job.quote_key), type=JobQuote)
    except (Gone, msgspec.DecodeError) as error:
        if job.state not in TERMINAL_JOBS:
            logger.warning("quote not read", error=type(error).__name__)
        return None


def high_of_batch(batch: Batch, quote: JobQuote | None, resends: Resends = ONCE) -> Decimal | None:
    """US dollars that the requests of a batch cost at most, sent so often; None where that is unknown.

    By the size of the batch and the dearest of the routes that it may hold, and never more than all of these cost.
    """
    routes = [] if quote is None else [each for each in quote.routes if may_hold(batch, each)]
    known = [each.high for each in routes if each.high is not None]
    if not routes or len(known) < len(routes):
        return None
    output = batch.requests * max(each.longest_output for each in routes)
    tokens = batch.tokens * resends.attempts + quoted_tokens(batch.requests, output, resends)
    by_size = charge(tokens, max(each.input_rate for each in routes))
    by_size += charge(output * resends.attempts, max(each.output_rate for each in routes))
    return min(by_size, sum(known, Decimal(0)))


def make_quote(  # noqa: PLR0913 - what a price is made of
    counts: Mapping[Route, TokenCounts],
    providers: Providers,
    answered: Iterable[AnsweredTokens],
    *,
    now: int,
    fallback: Fallback | None = None,
    resends: Resends = ONCE,
) -> JobQuote:
    """Price what was counted.

    Args:
        counts: The requests of a job, by route.
        providers: Where they go, and what `[prices]` says of them.
        answered: What others of its folder were answered with.
        now: Seconds since 1970.
        fallback: The model that may answer any request that it can take.
        resends: How often requests with an output schema are sent at most.
    """
    prices = never_failing(settled_prices(providers))
    takes = taking(fallback, providers)
    costs = quote_routes(counts, prices, takes, resends)
    models = asked_or_fallback(costs, takes)
    total = total_of(each.batch for each in costs.values())
    expected = expected_cost(counts, answered, prices, total, now=now)
    quote = Quote(
        low_usd=usd(total.low),
        expected_usd=None if expected is None else usd(expected),
        high_usd=None if total.high is None else usd(total.high),
        tokens=_tokens(counts.values()),
        unpriced_models=unpriced_of(models, prices),
        no_batch_price=without_batch_price(models, prices),
        made_at=timestamp(now),
        prices=source_of(models, providers, day=timestamp(now)[:10]),
    )
    return JobQuote(quote=quote, routes=[_route_quote(route, cost) for route, cost in costs.items()])


def _counts_of(splits: Iterable[Split], services: Services) -> dict[Route, TokenCounts] | None:
    """Return the sum of all splits' counts; None where a plan counted nothing, or cannot be read."""
    found: dict[Route, TokenCounts] = {}
    for split in splits:
        try:
            plan = read_plan(split, services)
        except (Gone, msgspec.DecodeError) as error:
            logger.warning("plan not read for a quote", split=split.index, error=type(error).__name__)
            return None
        if plan.tokens is None:
            return None
        for route, counts in zip(plan.routes, plan.tokens, strict=True):
            found.setdefault((route.provider, route.model, route.endpoint), TokenCounts()).add(counts)
    return {route: counts for route, counts in found.items() if counts.requests}


def _tokens(counts: Collection[TokenCounts]) -> QuotedTokens:
    outputs = [each.output_most for each in counts]
    known = [each for each in outputs if each is not None]
    is_unseen = any(each.unseen for each in counts)
    return QuotedTokens(
        input=TokenRange(
            low=sum(each.input_most for each in counts) // LEAST_SHARE,
            high=None if is_unseen else sum(each.input_most for each in counts),
        ),
        output=TokenRange(low=0, high=sum(known) if len(known) == len(outputs) else None),
    )


def _route_quote(route: Route, cost: RouteCost) -> RouteQuote:
    provider, model, endpoint = route
    return RouteQuote(
        provider=provider,
        model=model,
        endpoint=endpoint,
        requests=cost.counts.requests,
        high=None if cost.batch is None else cost.batch.high,
        input_rate=Decimal(0) if cost.dearest is None else cost.dearest.input,
        output_rate=Decimal(0) if cost.dearest is None else cost.dearest.output,
        longest_output=cost.counts.longest_output,
        input_tokens=cost.counts.input_most,
    )


def may_hold(batch: Batch, route: RouteQuote) -> bool:
    """Whether a batch holds requests of a route; Anthropic's mix models, and a fallback's may be of any route."""
    if batch.is_fallback:
        return True
    if route.provider != batch.provider:
        return False
    wire_model = route.model.removeprefix(f"{route.provider}/")
    return batch.model is None or (batch.endpoint == route.endpoint and batch.model == wire_model)

"""What requests are expected to cost, by what others of their folder were answered with."""

from decimal import Decimal

import msgspec
import pytest
from batchdrop.aws.answer_history import AnsweredTokens, week_of
from batchdrop.batches.expected_cost import expected_cost
from batchdrop.batches.job_quote import RouteQuote
from batchdrop.inputs.fallbacks import Fallback
from batchdrop.inputs.quotes import CostRange
from batchdrop.inputs.token_counts import Load, Route, TokenCounts
from batchdrop.manifest import ModelCounts, Shared, Usage
from batchdrop.outputs.answered_tokens import answered_tokens
from batchdrop.rates import ModelPrices, Rates

NOW = 1_795_800_000  # in week 2026-48
ROUTE: Route = ("openai", "gpt-4o", "/v1/chat/completions")
OTHER: Route = ("openai", "gpt-4o-mini", "/v1/chat/completions")
WIDE = CostRange(low=Decimal(0), high=None)


def rates(input_: int, output: int) -> Rates:
    return Rates(
        input=Decimal(input_),
        cached_input=Decimal(0),
        cache_write=Decimal(input_),
        cache_write_1h=Decimal(input_),
        output=Decimal(output),
    )


BATCH = ModelPrices(batch=rates(1, 4), realtime=rates(2, 8))
STANDARD = ModelPrices(batch=None, realtime=rates(2, 8))


def counts(requests: int = 1_000, input_tokens: int = 1_000_000) -> TokenCounts:
    return TokenCounts(requests=requests, loads={"short-none": Load(input_tokens=input_tokens, output_tokens=10**9)})


def answered(before: int = 0, route: Route = ROUTE, answers: int = 100, each: int = 50) -> AnsweredTokens:
    """Answers of `each` output tokens, of inputs that were estimated twice too high."""
    provider, model, endpoint = route
    return AnsweredTokens(
        week=week_of(NOW, before=before),
        provider=provider,
        model=model,
        endpoint=endpoint,
        answers=answers,
        estimated=answers * 200,
        input=answers * 100,
        output=answers * each,
    )


def expected(*history: AnsweredTokens, prices: ModelPrices | None = BATCH, within: CostRange = WIDE) -> Decimal | None:
    return expected_cost({ROUTE: counts()}, history, lambda *_: prices, within, now=NOW)


def test_the_expected_cost_is_that_of_the_tokens_that_such_requests_used() -> None:
    # Half of a million input tokens at $1, and 1,000 answers of 50 tokens at $4 a million.
    assert expected(answered()) == Decimal("0.700000")


def test_a_model_without_a_batch_price_is_expected_at_its_standard_price() -> None:
    assert expected(answered(), prices=STANDARD) == Decimal("1.400000")


@pytest.mark.parametrize(
    ("history", "output_each"),
    [
        ([answered(0, each=50), answered(1, each=110)], 70),
        ([answered(0, each=50), answered(2, each=110)], 62),
        ([answered(1, each=50), answered(3, each=100)], 60),
        ([answered(0, each=50), answered(4, each=9_999)], 50),
        ([answered(0, each=50), answered(-1, each=9_999)], 50),
    ],
)
def test_a_week_counts_half_of_the_week_after_it(history: list[AnsweredTokens], output_each: int) -> None:
    assert expected(*history) == Decimal("0.5") + Decimal(output_each * 4) / 1_000


@pytest.mark.parametrize(
    "history",
    [
        [],
        [answered(answers=9)],
        [answered(4)],
        [answered(route=OTHER)],
        [answered(answers=5), answered(4, answers=100)],
    ],
)
def test_too_few_answers_of_a_route_say_nothing(history: list[AnsweredTokens]) -> None:
    assert expected(*history) is None


def test_every_route_needs_a_history_and_a_price() -> None:
    both = {ROUTE: counts(), OTHER: counts()}
    known = [answered(), answered(route=OTHER)]
    assert expected_cost(both, known, lambda *_: BATCH, WIDE, now=NOW) == Decimal("1.400000")
    assert expected_cost(both, known[:1], lambda *_: BATCH, WIDE, now=NOW) is None
    assert expected(answered(), prices=None) is None
    assert expected_cost({}, known, lambda *_: BATCH, WIDE, now=NOW) is None


@pytest.mark.parametrize(("low", "high", "found"), [("0.8", "9", "0.8"), ("0.1", "0.6", "0.6"), ("0.1", "0.9", "0.7")])
def test_what_is_expected_lies_in_the_range_that_is_promised(low: str, high: str, found: str) -> None:
    assert expected(answered(), within=CostRange(low=Decimal(low), high=Decimal(high))) == Decimal(found)


def model_counts(model: str, answers: int) -> ModelCounts:
    usage = Usage(input_tokens=answers * 10, output_tokens=answers * 3)
    return ModelCounts(
        provider="openai",
        model=model,
        endpoint=ROUTE[2],
        requests=answers + 1,
        answered=answers,
        failed=1,
        batches=1,
        usage=usage,
    )


def route_quote(model: str, requests: int = 20, input_tokens: int = 400) -> RouteQuote:
    return RouteQuote(
        provider="openai",
        model=model,
        endpoint=ROUTE[2],
        requests=requests,
        high=None,
        input_rate=Decimal(1),
        output_rate=Decimal(1),
        longest_output=0,
        input_tokens=input_tokens,
    )


def test_the_estimate_of_what_was_not_answered_is_left_out() -> None:
    [found] = answered_tokens([model_counts("m", 10)], [route_quote("m")], now=NOW)
    assert found == AnsweredTokens(
        week="2026-48",
        provider="openai",
        model="m",
        endpoint=ROUTE[2],
        answers=10,
        estimated=200,
        input=100,
        output=30,
    )


def test_answers_that_lines_share_are_remembered_once() -> None:
    """Neither the quote nor the tokens count them twice."""
    once = model_counts("m", 10)
    shared = msgspec.structs.replace(once, requests=41, answered=40, shared=Shared(requests=30, answered=30))
    assert answered_tokens([shared], [route_quote("m")], now=NOW) == answered_tokens(
        [once], [route_quote("m")], now=NOW
    )


def test_what_has_no_answer_no_quote_or_no_key_is_not_remembered() -> None:
    models = [model_counts("none", 0), model_counts("unquoted", 5), model_counts("x" * 251, 5)]
    routes = [route_quote("none"), route_quote("x" * 251)]
    assert answered_tokens(models, routes, now=NOW) == []


def test_a_quote_of_an_earlier_version_which_counts_no_input_is_not_remembered() -> None:
    assert answered_tokens([model_counts("m", 5)], [route_quote("m", input_tokens=0)], now=NOW) == []


def test_what_fell_to_a_model_tells_nothing_of_those_who_ask_it() -> None:
    models, routes = [model_counts("m", 5), model_counts("n", 5)], [route_quote("m"), route_quote("n")]
    fallback = Fallback(provider=models[0].provider, model="m")
    assert [each.model for each in answered_tokens(models, routes, now=NOW, fallback=fallback)] == ["n"]


def test_of_very_many_models_those_with_most_answers_are_remembered() -> None:
    names = [f"m-{number:03}" for number in range(1, 61)]
    models = [model_counts(name, number) for number, name in enumerate(names, start=1)]
    found = answered_tokens(models, [route_quote(name) for name in names], now=NOW)
    assert [each.answers for each in found] == list(range(60, 20, -1))

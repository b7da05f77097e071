from decimal import Decimal

import pytest
from batchdrop.costs import Price, price_of, settle
from batchdrop.manifest import Files, Input, Manifest, ModelCounts, Times, Usage
from batchdrop.money import Money, PriceSource
from batchdrop.providers.config import Providers, parse_providers
from batchdrop.providers.price_list import settled_prices
from batchdrop.rates import PriceList
from batchdrop.states import JobState

from batchdrop_cli.prices import Cost, cost_of, cost_of_job, prices_of, shown

MILLION = Usage(input_tokens=1_000_000, output_tokens=1_000_000)
OWN = """
[providers.openai]
protocol = "openai"
base_url = "https://api.openai.com/v1"
secret = "a"

[providers.mine]
protocol = "openai"
base_url = "https://llm.example/v1"
secret = "b"

[prices.openai."gpt-4o-mini"]
discount = 0.5

[prices.mine."llama*"]
batch = { input = 1, output = 2 }
"""
LIST = settled_prices(Providers({}))
FILE = settled_prices(parse_providers(OWN))


def used(provider: str, model: str, usage: Usage = MILLION) -> ModelCounts:
    return ModelCounts(
        provider=provider, model=model, endpoint="e", requests=1, answered=1, failed=0, batches=1, usage=usage
    )


def priced(models: list[ModelCounts], prices: PriceList) -> list[Price | None]:
    return [price_of(prices, each.provider, each.model, each.usage) for each in models]


@pytest.mark.parametrize(
    ("dollars", "said"),
    [
        ("0", "$0.0000"),
        ("0.0000001", "under $0.0001"),
        ("0.0000999", "under $0.0001"),
        ("0.0001", "$0.0001"),
        ("1234.5", "$1,234.5000"),
    ],
)
def test_a_little_money_is_not_shown_as_none(dollars: str, said: str) -> None:
    assert shown(Decimal(dollars)) == said


@pytest.mark.parametrize("model", ["gpt-4o-mini", "openai/gpt-4o-mini"])
def test_a_batch_costs_half(model: str) -> None:
    assert price_of(LIST, "openai", model, MILLION) == Price(
        dollars=Decimal("0.375"), realtime=Decimal("0.75"), is_batch=True
    )


def test_a_model_with_no_batch_price_says_that_it_is_the_standard_one() -> None:
    price = price_of(LIST, "openai", "text-embedding-3-small", Usage(input_tokens=1_000_000))
    assert price == Price(dollars=Decimal("0.02"), realtime=Decimal("0.02"), is_batch=False)


def test_cached_tokens_are_not_counted_twice() -> None:
    cached = Usage(input_tokens=1_000_000, cached_input_tokens=1_000_000)
    assert price_of(LIST, "anthropic", "claude-haiku-4-5", cached) == Price(
        dollars=Decimal("0.05"), realtime=Decimal("0.1"), is_batch=True
    )


def test_an_unknown_model_has_no_price() -> None:
    assert price_of(LIST, "mine", "llama-of-my-own", MILLION) is None


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ([used("openai", "gpt-4o-mini")], "$0.3750 (saved $0.3750 against real time)"),
        (
            [used("openai", "gpt-4o-mini"), used("openai", "text-embedding-3-small", Usage(input_tokens=1_000_000))],
            "$0.3950 (saved $0.3750 against real time; some at the standard price, since no batch price is known)",
        ),
        (
            [used("openai", "gpt-4o-mini"), used("mine", "llama-of-my-own")],
            "$0.3750 (without the models whose price is unknown)",
        ),
        ([used("mine", "llama-of-my-own")], "unknown"),
    ],
)
def test_the_total_says_what_is_uncertain(models: list[ModelCounts], said: str) -> None:
    assert str(cost_of(priced(models, LIST))) == said


def test_what_the_providers_file_says_of_prices_holds_for_what_a_job_cost() -> None:
    halved = cost_of(priced([used("openai", "gpt-4o-mini")], FILE))
    assert (halved.dollars, halved.saved) == (Decimal("0.1875"), Decimal("0.1875"))
    assert cost_of(priced([used("mine", "llama-of-my-own")], FILE)) == Cost(dollars=Decimal(3))


def test_a_provider_at_an_address_that_the_list_does_not_know_has_no_price_whatever_its_models_are_called() -> None:
    assert price_of(FILE, "mine", "gpt-4o-mini", MILLION) is None


def test_a_provider_that_is_configured_no_more_has_the_price_of_its_name() -> None:
    assert price_of(FILE, "anthropic", "claude-haiku-4-5", MILLION) == price_of(
        LIST, "anthropic", "claude-haiku-4-5", MILLION
    )


def a_manifest(money: Money | None, models: list[ModelCounts]) -> Manifest:
    return Manifest(
        job="j",
        status=JobState.COMPLETED,
        reason=None,
        retry_of=None,
        input=Input(bucket="b", key="k", version_id=None, etag=None, bytes=1, lines=1, blank_lines=0),
        counts=None,
        models=models,
        times=Times(dropped_at="", first_submitted_at=None, last_ended_at=None, published_at=""),
        files=Files(results=[], errors=None, failed=None),
        versions={},
        money=money,
    )


def test_a_job_costs_what_its_manifest_says_whatever_prices_are_now() -> None:
    models, money = settle([used("openai", "gpt-4o-mini")], FILE, PriceSource(source="s", date="d"))
    assert cost_of_job(a_manifest(money, models), LIST) == Cost(dollars=Decimal("0.1875"), saved=Decimal("0.1875"))
    assert cost_of_job(a_manifest(None, models), LIST) == Cost(dollars=Decimal("0.375"), saved=Decimal("0.375"))


def test_a_manifest_says_which_models_count_at_the_standard_price_and_which_have_none() -> None:
    models = [used("openai", "text-embedding-3-small", Usage(input_tokens=9)), used("mine", "llama-of-my-own")]
    settled, money = settle(models, LIST, PriceSource(source="s", date="d"))
    assert prices_of(a_manifest(money, settled), FILE) == priced(models, LIST)

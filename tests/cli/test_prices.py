from decimal import Decimal

import pytest
from batchdrop.manifest import ModelCounts, Usage

from batchdrop_cli.prices import Price, dollars, price_of, total

MILLION = Usage(input_tokens=1_000_000, output_tokens=1_000_000)


def used(provider: str, model: str, usage: Usage = MILLION) -> ModelCounts:
    return ModelCounts(
        provider=provider, model=model, endpoint="e", requests=1, answered=1, failed=0, batches=1, usage=usage
    )


@pytest.mark.parametrize("model", ["gpt-4o-mini", "openai/gpt-4o-mini"])
def test_a_batch_costs_half(model: str) -> None:
    assert price_of("openai", model, MILLION) == Price(dollars=Decimal("0.375"), is_batch=True)


def test_a_model_with_no_batch_price_says_that_it_is_the_standard_one() -> None:
    price = price_of("openai", "text-embedding-3-small", Usage(input_tokens=1_000_000))
    assert price == Price(dollars=Decimal("0.02"), is_batch=False)
    assert dollars(price) == "$0.0200 (standard price)"


def test_cached_tokens_are_not_counted_twice() -> None:
    cached = Usage(input_tokens=1_000_000, cached_input_tokens=1_000_000)
    assert price_of("anthropic", "claude-haiku-4-5", cached) == Price(dollars=Decimal("0.05"), is_batch=True)


def test_an_unknown_model_has_no_price() -> None:
    assert dollars(price_of("mine", "llama-of-my-own", MILLION)) == "unknown"


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ([used("openai", "gpt-4o-mini")], "$0.3750"),
        (
            [used("openai", "gpt-4o-mini"), used("openai", "text-embedding-3-small", Usage(input_tokens=1_000_000))],
            "$0.3950 (some at the standard price, since no batch price is known)",
        ),
        (
            [used("openai", "gpt-4o-mini"), used("mine", "llama-of-my-own")],
            "$0.3750 (without the models whose price is unknown)",
        ),
        ([used("mine", "llama-of-my-own")], "unknown"),
    ],
)
def test_the_total_says_what_is_uncertain(models: list[ModelCounts], said: str) -> None:
    assert total(models) == said

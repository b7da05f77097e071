"""The price list inside genai-prices: which models have a batch price, and that it is asked with the word for it."""

from decimal import Decimal
from pathlib import Path

import pytest
from batchdrop.costs import Price, price_of
from batchdrop.inputs.token_counts import LONG_TOKENS
from batchdrop.manifest import Usage
from batchdrop.providers.config import Providers, parse_providers
from batchdrop.providers.price_list import listed_prices, prices_for, settled_prices
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

ADDRESSES = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com"}
MODELS = {each.id: [model.id for model in each.models] for each in get_snapshot().providers if each.id in ADDRESSES}
TOML = Path(__file__).parents[2] / "providers.toml"
LIST = settled_prices(Providers({}))

# Of the vendors' models that have a price per token, those without a batch price in the list. Each counts at its
# real-time price, and is named in a quote.
NO_BATCH_PRICE = {
    "anthropic": {
        "claude-2",
        "claude-3-5-haiku-latest",
        "claude-3-5-sonnet",
        "claude-3-7-sonnet-latest",
        "claude-3-haiku",
        "claude-3-opus-latest",
        "claude-3-sonnet",
        "claude-opus-4-0",
        "claude-opus-4-1",
        "claude-sonnet-4-0",
        "claude-v1",
    },
    "openai": {
        "ada",
        "babbage",
        "babbage-002",
        "chatgpt-4o-latest",
        "chatgpt-image-latest",
        "codex-mini",
        "computer-use",
        "curie",
        "davinci",
        "davinci-002",
        "gpt-3.5-0301",
        "gpt-3.5-turbo-0613",
        "gpt-3.5-turbo-1106",
        "gpt-3.5-turbo-16k",
        "gpt-3.5-turbo-instruct",
        "gpt-4-32k",
        "gpt-4-vision-preview",
        "gpt-4.5-preview",
        "gpt-4o-audio-preview",
        "gpt-4o-mini-audio-preview",
        "gpt-4o-mini-realtime-preview",
        "gpt-4o-mini-transcribe",
        "gpt-4o-mini-tts",
        "gpt-4o-realtime-preview",
        "gpt-4o-search-preview",
        "gpt-4o-transcribe",
        "gpt-4o:extended",
        "gpt-5-image",
        "gpt-5-image-mini",
        "gpt-5-search-api",
        "gpt-5.1-codex-mini",
        "gpt-5.3",
        "gpt-5.3-codex",
        "gpt-5.4-image-2",
        "gpt-5.5-cyber",
        "gpt-5.6-cyber",
        "gpt-6-cyber",
        "gpt-6-rosalind",
        "gpt-audio",
        "gpt-audio-mini",
        "gpt-chat-latest",
        "gpt-oss-120b",
        "gpt-oss-20b",
        "gpt-oss-safeguard-20b",
        "gpt-realtime",
        "gpt-realtime-2",
        "gpt-realtime-mini",
        "gpt-rosalind-discovery",
        "gpt-rosalind-research",
        "o1-mini",
        "o1-preview",
        "o3-deep-research",
        "o4-mini-deep-research",
        "text-davinci-002",
        "text-davinci-003",
        "text-embedding-3-large",
        "text-embedding-3-small",
        "text-embedding-ada-002",
    },
}


def with_prices() -> list[tuple[str, str]]:
    return [
        (provider, model)
        for provider, models in MODELS.items()
        for model in models
        if listed_prices(model, address=ADDRESSES[provider]) is not None
    ]


@pytest.mark.parametrize("provider", ADDRESSES)
def test_every_model_costs_half_in_a_batch_but_for_those_that_are_named_here(provider: str) -> None:
    without = set()
    for model in (name for vendor, name in with_prices() if vendor == provider):
        prices = listed_prices(model, address=ADDRESSES[provider])
        assert prices is not None
        assert prices.realtime is not None
        if prices.batch is None:
            without.add(model)
            continue
        assert prices.batch.input * 2 == prices.realtime.input, model
        assert prices.batch.output * 2 == prices.realtime.output, model
    assert without == NO_BATCH_PRICE[provider]


def test_most_models_of_both_vendors_have_a_batch_price() -> None:
    assert {provider: len(NO_BATCH_PRICE[provider]) < len(models) for provider, models in MODELS.items()} == {
        "openai": True,
        "anthropic": True,
    }


def _all_prices(model: ModelInfo) -> list[ModelPrice]:
    prices = model.prices if isinstance(model.prices, list) else [model.prices]
    return [each if isinstance(each, ModelPrice) else each.prices for each in prices]


def test_no_price_rises_with_the_input_before_a_request_counts_as_long() -> None:
    starts = {
        tier.start
        for provider in get_snapshot().providers
        if provider.id in ADDRESSES
        for model in provider.models
        for price in _all_prices(model)
        for value in vars(price).values()
        if isinstance(value, TieredPrices)
        for tier in value.tiers
    }
    assert min(starts) == LONG_TOKENS


def test_a_long_request_has_prices_of_its_own() -> None:
    prices = listed_prices("gpt-5.4", address=ADDRESSES["openai"])
    assert prices is not None
    assert prices.batch is not None
    assert prices.long_batch is not None
    assert prices.long_batch.input == 2 * prices.batch.input


def test_a_sum_over_many_requests_is_not_priced_as_one_long_request() -> None:
    few, many = (
        price_of(LIST, "openai", "gpt-5.4", Usage(input_tokens=n, output_tokens=n)) for n in (1_000, 1_000_000)
    )
    assert few is not None
    assert few.realtime is not None
    assert many == Price(dollars=few.dollars * 1_000, realtime=few.realtime * 1_000, is_batch=True)


def test_what_has_no_price_at_all_in_the_list_is_free_of_charge_and_is_moderation() -> None:
    free = {
        model.id: model.description
        for provider in get_snapshot().providers
        if provider.id in ADDRESSES
        for model in provider.models
        if all(value is None for price in _all_prices(model) for value in vars(price).values())
    }
    assert list(free) == ["moderation"]
    assert "free of charge" in (free["moderation"] or "")
    assert price_of(LIST, "openai", "omni-moderation-latest", Usage(input_tokens=9)) == Price(
        dollars=Decimal(0), realtime=Decimal(0), is_batch=True
    )


def test_a_model_that_is_priced_otherwise_than_by_tokens_has_no_price() -> None:
    assert listed_prices("whisper-1", address=ADDRESSES["openai"]) is None


def test_a_server_that_the_list_does_not_know_has_no_price_whatever_its_models_are_called() -> None:
    text = TOML.read_text(encoding="utf-8").replace("https://api.openai.com/v1", "https://gateway.example.org/v1")
    prices = prices_for(parse_providers(text))
    assert prices("openai", "gpt-4o-mini") is None
    assert prices("anthropic", "claude-haiku-4-5") is not None


def test_a_second_name_for_a_vendors_address_has_the_vendors_prices() -> None:
    text = TOML.read_text(encoding="utf-8").replace("[providers.openai", "[providers.team-a")
    prices = prices_for(parse_providers(text))("team-a", "team-a/gpt-4o-mini")
    assert prices is not None
    assert prices.batch is not None
    assert prices.batch.input == Decimal("0.075")


def test_prices_of_providers_toml_come_first_and_fill_gaps() -> None:
    more = """
[prices.openai."gpt-4o*"]
discount = 0.1
[prices.openai."text-embedding-*"]
batch_discount = 0.5
[prices.openai."ft:mine"]
batch = { input = 0.3, output = 1.2 }
"""
    prices = prices_for(parse_providers(TOML.read_text(encoding="utf-8") + more))
    batch = [prices("openai", model) for model in ("gpt-4o-mini", "openai/text-embedding-3-small", "ft:mine")]
    assert [each and each.batch and each.batch.input for each in batch] == [
        Decimal("0.0675"),
        Decimal("0.01"),
        Decimal("0.3"),
    ]

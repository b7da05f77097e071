"""`[prices]` of providers.toml: exact decimals, the first pattern that fits, and a clear word on each mistake."""

import re
from decimal import Decimal
from pathlib import Path

import pytest
from batchdrop.errors import ConfigError
from batchdrop.providers.config import Providers, parse_providers
from batchdrop.providers.price_table import OwnPrices, find_own
from batchdrop.rates import ModelPrices, Rates

DOCUMENT = Path(__file__).parents[2] / "docs/providers.md"
FILE = """
[providers.openai]
protocol = "openai"
base_url = "https://api.openai.com/v1"
secret = "s"
"""


def rates(price: str, output: str = "1") -> Rates:
    value = Decimal(price)
    return Rates(input=value, cached_input=value, cache_write=value, cache_write_1h=value, output=Decimal(output))


LISTED = ModelPrices(batch=rates("1"), realtime=rates("2"), long_batch=rates("3"), long_realtime=rates("4"))


def read(text: str) -> Providers:
    return parse_providers(FILE + text)


def own(text: str) -> OwnPrices:
    found = find_own(read(f'[prices.openai."m*"]\n{text}').prices, "openai", "model")
    assert found is not None
    return found


def test_without_a_table_there_are_no_prices() -> None:
    assert dict(read("").prices) == {}


def test_the_first_pattern_that_fits_counts() -> None:
    table = read(
        '[prices.openai]\n"gpt-4o-mini" = { discount = 0.1 }\n"gpt-4o*" = { discount = 0.2 }\n'
        '"*" = { discount = 0.3 }\n'
    ).prices
    models = ("gpt-4o-mini", "gpt-4o-2", "o3")
    assert [each and each.discount for each in (find_own(table, "openai", model) for model in models)] == [
        Decimal("0.1"),
        Decimal("0.2"),
        Decimal("0.3"),
    ]
    assert find_own(table, "other", "o3") is None


def test_prices_are_the_decimals_that_are_written() -> None:
    found = own("batch = { input = 0.1, cached_input = 0.012345, output = 3 }").batch
    assert found is not None
    assert (found.input, found.cached_input, found.output) == (Decimal("0.1"), Decimal("0.012345"), Decimal(3))
    assert (found.cache_write, found.cache_write_1h) == (Decimal("0.1"), Decimal("0.1"))


def test_own_prices_take_the_place_of_the_lists() -> None:
    batch, realtime = own("batch = { input = 7, output = 1 }"), own("realtime = { input = 9, output = 1 }")
    assert batch.over(LISTED) == ModelPrices(batch=rates("7"), realtime=rates("2"), long_realtime=rates("4"))
    assert realtime.over(LISTED) == ModelPrices(batch=None, realtime=rates("9"))


def test_own_prices_fill_the_lists_gaps() -> None:
    both = own("batch = { input = 7, output = 1 }\nrealtime = { input = 9, output = 1 }")
    assert both.over(None) == ModelPrices(batch=rates("7"), realtime=rates("9"))
    half = own("batch_discount = 0.5")
    assert half.over(ModelPrices(batch=None, realtime=rates("2", "8"))) == ModelPrices(
        batch=rates("1", "4"), realtime=rates("2", "8")
    )
    assert half.over(None) is None


def test_a_discount_is_taken_off_all_of_the_list_and_a_negative_one_is_a_surcharge() -> None:
    assert own("discount = 0.25").over(LISTED) == ModelPrices(
        batch=rates("0.75", "0.75"),
        realtime=rates("1.5", "0.75"),
        long_batch=rates("2.25", "0.75"),
        long_realtime=rates("3", "0.75"),
    )
    surcharged = own("discount = -0.1").over(LISTED)
    assert surcharged is not None
    assert surcharged.batch == rates("1.1", "1.1")
    assert own("discount = 0.1").over(None) is None


def test_the_example_of_the_documentation_is_read() -> None:
    (example,) = re.findall(r"```toml\n(\[prices.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    own = DOCUMENT.parents[1] / "providers.toml"
    table = parse_providers(own.read_text(encoding="utf-8") + example).prices
    assert {provider: list(patterns) for provider, patterns in table.items()} == {
        "openai": ["ft:gpt-4o-mini*", "text-embedding-*"],
        "anthropic": ["claude-*"],
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prices = 1\n" + FILE, "prices: must be tables"),
        ('[prices.groq."*"]\ndiscount = 0.1', "prices.groq: there is no [providers.groq]"),
        ("[prices]\nopenai = 3", "prices.openai: must be tables by pattern of models"),
        ("[prices.openai]\ninput = 3", 'prices.openai."input": must be a table'),
        ('[prices.openai."*"]', 'prices.openai."*": it is empty'),
        (
            '[prices.openai."*"]\nbatches = 1',
            'prices.openai."*": contains unknown field `batches`; did you mean batch?',
        ),
        ('[prices.openai."*"]\nbatch = 1', 'prices.openai."*".batch: must be a table'),
        ('[prices.openai."*"]\nbatch = { input = 1 }', 'prices.openai."*".batch: missing `output`'),
        ('[prices.openai."*"]\nbatch = { input = 1, output = 1, cached = 1 }', '"*".batch: contains unknown field `ca'),
        ('[prices.openai."*"]\nbatch = { input = "1", output = 1 }', '"*".batch.input: must be US dollars per million'),
        (
            '[prices.openai."*"]\nbatch = { input = true, output = 1 }',
            '"*".batch.input: must be US dollars per million',
        ),
        ('[prices.openai."*"]\nbatch = { input = nan, output = 1 }', '"*".batch.input: must be US dollars per million'),
        (
            '[prices.openai."*"]\nbatch = { input = 1, output = inf }',
            '"*".batch.output: must be US dollars per million',
        ),
        ('[prices.openai."*"]\nbatch = { input = -1, output = 1 }', '"*".batch.input: must be US dollars per million'),
        ('[prices.openai."*"]\nbatch = { input = 0.1234567, output = 1 }', "with 6 decimals at most"),
        ('[prices.openai."*"]\nbatch = { input = 100001, output = 1 }', "a number from 0 to 100,000"),
        ('[prices.openai."*"]\nbatch = { input = 1e999999999, output = 1 }', "a number from 0 to 100,000"),
        ('[prices.openai."*"]\ndiscount = 2', '"*".discount: must be a share from -10 to 1'),
        ('[prices.openai."*"]\ndiscount = 10', '"*".discount: must be a share from -10 to 1'),
        ('[prices.openai."*"]\nbatch_discount = -0.5', '"*".batch_discount: must be a share from 0 to 1'),
        (
            '[prices.openai."*"]\nbatch_discount = 0.5\nbatch = { input = 1, output = 1 }',
            '"*".batch_discount: batch is given already',
        ),
        (
            '[prices.openai."*"]\ndiscount = 0.5\nrealtime = { input = 1, output = 1 }',
            '"*".discount: it is taken off the price list, and realtime takes the list\'s place',
        ),
    ],
)
def test_a_mistake_is_named_with_its_key(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_providers(text if text.startswith("prices") else FILE + text)
    assert str(caught.value).startswith("providers.toml: prices")
    assert said in str(caught.value)

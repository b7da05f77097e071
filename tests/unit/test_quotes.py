"""What a file will cost: counts add up, and the range holds what any answer costs."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from batchdrop.batches.packing import group_of
from batchdrop.inputs.quotes import NOTHING, CostRange, cost_of, quote_routes, total_of
from batchdrop.inputs.request_lines import LineReader, Request
from batchdrop.inputs.token_counts import LONG_TOKENS, Load, Route, TokenCounts
from batchdrop.protocols.token_estimates import measure_media
from batchdrop.providers.config import Providers
from batchdrop.rates import ModelPrices, Rates
from batchdrop.records import JobSettings
from faking.lines import chat, claude
from hypothesis import given
from hypothesis import strategies as st

RATES = Rates(
    input=Decimal("0.075"),
    cached_input=Decimal("0.0375"),
    cache_write=Decimal("0.1"),
    cache_write_1h=Decimal("0.2"),
    output=Decimal("0.3"),
)
DEAR = RATES.times(Decimal(2))
PRICES = ModelPrices(batch=RATES, realtime=DEAR)
_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAIAAAACUFjqAAAAEklEQVR4nGP4z8CAB+GTG8HSALfKY52fTcuYAAAAAElFTkSuQmCC"
PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_PNG}"}}
LARGE_PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_PNG}{'A' * 40_000}"}}


def counts_of(lines: Iterable[dict[str, Any]], providers: Providers) -> dict[Route, TokenCounts]:
    reader, found = LineReader(providers), dict[Route, TokenCounts]()
    for line in lines:
        request = reader.read(msgspec.json.encode(line))
        assert isinstance(request, Request), request
        group = group_of(request, providers[request.provider], JobSettings())
        route = request.provider, request.model, request.endpoint
        media = measure_media(bytes(request.body), group.model)
        found.setdefault(route, TokenCounts()).count(request, media, group.model)
    return found


def one(line: dict[str, Any], providers: Providers) -> TokenCounts:
    (counts,) = counts_of([line], providers).values()
    return counts


def limited(text: str, tokens: int = 50, **more: Any) -> dict[str, Any]:
    line = chat(text)
    line["body"] |= {"max_completion_tokens": tokens, **more}
    return line


def native(text: str, **more: Any) -> dict[str, Any]:
    line = claude(text)
    line["params"] |= more
    return line


_texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=60)
_line = st.one_of(
    st.builds(limited, _texts, st.integers(1, 5_000)),
    st.builds(chat, _texts),
    st.builds(native, _texts),
    st.builds(lambda text: {"model": "text-embedding-3-small", "input": text}, _texts),
    st.just({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": [PICTURE]}], "max_tokens": 9}),
)


@given(st.lists(_line, max_size=12), st.data())
def test_the_quote_of_a_file_is_the_sum_of_the_quotes_of_its_parts(
    providers: Providers, lines: list[dict[str, Any]], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(lines)))
    whole, first, second = (counts_of(part, providers) for part in (lines, lines[:cut], lines[cut:]))
    quoted = [quote_routes(each, lambda *_: PRICES) for each in (first, second)]
    assert total_of(each.batch for each in quote_routes(whole, lambda *_: PRICES).values()) == total_of(
        each.batch for part in quoted for each in part.values()
    )
    for route, counts in second.items():
        first.setdefault(route, TokenCounts()).add(counts)
    assert first == whole


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_money_is_exact(first: int, second: int) -> None:
    def cost(tokens: int) -> CostRange:
        counts = TokenCounts(loads={"short-none": Load(input_tokens=tokens)})
        return cost_of(counts, RATES)

    assert cost(first) + cost(second) == cost(first + second)


def test_the_least_is_the_fewest_input_tokens_and_the_most_all_that_may_be_answered(providers: Providers) -> None:
    counts = one(limited("Hi", 1_000_000), providers)
    cost = cost_of(counts, RATES)
    assert cost.low == RATES.input * counts.input_most / 4_000_000 > 0
    assert cost.high == RATES.cache_write * counts.input_most / 1_000_000 + Decimal("0.3")
    assert counts.input_least == counts.input_most // 4


def test_without_a_limit_of_output_the_most_is_unknown(providers: Providers) -> None:
    counts = one(chat("Hi"), providers)
    assert (counts.unlimited, counts.output_most) == (1, None)
    assert cost_of(counts, RATES).high is None
    assert cost_of(counts, RATES).low > 0


@pytest.mark.parametrize(
    "line",
    [
        {"model": "gpt-4o-mini", "input": "a", "max_output_tokens": 9, "previous_response_id": "r"},
        {"model": "gpt-4o-mini", "input": "a", "max_output_tokens": 9, "tools": [{"type": "web_search_preview"}]},
        {"custom_id": "a", "method": "POST", "url": "/v1/responses"}
        | {"body": {"model": "gpt-4o-mini", "prompt": {"id": "p"}, "input": "a", "max_output_tokens": 9}},
        native("a", tools=[{"type": "web_search_20250305", "name": "web_search"}]),
        {
            "params": {
                "model": "claude-haiku-4-5",
                "max_tokens": 9,
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "document", "source": {"type": "url", "url": "https://a/b.pdf"}}],
                    }
                ],
            }
        },
        limited("a", messages=[{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]),
    ],
)
def test_input_that_the_file_does_not_hold_makes_the_most_unknown(providers: Providers, line: dict[str, Any]) -> None:
    counts = one(line, providers)
    assert (counts.unseen, cost_of(counts, RATES).high) == (1, None)


@pytest.mark.parametrize("text", ['"file_id"', '{"type": "web_search"}', '"document" "url"', "previous_response_id"])
def test_a_prompt_that_speaks_of_files_and_tools_has_none(providers: Providers, text: str) -> None:
    part = {"type": "text", "text": text}
    assert one(limited(text, messages=[{"role": "user", "content": [part]}]), providers).unseen == 0


def test_pictures_are_counted_by_their_kind_and_not_as_text(providers: Providers) -> None:
    text = one(limited("a"), providers)
    content = [{"type": "text", "text": "a"}, LARGE_PICTURE]
    counts = one(limited("a", messages=[{"role": "user", "content": content}]), providers)
    assert (dict(counts.parts), dict(counts.part_tokens)) == ({"picture": 1}, {"picture": 8_500})
    assert 0 < counts.input_most - counts.part_tokens["picture"] - text.input_most < 60


def test_what_is_written_to_a_cache_costs_more_and_for_an_hour_most(providers: Providers) -> None:
    def highest(**cache: Any) -> Decimal:
        content = [{"type": "text", "text": "a" * 4_000, **cache}]
        counts = one(native("", messages=[{"role": "user", "content": content}]), providers)
        high = cost_of(counts, RATES).high
        assert high is not None
        return (high - RATES.output * 20 / 1_000_000) / counts.input_most * 1_000_000

    assert highest() == RATES.input
    assert highest(cache_control={"type": "ephemeral"}) == RATES.cache_write
    assert highest(cache_control={"type": "ephemeral", "ttl": "1h"}) == RATES.cache_write_1h


def test_a_long_request_costs_at_most_what_long_ones_do(providers: Providers) -> None:
    long, short = (one(native("a" * size), providers) for size in (LONG_TOKENS * 4, 100))
    assert cost_of(short, RATES, DEAR) == cost_of(short, RATES)
    ranges = cost_of(long, RATES, DEAR), cost_of(long, RATES)
    assert (ranges[0].low, ranges[0].high) == (ranges[1].low, cost_of(long, DEAR).high)


def test_a_model_without_a_batch_price_costs_what_real_time_does_and_saves_nothing_that_is_known(
    providers: Providers,
) -> None:
    counts = counts_of([limited("Hi")], providers)
    (known,) = quote_routes(counts, lambda *_: PRICES).values()
    (standard,) = quote_routes(counts, lambda *_: ModelPrices(batch=None, realtime=DEAR)).values()
    assert (standard.batch, standard.is_batch_price, standard.saved) == (known.realtime, False, None)
    assert known.saved == cost_of(known.counts, RATES)  # half of the price


def test_a_model_without_a_price_makes_the_most_of_all_unknown(providers: Providers) -> None:
    counts = counts_of([limited("Hi"), native("Hi")], providers)
    costs = quote_routes(counts, lambda provider, _: PRICES if provider == "openai" else None)
    total = total_of(each.batch for each in costs.values())
    assert [each.batch is None for each in costs.values()] == [True, False]
    assert total.high is None
    assert total.low == list(costs.values())[1].batch.low  # type: ignore[union-attr]  # it has a price
    assert total_of([]) == NOTHING

"""What a job cost stands in its manifest: it equals a sum over the result lines that shares nothing with our code."""

import json
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from batchdrop.costs import settle
from batchdrop.manifest import Manifest, ModelCounts, TopError, Usage
from batchdrop.money import PriceSource, usd
from batchdrop.outputs.manifest_builder import write_manifest
from batchdrop.providers.config import Providers
from batchdrop.providers.interface import BatchApi
from batchdrop.providers.price_table import read_prices
from batchdrop.rates import ModelPrices, Rates
from batchdrop.steps.publish import publish_job
from faking.cloud import TOML, Cloud, Outcome, jsonl
from faking.cloud import cloud as new_cloud
from faking.lines import chat, claude, got, mixed, wanted
from hypothesis import given
from hypothesis import strategies as st

TEXT = TOML.read_text(encoding="utf-8")
LLAMA = """
[providers.mine]
protocol = "openai"
base_url = "https://llm.example.org/v1"
secret = "mine"
models = ["llama-*"]
"""

# An independent sum: prices as the vendors print them (US dollars per million tokens), in fractions.
REALTIME = {  # input, read from a cache, output
    "gpt-4o-mini": ("0.15", "0.075", "0.60"),
    "claude-haiku-4-5": ("1", "0.10", "5"),
    "gpt-5-mini": ("0.25", "0.025", "2"),
    "text-embedding-3-small": ("0.02", "0.02", "0"),
}
BATCH = {
    "gpt-4o-mini": ("0.075", "0.075", "0.30"),  # OpenAI prints no price for what a batch reads from a cache
    "claude-haiku-4-5": ("0.50", "0.05", "2.5"),
    "gpt-5-mini": ("0.125", "0.0125", "1"),
    "text-embedding-3-small": ("0.02", "0.02", "0"),  # the list has no price for a batch
}


def cost_of(line: dict[str, Any], prices: dict[str, tuple[str, str, str]]) -> Fraction:
    """What the answer of a result line costs."""
    if line["error"] is not None:
        return Fraction(0)
    usage = line["response"]["body"]["usage"]
    if "prompt_tokens" in usage:
        read, cached = usage["prompt_tokens"], usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
        written = usage.get("completion_tokens", 0)
    elif line["provider"] == "anthropic":
        cached = usage["cache_read_input_tokens"]
        read, written = usage["input_tokens"] + cached, usage["output_tokens"]
    else:
        read, cached = usage["input_tokens"], usage["input_tokens_details"]["cached_tokens"]
        written = usage["output_tokens"]
    dear, cheap, answer = map(Fraction, prices[model_of(line)])
    return ((read - cached) * dear + cached * cheap + written * answer) / 1_000_000


def model_of(line: dict[str, Any]) -> str:
    """The model that answered."""
    return line.get("answered_by", line)["model"]


def realtime_of(line: dict[str, Any]) -> Fraction:
    return cost_of(line, REALTIME)


def batch_of(line: dict[str, Any]) -> Fraction:
    return cost_of(line, BATCH)


def exact(text: str | None) -> Fraction:
    assert text is not None
    assert "e" not in text.lower()
    return Fraction(text)


def assert_money_is_the_sum(outcome: Outcome) -> None:
    lines, manifest = outcome.results, outcome.manifest
    money = manifest.money
    assert money is not None
    cost, realtime = sum(map(batch_of, lines)), sum(map(realtime_of, lines))
    assert (exact(money.cost_usd), exact(money.realtime_usd)) == (cost, realtime)
    assert exact(money.saved_usd) == realtime - cost
    assert exact(money.retries_usd) == sum(batch_of(line) for line in lines if line["attempts"] > 1)
    for each in manifest.models:
        if each.model not in BATCH:  # none of its lines was answered
            continue
        its = [line for line in lines if (model_of(line), line["endpoint"]) == (each.model, each.endpoint)]
        assert exact(each.cost_usd) == sum(map(batch_of, its))
        assert exact(each.saved_usd) == sum(map(realtime_of, its)) - sum(map(batch_of, its))


class Caching:
    """Stands for a provider's client whose answers say that some of their input was read from a cache."""

    def __init__(self, api: BatchApi) -> None:
        self._api = api

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    def length(self, _name: str) -> None:
        return None

    def stream(self, name: str) -> Iterator[bytes]:
        text = b"".join(self._api.stream(name))
        yield text.replace(b'"cached_tokens":0', b'"cached_tokens":1').replace(
            b'"cache_read_input_tokens":0', b'"cache_read_input_tokens":7'
        )


LINES: list[Any] = [*mixed(24), "not JSON", chat("broken"), claude("broken too")]


def test_the_money_of_a_mixed_job_is_the_sum_over_its_result_lines() -> None:
    with new_cloud(wrap=Caching) as cloud:  # type: ignore[arg-type]  # a stand-in by shape
        failing = [{"match": "broken", "status": 400}, *({"match": each, "status": 500} for each in ("8", "13"))]
        for provider, batches in (("openai", 3), ("anthropic", 1)):
            cloud.simulator.shape(provider=provider, failing=failing, times=batches)
        outcome = cloud.run("input/x.jsonl", LINES)
        assert_money_is_the_sum(outcome)
        results = outcome.results
    assert {line["attempts"] for line in results} >= {0, 1, 2}
    assert any(line["error"] for line in results)
    assert all(each.usage.cached_input_tokens for each in outcome.manifest.models if "embed" not in each.model)
    assert outcome.manifest.money is not None
    assert exact(outcome.manifest.money.retries_usd) > 0
    assert outcome.manifest.money.no_batch_price == ["openai/text-embedding-3-small"]


def test_what_a_fallback_answered_costs_its_own_price(cloud: Cloud) -> None:
    file = [chat("a"), chat("b", model="gpt-4-does-not-exist"), claude("c"), chat("busy d"), chat("broken")]
    cloud.simulator.shape(
        provider="openai", failing=[{"match": "busy", "status": 500}, {"match": "broken", "status": 400}]
    )
    outcome = cloud.run("input/x.jsonl", file, **{"batchdrop-fallback": "anthropic/claude-haiku-4-5"})
    assert [each.get("answered_by", {}).get("model") for each in outcome.results] == [
        *(None, "claude-haiku-4-5", None, "claude-haiku-4-5", None),
    ]
    assert_money_is_the_sum(outcome)
    assert [(each.model, each.endpoint, each.answered) for each in outcome.manifest.models] == [
        ("claude-haiku-4-5", "/v1/chat/completions", 2),
        ("claude-haiku-4-5", "/v1/messages", 1),
        ("gpt-4-does-not-exist", "/v1/chat/completions", 0),
        ("gpt-4o-mini", "/v1/chat/completions", 1),
    ]


@pytest.mark.parametrize("lines", [["not JSON"], [chat("a")], [claude("b"), claude("c")]])
def test_the_money_of_a_small_job_is_the_sum_too(cloud: Cloud, lines: list[Any]) -> None:
    assert_money_is_the_sum(cloud.run("input/x.jsonl", lines))


def test_a_job_of_many_splits_costs_what_its_lines_do() -> None:
    with new_cloud(split_bytes=400) as cloud:
        assert_money_is_the_sum(cloud.run("input/x.jsonl", mixed(20)))


def test_the_quote_stands_beside_what_the_job_cost_and_holds_it(cloud: Cloud) -> None:
    lines = [claude(str(number)) for number in range(9)]
    manifest = cloud.run("input/x.jsonl", lines).manifest
    assert manifest.quote is not None
    assert manifest.money is not None
    assert exact(manifest.quote.low_usd) < exact(manifest.money.cost_usd) < exact(manifest.quote.high_usd)
    assert manifest.quote.tokens.input.low <= manifest.models[0].usage.input_tokens


def test_a_model_without_a_price_is_named_and_left_out() -> None:
    with new_cloud(TEXT + LLAMA) as cloud:
        lines = [chat("a"), chat("b", model="llama-3")]
        manifest = cloud.run("input/x.jsonl", lines).manifest
        alone = cloud.run("input/y.jsonl", lines[1:]).manifest
    assert manifest.money is not None
    assert manifest.money.unpriced_models == ["mine/llama-3"]
    priced = {each.model: each.cost_usd for each in manifest.models}
    assert priced == {"gpt-4o-mini": manifest.money.cost_usd, "llama-3": None}
    assert alone.money is not None
    assert (alone.money.cost_usd, alone.money.saved_usd, alone.money.retries_usd) == (None, None, None)


def test_a_job_without_results_has_no_money(cloud: Cloud) -> None:
    manifest = cloud.run("input/x.jsonl", ["not JSON"], **{"batchdrop-on_invalid": "reject"}).manifest
    assert (manifest.status, manifest.money, manifest.quote) == ("FAILED", None, None)


def test_the_event_says_what_the_manifest_does(cloud: Cloud) -> None:
    manifest = cloud.run("input/x.jsonl", [chat("a")]).manifest
    (event,) = [each["detail"] for each in cloud.events() if each["detail-type"] == "Job Completed"]
    assert manifest.money is not None
    assert event["money"]["cost_usd"] == manifest.money.cost_usd
    assert event["money"]["prices"] == {
        "source": manifest.money.prices.source,
        "date": manifest.times.published_at[:10],
        "own": [],
    }


def test_a_job_that_is_published_twice_keeps_its_first_prices(cloud: Cloud) -> None:
    job_id = cloud.drop("input/x.jsonl", jsonl([chat("a"), claude("b")]))
    assert job_id is not None
    for _ in range(50):
        while sum(cloud.deliver(step) for step in ("plan", "submit", "collect", "assemble")):
            pass
        job = cloud.services.store.job(job_id)
        assert job is not None
        if job.state == "PUBLISHING":
            break
        cloud.tick(3_600)
    first, at = write_manifest(job, None, lambda: True, cloud.services)
    written = cloud.read(at.key)
    halved = read_prices('[prices.openai."*"]\ndiscount = 0.5\n', cloud.services.providers)
    cloud.configure(Providers(cloud.services.providers, prices=halved))
    publish_job(job_id, cloud.services)
    assert cloud.outcome(job_id).manifest == first
    assert cloud.read(at.key) == written


# What was paid twice


LATE = 9_000


def test_second_answers_of_a_line_are_counted_beside_what_the_job_cost(cloud: Cloud) -> None:
    lines = [claude("one"), claude("two"), claude("three")]
    cloud.simulator.fault("late", seconds=LATE, provider="anthropic", operation="create")
    job = cloud.drop("input/x.jsonl", jsonl(lines))
    assert job is not None
    cloud.deliver_all()
    # The second create takes so long that the first one's answers come before; both are paid.
    cloud.simulator.shape(provider="anthropic", seconds_to_complete=2 * LATE, times=1)
    cloud.settle(rounds=200, tick=1_200)
    outcome = cloud.outcome(job)
    assert [got(result) for result in outcome.results] == [wanted(line) for line in lines]
    assert_money_is_the_sum(outcome)
    assert outcome.manifest.money is not None
    (model,) = outcome.manifest.models
    assert model.duplicates == model.usage
    assert outcome.manifest.money.duplicates_usd == outcome.manifest.money.cost_usd


# Sums


RATES = Rates(
    input=Decimal("0.075"),
    cached_input=Decimal("0.0375"),
    cache_write=Decimal("0.1"),
    cache_write_1h=Decimal("0.2"),
    output=Decimal("0.3"),
)
PRICES = ModelPrices(batch=RATES, realtime=RATES.times(Decimal(2)))
SOURCE = PriceSource(source="a list", date="2026-11-27")


def counts(usage: Usage, model: str = "m") -> ModelCounts:
    return ModelCounts(
        provider="p", model=model, endpoint="e", requests=1, answered=1, failed=0, batches=1, usage=usage
    )


usages = st.builds(Usage, input_tokens=st.integers(10**6, 10**13), output_tokens=st.integers(0, 10**13))


@given(st.lists(usages, max_size=6))
def test_a_sum_is_exact_to_the_last_digit(used: list[Usage]) -> None:
    models, money = settle([counts(each, str(n)) for n, each in enumerate(used)], lambda *_: PRICES, SOURCE)
    tokens = sum(each.input_tokens for each in used), sum(each.output_tokens for each in used)
    wanted_cost = (tokens[0] * Fraction("0.075") + tokens[1] * Fraction("0.3")) / 1_000_000
    assert exact(money.cost_usd) == exact(money.saved_usd) == wanted_cost
    assert sum(exact(each.cost_usd) for each in models) == wanted_cost


@pytest.mark.parametrize(
    ("dollars", "text"),
    [("0", "0"), ("0E-7", "0"), ("1E-7", "0.0000001"), ("0.0042170", "0.004217"), ("100", "100"), ("1E+2", "100")],
)
def test_money_is_written_without_exponents_and_zeros(dollars: str, text: str) -> None:
    assert usd(Decimal(dollars)) == text


def test_a_manifest_of_an_earlier_version_is_read() -> None:
    written = {
        "job": "j",
        "status": "COMPLETED",
        "reason": None,
        "retry_of": None,
        "input": dict.fromkeys(("version_id", "etag", "lines", "blank_lines"))
        | {"bucket": "b", "key": "k", "bytes": 1},
        "counts": None,
        "models": [
            {"provider": "p", "model": "m", "endpoint": "e", "requests": 1, "answered": 1, "failed": 0, "batches": 1}
            | {"usage": {"input_tokens": 5}}
        ],
        "times": {"dropped_at": "", "first_submitted_at": None, "last_ended_at": None, "published_at": ""},
        "files": {"results": [], "errors": None, "failed": None},
        "versions": {},
    }
    read = msgspec.json.decode(json.dumps(written), type=Manifest)
    assert (read.money, read.quote, read.models[0].cost_usd, read.models[0].retries) == (None, None, None, Usage())


def test_manifest_and_event_name_the_top_error(cloud: Cloud) -> None:
    manifest = cloud.run("input/x.jsonl", ["a text", "another", 7, chat("a")]).manifest
    (event,) = [each["detail"] for each in cloud.events() if each["detail-type"] == "Job Completed"]
    assert manifest.top_error == TopError(code="not_a_request", lines=3)
    assert event["top_error"] == {"code": "not_a_request", "lines": 3}

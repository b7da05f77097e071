"""A job is quoted while it is planned: as the command quotes its file, once, and before any of it may be sent."""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from batchdrop.aws.keys import line_numbering_key, plan_key
from batchdrop.batches.job_quote import JobQuote, high_of_batch, read_quote, write_quote
from batchdrop.batches.job_start import start_job
from batchdrop.batches.request_files import wire_body
from batchdrop.inputs.quotes import quote_routes, total_of
from batchdrop.inputs.request_lines import Request
from batchdrop.inputs.token_counts import TokenCounts
from batchdrop.protocols.token_estimates import NO_MEDIA
from batchdrop.providers.config import Providers
from batchdrop.providers.price_list import never_failing, settled_prices
from batchdrop.providers.price_table import read_prices
from batchdrop.records import Batch, Job
from batchdrop.services import Services
from batchdrop.states import JobState
from batchdrop.steps.plan import plan_split
from batchdrop.steps.publish import publish_job
from faking.cloud import BUCKET, TOML, Cloud, jsonl
from faking.cloud import cloud as new_cloud
from faking.failing import Failing
from faking.lines import chat, claude, got, mixed, wanted
from faking.logs import all_logged
from faking.rows import a_batch, a_job
from msgspec import Raw

from batchdrop_cli.check import check_file
from batchdrop_cli.quote import quote_file

TEXT = TOML.read_text(encoding="utf-8")
OWN = """
[providers.mine]
protocol = "openai"
base_url = "https://llm.example.org/v1"
secret = "mine"
models = ["llama-*"]
"""
HALVED = '[prices.openai."gpt-4o*"]\ndiscount = 0.5\n'


def limited(text: str, tokens: int = 9, model: str = "gpt-4o-mini") -> dict[str, Any]:
    line = chat(text, model=model)
    line["body"]["max_completion_tokens"] = tokens
    return line


LINES = [*(limited(f"a {n}", n + 1) for n in range(20)), *(claude(f"b {n}") for n in range(20))]


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.COMPLETED])
def test_a_quote_that_is_gone_is_logged_only_while_its_job_runs(cloud: Cloud, state: JobState) -> None:
    with all_logged() as log:
        assert read_quote(a_job(state=state, quote_key="work/gone"), cloud.services.files) is None
    assert log.holds("quote not read") is (state is JobState.RUNNING)


def drop(cloud: Cloud, lines: list[Any]) -> str:
    job = cloud.drop("input/x.jsonl", jsonl(lines))
    assert job is not None
    return job


def job_of(cloud: Cloud, job_id: str) -> Job:
    job = cloud.services.store.job(job_id)
    assert job is not None
    return job


def quoted(cloud: Cloud, lines: list[Any]) -> JobQuote:
    """What a job's quote is once it runs."""
    job = drop(cloud, lines)
    while cloud.deliver("plan"):
        pass
    assert job_of(cloud, job).state is JobState.RUNNING
    quote = read_quote(job_of(cloud, job), cloud.services.files)
    assert quote is not None
    return quote


@pytest.mark.parametrize("lines", [LINES, [*LINES, *mixed(40)], [chat("no limit")], ["not JSON", limited("a")]])
def test_a_job_is_quoted_as_its_file_is_by_the_command(cloud: Cloud, tmp_path: Path, lines: list[Any]) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(jsonl(lines))
    theirs, ours = quote_file(file, cloud.services.providers), quoted(cloud, lines)
    assert ours.high == theirs.most
    tokens = check_file(file, cloud.services.providers, count_tokens=True).tokens or {}
    costs = quote_routes(tokens, settled_prices(cloud.services.providers))
    assert Decimal(ours.quote.low_usd) == total_of(each.batch for each in costs.values()).low > 0
    assert ours.quote.tokens.input.high == sum(each.input_most for each in tokens.values())
    assert [(each.model, each.requests) for each in ours.routes] == [
        (each.model, each.requests) for each in theirs.quote.models
    ]
    assert ours.quote.no_batch_price == theirs.quote.no_batch_price
    assert ours.quote.prices.source == theirs.quote.prices.source


def test_a_file_of_many_splits_is_quoted_as_one() -> None:
    quotes = []
    for split_bytes in (1_000_000, 500):
        with new_cloud(split_bytes=split_bytes) as cloud:
            quotes.append(quoted(cloud, LINES))
            (job,) = cloud.jobs()
            assert (job.splits > 5) == (split_bytes == 500)
    one, many = quotes
    assert one.routes == many.routes
    assert one.high == many.high is not None


def test_the_first_quote_stays_whatever_prices_become(cloud: Cloud) -> None:
    job_id = drop(cloud, LINES)
    cloud.deliver("plan")
    job, splits = job_of(cloud, job_id), list(cloud.services.store.splits(job_id))
    first = write_quote(job, splits, cloud.services)
    cloud.configure(Providers(cloud.services.providers, prices=read_prices(HALVED, cloud.services.providers)))
    assert write_quote(job, splits, cloud.services) == first == read_quote(job, cloud.services.files)


def test_prices_of_the_providers_file_are_named() -> None:
    with new_cloud(TEXT + HALVED) as cloud:
        quote = quoted(cloud, LINES).quote
    assert quote.prices.own == ["openai/gpt-4o-mini"]
    assert quote.prices.date == quote.made_at[:10]


def test_a_model_without_a_price_is_named_and_its_job_runs_all_the_same() -> None:
    with new_cloud(TEXT + OWN) as cloud:
        quote = quoted(cloud, [limited("a"), limited("b", model="llama-of-mine")])
    assert (quote.high, quote.quote.high_usd) == (None, None)
    assert quote.quote.unpriced_models == ["mine/llama-of-mine"]
    assert Decimal(quote.quote.low_usd) > 0


def test_a_price_list_that_fails_leaves_prices_unknown() -> None:
    def broken(_provider: str, model: str) -> Any:
        raise RuntimeError(model)

    assert never_failing(broken)("openai", "gpt-4o-mini") is None


def replan(cloud: Cloud, job: str, index: int, change: Callable[[dict[str, Any]], object]) -> None:
    """Write the plan of a split anew, as another version had it."""
    key = plan_key(job, index, 0)
    plan = json.loads(cloud.read(key))
    change(plan)
    cloud.s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(plan).encode())


@pytest.mark.parametrize(
    "change", [lambda plan: plan.pop("tokens"), lambda plan: plan.update(tokens=None)], ids=["absent", "null"]
)
def test_a_job_that_an_earlier_version_planned_in_part_has_no_quote_and_runs(
    change: Callable[[dict[str, Any]], object],
) -> None:
    with new_cloud(split_bytes=500) as cloud:
        job = drop(cloud, LINES)
        plan_split(job, 0, cloud.services)
        replan(cloud, job, 0, change)
        cloud.settle(tick=3_600)
        assert job_of(cloud, job).quote_key is None
        assert [got(each) for each in cloud.outcome(job).results] == [wanted(line) for line in LINES]


def dies_at(cloud: Cloud, write: int) -> Services:
    """The services of a worker that dies before such a write of its own; the bucket's and the table's count."""
    left = [write]

    def fails(name: str, _: tuple[Any, ...]) -> bool:
        left[0] -= name in {"put", "put_first", "move"}
        return left[0] < 0

    died = Died("here")
    return replace(
        cloud.services,
        files=Failing(cloud.services.files, fails, died),
        store=Failing(cloud.services.store, fails, died),
    )


class Died(BaseException):
    """No step catches it."""


@pytest.mark.parametrize("write", range(3))
def test_a_worker_that_dies_while_it_starts_a_job_leaves_one_quote_and_nothing_paid(cloud: Cloud, write: int) -> None:
    job_id = drop(cloud, LINES)
    split = cloud.services.store.split(job_id, 0)
    assert split is not None
    _plan_without_starting(cloud, job_id)
    with pytest.raises(Died):
        start_job(job_of(cloud, job_id), dies_at(cloud, write))
    assert job_of(cloud, job_id).state is JobState.PLANNING
    assert not any(each["batches"] for each in cloud.simulator.charges().values())
    start_job(job_of(cloud, job_id), cloud.services)
    quote = read_quote(job_of(cloud, job_id), cloud.services.files)
    cloud.settle(tick=3_600)
    assert quote is not None
    assert quote.high is not None
    assert [got(each) for each in cloud.outcome(job_id).results] == [wanted(line) for line in LINES]


def _plan_without_starting(cloud: Cloud, job_id: str) -> None:
    class Stopped(BaseException):
        pass

    def starts(name: str, arguments: tuple[Any, ...]) -> bool:
        return name == "put_first" and arguments[0] == line_numbering_key(job_id)  # the first thing that a start writes

    files = Failing(cloud.services.files, starts, Stopped())
    with pytest.raises(Stopped):
        plan_split(job_id, 0, replace(cloud.services, files=files))
    assert job_of(cloud, job_id).unplanned == 0


def test_two_workers_that_start_a_job_hold_one_quote(cloud: Cloud) -> None:
    job_id = drop(cloud, LINES)
    _plan_without_starting(cloud, job_id)
    job, splits = job_of(cloud, job_id), list(cloud.services.store.splits(job_id))
    other = write_quote(job, splits, cloud.services)
    cloud.configure(Providers(cloud.services.providers, prices=read_prices(HALVED, cloud.services.providers)))
    start_job(job, cloud.services)
    assert read_quote(job_of(cloud, job_id), cloud.services.files) == other


# What a batch costs at most


def batches_of(cloud: Cloud, job: str) -> list[Batch]:
    return list(cloud.services.store.batches(job))


def test_the_most_of_a_batch_holds_what_its_requests_cost_and_is_no_more_than_its_routes(cloud: Cloud) -> None:
    lines = [*LINES, limited("long" * 5_000, 4_000), limited("gpt", model="gpt-4o")]
    quote = quoted(cloud, lines)
    (job,) = cloud.jobs()
    highs = {(each.provider, each.model): high_of_batch(each, quote) for each in batches_of(cloud, job.id)}
    by_route = {(each.provider, each.model): each.high for each in quote.routes}
    assert highs == {
        ("openai", "gpt-4o-mini"): by_route["openai", "gpt-4o-mini"],
        ("openai", "gpt-4o"): by_route["openai", "gpt-4o"],
        ("anthropic", None): by_route["anthropic", "claude-haiku-4-5"],
    }


def test_the_most_of_each_of_several_batches_is_enough_for_its_own_requests() -> None:
    text = TEXT.replace("requests_per_batch = 50_000", "requests_per_batch = 3")
    assert text != TEXT
    lines = [limited("x" * (50 * n + 1), 10 * n + 1) for n in range(10)]
    with new_cloud(text) as cloud:
        quote = quoted(cloud, lines)
        (job,) = cloud.jobs()
        batches = batches_of(cloud, job.id)
        assert len(batches) == 4
        highs = [high_of_batch(each, quote) for each in batches]
        costs = [_cost_of(cloud, each) for each in batches]
    assert all(high is not None and high >= cost for high, cost in zip(highs, costs, strict=True))
    assert sum(costs) == quote.high


def _cost_of(cloud: Cloud, batch: Batch) -> Decimal:
    """What the requests of a batch cost at most, told from its own file."""
    counts = TokenCounts()
    for line in cloud.read(batch.requests_key).splitlines():
        body, endpoint = Raw(wire_body(line)), batch.endpoint
        request = Request(
            provider="openai", endpoint=endpoint, model="", wire_model="", custom_id=Raw(), body=body, inputs=0
        )
        counts.count(request, NO_MEDIA, batch.model)
    prices = settled_prices(cloud.services.providers)
    (cost,) = quote_routes({("openai", "gpt-4o-mini", batch.endpoint): counts}, prices).values()
    assert cost.batch is not None
    assert cost.batch.high is not None
    return cost.batch.high


def test_the_most_of_a_batch_is_unknown_where_a_route_of_it_is(cloud: Cloud) -> None:
    quote = quoted(cloud, [limited("a"), chat("no limit"), claude("c")])
    (job,) = cloud.jobs()
    assert {each.provider: high_of_batch(each, quote) is None for each in batches_of(cloud, job.id)} == {
        "openai": True,
        "anthropic": False,
    }
    assert high_of_batch(a_batch(provider="mine"), quote) is None
    assert high_of_batch(a_batch(), None) is None


# What is expected, by the folder's history


def test_a_job_is_expected_to_cost_what_the_same_lines_cost_before(cloud: Cloud) -> None:
    first, again, elsewhere = (
        cloud.run(f"input/{name}.jsonl", jsonl(LINES)).manifest for name in ("team/a/x", "team/b/y", "other/x")
    )
    assert first.quote is not None
    assert first.quote.expected_usd is None
    assert again.quote is not None
    assert again.money is not None
    assert again.quote.expected_usd is not None
    assert again.money.cost_usd is not None
    assert abs(Decimal(again.quote.expected_usd) - Decimal(again.money.cost_usd)) < Decimal("0.000002")
    assert elsewhere.quote is not None
    assert elsewhere.quote.expected_usd is None


def published_next(cloud: Cloud) -> str:
    """A job that is about to be published."""
    job_id = drop(cloud, LINES)
    while job_of(cloud, job_id).state is not JobState.PUBLISHING:
        if not sum(cloud.deliver(step) for step in ("plan", "submit", "collect", "assemble")):
            cloud.tick(3_600)
    return job_id


def test_a_job_that_is_published_twice_is_remembered_once(cloud: Cloud) -> None:
    job_id = published_next(cloud)
    for _ in range(2):
        publish_job(job_id, cloud.services)
    assert {(each.model, each.answers) for each in cloud.services.store.answers.tokens("input/y.jsonl")} == {
        ("gpt-4o-mini", 20),
        ("claude-haiku-4-5", 20),
    }


def test_a_publisher_that_dies_before_the_job_is_over_is_followed_by_one_that_remembers_it(cloud: Cloud) -> None:
    job_id, died = published_next(cloud), RuntimeError("died")
    events: Any = Failing(cloud.services.events, lambda name, _: name == "job_over", died)
    with pytest.raises(RuntimeError, match="died"):
        publish_job(job_id, replace(cloud.services, events=events))
    assert not list(cloud.services.store.answers.tokens("input/y.jsonl"))
    cloud.settle()
    assert sum(each.answers for each in cloud.services.store.answers.tokens("input/y.jsonl")) == 40

"""A job with `cache_prefix`: what is sent, what it may cost at most, and what it cost."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from batchdrop.batches.job_quote import JobQuote, read_quote
from batchdrop.records import Batch
from batchdrop.states import BatchState
from batchdrop.steps.plan import plan_split
from faking.cloud import Cloud, jsonl
from faking.cloud import cloud as new_cloud
from faking.lines import capped, claude

from provider_simulator.answers import expected

ON = {"batchdrop-cache-prefix": "true"}
LONG = "Be careful, and kind. " * 1_000
MARKED = [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with new_cloud() as made:
        yield made


def asked(text: str) -> dict[str, Any]:
    line = claude(text)
    return {"params": line["params"] | {"system": LONG}}


LINES = [asked(text) for text in "abcd"]


def planned(cloud: Cloud, lines: list[Any], **metadata: str) -> tuple[str, JobQuote, list[Batch]]:
    job = cloud.drop("input/x.jsonl", jsonl(lines), **metadata)
    assert job is not None
    plan_split(job, 0, cloud.services)
    row = cloud.services.store.job(job)
    assert row is not None
    quote = read_quote(row, cloud.services.files)
    assert quote is not None
    return job, quote, list(cloud.services.store.batches(job))


def requests(cloud: Cloud, batch: Batch) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in cloud.read(batch.requests_key).splitlines()]
    assert [each["custom_id"].rpartition("-")[2] for each in found] == [str(number) for number in range(len(found))]
    return [each.get("params") or each["body"] for each in found]


def test_requests_to_claude_are_marked_and_answered_and_no_others(cloud: Cloud) -> None:
    others = [capped(text) for text in "abcd"]
    job, _, batches = planned(cloud, [*LINES, *others], **ON)
    sent = {batch.provider: requests(cloud, batch) for batch in batches}
    assert sent["anthropic"] == [line["params"] | {"system": MARKED} for line in LINES]
    assert sent["openai"] == [line["body"] for line in others]
    assert all(batch.bytes == len(cloud.read(batch.requests_key)) for batch in batches)
    cloud.settle()
    results = cloud.outcome(job).results
    assert [each["error"] for each in results] == [None] * 8
    answers = [expected("/v1/messages", each) for each in sent["anthropic"]]
    assert [each["response"]["body"]["content"][0]["text"] for each in results[:4]] == answers


def test_without_the_setting_nothing_is_marked(cloud: Cloud) -> None:
    _, _, [batch] = planned(cloud, LINES)
    assert requests(cloud, batch) == [line["params"] for line in LINES]


def test_what_is_sent_again_keeps_its_marker(cloud: Cloud) -> None:
    cloud.simulator.shape(provider="anthropic", times=1, failing=[{"match": '"a"', "status": 500}])
    job = cloud.drop("input/x.jsonl", jsonl(LINES), **ON)
    assert job is not None
    for _ in range(30):
        cloud.deliver_all()
        again = [each for each in cloud.services.store.batches(job) if each.round == 1]
        if again:
            break
        cloud.tick()
    assert requests(cloud, again[0]) == [LINES[0]["params"] | {"system": MARKED}]
    cloud.settle()
    assert [each["attempts"] for each in cloud.outcome(job).results] == [2, 1, 1, 1]


def test_a_quote_counts_writing_for_an_hour_where_something_is_marked(cloud: Cloud) -> None:
    highs = [
        planned(cloud, lines, **metadata)[1].high
        for lines, metadata in ((LINES, {}), (LINES, ON), (LINES[:2], {}), (LINES[:2], ON))
    ]
    plain, marked, short, unmarked = [each or Decimal(0) for each in highs]
    output = 4 * 20 * Decimal("2.5") / 1_000_000
    assert marked - output == 2 * (plain - output)  # writing for an hour costs twice the input
    assert short == unmarked


def test_a_budget_holds_a_job_that_may_write_more_than_it_allows(cloud: Cloud) -> None:
    _, quote, _ = planned(cloud, LINES)
    assert quote.high is not None
    _, _, batches = planned(cloud, LINES, **ON, **{"batchdrop-budget-usd": f"{quote.high * Decimal('1.5'):.6f}"})
    assert [each.state for each in batches] == [BatchState.WAITING]
    assert [str(each.state) for each in cloud.jobs()].count("HELD") == 1


class Caching:
    """Stands for a provider's client whose answers say what was read from its cache, and written for an hour."""

    def __init__(self, api: Any) -> None:
        self._api = api

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    def length(self, _name: str) -> None:
        return None

    def stream(self, name: str) -> Iterator[bytes]:
        text = b"".join(self._api.stream(name))
        for field, number in ((b"cache_read", 30), (b"cache_creation", 10), (b"ephemeral_1h", 8)):
            text = text.replace(b'"%b_input_tokens":0' % field, b'"%b_input_tokens":%d' % (field, number))
        yield text


def test_what_was_written_for_an_hour_costs_twice_the_input() -> None:
    with new_cloud(wrap=Caching) as cloud:
        out = cloud.run("input/x.jsonl", LINES, **ON)
        usage = out.manifest.models[0].usage
        assert (usage.cached_input_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens) == (120, 40, 32)
        rest = usage.input_tokens - 160
        dollars = rest * Decimal("0.5") + 120 * Decimal("0.05") + 8 * Decimal("0.625") + 32 * Decimal(1)
        dollars += usage.output_tokens * Decimal("2.5")  # US dollars per million tokens in a batch, as Anthropic prints
        assert Decimal(out.manifest.models[0].cost_usd or 0) == dollars / 1_000_000

"""Equal requests are sent once: each of their lines gets the answer, or the error, in its place."""

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from batchdrop.aws.row_versions import DEDUPED
from batchdrop.batches.job_quote import read_quote
from batchdrop.manifest import Dedupe
from batchdrop.records import Job
from batchdrop.services import Services
from batchdrop.states import JobState
from batchdrop.steps.plan import plan_split
from faking.cloud import BUCKET, Cloud, Outcome, jsonl
from faking.cloud import cloud as new_cloud
from faking.failing import Failing
from faking.lines import capped, chat, claude, got, mixed, wanted
from hypothesis import given, settings
from hypothesis import strategies as st

ON = {"batchdrop-dedupe": "true"}
LINES = pytest.mark.parametrize(("line", "provider"), [(chat, "openai"), (claude, "anthropic")])


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with new_cloud() as made:
        yield made


def charged(cloud: Cloud) -> int:
    assert not any(each["bodies_charged_more_than_once"] for each in cloud.simulator.charges().values())
    return sum(each["requests"] for each in cloud.simulator.charges().values())


def run(cloud: Cloud, lines: list[Any], **metadata: str) -> Outcome:
    return cloud.run("input/x.jsonl", lines, **ON, **metadata)


def shared(out: Outcome) -> list[int | None]:
    return [each.get("shared_with") for each in out.results]


@LINES
def test_equal_requests_are_sent_once_and_each_line_gets_the_answer(cloud: Cloud, line: Any, provider: Any) -> None:
    lines = [line("a", 1), b"", line("b", "x"), line("a", {"n": 3}), line("a"), line("b"), b"no request"]
    out = run(cloud, lines)
    results = out.results
    asked = [each for each in lines[:-1] if each]
    assert [got(each) for each in results[:-1]] == [wanted(each) for each in asked]
    assert [each["custom_id"] for each in results] == [1, "x", {"n": 3}, None, None, None]
    assert shared(out) == [None, None, 1, 1, 3, None]
    assert (charged(cloud), cloud.simulator.charges()[provider]["requests"]) == (2, 2)
    (model,) = out.manifest.models
    assert (model.requests, model.answered, model.failed, model.shared.requests) == (5, 5, 0, 3)
    own = {name: results[0][name] for name in ("id", "response", "batch_id", "attempts", "via")}
    assert own == {name: results[2][name] for name in own}


def test_the_manifest_says_what_it_saved(cloud: Cloud) -> None:
    out = run(cloud, [chat("a"), chat("b"), chat("a"), chat("a")])
    usage = [each["response"]["body"]["usage"] for each in out.results]
    read, written = (sum(each[name] for each in usage[2:]) for name in ("prompt_tokens", "completion_tokens"))
    cost = (Decimal("0.075") * read + Decimal("0.30") * written) / 1_000_000  # as OpenAI prints its batch prices
    assert out.manifest.dedupe is not None
    assert out.manifest.dedupe.saved_usd is not None
    assert Decimal(out.manifest.dedupe.saved_usd) == cost
    assert out.manifest.dedupe == Dedupe(
        requests_saved=2, input_tokens=read, output_tokens=written, saved_usd=out.manifest.dedupe.saved_usd
    )
    assert out.manifest.models[0].usage.input_tokens == sum(each["prompt_tokens"] for each in usage[:2])
    paid = (Decimal("0.075") * sum(each["prompt_tokens"] for each in usage[:2])) / 1_000_000
    paid += Decimal("0.30") * sum(each["completion_tokens"] for each in usage[:2]) / 1_000_000
    assert out.manifest.money is not None
    assert Decimal(out.manifest.money.cost_usd or 0) == paid


def test_without_the_setting_each_is_sent_and_the_manifest_says_nothing(cloud: Cloud) -> None:
    out = cloud.run("input/x.jsonl", [chat("a"), chat("a")])
    assert (shared(out), out.manifest.dedupe) == ([None, None], None)
    assert cloud.simulator.charges()["openai"]["requests"] == 2


def test_what_is_written_in_another_way_is_another_request(cloud: Cloud) -> None:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "a"}]}
    compact = json.dumps(body, separators=(",", ":")).encode()
    lines = [body, dict(reversed(body.items())), compact, {"custom_id": "x", **body}, {"custom_id": "y", **body}]
    out = cloud.run("input/x.jsonl", lines, **ON)
    assert shared(out) == [None, None, None, None, 4]
    assert cloud.simulator.charges()["openai"]["requests"] == 4


def test_another_model_or_endpoint_is_another_request(cloud: Cloud) -> None:
    prefixed, foreign = chat("a", model="openai/gpt-4o-mini"), chat("a", model="claude-haiku-4-5")
    lines = [chat("a"), chat("a", model="gpt-4o"), prefixed, foreign, claude("a"), chat("a"), foreign]
    out = run(
        cloud, [json.dumps(each, separators=(",", ":")).encode() for each in lines]
    )  # without its prefix, as sent
    assert shared(out) == [None, None, None, None, None, 1, 4]
    assert [got(each) for each in out.results] == [wanted(each) for each in [*lines[:2], chat("a"), *lines[3:]]]


@LINES
def test_an_error_is_that_of_each_line_and_each_can_be_fixed(cloud: Cloud, line: Any, provider: Any) -> None:
    cloud.simulator.shape(provider=provider, failing=[{"match": "wrong", "status": 400}])
    lines = [line("wrong", 1), line("fine"), line("wrong", 3), line("wrong")]
    out = run(cloud, lines)
    assert [each["error"] and each["error"]["source"] for each in out.results] == ["provider", None, *["provider"] * 2]
    assert [each["line"] for each in out.errors] == [1, 3, 4]
    assert out.failed == [json.dumps(lines[at]).encode() for at in (0, 2, 3)]
    assert [each.get("shared_with") for each in out.errors] == [None, 1, 1]
    assert out.manifest.counts is not None
    assert (out.manifest.counts.answered, out.manifest.counts.failed) == (1, 3)
    assert out.manifest.dedupe == Dedupe(requests_saved=2, input_tokens=0, output_tokens=0, saved_usd="0")
    assert out.manifest.models[0].answered == 1


@LINES
def test_a_request_that_is_sent_again_is_sent_once_more_for_all_its_lines(
    cloud: Cloud, line: Any, provider: Any
) -> None:
    cloud.simulator.shape(provider=provider, times=1, failing=[{"match": "busy", "status": 500}])
    lines = [line("busy"), line("fine"), line("busy"), line("fine")]
    out = run(cloud, lines)
    assert [got(each) for each in out.results] == [wanted(each) for each in lines]
    assert [each["attempts"] for each in out.results] == [2, 1, 2, 1]
    assert (shared(out), charged(cloud)) == ([None, None, 1, 2], 2)
    again = out.results[0]["response"]["body"]["usage"]
    name = "input_tokens" if "input_tokens" in again else "prompt_tokens"
    assert out.manifest.models[0].retries.input_tokens == again[name]


def test_a_cancelled_job_gives_the_answer_that_there_is_to_each_line(cloud: Cloud) -> None:
    cloud.simulator.shape(provider="openai", seconds_to_complete=10**6)
    lines = [claude("a"), chat("b"), claude("a"), chat("b")]
    job = cloud.drop("input/x.jsonl", jsonl(lines), **ON)
    assert job is not None
    cloud.deliver_all()
    for _ in range(5):
        cloud.tick(600)
        cloud.deliver_all()
    found = cloud.services.store.job(job)
    assert found is not None
    cloud.services.store.move(found, JobState.CANCELLING, due_at=cloud.services.now())
    cloud.settle()
    out = cloud.outcome(job)
    codes = [each["error"] and each["error"]["code"] for each in out.results]
    assert codes == [None, "cancelled", None, "cancelled"]
    assert shared(out) == [None, None, 1, 2]
    assert out.manifest.status is JobState.CANCELLED


def test_a_quote_and_a_budget_count_what_is_sent(cloud: Cloud) -> None:
    quotes = []
    for lines, metadata in (([capped("a")], {}), ([capped("a")] * 50, ON)):
        job = cloud.drop("input/x.jsonl", jsonl(lines), **metadata)
        assert job is not None
        plan_split(job, 0, cloud.services)
        found = cloud.services.store.job(job)
        assert found is not None
        quote = read_quote(found, cloud.services.files)
        assert quote is not None
        quotes.append((quote.high, quote.quote.tokens))
    assert quotes[0] == quotes[1]
    assert quotes[0][0] is not None
    assert quotes[0][0] < Decimal("0.0001") < 50 * quotes[0][0]
    out = run(cloud, [capped("b")] * 50, **{"batchdrop-budget-usd": "0.0001"})
    assert out.manifest.status is JobState.COMPLETED
    assert cloud.simulator.charges()["openai"]["requests"] == 1 + 2  # of the jobs before, one each


def test_rows_of_a_template_that_become_equal_share(cloud: Cloud) -> None:
    text = '[template]\nmodel = "gpt-4o-mini"\nid_column = "id"\nkeep = ["id"]\nbody = { messages = [{ role = "user", '
    text = f'dedupe = true\nanswers = ["csv"]\n{text}content = "Say {{{{ word }}}}" }}] }}\n'
    cloud.s3.put_object(Bucket=BUCKET, Key="input/batchdrop.toml", Body=text.encode())
    out = cloud.run("input/x.csv", b"id,word\n" + b"".join(b"%d,%b\n" % (n, b"ab"[n % 2 :][:1]) for n in range(400)))
    assert [each["custom_id"] for each in out.results] == [str(n) for n in range(400)]
    assert [each["row"] for each in out.results] == [{"id": str(n)} for n in range(400)]
    assert shared(out) == [None, None, *[1, 2] * 199]
    assert charged(cloud) == 2
    rows = cloud.read(out.manifest.files.answers[0].key).decode().splitlines()
    costs = [row.split(",")[-3] for row in rows[1:]]
    assert out.manifest.money is not None
    assert sum(map(Decimal, costs)) == Decimal(out.manifest.money.cost_usd or 0)
    assert set(costs[2:]) == {"0"}


def test_within_each_split_one_is_sent() -> None:
    with new_cloud(split_bytes=500) as cloud:
        lines = [chat("a" * 20) for _ in range(20)]
        out = run(cloud, lines)
        assert [got(each) for each in out.results] == [wanted(each) for each in lines]
        firsts = [each["line"] for each in out.results if "shared_with" not in each]
        assert 1 < len(firsts) < 20
        assert {each["shared_with"] for each in out.results if "shared_with" in each} <= set(firsts)
        assert cloud.simulator.charges()["openai"]["requests"] == len(firsts)


def test_older_code_leaves_such_a_job_alone(cloud: Cloud) -> None:
    job = cloud.drop("input/x.jsonl", jsonl([chat("a")]), **ON)
    assert job is not None
    found = cloud.services.store.job(job)
    assert found is not None
    assert found.version == DEDUPED


# Dies here, and twice


class Died(BaseException):
    """No step catches it."""


def dying(cloud: Cloud, write: int) -> Services:
    """Services whose worker dies before such a write to the bucket."""
    left = [write]

    def fails(name: str, _: tuple[Any, ...]) -> bool:
        left[0] -= name in {"put", "put_first"}
        return left[0] < 0

    files: Any = Failing(cloud.services.files, fails, Died("here"))
    return replace(cloud.services, files=files)


def planned(cloud: Cloud, job: str) -> Job:
    plan_split(job, 0, cloud.services)
    found = cloud.services.store.job(job)
    assert found is not None
    return found


@pytest.mark.parametrize("write", range(6))  # requests, members, index, pairs, plan; and the job's start
def test_a_worker_that_dies_while_it_plans_leaves_each_request_to_be_sent_once(cloud: Cloud, write: int) -> None:
    lines = [chat("a"), chat("b"), chat("a")]
    job = cloud.drop("input/x.jsonl", jsonl(lines), **ON)
    assert job is not None
    with pytest.raises(Died):
        plan_split(job, 0, dying(cloud, write))
    cloud.settle(tick=3_600)
    out = cloud.outcome(job)
    assert [got(each) for each in out.results] == [wanted(line) for line in lines]
    assert (shared(out), charged(cloud)) == ([None, None, 1], 2)


def test_a_split_that_is_planned_twice_is_planned_once(cloud: Cloud) -> None:
    lines = mixed(8) * 3
    job = cloud.drop("input/x.jsonl", jsonl(lines), **ON)
    assert job is not None
    assert planned(cloud, job) == planned(cloud, job)
    cloud.settle()
    out = cloud.outcome(job)
    assert [got(each) for each in out.results] == [wanted(line) for line in lines]
    assert (shared(out)[8:], charged(cloud)) == ([*range(1, 9)] * 2, 8)


# With it, a file's results are what they are without it

texts = st.sampled_from(["a", "b", "wrong", "busy", "c" * 40])
any_lines = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([chat, claude]), texts, st.sampled_from([None, 1, "x"])).map(
            lambda each: each[0](each[1], each[2])
        ),
        st.sampled_from([b"", b"no request", {"model": "nobody-1"}, chat("a", model="claude-haiku-4-5")]),
    ),
    min_size=1,
    max_size=12,
)


def told(out: Outcome) -> list[Any]:
    """What results say, but for the names that a provider gives to what it did."""
    return [
        (each["line"], each["custom_id"], each["error"], each["attempts"], each["error"] is None and got(each))
        for each in out.results
    ]


@settings(max_examples=12)
@given(any_lines)
def test_the_results_of_any_file_are_those_without_it(lines: list[Any]) -> None:
    found = []
    for metadata in ({}, ON):
        with new_cloud(split_bytes=1_200) as cloud:
            for provider in ("openai", "anthropic"):
                failing = [{"match": "wrong", "status": 400}, {"match": "busy", "status": 500}]
                cloud.simulator.shape(provider=provider, times=1, failing=failing)
                cloud.simulator.shape(provider=provider, failing=failing[:1])
            out = cloud.run("input/x.jsonl", [*lines, chat("last")], **metadata)
            found.append((told(out), out.failed, out.manifest.counts))
            assert sum("shared_with" in each for each in out.results) == sum(
                each.shared.requests for each in out.manifest.models
            )
    assert found[0] == found[1]

"""The fallback: another model serves what a line's own model or provider failed for good; nothing is paid twice."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from batchdrop.aws.row_versions import FALLING
from batchdrop.inputs.fallbacks import find_fallback
from batchdrop.providers.config import Providers
from batchdrop.providers.folder_rules import Rules
from batchdrop.states import BatchState
from batchdrop.steps.finish import finish_batch
from faking.cloud import Cloud, Outcome, jsonl
from faking.cloud import cloud as new_cloud
from faking.deadlines import (
    HANGS,
    batches_of,
    charged,
    drop,
    job_of,
    lines,
    most_charged,
    one_at_a_time,
    pass_until_finishing,
)
from faking.failing import Failing, writes
from faking.lines import CHAT, CLAUDE, capped, chat, claude, for_model, got, wanted

from batchdrop_cli.quote import quote_file

GONE = "-does-not-exist"
HAIKU, MINI, SONNET = f"anthropic/{CLAUDE}", "openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5"
FALLBACK = "batchdrop-fallback"


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with new_cloud() as made:
        yield made


def by(fallback: str) -> dict[str, str]:
    provider, _, model = fallback.partition("/")
    return {"provider": provider, "model": model}


def answers(line: dict[str, Any], fallback: str) -> tuple[str, Any]:
    """What a fallback answers to a line."""
    endpoint, answer = wanted(for_model(line, fallback.partition("/")[2]))
    return endpoint, answer


GPT, OPUS = f"gpt-4{GONE}", f"claude-opus{GONE}"
GONE_LINES = {"openai": [for_model(capped(f"say {n}", n), GPT) for n in range(3)]} | {
    "anthropic": [for_model(claude(f"say {n}", n), OPUS) for n in range(3)]
}


@pytest.mark.parametrize(
    ("provider", "fallback"),
    [("openai", HAIKU), ("openai", MINI), ("anthropic", HAIKU)],
    ids=["another vendor's", "the same provider's", "the same vendor's"],
)
def test_a_model_that_is_refused_is_replaced_by_the_fallback(cloud: Cloud, provider: str, fallback: str) -> None:
    outcome = cloud.run("input/x.jsonl", GONE_LINES[provider], **{FALLBACK: fallback})
    results = outcome.results
    assert [got(each) for each in results] == [answers(line, fallback) for line in GONE_LINES[provider]]
    assert {each["model"] for each in results} == {GPT if provider == "openai" else OPUS}
    assert [each["answered_by"] for each in results] == [by(fallback)] * 3
    assert {each["provider"] for each in results} == {provider}
    other = by(fallback)["provider"]
    assert charged(cloud)[other] == (3, 0)
    assert most_charged(cloud) == 1
    assert outcome.manifest.counts is not None
    assert (outcome.manifest.counts.answered, outcome.manifest.counts.errors) == (3, {})
    (own, its) = sorted(outcome.manifest.models, key=lambda each: each.answered)
    assert (own.provider, own.requests, own.answered, own.batches) == (provider, 0, 0, 1)
    assert (its.provider, its.model, its.requests, its.answered, its.batches) == (other, by(fallback)["model"], 3, 3, 1)


def test_what_a_model_answers_itself_says_nothing_of_a_fallback(cloud: Cloud) -> None:
    results = cloud.run("input/x.jsonl", lines(4), **{FALLBACK: HAIKU}).results
    assert [each.get("answered_by") for each in results] == [None] * 4
    assert charged(cloud) == {"openai": (2, 0), "anthropic": (2, 0)}


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_provider_that_fails_a_line_at_every_attempt_is_replaced(cloud: Cloud, provider: str) -> None:
    fallback = HAIKU if provider == "openai" else SONNET
    busy = {"failing": [{"match": "line 1", "status": 500}], "times": 3}
    cloud.simulator.shape(provider=provider, **busy)
    file = lines(3, only=provider)
    results = cloud.run("input/x.jsonl", file, **{FALLBACK: fallback}).results
    assert [each.get("answered_by") for each in results] == [None, by(fallback), None]
    assert [each["attempts"] for each in results] == [1, 4, 1]
    assert got(results[1]) == answers(file[1], fallback)
    assert sum(each["requests"] for each in cloud.simulator.charges().values()) == 3
    assert most_charged(cloud) == 1


def test_a_fallback_comes_after_all_attempts_and_is_tried_once_then(cloud: Cloud) -> None:
    cloud.simulator.shape(failing=[{"match": "line 1", "status": 500}])
    (_, error) = cloud.run("input/x.jsonl", lines(2, only="openai"), **{FALLBACK: HAIKU}).results
    assert (error["attempts"], error["answered_by"]) == (4, by(HAIKU))
    assert error["error"]["code"] == "api_error"
    assert error["response"]["body"]["error"]["type"] == "api_error"


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_request_that_is_invalid_keeps_its_error(cloud: Cloud, provider: str) -> None:
    cloud.simulator.shape(failing=[{"match": "line 1", "status": 400}])
    outcome = cloud.run("input/x.jsonl", lines(3, only=provider), **{FALLBACK: SONNET})
    error = outcome.results[1]
    assert (error["attempts"], error.get("answered_by"), error["error"]["retryable"]) == (1, None, False)
    assert {each.provider for each in outcome.manifest.models} == {provider}


def test_a_line_that_the_fallback_cannot_take_keeps_its_first_error_and_says_why(cloud: Cloud) -> None:
    file = [for_model(capped(f"say {n}", n), GPT) for n in range(3)]
    file[1]["body"]["n"] = 2
    outcome = cloud.run("input/x.jsonl", file, **{FALLBACK: HAIKU})
    first, error, last = outcome.results
    assert [got(each) for each in (first, last)] == [answers(file[0], HAIKU), answers(file[2], HAIKU)]
    assert (error["error"]["code"], error.get("answered_by"), error["attempts"]) == ("model_not_found", None, 1)
    assert f'The fallback {HAIKU} cannot take it: "n"' in error["error"]["message"]
    assert charged(cloud) == {"openai": (0, 0), "anthropic": (2, 0)}


def test_a_file_of_which_the_fallback_takes_nothing_in_the_end_is_published(cloud: Cloud) -> None:
    file = [for_model(capped("say", 0), GPT)]
    file[0]["body"]["n"] = 2
    (error,) = cloud.run("input/x.jsonl", file, **{FALLBACK: HAIKU}).results
    assert f'The fallback {HAIKU} cannot take it: "n"' in error["error"]["message"]


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_line_that_asks_for_the_fallback_itself_has_no_more_attempts_than_others(cloud: Cloud, provider: str) -> None:
    fallback, other = (MINI, "gpt-4o") if provider == "openai" else (HAIKU, "claude-sonnet-4-5")
    file = lines(2, only=provider)
    file[1] = for_model(file[1], other)
    asked = file[0].get("body", file[0].get("params"))["model"]
    assert fallback == f"{provider}/{asked}"
    cloud.simulator.shape(provider=provider, failing=[{"match": "line", "status": 500}])
    own, others = cloud.run("input/x.jsonl", file, **{FALLBACK: fallback}).results
    assert (own["attempts"], own.get("answered_by")) == (3, None)
    assert (others["attempts"], others["answered_by"]) == (4, by(fallback))


@pytest.mark.parametrize("name", ["anthropic", "claudes"])
def test_a_fallback_whose_provider_was_taken_out_sends_its_prompts_to_no_other(cloud: Cloud, name: str) -> None:
    own = cloud.services.providers["anthropic"]
    cloud.secrets.values["claudes"] = "sk-other"
    claudes = msgspec.structs.replace(own, name="claudes", secret="claudes", models=())
    openai = msgspec.structs.replace(cloud.services.providers["openai"], models=("*",), default=True)
    whole = Providers({"openai": openai, "anthropic": own, "claudes": claudes})
    cloud.configure(whole)
    job = cloud.drop("input/x.jsonl", jsonl(GONE_LINES["openai"]), **{FALLBACK: f"{name}/{CLAUDE}"})
    assert job is not None
    cloud.deliver("plan")
    cloud.configure(Providers({key: each for key, each in whole.items() if key != name}))
    for _ in range(20):
        cloud.deliver_all()
        cloud.tick()
    assert {each.provider for each in cloud.services.store.batches(job)} == {"openai"}
    assert {each.round for each in cloud.services.store.batches(job)} == {0}
    paused = [event["detail"]["provider"] for event in cloud.events() if event["detail-type"] == "Provider Paused"]
    assert paused == [name]
    cloud.configure(whole)
    cloud.settle()
    assert [each["answered_by"] for each in cloud.outcome(job).results] == [by(f"{name}/{CLAUDE}")] * 3


def test_a_fallback_that_is_refused_too_ends_the_line(cloud: Cloud) -> None:
    fallback = f"anthropic/claude{GONE}"
    results = cloud.run("input/x.jsonl", GONE_LINES["openai"], **{FALLBACK: fallback}).results
    assert [(each["error"]["code"], each["answered_by"]) for each in results] == [("not_found_error", by(fallback))] * 3
    assert charged(cloud) == {"openai": (0, 0), "anthropic": (0, 0)}


def test_a_model_that_was_refused_lately_goes_to_the_fallback_unsent(cloud: Cloud) -> None:
    cloud.simulator.fault(
        "status", provider="openai", operation="create", code=400, error_code="model_not_batchable", times=1
    )
    results = cloud.run("input/x.jsonl", lines(2, only="openai"), **{FALLBACK: HAIKU}).results
    again = cloud.run("input/y.jsonl", lines(2, only="openai"), **{FALLBACK: HAIKU}).results
    for each in (*results, *again):
        assert (each["error"], each["answered_by"], each["attempts"]) == (None, by(HAIKU), 1)
    assert cloud.simulator.charges()["openai"]["batches"] == 0


@pytest.mark.parametrize("at", ["plan-1.json", "requests-"])
def test_a_worker_that_dies_while_it_plans_the_round_pays_nothing_twice(cloud: Cloud, at: str) -> None:
    job = cloud.drop("input/x.jsonl", jsonl(GONE_LINES["openai"]), **{FALLBACK: HAIKU})
    assert job is not None
    cloud.deliver_all()
    cloud.tick()
    kept = cloud.services
    died = []

    def dies(name: str, args: tuple[Any, ...]) -> bool:
        is_it = writes(at)(name, args) and not died
        died.extend([name] * is_it)
        return is_it

    cloud.services = replace(kept, files=Failing(kept.files, dies, KeyboardInterrupt()))  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        cloud.settle()
    cloud.services = kept
    cloud.settle()
    assert [each["error"] for each in cloud.outcome(job).results] == [None] * 3
    assert charged(cloud) == {"openai": (0, 0), "anthropic": (3, 0)}
    assert most_charged(cloud) == 1
    assert cloud.keys("work/") == []


# Real time


def hurried(cloud: Cloud, file: list[dict[str, Any]], fallback: str, **settings: str) -> str:
    """A job whose own provider is paused when its last safe moment comes, and stays so."""
    cloud.simulator.shape(**HANGS)
    own = "anthropic" if "params" in file[0] else "openai"
    cloud.services.store.providers.set_pause(own, "paused", 2**40, code="")  # type: ignore[arg-type]
    job = drop(cloud, file, **{FALLBACK: fallback}, **settings)
    pass_until_finishing(cloud, job)
    cloud.services.store.providers.set_pause(own, "paused", cloud.clock.seconds() + 900, code="")  # type: ignore[arg-type]
    return job


def assert_in_time(cloud: Cloud, job: str) -> Outcome:
    cloud.settle()
    deadline = cloud.outcome(job).manifest.deadline
    assert deadline is not None
    assert deadline.met
    assert cloud.keys("work/") == []
    return cloud.outcome(job)


def test_a_breaker_that_is_open_past_the_last_safe_moment_sends_calls_to_the_fallback() -> None:
    with one_at_a_time() as cloud:
        file = lines(4, only="openai")
        outcome = assert_in_time(cloud, hurried(cloud, file, HAIKU))
        assert [got(each) for each in outcome.results] == [answers(line, HAIKU) for line in file]
        assert {(each["via"], each["attempts"], json.dumps(each["answered_by"])) for each in outcome.results} == {
            ("realtime", 1, json.dumps(by(HAIKU)))
        }
        assert charged(cloud) == {"openai": (0, 0), "anthropic": (0, 4)}
        assert most_charged(cloud) == 1


def test_a_breaker_of_claudes_provider_sends_calls_to_another_that_has_claude() -> None:
    with one_at_a_time() as cloud:
        own = cloud.services.providers["anthropic"]
        cloud.secrets.values["claudes"] = "sk-other"
        other = msgspec.structs.replace(own, name="claudes", secret="claudes", models=())
        cloud.configure(Providers({**cloud.services.providers, "claudes": other}))
        file = lines(3, only="anthropic")
        fallback = f"claudes/{CLAUDE}"
        outcome = assert_in_time(cloud, hurried(cloud, file, fallback))
        assert [got(each) for each in outcome.results] == [wanted(line) for line in file]
        assert [each["answered_by"] for each in outcome.results] == [by(fallback)] * 3
        assert charged(cloud)["anthropic"] == (0, 3)


def test_a_model_that_is_refused_at_real_time_goes_to_the_fallback() -> None:
    with one_at_a_time() as cloud:
        cloud.simulator.shape(**HANGS)
        job = drop(cloud, [for_model(each, OPUS) for each in lines(3, only="anthropic")], **{FALLBACK: HAIKU})
        outcome = assert_in_time(cloud, job)
        assert [each["answered_by"] for each in outcome.results] == [by(HAIKU)] * 3
        assert [each["attempts"] for each in outcome.results] == [2] * 3  # a cancel is no attempt
        assert charged(cloud)["anthropic"] == (0, 3)


def test_what_may_be_answered_waits_for_its_own_provider() -> None:
    """A call whose reply was lost may be paid: another model is not asked."""
    with one_at_a_time() as cloud:
        file = lines(4, only="openai")
        job = hurried(cloud, file, HAIKU)
        cloud.services.store.providers.end_pause("openai")
        cloud.simulator.fault("reply_lost", provider="openai", operation="realtime", after=1)
        cloud.deliver("finish")
        assert charged(cloud)["openai"] == (0, 4)
        results = assert_in_time(cloud, job).results
        assert [each.get("answered_by") for each in results] == [None] * 4
        assert charged(cloud)["anthropic"] == (0, 0)


def test_an_outage_in_the_middle_leaves_doubts_to_their_provider_and_the_rest_to_the_fallback() -> None:
    with one_at_a_time() as cloud:
        file = lines(12, only="openai")
        job = hurried(cloud, file, HAIKU)
        cloud.services.store.providers.end_pause("openai")
        cloud.simulator.fault("reply_lost", provider="openai", operation="realtime", after=2, times=5)
        cloud.settle()
        outcome = cloud.outcome(job)
        assert [each["error"] for each in outcome.results] == [None] * 12
        answered = ["fallback" if "answered_by" in each else "own" for each in outcome.results]
        doubts = outcome.manifest.deadline.doubts if outcome.manifest.deadline else 0
        assert answered[:2] == ["own"] * 2
        assert answered.count("own") == 2 + doubts
        assert "fallback" in answered
        assert charged(cloud)["anthropic"] == (0, answered.count("fallback"))
        assert charged(cloud)["openai"] == (0, 2 + 2 * doubts)


def test_a_line_that_the_fallback_cannot_take_waits_for_its_own_provider() -> None:
    with one_at_a_time() as cloud:
        file = lines(3, only="openai")
        file[1]["body"]["n"] = 2
        job = hurried(cloud, file, HAIKU)
        for _ in range(12):
            cloud.deliver_all()
            cloud.tick()
        waits = [each for each in batches_of(cloud, job) if each.state is BatchState.ADMITTED]
        assert [(each.stays, each.requests, each.round) for each in waits] == [(True, 1, 1)]
        assert charged(cloud) == {"openai": (0, 0), "anthropic": (0, 2)}
        cloud.services.store.providers.end_pause("openai")
        results = assert_in_time(cloud, job).results
        assert [each.get("answered_by") for each in results] == [by(HAIKU), None, by(HAIKU)]


@pytest.mark.parametrize("fallback", [HAIKU, MINI], ids=["is paused too", "is of the same provider"])
def test_a_fallback_that_cannot_be_called_either_is_not_waited_for(fallback: str) -> None:
    with one_at_a_time() as cloud:
        cloud.services.store.providers.set_pause("anthropic", "paused", 2**40, code="")  # type: ignore[arg-type]
        file = [for_model(each, "gpt-4o") for each in lines(2, only="openai")]
        job = hurried(cloud, file, fallback)
        cloud.deliver_all()
        cloud.tick()
        (batch,) = batches_of(cloud, job)
        assert (batch.state, batch.round) == (BatchState.ADMITTED, 0)
        cloud.services.store.providers.end_pause("openai")
        results = assert_in_time(cloud, job).results
        assert [each.get("answered_by") for each in results] == [None] * 2


def test_a_fallback_whose_provider_was_taken_out_is_not_waited_for() -> None:
    with one_at_a_time() as cloud:
        job = hurried(cloud, lines(2, only="openai"), HAIKU)
        cloud.configure(Providers({"openai": cloud.services.providers["openai"]}))
        cloud.deliver_all()
        (batch,) = batches_of(cloud, job)
        assert (batch.state, batch.round) == (BatchState.ADMITTED, 0)
        cloud.services.store.providers.end_pause("openai")
        results = assert_in_time(cloud, job).results
        assert [each.get("answered_by") for each in results] == [None] * 2


def test_two_workers_leave_a_paused_providers_batch_once() -> None:
    with one_at_a_time() as cloud:
        job = hurried(cloud, lines(3, only="openai"), HAIKU)
        (batch,) = batches_of(cloud, job)
        for _ in range(2):
            finish_batch(job, batch.id, cloud.services)
        assert_in_time(cloud, job)
        assert charged(cloud) == {"openai": (0, 0), "anthropic": (0, 3)}


# Money


def highest_quote(cloud: Cloud, file: list[Any], **settings: str) -> str | None:
    quote = cloud.run("input/quoted.jsonl", file, **settings).manifest.quote
    assert quote is not None
    return quote.high_usd


def test_the_most_of_a_quote_counts_the_dearer_of_two_models(cloud: Cloud) -> None:
    mini, haiku = lines(2, only="openai"), lines(2, only="anthropic")
    own, dear = highest_quote(cloud, mini), highest_quote(cloud, mini, **{FALLBACK: HAIKU})
    assert own is not None
    assert dear is not None
    assert float(dear) > 5 * float(own)
    assert highest_quote(cloud, haiku, **{FALLBACK: "anthropic/claude-3-haiku-20240307"}) == highest_quote(cloud, haiku)


def test_a_job_whose_fallback_would_break_its_budget_is_held(cloud: Cloud) -> None:
    budget = highest_quote(cloud, lines(2, only="openai"))
    assert budget is not None
    settings = {"batchdrop-budget-usd": f"{2 * float(budget):.6f}", FALLBACK: HAIKU}
    job = cloud.drop("input/x.jsonl", jsonl(lines(2, only="openai")), **settings)
    assert job is not None
    cloud.deliver_all()
    assert job_of(cloud, job).state == "HELD"
    assert (job_of(cloud, job).reason or "").startswith("It may cost $")


def test_what_another_vendor_counts_for_a_picture_is_not_known(cloud: Cloud) -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    line = capped("say")
    line["body"]["messages"][0]["content"] = [picture]
    assert highest_quote(cloud, [line]) is not None
    assert highest_quote(cloud, [line], **{FALLBACK: HAIKU}) is None


@pytest.mark.parametrize(
    ("model", "fallback", "is_known"),
    [
        ("gpt-4o", "gpt-4o-mini", False),
        ("gpt-4o-mini", "gpt-4o", False),
        ("openai/gpt-4o-mini", "gpt-4o", False),
        ("gpt-4.1-mini", "gpt-4o", False),
        ("gpt-4o", "gpt-4.1", True),
        ("gpt-4.1-mini", "gpt-5-mini", True),
    ],
)
def test_the_most_for_pictures_is_known_where_both_models_count_them_alike(
    cloud: Cloud, model: str, fallback: str, *, is_known: bool
) -> None:
    line = for_model(capped("say"), model)
    assert highest_quote(cloud, [line], **{FALLBACK: fallback}) is not None
    line["body"]["messages"][0]["content"] = [
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
    ]
    assert (highest_quote(cloud, [line], **{FALLBACK: fallback}) is not None) is is_known


def test_the_one_of_two_models_that_has_no_batch_price_is_named(cloud: Cloud, tmp_path: Path) -> None:
    name, file = "anthropic/claude-3-haiku-20240307", lines(2, only="openai")
    ours = cloud.run("input/quoted.jsonl", file, **{FALLBACK: name}).manifest.quote
    assert ours is not None
    assert (ours.no_batch_price, ours.unpriced_models) == ([name], [])
    path, providers = tmp_path / "x.jsonl", cloud.services.providers
    path.write_bytes(jsonl(file))
    theirs = quote_file(path, providers, fallback=find_fallback(name, providers)).quote
    assert (theirs.no_batch_price, theirs.unpriced_models) == ([name], [])
    theirs = quote_file(path, providers, fallback=find_fallback("anthropic/claude-new", providers)).quote
    assert (theirs.no_batch_price, theirs.unpriced_models) == ([], ["anthropic/claude-new"])


# Bad input


@pytest.mark.parametrize("name", [MINI, "gpt-4o-mini"])
def test_a_job_keeps_its_fallback_by_its_providers_name(cloud: Cloud, name: str) -> None:
    """Whatever patterns say later; and code of before leaves it alone."""
    job = cloud.drop("input/x.jsonl", jsonl(GONE_LINES["openai"]), **{FALLBACK: name})
    assert job is not None
    assert (job_of(cloud, job).settings.fallback, job_of(cloud, job).version) == (MINI, FALLING)


@pytest.mark.parametrize(
    ("fallback", "reason"),
    [
        ("", "fallback = '': a model as lines name it"),
        ("openai/", "fallback = 'openai/': no model after the provider's name"),
        ("opnai/gpt-4o", 'fallback = \'opnai/gpt-4o\': model "opnai/gpt-4o": no provider is named "opnai"'),
        ("llama-4", "fallback = 'llama-4': model \"llama-4\" fits no provider's patterns"),
        (MINI, "can take no line of this file, such as those for 'gpt-4o-mini': it is the model that they ask for."),
        ("gpt-4o-mini", "can take no line of this file, such as those for 'gpt-4o-mini': it is the model"),
        ("text-embedding-3-small", 'do not answer at "/v1/chat/completions"'),
    ],
)
def test_a_fallback_without_sense_fails_the_job_before_anything_is_paid(
    cloud: Cloud, fallback: str, reason: str
) -> None:
    assert_refused(cloud, [chat("say")], fallback, reason)


@pytest.mark.parametrize(
    ("line", "fallback", "reason"),
    [
        (claude("say"), MINI, "what goes to Claude is translated for no other vendor"),
        (chat("say", model=CLAUDE), MINI, "what goes to Claude is translated for no other vendor"),
        ({"model": "gpt-5-mini", "input": "say"}, HAIKU, f"only {CHAT} is translated for Claude, not /v1/responses"),
        ({"model": "text-embedding-3-small", "input": "say"}, HAIKU, f"only {CHAT} is translated for Claude"),
    ],
)
def test_a_fallback_that_can_take_no_line_fails_the_job_before_anything_is_paid(
    cloud: Cloud, line: dict[str, Any], fallback: str, reason: str
) -> None:
    assert_refused(cloud, [line], fallback, reason)


def assert_refused(cloud: Cloud, file: list[Any], fallback: str, reason: str) -> None:
    manifest = cloud.run("input/x.jsonl", file, **{FALLBACK: fallback}).manifest
    assert manifest.status == "FAILED"
    assert reason in (manifest.reason or "")
    assert charged(cloud) == {"openai": (0, 0), "anthropic": (0, 0)}


def test_a_fallback_that_takes_some_lines_serves_these(cloud: Cloud) -> None:
    file = [GONE_LINES["openai"][0], GONE_LINES["anthropic"][0], claude("say")]
    results = cloud.run("input/x.jsonl", file, **{FALLBACK: MINI}).results
    assert [each.get("answered_by") for each in results] == [by(MINI), None, None]
    assert results[1]["error"]["code"] == "not_found_error"
    assert "translated for no other vendor" not in results[1]["error"]["message"]


def test_a_folder_that_may_not_use_the_fallbacks_provider_is_told(cloud: Cloud) -> None:
    rules = {"input/team/": Rules(allowed_providers=("openai",))}
    cloud.configure(Providers(dict(cloud.services.providers), rules))
    manifest = cloud.run("input/team/x.jsonl", [chat("say")], **{FALLBACK: HAIKU}).manifest
    assert "provider anthropic is not allowed for files of this folder" in (manifest.reason or "")

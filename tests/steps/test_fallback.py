"""The fallback: another model serves what a line's own model, or its provider, failed for good; nothing is paid twice."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from batchdrop.states import BatchState
from faking.cloud import Cloud, Outcome, jsonl
from faking.cloud import cloud as new_cloud
from faking.deadlines import (
    DEADLINE,
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
from faking.lines import CHAT, CLAUDE, MESSAGES, capped, chat, claude, got, wanted

from provider_simulator.answers import expected

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


def asked(line: dict[str, Any], model: str) -> dict[str, Any]:
    """The same line for another model."""
    inner = "params" if "params" in line else "body"
    return line | {inner: line[inner] | {"model": model}}


def answers(line: dict[str, Any], fallback: str) -> tuple[str, Any]:
    """What a fallback answers to a line."""
    endpoint, answer = wanted(asked(line, fallback.partition("/")[2]))
    return endpoint, answer


GPT, OPUS = f"gpt-4{GONE}", f"claude-opus{GONE}"
GONE_LINES = {"openai": [asked(capped(f"say {n}", n), GPT) for n in range(3)]} | {
    "anthropic": [asked(claude(f"say {n}", n), OPUS) for n in range(3)]
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
    file = [asked(capped(f"say {n}", n), GPT) for n in range(3)]
    file[1]["body"]["n"] = 2
    outcome = cloud.run("input/x.jsonl", file, **{FALLBACK: HAIKU})
    first, error, last = outcome.results
    assert [got(each) for each in (first, last)] == [answers(file[0], HAIKU), answers(file[2], HAIKU)]
    assert (error["error"]["code"], error.get("answered_by"), error["attempts"]) == ("model_not_found", None, 1)
    assert f'The fallback {HAIKU} cannot take it: "n"' in error["error"]["message"]
    assert charged(cloud) == {"openai": (0, 0), "anthropic": (2, 0)}


def test_a_file_of_which_the_fallback_takes_nothing_in_the_end_is_published(cloud: Cloud) -> None:
    file = [asked(capped("say", 0), GPT)]
    file[0]["body"]["n"] = 2
    (error,) = cloud.run("input/x.jsonl", file, **{FALLBACK: HAIKU}).results
    assert f'The fallback {HAIKU} cannot take it: "n"' in error["error"]["message"]


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


@pytest.mark.parametrize("at", ["plan-00001", "requests-"])
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

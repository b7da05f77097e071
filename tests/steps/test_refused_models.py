"""A model that a provider does not take in batches ends its lines early for a day, in the provider's words."""

from collections.abc import Iterator
from typing import Any

import pytest
from faking.cloud import TOML, Cloud, jsonl
from faking.cloud import cloud as new_cloud
from faking.lines import CHAT, RESPONSES, chat, claude, got, wanted

MODEL = "gpt-4o-mini"
SAID = f"Model {MODEL} is not supported for batch processing."
DAY = 86_400


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with new_cloud() as made:
        yield made


def refuse(cloud: Cloud) -> None:
    cloud.simulator.fault("status", provider="openai", operation="create", times=1, code=400, message=SAID)


def fail(cloud: Cloud) -> None:
    cloud.simulator.shape(provider="openai", fail_batch="invalid_request", fail_message=SAID)


def taught(cloud: Cloud) -> int:
    """How many uploads there were once the provider had said it."""
    refuse(cloud)
    cloud.run("input/first.jsonl", [chat("one"), chat("two")])
    return uploads(cloud)


def uploads(cloud: Cloud) -> int:
    return cloud.simulator.charges()["openai"]["calls"].get("upload", 0)


def errors(results: list[dict[str, Any]]) -> list[tuple[str, str | None, bool]]:
    found = (result["error"] for result in results)
    return [(error["code"], error.get("provider_message"), error["retryable"]) for error in found]


@pytest.mark.parametrize("how", [refuse, fail])
def test_a_model_that_is_not_taken_in_batches_is_not_sent_again_for_a_day(cloud: Cloud, how: Any) -> None:
    how(cloud)
    first = cloud.run("input/first.jsonl", [chat("one"), chat("two")]).results
    assert {(said, retryable) for _, said, retryable in errors(first)} == {(SAID, False)}
    cloud.simulator.shape(provider="openai", fail_batch=None)
    before = uploads(cloud)
    second = cloud.run("input/second.jsonl", [chat("three"), claude("four"), chat("five")]).results
    assert errors([second[0], second[2]]) == [("not_batchable", SAID, False)] * 2
    assert [(each["attempts"], each["batch_id"]) for each in (second[0], second[2])] == [(0, None)] * 2
    assert got(second[1]) == wanted(claude("four"))
    assert (uploads(cloud), cloud.simulator.charges()["openai"]["requests"]) == (before, 0)


def test_what_waits_already_is_not_sent_either(cloud: Cloud) -> None:
    taught(cloud)
    before = uploads(cloud)
    jobs = [cloud.drop(f"input/{number}.jsonl", jsonl([chat(str(number))])) for number in range(3)]
    cloud.settle()
    found = [errors(cloud.outcome(job).results) for job in jobs if job is not None]
    assert found == [[("not_batchable", SAID, False)]] * 3
    assert uploads(cloud) == before


def test_a_day_later_it_is_sent_again(cloud: Cloud) -> None:
    taught(cloud)
    cloud.clock.now += DAY
    assert [got(each) for each in cloud.run("input/x.jsonl", [chat("two")]).results] == [wanted(chat("two"))]


def test_other_models_and_other_endpoints_are_sent(cloud: Cloud) -> None:
    taught(cloud)
    lines = [chat("two", model="gpt-4o"), {"custom_id": None, "url": RESPONSES, "method": "POST"}]
    lines[1]["body"] = {"model": MODEL, "input": "three"}
    assert [got(each) for each in cloud.run("input/x.jsonl", lines).results] == [wanted(each) for each in lines]


def test_what_the_configuration_says_of_a_model_is_believed_instead() -> None:
    listed = f'[providers.openai]\nendpoints = {{ "{MODEL}" = ["{CHAT}"] }}'
    with new_cloud(TOML.read_text().replace("[providers.openai]", listed)) as cloud:
        taught(cloud)
        assert [got(each) for each in cloud.run("input/x.jsonl", [chat("two")]).results] == [wanted(chat("two"))]


def test_a_refusal_of_a_model_that_is_not_known_teaches_nothing(cloud: Cloud) -> None:
    cloud.simulator.fault(
        "status",
        provider="openai",
        operation="create",
        times=1,
        code=400,
        error_code="model_not_found",
        message="No such model.",
    )
    cloud.run("input/first.jsonl", [chat("one")])
    assert [got(each) for each in cloud.run("input/x.jsonl", [chat("two")]).results] == [wanted(chat("two"))]


def test_the_words_stand_in_the_results_only(cloud: Cloud) -> None:
    taught(cloud)
    cloud.run("input/x.jsonl", [chat("two")])
    assert SAID not in str(cloud.table.items) + str(cloud.events())


LINE_5 = "Line 5: the parameter stream is not supported in the Batch API."


def test_what_is_said_of_one_line_ends_that_line_alone_and_teaches_nothing(cloud: Cloud) -> None:
    lines = [chat(f"text {number}") for number in range(8)]
    cloud.simulator.shape(provider="openai", fail_batch="invalid_request", fail_message=LINE_5, fail_line=5)
    job = cloud.drop("input/first.jsonl", jsonl(lines))
    cloud.deliver_all()
    cloud.simulator.shape(provider="openai", fail_batch=None, fail_message=None, fail_line=None)
    cloud.settle()
    assert job is not None
    results = cloud.outcome(job).results
    assert [each["line"] for each in results if each["error"]] == [5]
    assert [got(each) for each in cloud.run("input/x.jsonl", [chat("two")]).results] == [wanted(chat("two"))]


def test_others_learn_the_sentence_about_the_model_and_nothing_around_it(cloud: Cloud) -> None:
    cloud.simulator.fault(
        "status", provider="openai", operation="create", times=1, code=400, message=f"You wrote SECRET. {SAID} SECRET."
    )
    cloud.run("input/first.jsonl", [chat("one")])
    (result,) = cloud.run("input/x.jsonl", [chat("two")]).results
    assert result["error"]["provider_message"] == SAID


def test_anthropics_batches_mix_models_and_are_searched(cloud: Cloud) -> None:
    words = "requests.1.params.model: Model claude-odd is not supported for batch processing."
    cloud.simulator.fault("status", provider="anthropic", operation="create", times=3, code=400, message=words)
    lines = [claude(f"text {number}") for number in range(4)]
    results = cloud.run("input/x.jsonl", lines).results
    assert [each["line"] for each in results if each["error"]] == [2]

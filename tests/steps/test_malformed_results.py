"""Results that are none: what may hold a paid answer is read again, told at last, and never paid again."""

import json
from typing import Any

import pytest
from batchdrop.errors import Missing
from batchdrop.providers.interface import BatchApi, ProviderBatch
from faking.cloud import Cloud, jsonl
from faking.cloud import cloud as new_cloud
from faking.lines import chat, claude, got, wanted

LINES = pytest.mark.parametrize(("line", "provider"), [(chat, "openai"), (claude, "anthropic")])
DAY = 86_400


def codes(cloud: Cloud, job: str | None) -> list[str | None]:
    assert job is not None
    return [result["error"] and result["error"]["code"] for result in cloud.outcome(job).results]


@LINES
def test_a_page_instead_of_the_results_is_read_again(cloud: Cloud, line: Any, provider: str) -> None:
    cloud.simulator.fault("garbage", provider=provider, operation="results", times=3)
    lines = [line(str(number)) for number in range(4)]
    out = cloud.run("input/x.jsonl", lines)
    assert [got(result) for result in out.results] == [wanted(each) for each in lines]
    assert [result["attempts"] for result in out.results] == [1] * 4
    assert cloud.simulator.charges()[provider]["requests"] == 4


@LINES
def test_a_page_for_ever_is_told_after_days_and_nothing_is_paid_again(cloud: Cloud, line: Any, provider: str) -> None:
    cloud.simulator.fault("garbage", provider=provider, operation="results", times=None)
    job = cloud.drop("input/x.jsonl", jsonl([line("one"), line("two")]))
    cloud.settle(tick=3_600, rounds=200)
    assert codes(cloud, job) == ["unreadable_result"] * 2
    assert cloud.simulator.charges()[provider]["requests"] == 2


def test_an_adopted_batch_is_not_disowned_for_a_page(cloud: Cloud) -> None:
    cloud.simulator.fault("reply_lost", provider="anthropic", operation="create")
    cloud.simulator.shape(provider="anthropic", seconds_to_complete=5_000, times=1)
    lines = [claude(str(number)) for number in range(4)]
    job = cloud.drop("input/x.jsonl", jsonl(lines))
    assert job is not None
    for _ in range(100):
        cloud.deliver_all()
        if [batch.adopted for batch in cloud.services.store.batches(job)] == [True]:
            break
        cloud.tick()
    cloud.simulator.fault("garbage", provider="anthropic", operation="results", times=1)
    cloud.settle(rounds=300, tick=300)
    assert codes(cloud, job) == [None] * 4
    assert cloud.simulator.charges()["anthropic"]["requests"] == 4


class NoLength:
    """The provider's client, where files are given and not described."""

    def __init__(self, api: BatchApi) -> None:
        self._api = api

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    def length(self, name: str) -> int | None:
        raise Missing(f"404 {name}")


def test_what_came_is_kept_where_the_provider_does_not_describe_its_files() -> None:
    with new_cloud(wrap=NoLength) as cloud:  # type: ignore[arg-type]  # it stands in by its methods
        cloud.simulator.shape(provider="openai", forget=1, times=1)
        lines = [chat(str(number)) for number in range(5)]
        job = cloud.drop("input/x.jsonl", jsonl(lines))
        cloud.settle(tick=300)
        assert job is not None
        assert [got(result) for result in cloud.outcome(job).results] == [wanted(each) for each in lines]
        assert cloud.simulator.charges()["openai"]["bodies_charged_more_than_once"] == 0


class NoErrorFile(NoLength):
    """The provider's client, where a batch names an error file that is not there."""

    def results(self, batch: ProviderBatch) -> list[str]:
        return [*self._api.results(batch), "file-none"]

    def stream(self, name: str) -> Any:
        if name == "file-none":
            raise Missing("404")
        return self._api.stream(name)


def test_what_one_file_holds_is_kept_where_the_other_is_gone() -> None:
    with new_cloud(wrap=NoErrorFile) as cloud:  # type: ignore[arg-type]  # it stands in by its methods
        cloud.simulator.shape(provider="openai", lose=1, times=1)
        lines = [chat(str(number)) for number in range(5)]
        began = cloud.clock.now
        job = cloud.drop("input/x.jsonl", jsonl(lines))
        cloud.settle(tick=3_600, rounds=200)
        assert 3 * DAY <= cloud.clock.now - began < 4 * DAY
        assert sorted(str(code) for code in codes(cloud, job)) == ["None"] * 4 + ["unreadable_result"]
        assert cloud.simulator.charges()["openai"]["batches"] == 1


class EmptyAnswers(NoLength):
    """The provider's client, where the first answer of a batch is a success that holds nothing."""

    def stream(self, name: str) -> Any:
        rows = [json.loads(row) for row in b"".join(self._api.stream(name)).splitlines()]
        if "result" in rows[0]:
            rows[0]["result"]["message"] = {}
        else:
            rows[0]["response"]["body"] = ""
        yield b"".join(json.dumps(row).encode() + b"\n" for row in rows)

    def length(self, name: str) -> int | None:
        return sum(map(len, self.stream(name)))


@LINES
def test_an_empty_answer_is_an_error_and_not_sent_again(line: Any, provider: str) -> None:
    with new_cloud(wrap=EmptyAnswers) as cloud:  # type: ignore[arg-type]  # it stands in by its methods
        job = cloud.drop("input/x.jsonl", jsonl([line("one"), line("two")]))
        cloud.settle()
        assert sorted(map(str, codes(cloud, job))) == ["None", "empty_answer"]
        assert cloud.simulator.charges()[provider]["requests"] == 2

"""What was answered is paid: it is found however late, wherever and however it stands, and is never asked for twice."""

from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
import pytest
from batchdrop.errors import Missing
from batchdrop.providers.interface import BatchApi, ProviderBatch
from faking.cloud import Cloud, jsonl
from faking.cloud import cloud as new_cloud
from faking.lines import chat, claude, got, wanted

DAY = 86_400
LINES = [chat(f"question {number}", number) for number in range(8)]
REFUSED = {"match": "question 7", "status": 400}


def settle(cloud: Cloud, *, rounds: int = 60, tick: float = 300) -> list[dict[str, Any]]:
    job = cloud.drop("input/x.jsonl", jsonl(LINES))
    assert job is not None
    cloud.settle(rounds=rounds, tick=tick)
    bill = cloud.simulator.charges()["openai"]
    assert (bill["batches"], bill["bodies_charged_more_than_once"]) == (1, 0)
    return cloud.outcome(job).results


@pytest.mark.parametrize("looks", [1, 3])
def test_an_output_file_that_is_named_late_is_waited_for(cloud: Cloud, looks: int) -> None:
    cloud.simulator.shape(provider="openai", times=1, failing=REFUSED)
    for call in ("list", "retrieve"):
        cloud.simulator.fault("rewritten", provider="openai", operation=call, times=looks, without=["output_file_id"])
    results = settle(cloud)
    assert [got(result) for result in results[:-1]] == [wanted(each) for each in LINES[:-1]]
    assert results[-1]["response"]["status_code"] == 400


def test_a_wrong_file_id_is_asked_for_again(cloud: Cloud) -> None:
    for call in ("list", "retrieve"):
        values = {"output_file_id": "file-wrong"}
        cloud.simulator.fault("rewritten", provider="openai", operation=call, times=3, values=values)
    assert [got(result) for result in settle(cloud)] == [wanted(each) for each in LINES]
    assert cloud.simulator.charges()["openai"]["files"] == 0


class Late:
    """The provider's client, whose ended batches name no output file until then."""

    until: ClassVar[float] = 0
    clock: ClassVar[Callable[[], float]] = float

    def __init__(self, api: BatchApi) -> None:
        self._api = api

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    def retrieve(self, batch_id: str) -> ProviderBatch:
        return self._shown(self._api.retrieve(batch_id))

    def page(self, after: str | None) -> list[ProviderBatch]:
        return [self._shown(each) for each in self._api.page(after)]

    def _shown(self, batch: ProviderBatch) -> ProviderBatch:
        is_late = batch.ended_as is not None and Late.clock() < Late.until
        return msgspec.structs.replace(batch, output_file_id=None) if is_late else batch


@pytest.mark.parametrize("hours", [3, 60])
def test_answers_that_are_counted_and_come_hours_late_are_not_paid_again(hours: int) -> None:
    with new_cloud(wrap=Late) as cloud:  # type: ignore[arg-type]  # it stands in by its methods
        Late.clock, Late.until = cloud.clock, cloud.clock.now + hours * 3_600
        assert [got(result) for result in settle(cloud, rounds=300, tick=3_600)] == [wanted(each) for each in LINES]


class Uncounted(Late):
    """The provider's client, whose batches tell no counts."""

    def _shown(self, batch: ProviderBatch) -> ProviderBatch:
        return msgspec.structs.replace(batch, rows=None)


class CountedOnce(Uncounted):
    """The provider's client, which counts a batch's answers once, and does not know it afterwards."""

    def retrieve(self, batch_id: str) -> ProviderBatch:
        found = self._api.retrieve(batch_id)
        if found.ended_as is not None and CountedOnce.clock() >= CountedOnce.until:
            raise Missing("404")
        CountedOnce.until = CountedOnce.clock() if found.ended_as is not None else CountedOnce.until
        return found


@pytest.mark.parametrize("wrap", [lambda api: api, CountedOnce])
def test_answers_that_are_counted_and_never_come_are_not_paid_again(wrap: Any) -> None:
    with new_cloud(wrap=wrap) as cloud:
        CountedOnce.clock, CountedOnce.until = cloud.clock, float("inf")
        cloud.simulator.shape(provider="openai", lose=2, times=1)
        began = cloud.clock.now
        results = settle(cloud, rounds=300, tick=3_600)
        assert 3 * DAY <= cloud.clock.now - began < 3 * DAY + 6 * 3_600
        failed = [each["error"] for each in results if each["error"]]
        assert [(each["code"], each["retryable"]) for each in failed] == [("unreadable_result", False)] * 2
        assert failed[0]["message"].startswith("The provider counts more results than it gives")


@pytest.mark.parametrize("wrap", [lambda api: api, Uncounted], ids=["fewer counted", "none counted"])
def test_rows_that_are_missing_and_not_counted_are_sent_again_after_a_quarter_of_an_hour(wrap: Any) -> None:
    with new_cloud(wrap=wrap) as cloud:
        cloud.simulator.shape(provider="openai", forget=1, times=1)
        job = cloud.drop("input/x.jsonl", jsonl(LINES))
        began = cloud.clock.now
        while cloud.simulator.charges()["openai"]["batches"] < 2:
            cloud.deliver_all()
            cloud.tick(150)
        assert (cloud.clock.now - began > 900) is (wrap is Uncounted)
        assert cloud.clock.now - began < 2_400
        cloud.settle(tick=300)
        assert job is not None
        assert [got(result) for result in cloud.outcome(job).results] == [wanted(each) for each in LINES]


def test_what_nobody_can_read_stands_in_its_lines_error(cloud: Cloud) -> None:
    cloud.simulator.shape(provider="anthropic", garble=1, times=1)
    lines = [claude(str(number), number) for number in range(3)]
    job = cloud.drop("input/x.jsonl", jsonl(lines))
    cloud.settle()
    assert job is not None
    (failed,) = cloud.outcome(job).errors
    assert failed["error"]["code"] == "unreadable_result"
    assert failed["error"]["raw"].startswith('{"custom_id":"')
    assert cloud.simulator.charges()["anthropic"]["batches"] == 1

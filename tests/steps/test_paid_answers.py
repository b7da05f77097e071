"""What was answered is paid: it is found however late, wherever and however it stands, and is never asked for twice."""

from typing import Any

import msgspec
import pytest
from batchdrop.providers.api import BatchApi, ProviderBatch
from faking.cloud import Cloud, jsonl
from faking.cloud import cloud as new_cloud
from faking.lines import chat, claude, got, wanted

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


class Uncounted:
    """The provider's client, whose batches tell no counts."""

    def __init__(self, api: BatchApi) -> None:
        self._api = api

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    def retrieve(self, batch_id: str) -> ProviderBatch:
        return msgspec.structs.replace(self._api.retrieve(batch_id), rows=None)


@pytest.mark.parametrize(("counted", "seconds"), [(True, 3_600), (False, 900)])
def test_rows_that_are_missing_are_sent_again_only_after_a_while(counted: bool, seconds: int) -> None:  # noqa: FBT001 - a table
    wrap: Any = (lambda api: api) if counted else Uncounted
    with new_cloud(wrap=wrap) as cloud:
        cloud.simulator.shape(provider="openai", lose=1, times=1)
        job = cloud.drop("input/x.jsonl", jsonl(LINES))
        began = cloud.clock.now
        while cloud.simulator.charges()["openai"]["batches"] < 2:
            cloud.deliver_all()
            cloud.tick(150)
        assert seconds < cloud.clock.now - began < seconds + 1_500
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

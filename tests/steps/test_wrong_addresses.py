"""An address without batches (404, 405, a page): the provider is paused and told, and nothing is tried for ever."""

from typing import Any

import pytest
from batchdrop.states import BatchState
from faking.cloud import TOML, Cloud, jsonl
from faking.cloud import cloud as new_cloud
from faking.lines import chat, claude, got, wanted

ONE_EACH = (
    TOML.read_text(encoding="utf-8")
    .replace("requests_per_batch = 50_000", "requests_per_batch = 1")
    .replace("requests_per_batch = 10_000", "requests_per_batch = 1")
)
WRONG = pytest.mark.parametrize(
    ("line", "provider", "operation", "fault"),
    [
        pytest.param(chat, "openai", "upload", ("status", {"code": 404}), id="404 at upload"),
        pytest.param(chat, "openai", "upload", ("status", {"code": 405}), id="405 at upload"),
        pytest.param(chat, "openai", "upload", ("garbage", {}), id="a page at upload"),
        pytest.param(chat, "openai", "create", ("status", {"code": 404}), id="404 at create"),
        pytest.param(claude, "anthropic", "create", ("status", {"code": 404}), id="404 at Anthropic's create"),
        pytest.param(claude, "anthropic", "create", ("status", {"code": 405}), id="405 at Anthropic's create"),
    ],
)


CHECK = "The provider's address does not expose a batch API (404 or HTML): check its base_url in providers.toml."


def paused(cloud: Cloud) -> list[str]:
    events = cloud.events()
    return [event["detail"]["reason"] for event in events if event["detail-type"] == "Provider Paused"]


def minutes(cloud: Cloud, count: int) -> None:
    for _ in range(count):
        cloud.deliver_all()
        cloud.tick()
    cloud.deliver_all()


@WRONG
def test_several_batches_pause_the_provider_and_one_tries_it_until_the_address_is_right(
    line: Any, provider: str, operation: str, fault: tuple[str, dict[str, Any]]
) -> None:
    with new_cloud(ONE_EACH) as cloud:
        cloud.simulator.fault(fault[0], provider=provider, operation=operation, times=None, **fault[1])
        lines = [line(f"line {number}", f"r-{number}") for number in range(8)]
        job = cloud.drop("input/x.jsonl", jsonl(lines))
        assert job is not None
        minutes(cloud, 30)
        assert cloud.simulator.charges()[provider]["calls"][operation] <= 8 + 30 // 5
        assert {batch.state for batch in cloud.services.store.batches(job)} == {BatchState.WAITING}
        (reason,) = paused(cloud)
        assert reason.startswith("5 calls in a row failed: its address has no such call (")
        assert reason.endswith("): check base_url in providers.toml")
        cloud.simulator.clear_faults()
        cloud.settle()
        assert [got(result) for result in cloud.outcome(job).results] == [wanted(each) for each in lines]


@WRONG
def test_a_batch_that_no_address_takes_ends_with_what_to_check(
    cloud: Cloud, line: Any, provider: str, operation: str, fault: tuple[str, dict[str, Any]]
) -> None:
    cloud.simulator.fault(fault[0], provider=provider, operation=operation, times=None, **fault[1])
    job = cloud.drop("input/x.jsonl", jsonl([line("one"), line("two")]))
    assert job is not None
    minutes(cloud, 15)
    assert len(paused(cloud)) == 1
    assert {batch.state for batch in cloud.services.store.batches(job)} == {BatchState.WAITING}
    minutes(cloud, 45)
    errors = [result["error"] for result in cloud.outcome(job).results]
    assert (
        errors
        == [
            {
                "code": "no_such_call",
                "message": CHECK,
                "source": "batchdrop",
                "retryable": True,
            }
        ]
        * 2
    )
    assert cloud.simulator.charges()[provider]["calls"][operation] == 11
    assert [each.reserved for each in cloud.services.store.providers.ledgers(provider).values()] == [0]


def test_a_batch_that_waited_often_for_room_is_not_given_up_for_one_404(cloud: Cloud) -> None:
    full = {"code": 400, "error_code": "token_limit_exceeded", "message": "Enqueued token limit reached."}
    cloud.simulator.fault("status", provider="openai", operation="create", times=12, **full)
    cloud.simulator.fault("status", provider="openai", operation="create", times=1, code=404)
    job = cloud.drop("input/x.jsonl", jsonl([chat("one")]))
    assert job is not None
    cloud.settle(tick=1_800)  # from the seventh on an hour lies between two tries
    out = cloud.outcome(job)
    assert [got(result) for result in out.results] == [wanted(chat("one"))]

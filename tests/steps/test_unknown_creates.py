"""Creates whose outcome is not known: found again, or proven never to have been; never repeated blindly."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from batchdrop.providers.interface import BatchApi, ProviderBatch
from batchdrop.states import BatchState
from batchdrop.steps.submit import submit_batch
from faking.cloud import BUCKET, Cloud, jsonl
from faking.cloud import cloud as new_cloud
from faking.lines import chat, claude, got, wanted

LINES = pytest.mark.parametrize(("line", "provider"), [(chat, "openai"), (claude, "anthropic")])


def finish(cloud: Cloud, job: str | None, lines: list[Any]) -> None:
    cloud.settle(rounds=200, tick=300)
    assert job is not None
    assert [got(result) for result in cloud.outcome(job).results] == [wanted(line) for line in lines]


@LINES
@pytest.mark.parametrize("fault", [{"fault": "reply_lost"}, {"fault": "late", "seconds": 300}])
def test_a_batch_whose_reply_was_lost_is_found_and_paid_once(
    cloud: Cloud, line: Any, provider: str, fault: dict[str, Any]
) -> None:
    cloud.simulator.fault(**fault, provider=provider, operation="create")
    lines = [line(str(number)) for number in range(5)]
    job = cloud.drop("input/x.jsonl", jsonl(lines))
    finish(cloud, job, lines)
    charges = cloud.simulator.charges()[provider]
    assert (charges["batches"], charges["requests"], charges["calls"]["create"]) == (1, 5, 1)


@LINES
def test_a_batch_that_lost_a_request_is_found_however_many_it_counts(cloud: Cloud, line: Any, provider: str) -> None:
    cloud.simulator.shape(provider=provider, forget=1, seconds_to_complete=60, times=1)
    cloud.simulator.fault("reply_lost", provider=provider, operation="create")
    lines = [line(str(number)) for number in range(5)]
    job = cloud.drop("input/x.jsonl", jsonl(lines))
    finish(cloud, job, lines)
    charges = cloud.simulator.charges()[provider]
    assert (charges["requests"], charges["bodies_charged_more_than_once"]) == (5, 0)


@LINES
@pytest.mark.parametrize("fault", [{"fault": "connection_reset"}, {"fault": "status", "code": 500}])
def test_a_batch_that_was_never_created_is_created_after_the_grace(
    cloud: Cloud, line: Any, provider: str, fault: dict[str, Any]
) -> None:
    cloud.simulator.fault(**fault, provider=provider, operation="create")
    lines = [line(str(number)) for number in range(5)]
    job = cloud.drop("input/x.jsonl", jsonl(lines))
    cloud.deliver_all()
    before = cloud.clock.now
    finish(cloud, job, lines)
    assert cloud.clock.now - before > 1800
    charges = cloud.simulator.charges()[provider]
    assert (charges["batches"], charges["requests"], charges["calls"]["create"]) == (1, 5, 2)
    assert not [row for row in cloud.rows() if row[0].startswith("SLOTS#")]


def test_openais_create_that_arrives_after_the_grace_finds_no_file_and_costs_nothing(cloud: Cloud) -> None:
    cloud.simulator.fault("late", seconds=9_000, provider="openai", operation="create")
    lines = [chat("one")]
    job = cloud.drop("input/x.jsonl", jsonl(lines))
    finish(cloud, job, lines)
    for _ in range(15):
        cloud.tick(900)
    charges = cloud.simulator.charges()["openai"]
    assert (charges["batches"], charges["requests"]) == (2, 1)
    assert charges["bodies_charged_more_than_once"] == 0


def test_anthropics_create_that_arrives_after_the_grace_is_reported_as_a_duplicate(cloud: Cloud) -> None:
    cloud.simulator.fault("late", seconds=9_000, provider="anthropic", operation="create")
    lines = [claude("one"), claude("two")]
    job = cloud.drop("input/x.jsonl", jsonl(lines))
    finish(cloud, job, lines)
    cloud.events()
    for _ in range(15):
        cloud.tick(900)
    found = [event["detail"] for event in cloud.events() if event["detail-type"] == "Duplicate Batch"]
    assert [(each["job"], each["provider"], each["requests"]) for each in found] == [(job, "anthropic", 2)]


def test_batches_of_one_size_are_created_one_after_the_other_at_anthropic(cloud: Cloud) -> None:
    cloud.simulator.fault("reply_lost", provider="anthropic", operation="create")
    lines = [claude("one")]
    first = cloud.drop("input/first.jsonl", jsonl(lines))
    second = cloud.drop("input/second.jsonl", jsonl(lines))
    cloud.deliver_all()
    assert first is not None
    assert second is not None
    states = sorted(batch.state for job in (first, second) for batch in cloud.services.store.batches(job))
    assert states == [BatchState.ADMITTED, BatchState.SUBMITTING]
    finish(cloud, first, lines)
    finish(cloud, second, lines)
    assert cloud.simulator.charges()["anthropic"]["batches"] == 2


def test_a_batch_whose_number_is_taken_is_not_read_before_its_turn(cloud: Cloud) -> None:
    cloud.simulator.fault("reply_lost", provider="anthropic", operation="create")
    cloud.drop("input/first.jsonl", jsonl([claude("one")]))
    cloud.deliver_all()
    job = cloud.drop("input/second.jsonl", jsonl([claude("two")]))
    assert job is not None
    cloud.deliver("plan")
    (batch,) = cloud.services.store.batches(job)
    requests = cloud.read(batch.requests_key)
    cloud.s3.delete_object(Bucket=BUCKET, Key=batch.requests_key)
    for _ in range(3):
        submit_batch(job, batch.id, cloud.services)
    assert [each.state for each in cloud.services.store.batches(job)] == [BatchState.ADMITTED]
    cloud.services.files.put(batch.requests_key, requests)
    finish(cloud, job, [claude("two")])


def create_theirs(cloud: Cloud, count: int) -> str:
    """A batch in the same account that somebody else created; its id."""
    params = claude("somebody else's")["params"]
    requests = [{"custom_id": f"theirs-{number}", "params": params} for number in range(count)]
    api = cloud.services.apis["anthropic"]
    return str(api._client.messages.batches.create(requests=requests).id)  # type: ignore[attr-defined]  # noqa: SLF001


@pytest.mark.parametrize("seconds", [0, 1_000])
def test_a_foreign_batch_of_the_same_size_is_given_back(cloud: Cloud, seconds: int) -> None:
    cloud.simulator.shape(provider="anthropic", seconds_to_complete=seconds)
    cloud.simulator.fault("connection_reset", provider="anthropic", operation="create")
    lines = [claude("one"), claude("two")]
    job = cloud.drop("input/x.jsonl", jsonl(lines))
    cloud.deliver_all()
    theirs = create_theirs(cloud, 2)
    finish(cloud, job, lines)
    stored = [batch["id"] for batch in cloud.simulator.batches() if batch["provider"] == "anthropic"]
    assert theirs in stored
    charges = cloud.simulator.charges()["anthropic"]
    assert charges["requests"] == 4
    assert charges["calls"].get("cancel", 0) == 0


def test_a_foreign_smaller_batch_that_proves_nothing_is_not_taken(cloud: Cloud) -> None:
    cloud.simulator.shape(provider="anthropic", layout="printed", times=1)
    cloud.simulator.fault("connection_reset", provider="anthropic", operation="create")
    lines = [claude("one"), claude("two")]
    job = cloud.drop("input/x.jsonl", jsonl(lines))
    cloud.deliver_all()
    theirs = create_theirs(cloud, 1)
    finish(cloud, job, lines)
    assert cloud.services.store.providers.owner("anthropic", theirs) is None


def test_smaller_foreign_batches_are_read_once_and_hold_up_no_doubt(cloud: Cloud) -> None:
    def read() -> int:
        return int(cloud.simulator.charges()["anthropic"]["calls"].get("results", 0))

    cloud.simulator.shape(provider="anthropic", seconds_to_complete=0)
    cloud.simulator.fault("connection_reset", provider="anthropic", operation="create")
    cloud.simulator.fault("status", provider="anthropic", operation="results", code=404)
    lines = [claude("one"), claude("two")]
    job = cloud.drop("input/x.jsonl", jsonl(lines))
    cloud.deliver_all()
    for _ in range(25):
        create_theirs(cloud, 1)
    while not read():
        cloud.tick(60)
    assert read() == 20
    finish(cloud, job, lines)
    assert read() == 26  # each of theirs once, and ours


@pytest.mark.parametrize(("count", "at_once"), [(2, 1), (1, 22)])
def test_foreign_batches_without_end_hold_up_no_doubt(cloud: Cloud, count: int, at_once: int) -> None:
    cloud.simulator.shape(provider="anthropic", seconds_to_complete=1_000)
    cloud.simulator.fault("connection_reset", provider="anthropic", operation="create")
    lines = [claude("one"), claude("two")]
    job = cloud.drop("input/x.jsonl", jsonl(lines))
    for _ in range(24):
        cloud.deliver_all()
        for _ in range(at_once):
            create_theirs(cloud, count)
        cloud.tick(300)
    assert job is not None
    assert [got(result) for result in cloud.outcome(job).results] == [wanted(line) for line in lines]


def test_a_doubt_that_outlives_its_intent_leaves_no_row_that_never_expires(cloud: Cloud) -> None:
    secret = cloud.services.providers["anthropic"].secret
    cloud.simulator.fault("connection_reset", provider="anthropic", operation="create")
    lines = [claude("one")]
    job = cloud.drop("input/x.jsonl", jsonl(lines), **{"batchdrop-max-age": "60d"})
    cloud.deliver_all()
    cloud.secrets.values[secret] = "sk-of-another-workspace"
    cloud.tick(30 * 86_400)
    for key in [key for key in cloud.rows() if key[1].startswith("INTENT#")]:
        del cloud.table.items[key]  # as DynamoDB does when its time is over
    cloud.secrets.values[secret] = "sk-simulated"
    finish(cloud, job, lines)
    intents = [item for key, item in cloud.table.items.items() if key[1].startswith("INTENT#")]
    assert ["expires_at" in each for each in intents] == [True]


class Relisted:
    """A provider whose listings are changed on their way."""

    def __init__(self, api: BatchApi, change: Callable[[Iterator[ProviderBatch]], Iterator[ProviderBatch]]) -> None:
        self._api, self._change = api, change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    def newest(self) -> Iterator[ProviderBatch]:
        return self._change(self._api.newest())


def create_beside_two_of_theirs(cloud: Cloud) -> None:
    """A reply is lost, and until batches end after two hours, each of three may be ours."""
    cloud.simulator.shape(provider="anthropic", seconds_to_complete=7_200)
    for _ in range(2):
        create_theirs(cloud, 2)
    cloud.clock.sleep(10)
    cloud.simulator.fault("reply_lost", provider="anthropic", operation="create")
    lines = [claude("one"), claude("two")]
    finish(cloud, cloud.drop("input/x.jsonl", jsonl(lines)), lines)
    charges = cloud.simulator.charges()["anthropic"]
    assert (charges["batches"], charges["requests"], charges["calls"]["create"]) == (3, 6, 3)


def ahead(listed: Iterator[ProviderBatch]) -> Iterator[ProviderBatch]:
    """By a clock that is five hours ahead of ours."""
    for each in listed:
        assert each.created_at is not None
        yield msgspec.structs.replace(each, created_at=each.created_at + 5 * 3_600)


def test_a_create_in_doubt_is_paid_once_where_the_providers_clock_is_hours_ahead() -> None:
    with new_cloud(wrap=lambda api: Relisted(api, ahead)) as cloud:  # type: ignore[arg-type,return-value]  # it stands in by its methods
        create_beside_two_of_theirs(cloud)


def test_listings_of_another_workspace_do_not_settle_which_batches_may_be_ours() -> None:
    with new_cloud(wrap=lambda api: Relisted(api, ahead)) as cloud:  # type: ignore[arg-type,return-value]  # it stands in by its methods
        secret = cloud.services.providers["anthropic"].secret
        cloud.simulator.shape(provider="anthropic", seconds_to_complete=20_000)
        cloud.simulator.fault("reply_lost", provider="anthropic", operation="create")
        lines = [claude("one"), claude("two")]
        job = cloud.drop("input/x.jsonl", jsonl(lines))
        cloud.deliver_all()
        cloud.secrets.values[secret] = "sk-of-another-workspace"
        for _ in range(10):
            cloud.tick(600)
            cloud.deliver_all()
        cloud.secrets.values[secret] = "sk-simulated"
        finish(cloud, job, lines)
        assert cloud.simulator.charges()["anthropic"]["batches"] == 1


def test_a_create_that_listings_show_after_the_grace_is_paid_once() -> None:
    def late(listed: Iterator[ProviderBatch]) -> Iterator[ProviderBatch]:
        ours, *theirs = sorted(listed, key=lambda each: each.created_at or 0, reverse=True)
        return iter(theirs if cloud.clock.now < began + 3_600 else [ours, *theirs])

    with new_cloud(wrap=lambda api: Relisted(api, late)) as cloud:  # type: ignore[arg-type,return-value]  # it stands in by its methods
        began = cloud.clock.now
        create_beside_two_of_theirs(cloud)


def test_a_doubt_that_no_listing_settles_raises_an_alarm(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    cloud.simulator.fault("reply_lost", provider="anthropic", operation="create")
    cloud.simulator.fault("status", provider="anthropic", operation="list", code=404, times=None)
    cloud.drop("input/x.jsonl", jsonl([claude("one")]))
    cloud.deliver_all()
    alarms = []
    for minutes in (20, 60):
        cloud.tick(minutes * 60)
        alarms.append("DoubtsLast" in capsys.readouterr().out)
    assert alarms == [False, True]


def test_where_uploads_cannot_be_deleted_a_create_that_was_never_made_is_made_after_the_grace(cloud: Cloud) -> None:
    cloud.simulator.fault("connection_reset", provider="openai", operation="create")
    cloud.simulator.fault("status", provider="openai", operation="delete", code=405, times=None)
    job = cloud.drop("input/x.jsonl", jsonl([chat("one")]))
    cloud.settle(rounds=100, tick=300)
    finish(cloud, job, [chat("one")])
    assert cloud.simulator.charges()["openai"]["batches"] == 1

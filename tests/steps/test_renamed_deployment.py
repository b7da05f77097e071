"""A deployment that is called otherwise than when it sent a batch: the batch is still its own, and nobody else's is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from batchdrop.aws.store import Store
from batchdrop.batches.orphaned_uploads import upload_name
from batchdrop.states import BatchState
from faking.cloud import TABLE, Cloud, jsonl
from faking.dynamodb import TableClient
from faking.lines import chat, claude, got, wanted
from faking.restoring import reconcile
from msgspec.structs import replace as changed

LINES = pytest.mark.parametrize(("line", "provider"), [(chat, "openai"), (claude, "anthropic")])
ANOTHER = "0a1b2c3d4e5f"


def rename(cloud: Cloud) -> None:
    """Deploy under another name, by a stack that adopts the table."""
    store = Store(TableClient(cloud.table), TABLE, now=cloud.clock.seconds)
    settings = changed(cloud.services.settings, deployment=ANOTHER)
    cloud.services = replace(cloud.services, settings=settings, store=store)


def drop(cloud: Cloud, lines: list[Any]) -> str:
    job = cloud.drop("input/x.jsonl", jsonl(lines))
    assert job is not None
    return job


def finish(cloud: Cloud, job: str, lines: list[Any]) -> None:
    cloud.settle(rounds=40, tick=300)
    assert [got(result) for result in cloud.outcome(job).results] == [wanted(line) for line in lines]


@LINES
def test_what_was_sent_under_another_name_is_delivered(cloud: Cloud, line: Any, provider: str) -> None:
    lines = [line(str(number)) for number in range(5)]
    job = drop(cloud, lines)
    cloud.deliver_all()
    assert [batch.state for batch in cloud.services.store.batches(job)] == [BatchState.IN_FLIGHT]
    rename(cloud)
    finish(cloud, job, lines)
    assert cloud.simulator.charges()[provider]["requests"] == 5


@LINES
def test_a_create_in_doubt_that_was_sent_under_another_name_is_found(cloud: Cloud, line: Any, provider: str) -> None:
    cloud.simulator.fault("reply_lost", provider=provider, operation="create")
    lines = [line(str(number)) for number in range(5)]
    job = drop(cloud, lines)
    cloud.deliver_all()
    assert [batch.state for batch in cloud.services.store.batches(job)] == [BatchState.SUBMITTING]
    rename(cloud)
    reconcile(cloud)
    finish(cloud, job, lines)
    assert cloud.simulator.charges()[provider]["batches"] == 1


@LINES
def test_requests_that_were_written_under_another_name_are_sent_once(cloud: Cloud, line: Any, provider: str) -> None:
    lines = [line(str(number)) for number in range(5)]
    job = drop(cloud, lines)
    cloud.deliver("plan")
    rename(cloud)
    reconcile(cloud)
    finish(cloud, job, lines)
    assert cloud.simulator.charges()[provider]["requests"] == 5


def test_an_upload_of_another_name_may_be_somebody_elses_and_is_never_deleted(cloud: Cloud, tmp_path: Path) -> None:
    job = cloud.run("input/x.jsonl", [chat("one")]).manifest.job
    api = cloud.services.apis["openai"]
    requests = tmp_path / "requests.jsonl"
    requests.write_bytes(b"{}\n")
    names = [upload_name(each, job, "00000-0-0000", 9) for each in ("test", "theirs")]
    for name in names:
        api.upload(requests, name=name)
    cloud.tick(9_000)
    assert [each.name for each in api.uploads()] == [names[1]]

"""A file of many splits is taken in few calls, and what a run did not come to, sweep does in as few."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from batchdrop.aws.queues import Queues
from batchdrop.aws.store import Store
from batchdrop.jobs import add_missing_splits
from batchdrop.services import Services
from batchdrop.steps.intake import take_object
from faking.cloud import BUCKET, REGION, TABLE, Cloud
from faking.cloud import cloud as new_cloud

SPLITS = 300
FILE = b"x" * 4 * SPLITS  # a large file's splits are four times as large


class DiedError(Exception):
    """The function's time was over."""


class Counting:
    """A client of AWS that counts its calls, and dies at one of a kind."""

    def __init__(self, service: Any, dies_at: tuple[str, int] | None = None) -> None:
        self._client = boto3.client(service, region_name=REGION)
        self._dies_at = dies_at
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        if not name.endswith(("_item", "_items", "_message", "_batch", "get_paginator")):
            return getattr(self._client, name)
        self.calls[name] += 1
        if self._dies_at == (name, self.calls[name]):
            raise DiedError
        return getattr(self._client, name)


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with new_cloud(split_bytes=1) as cloud:
        yield cloud


def counted(cloud: Cloud, dies_at: tuple[str, int] | None = None) -> tuple[Services, Counting, Counting]:
    table, queues = Counting("dynamodb", dies_at), Counting("sqs", dies_at)
    services = replace(
        cloud.services,
        store=Store(table, TABLE, now=cloud.services.now),  # type: ignore[arg-type]  # a stand-in by its methods
        queues=Queues(queues, cloud.services.settings),  # type: ignore[arg-type]  # the same
    )
    return services, table, queues


def take(cloud: Cloud, services: Services) -> str:
    version = cloud.s3.put_object(Bucket=BUCKET, Key="input/large.jsonl", Body=FILE)["VersionId"]
    job = take_object(cloud.dropped("input/large.jsonl", FILE, version), services)
    assert job is not None
    return job.id


def messages(cloud: Cloud) -> int:
    found = cloud.sqs.get_queue_attributes(QueueUrl=cloud.queue_urls["plan"], AttributeNames=["All"])
    return int(found["Attributes"]["ApproximateNumberOfMessages"])


def test_intake_writes_a_hundred_rows_and_sends_ten_messages_in_a_call(cloud: Cloud) -> None:
    services, table, queues = counted(cloud)
    services.store.restores.current("test")  # whose the table is, is asked once a minute
    table.calls.clear()
    job = take(cloud, services)
    # The job's own row, and the splits'.
    assert table.calls == {"transact_write_items": 1 + SPLITS // 100}
    assert queues.calls == {"send_message_batch": SPLITS // 10}
    assert [split.index for split in cloud.services.store.splits(job)] == list(range(SPLITS))
    assert messages(cloud) == SPLITS


@pytest.mark.parametrize(("dies_at", "rows"), [(("transact_write_items", 4), 200), (("send_message_batch", 3), SPLITS)])
def test_where_intake_dies_sweep_goes_on_in_few_calls(cloud: Cloud, dies_at: tuple[str, int], rows: int) -> None:
    services, _, _ = counted(cloud, dies_at)
    with pytest.raises(DiedError):
        take(cloud, services)
    (job,) = cloud.jobs()
    assert len(list(cloud.services.store.splits(job.id))) == rows
    services, table, queues = counted(cloud)
    add_missing_splits(job, services)
    missing = SPLITS - rows
    assert table.calls == Counter(get_paginator=1, transact_write_items=missing // 100)
    assert queues.calls == Counter(send_message_batch=missing // 10)
    cloud.clock.now += cloud.services.settings.lease_seconds
    cloud.tick()
    assert {split.index: split.sends for split in cloud.services.store.splits(job.id)} == dict.fromkeys(
        range(SPLITS), 1
    )


def test_rows_that_are_there_stay_and_the_others_are_added(cloud: Cloud) -> None:
    job = take(cloud, cloud.services)
    store = cloud.services.store
    first, second, *others = store.splits(job)
    claimed = store.claim(second, 900)
    for split in others[:150:2]:
        cloud.dynamodb.delete_item(
            TableName=TABLE, Key={"pk": {"S": f"JOB#{job}"}, "sk": {"S": f"SPLIT#{split.index:05}"}}
        )
    found = store.job(job)
    assert found is not None
    add_missing_splits(found, cloud.services)
    store.add_all([first, second, *others])
    assert list(store.splits(job)) == [first, claimed, *others]

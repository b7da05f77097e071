"""What a job leaves in `work/`, and at its provider, is deleted as time allows: sweep has a minute for everybody."""

from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import boto3
import pytest
from batchdrop.aws.bucket import Files
from batchdrop.aws.keys import work_prefix
from batchdrop.batches.orphaned_uploads import delete_orphans, upload_name
from batchdrop.providers.interface import BatchApi
from batchdrop.services import Services
from batchdrop.steps.sweep import sweep
from batchdrop.worker import Minute
from faking.cloud import BUCKET, REGION, Clock, Cloud, jsonl
from faking.lines import chat, mixed

CALL_SECONDS, PAGE = 13, 2


@pytest.fixture
def slow(cloud: Cloud) -> Services:
    """S3 deletes slowly, and lists little at once."""
    client: Any = boto3.client("s3", region_name=REGION)

    def wait(**_: object) -> None:
        cloud.clock.now += CALL_SECONDS

    def list_little(params: dict[str, Any], **_: object) -> None:
        params["MaxKeys"] = PAGE
        params.pop("KeyMarker", None)  # moto finds nothing behind a version that was deleted
        params.pop("VersionIdMarker", None)

    client.meta.events.register("before-call.s3.DeleteObjects", wait)
    client.meta.events.register("before-parameter-build.s3.ListObjectVersions", list_little)
    return replace(cloud.services, files=Files(client, BUCKET))


def leave_behind(cloud: Cloud, objects: int) -> str:
    """A finished job whose work files and rows are to be deleted again."""
    job = cloud.run("input/x.jsonl", mixed(2)).manifest.job
    for number in range(objects):
        cloud.services.files.put(f"{work_prefix(job)}{number:05}", b"")
    make_due(cloud, job)
    return job


def make_due(cloud: Cloud, job: str) -> None:
    row = cloud.services.store.job(job)
    assert row is not None
    cloud.services.store.set_due(row, cloud.clock.seconds() - 1)


def test_a_clean_up_that_takes_long_goes_on_in_the_next_sweep(cloud: Cloud, slow: Services) -> None:
    job = leave_behind(cloud, 5 * PAGE)
    left = []
    while not cloud.is_quiet():
        began = cloud.clock.now
        sweep(slow)
        assert cloud.clock.now - began < 30 + CALL_SECONDS
        left.append(len(cloud.keys(work_prefix(job))))
        cloud.clock.now += 60
    assert left == [2 * PAGE, 0]


def test_what_waits_is_admitted_by_a_sweep_that_cleans(cloud: Cloud, slow: Services) -> None:
    """Else a large job that is over would hold up those that are not."""
    first = leave_behind(cloud, 10 * PAGE)
    store = cloud.services.store
    store.providers.set_pause("openai", "no credit", cloud.clock.seconds() + 60)
    second = cloud.drop("input/y.jsonl", jsonl([chat("x", "1")]))
    assert second is not None
    cloud.deliver_all()
    cloud.clock.now += 61
    assert {each.state for each in store.batches(second)} == {"WAITING"}
    sweep(slow)
    assert cloud.keys(work_prefix(first))
    assert {each.state for each in store.batches(second)} == {"ADMITTED"}


class SlowDeletes:
    """A provider that takes long to delete a file."""

    def __init__(self, api: BatchApi, clock: Clock) -> None:
        self._api, self._clock = api, clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    def delete_upload(self, file_id: str) -> None:
        self._clock.now += CALL_SECONDS
        self._api.delete_upload(file_id)


def test_request_files_of_nobody_that_take_long_to_delete_do_not_take_the_whole_minute(
    cloud: Cloud, tmp_path: Path
) -> None:
    api = cloud.services.apis["openai"]
    requests = tmp_path / "requests.jsonl"
    requests.write_bytes(b"{}\n")
    for epoch in range(5):
        api.upload(requests, name=upload_name("test", "no-job", "00000-0-0000", epoch))
        cloud.clock.now += 1
    names = [each.name for each in sorted(api.uploads(), key=attrgetter("created_at"))]
    cloud.clock.now += 9_000
    began = cloud.clock.now
    delete_orphans("openai", slow_deletes(cloud), has_time=Minute(cloud.services).may_clean)
    assert cloud.clock.now - began < 30 + CALL_SECONDS
    assert sorted(each.name for each in api.uploads()) == names[3:]  # the oldest went first
    cloud.clock.now += 3_600
    sweep(cloud.services)
    assert list(api.uploads()) == []


def slow_deletes(cloud: Cloud) -> Services:
    apis = {"openai": SlowDeletes(cloud.services.apis["openai"], cloud.clock)}
    return replace(cloud.services, apis=apis)  # type: ignore[arg-type]  # it stands in by its items

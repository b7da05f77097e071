"""Ticks that are skipped change nothing: jobs end as those do for which every minute's functions run."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from batchdrop.steps.intake import take_object
from faking.cloud import BUCKET, Clock, Cloud, jsonl
from faking.deadlines import DEADLINE, HANGS, lines, one_at_a_time
from faking.moto_models import ACCOUNT
from moto.s3.models import s3_backends

KEY = "input/x.jsonl"
HELD_UNTIL_TOO_OLD = {"batchdrop-budget-usd": "0.000001", "batchdrop-max-age": "4h"}

_ID = re.compile(r"\d{8}T\d{6}Z|[0-9a-f]{8}(-[0-9a-f]{4}){3}-|[0-9a-f]{8,}")


def hang(cloud: Cloud) -> None:
    cloud.simulator.shape(**HANGS)


def take_hours(cloud: Cloud) -> None:
    cloud.simulator.shape(seconds_to_complete=5_000)


def lose_replies(cloud: Cloud) -> None:
    cloud.simulator.fault("reply_lost", operation="create", times=2)


def be_out_of_order(cloud: Cloud) -> None:
    cloud.simulator.fault("status", code=503, operation="create", times=12)


def refuse_the_key(cloud: Cloud) -> None:
    cloud.simulator.fault("status", code=401, provider="openai", times=3)


def fail_batches(cloud: Cloud) -> None:
    cloud.simulator.shape(seconds_to_complete=900, fail_batch="token_limit_exceeded", times=1)


def without_ids(value: Any) -> Any:
    """Any JSON; DynamoDB's numbers, which times are, stay as they are."""
    if isinstance(value, dict):
        return {_ID.sub("*", name): each if name == "N" else without_ids(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_ids(each) for each in value]
    return _ID.sub("*", value) if isinstance(value, str) else value


def rows(cloud: Cloud) -> list[str]:
    """What the table holds in the end, but for how often functions ran."""
    kept = [each for each in cloud.table.items.values() if each["sk"]["S"] not in {"LEASE", "LISTING"}]
    return sorted(json.dumps(without_ids(each), sort_keys=True) for each in kept)


def drop_at(moment: float, cloud: Cloud, metadata: dict[str, str]) -> str:
    """Drop a file; S3 says that it was put at this moment, where moto's clock would say when that really was."""
    body = jsonl(lines(6))
    version = cloud.s3.put_object(Bucket=BUCKET, Key=KEY, Body=body, Metadata=metadata)["VersionId"]
    s3_backends[ACCOUNT]["aws"].buckets[BUCKET].keys[KEY].last_modified = datetime.fromtimestamp(moment, UTC)
    return str(take_object(cloud.dropped(KEY, body, version), cloud.services).id)  # type: ignore[union-attr]  # it is new


def history(trouble: Callable[[Cloud], None], metadata: dict[str, str], began: float, *, skips: bool) -> Any:
    """What can be seen of a job after its end: when that was, its rows, its answers, its events, what it cost."""
    with one_at_a_time() as cloud:
        cloud.clock.now = began
        trouble(cloud)
        job = drop_at(began, cloud, metadata)
        cloud.settle(rounds=2_000, skips=skips)
        events = [(each["detail-type"], each["detail"]) for each in cloud.events()]
        told = without_ids([*cloud.outcome(job).results, *events])
        return cloud.clock.now - began, rows(cloud), told, cloud.simulator.charges()


@pytest.mark.parametrize(
    ("trouble", "metadata"),
    [
        (hang, {DEADLINE: "2h"}),
        (take_hours, {}),
        (lose_replies, {}),
        (be_out_of_order, {}),
        (refuse_the_key, {}),
        (fail_batches, {}),
        (hang, HELD_UNTIL_TOO_OLD),
    ],
)
def test_a_job_ends_the_same_whether_ticks_that_change_nothing_run_or_not(
    trouble: Callable[[Cloud], None], metadata: dict[str, str]
) -> None:
    began = Clock().now
    every, some = (history(trouble, metadata, began, skips=skips) for skips in (False, True))
    assert some == every

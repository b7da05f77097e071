"""A dropped file is noticed although no event tells of it; what had a job is never taken again."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from batchdrop.aws.bucket import Files, Version
from batchdrop.aws.leases import Listing
from batchdrop.errors import ClaimLost
from batchdrop.missed_drops import oldest_taken, send_missed_drops
from batchdrop.steps.intake import take_object
from faking.cloud import BUCKET, Cloud, jsonl
from faking.lines import chat, got, wanted

ROUND, DAY = 900, 86_400
LINES = [chat("one"), chat("two")]


def put(cloud: Cloud, key: str, lines: list[Any] = LINES) -> str:
    """Drop a file whose event is lost."""
    return str(cloud.s3.put_object(Bucket=BUCKET, Key=key, Body=jsonl(lines))["VersionId"])


def sent_in_a_round(cloud: Cloud) -> int:
    cloud.clock.now += ROUND
    return send_missed_drops(cloud.services)


def test_a_file_whose_event_is_lost_is_noticed_by_sweep(cloud: Cloud) -> None:
    put(cloud, "input/a/x.jsonl")
    cloud.tick(ROUND)
    cloud.deliver("intake")
    (job,) = cloud.jobs()
    cloud.settle()
    assert [got(result) for result in cloud.outcome(job.id).results] == [wanted(line) for line in LINES]


def test_a_version_that_has_a_job_is_not_taken_again(cloud: Cloud) -> None:
    cloud.drop("input/x.jsonl", jsonl(LINES))
    put(cloud, "input/y.jsonl")
    assert [sent_in_a_round(cloud) for _ in range(2)] == [1, 1]  # not taken yet
    cloud.deliver("intake")
    assert [sent_in_a_round(cloud) for _ in range(2)] == [0, 0]
    assert len(cloud.jobs()) == 2


def test_a_version_whose_event_comes_after_all_is_one_job(cloud: Cloud) -> None:
    version = put(cloud, "input/x.jsonl")
    dropped = cloud.dropped("input/x.jsonl", jsonl(LINES), version)
    assert sent_in_a_round(cloud) == 1
    take_object(dropped, cloud.services)
    cloud.deliver("intake")
    assert len(cloud.jobs()) == 1


def test_a_version_whose_job_was_deleted_is_not_taken_again(cloud: Cloud) -> None:
    id_ = cloud.drop("input/x.jsonl", jsonl(LINES))
    job = cloud.services.store.job(str(id_))
    assert job is not None
    cloud.services.store.delete_job(job)
    assert (cloud.jobs(), sent_in_a_round(cloud)) == ([], 0)


def test_what_is_no_job_is_not_sent(cloud: Cloud) -> None:
    for key in ("input/batchdrop.toml", "input/folder/", "work/x.jsonl", "output/x.jsonl", "x.jsonl"):
        put(cloud, key)
    assert sent_in_a_round(cloud) == 0


def test_a_file_that_was_just_dropped_is_left_to_its_event(cloud: Cloud) -> None:
    put(cloud, "input/x.jsonl")
    assert (send_missed_drops(cloud.services), sent_in_a_round(cloud)) == (0, 1)


def test_a_file_that_was_deleted_is_not_taken_and_one_that_was_replaced_is(cloud: Cloud) -> None:
    for name in ("deleted", "replaced", "repeated"):
        put(cloud, f"input/{name}.jsonl")
    cloud.s3.delete_object(Bucket=BUCKET, Key="input/deleted.jsonl")
    put(cloud, "input/replaced.jsonl", [chat("other")])
    put(cloud, "input/repeated.jsonl")  # the same again, since nothing happened
    assert sent_in_a_round(cloud) == 3
    cloud.deliver("intake")
    assert sorted(job.key for job in cloud.jobs()) == [
        "input/repeated.jsonl",
        "input/replaced.jsonl",
        "input/replaced.jsonl",
    ]


def test_what_is_older_than_the_table_is_left_alone(cloud: Cloud) -> None:
    put(cloud, "input/x.jsonl")
    cloud.table.created_at = datetime.fromtimestamp(cloud.clock.now + 60, UTC)  # it was restored
    assert sent_in_a_round(cloud) == 0


@pytest.mark.parametrize(
    ("listing", "table_at", "oldest"),
    [
        (Listing(name="d", begun_at=100 * DAY), 100 * DAY - 300, 100 * DAY - 300),  # a new deployment
        (Listing(name="d", begun_at=100 * DAY), 0, 100 * DAY - 900),  # one that adopts a table
        (Listing(name="d", begun_at=DAY, last_at=100 * DAY - 900), 0, 99 * DAY - 900),
        (Listing(name="d", begun_at=DAY, last_at=10 * DAY), 0, 86 * DAY),  # sweep did not run for months
        (Listing(name="d", begun_at=DAY, last_at=100 * DAY - 900), 100 * DAY - 9, 100 * DAY - 9),  # a restored table
    ],
)
def test_what_may_have_had_a_job_that_nobody_knows_is_left_alone(listing: Listing, table_at: int, oldest: int) -> None:
    assert oldest_taken(listing, table_at=table_at, now=100 * DAY) == oldest


def test_a_round_that_is_cut_goes_on_behind_the_last_key(cloud: Cloud) -> None:
    for number in range(6):
        put(cloud, f"input/{number}.jsonl")
    cloud.clock.now += ROUND
    looks = iter([True, True, True, False])
    assert send_missed_drops(cloud.services, lambda: next(looks)) == 3
    listing = cloud.services.store.leases.listing("test")
    assert (listing.after, listing.round_at) == ("input/2.jsonl", cloud.clock.seconds())
    assert send_missed_drops(cloud.services) == 3
    listing = cloud.services.store.leases.listing("test")
    assert (listing.after, listing.round_at, listing.next_at) == ("", None, cloud.clock.seconds() + ROUND)


def test_a_key_that_takes_a_whole_run_does_not_stop_the_round(cloud: Cloud) -> None:
    for _ in range(3):
        put(cloud, "input/a.jsonl", [chat(str(cloud.clock.now))])
    put(cloud, "input/b.jsonl")
    cloud.clock.now += ROUND
    looks = iter([True, True, False])
    send_missed_drops(cloud.services, lambda: next(looks))
    assert cloud.services.store.leases.listing("test").after == "input/a.jsonl"
    assert send_missed_drops(cloud.services) == 1


def test_a_long_round_is_followed_by_a_long_rest(cloud: Cloud) -> None:
    put(cloud, "input/a.jsonl")
    cloud.clock.now += ROUND
    send_missed_drops(cloud.services, lambda: False)
    cloud.clock.now += 600
    send_missed_drops(cloud.services)
    assert cloud.services.store.leases.listing("test").next_at == cloud.clock.seconds() + 10 * 600


def test_two_runs_do_not_both_go_on_with_a_round(cloud: Cloud) -> None:
    store = cloud.services.store
    listing = store.leases.listing("test")
    store.leases.save_listing(listing, round_at=1)
    with pytest.raises(ClaimLost):
        store.leases.save_listing(listing, round_at=2)


class Pages:
    """An S3 client whose listing has these pages."""

    def __init__(self, *pages: dict[str, Any]) -> None:
        self._pages = pages

    def get_paginator(self, _: str) -> "Pages":
        return self

    def paginate(self, **_: str) -> Iterator[dict[str, Any]]:
        return iter(self._pages)


def test_a_key_that_was_deleted_on_the_page_before_is_deleted() -> None:
    def listed(key: str) -> dict[str, Any]:
        at = datetime.fromtimestamp(5, UTC)
        return {"Key": key, "VersionId": "v", "ETag": '"e"', "Size": 1, "LastModified": at, "IsLatest": False}

    gone = {"Key": "input/b", "VersionId": "m", "IsLatest": True, "LastModified": datetime.fromtimestamp(6, UTC)}
    pages = Pages(
        {"Versions": [listed("input/a")], "DeleteMarkers": [gone]},
        {"KeyMarker": "input/b", "Versions": [listed("input/b"), listed("input/c")]},
    )
    found = Files(pages, BUCKET)  # type: ignore[arg-type]  # a stand-in by shape
    a, marker, b, c = found.versions("input/")
    assert (a.is_deleted, marker.is_deleted, b.is_deleted) == (False, True, True)
    assert c == Version(key="input/c", version_id="v", etag="e", bytes=1, last_modified=5, is_deleted=False)

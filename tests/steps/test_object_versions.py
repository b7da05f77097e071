"""A version is one job, whenever its events come, and whatever became of it meanwhile."""

from batchdrop.records import Job
from batchdrop.steps.intake import Dropped, take_object
from faking.cloud import BUCKET, Cloud, jsonl
from faking.lines import chat

KEY = "input/x.jsonl"
UPLOAD_SECONDS = 7_200


def event(cloud: Cloud, version: str, *, later: int = 0) -> Dropped:
    return Dropped(key=KEY, version_id=version, etag=None, bytes=5, time=cloud.clock.seconds() + later)


def taken(cloud: Cloud, dropped: Dropped) -> Job:
    job = take_object(dropped, cloud.services)
    assert job is not None
    return job


def put(cloud: Cloud) -> str:
    return str(cloud.s3.put_object(Bucket=BUCKET, Key=KEY, Body=jsonl([chat("one")]))["VersionId"])


def forget(cloud: Cloud, version: str) -> None:
    cloud.s3.delete_object(Bucket=BUCKET, Key=KEY, VersionId=version)


def test_a_late_event_of_an_upload_in_parts_that_is_gone_finds_its_job(cloud: Cloud) -> None:
    """S3 dates an upload in parts when it began, and its event when it ended."""
    version = put(cloud)
    job = taken(cloud, event(cloud, version, later=UPLOAD_SECONDS))
    forget(cloud, version)
    assert taken(cloud, event(cloud, version, later=UPLOAD_SECONDS)).id == job.id
    assert [each.id for each in cloud.jobs()] == [job.id]


def test_a_version_that_was_never_seen_and_is_gone_is_one_failed_job_however_often_it_is_told(cloud: Cloud) -> None:
    version = put(cloud)
    forget(cloud, version)
    cloud.clock.now += 900
    first = taken(cloud, event(cloud, version, later=-900))
    again = taken(cloud, event(cloud, version, later=-897))
    assert (first.id, first.outcome) == (again.id, "FAILED")


def test_two_versions_of_a_key_are_two_jobs(cloud: Cloud) -> None:
    versions = [put(cloud), put(cloud)]
    jobs = {taken(cloud, event(cloud, version)).id for version in versions}
    for version in versions:
        forget(cloud, version)
    assert {taken(cloud, event(cloud, version, later=UPLOAD_SECONDS)).id for version in versions} == jobs
    assert len(jobs) == 2


def test_what_names_a_versions_job_outlives_the_job(cloud: Cloud) -> None:
    id_ = cloud.drop(KEY, jsonl([chat("one")]), **{"batchdrop-max_age": "2d"})
    job = cloud.services.store.job(id_ or "")
    assert job is not None
    (item,) = [
        each for each in cloud.dynamodb.scan(TableName="table")["Items"] if each["pk"]["S"].startswith("VERSION#")
    ]
    assert item["job"]["S"] == job.id
    assert int(item["expires_at"]["N"]) == job.dropped_at + (2 + 90) * 86_400

"""All that is kept of a job, deleted when someone asks for it."""

import boto3
import pytest
from batchdrop.intake import take_object
from faking.cloud import BUCKET, Cloud, jsonl
from faking.lines import mixed

from batchdrop_cli.cloud import Cloud as UsersCloud
from batchdrop_cli.forget import forget


@pytest.fixture
def user(cloud: Cloud) -> UsersCloud:
    bucket, table = cloud.services.settings.bucket, cloud.services.settings.table
    session = boto3.DEFAULT_SESSION  # whose clients the table in memory answers
    assert session is not None
    return UsersCloud(title="test", is_local=True, bucket=bucket, table=table, session=session)


def test_nothing_names_a_forgotten_job_and_another_version_of_its_file_stays(cloud: Cloud, user: UsersCloud) -> None:
    key = "input/a/secret-name.jsonl"
    first = cloud.run(key, mixed(4)).manifest
    second = cloud.run(key, mixed(5)).manifest
    job = cloud.services.store.job(first.job)
    assert job is not None
    assert forget(user, job, cloud.services.apis) == []
    assert [each for each in cloud.keys("") if first.job in each] == []
    versions = cloud.s3.list_object_versions(Bucket=BUCKET, Prefix=key)["Versions"]
    assert [each["VersionId"] for each in versions] == [second.input.version_id]
    rows = f"{[item for item in cloud.table.items.values() if second.job not in str(item)]}"
    assert "secret-name" not in rows
    assert cloud.services.store.job(second.job) is not None
    assert len(cloud.outcome(second.job).results) == 5


def test_a_late_event_of_a_forgotten_job_makes_no_job_of_it(cloud: Cloud, user: UsersCloud) -> None:
    out = cloud.run("input/x.jsonl", mixed(2)).manifest
    job = cloud.services.store.job(out.job)
    assert job is not None
    forget(user, job, cloud.services.apis)
    late = cloud.dropped("input/x.jsonl", jsonl(mixed(2)), out.input.version_id)
    assert take_object(late, cloud.services) is None
    assert cloud.jobs() == []

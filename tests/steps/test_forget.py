"""All that is kept of a job, deleted when someone asks for it."""

import boto3
import pytest
from batchdrop.aws.row_versions import ROW_VERSION
from batchdrop.steps.intake import take_object
from faking.cloud import BUCKET, Cloud, jsonl
from faking.lines import mixed

from batchdrop_cli.cloud import Cloud as UsersCloud
from batchdrop_cli.forget import forget

DAYS = 20 * 86_400


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


def stick(cloud: Cloud) -> str:
    """A job whose batches were given up at their providers, which go on with them."""
    for provider in ("openai", "anthropic"):
        cloud.simulator.shape(provider=provider, stuck=True, seconds_to_cancel=DAYS)
    job = cloud.drop("input/x.jsonl", jsonl(mixed(2)))
    assert job is not None
    cloud.settle(tick=3_600)
    return job


def test_what_was_given_up_at_a_provider_is_named_until_it_has_ended_there_and_then_deleted(
    cloud: Cloud, user: UsersCloud
) -> None:
    job = cloud.services.store.job(stick(cloud))
    assert job is not None
    found = {each.provider: each.batch_id for each in cloud.services.store.batches(job.id)}
    said = [f"{provider} keeps batch {found[provider]}: it has not ended there" for provider in sorted(found)]
    assert sorted(forget(user, job, cloud.services.apis)) == said
    assert len(said) == 2
    cloud.clock.now += DAYS
    assert forget(user, job, cloud.services.apis) == []
    assert cloud.simulator.charges()["anthropic"]["batches_stored"] == 0
    assert cloud.simulator.charges()["openai"]["files"] == 0
    assert cloud.services.store.job(job.id) is None
    assert [key for key in cloud.rows() if key[1].startswith("BATCH#00")] == []


def test_the_row_of_a_batch_that_was_given_up_expires_with_its_jobs(cloud: Cloud) -> None:
    job = cloud.services.store.job(stick(cloud))
    assert job is not None
    assert [each.expires_at for each in cloud.services.store.batches(job.id)] == [job.expires_at] * 2


@pytest.mark.parametrize(
    "values", [{"version": {"N": str(ROW_VERSION + 1)}}, {"requests": {"S": "many"}}], ids=["newer", "damaged"]
)
def test_a_batch_whose_row_cannot_be_read_is_named_and_its_row_stays(
    cloud: Cloud, user: UsersCloud, values: dict[str, dict[str, str]]
) -> None:
    job = cloud.services.store.job(stick(cloud))
    assert job is not None
    for pk, sk in list(cloud.table.items):
        if sk.startswith("BATCH#00"):
            cloud.table.items[pk, sk] |= values
    cloud.services.store.set_due(job, 0)
    cloud.tick()
    left = forget(user, job, cloud.services.apis)
    assert len([each for each in left if "which alone says what its provider keeps, cannot be read" in each]) == 2
    assert len([key for key in cloud.rows() if key[1].startswith("BATCH#00")]) == 2
    assert cloud.services.store.job(job.id) is not None


@pytest.mark.parametrize("version_id", ["null", None])
def test_a_version_from_before_versioning_is_deleted_and_not_only_hidden(
    cloud: Cloud, user: UsersCloud, version_id: str | None
) -> None:
    cloud.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    cloud.s3.put_object(Bucket=BUCKET, Key="input/x.jsonl", Body=jsonl(mixed(2)))
    cloud.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    taken = take_object(cloud.dropped("input/x.jsonl", b"x", None), cloud.services)
    assert taken is not None
    cloud.settle()
    job = cloud.services.store.job(taken.id)
    assert job is not None
    assert forget(user, job.with_(version_id=version_id), cloud.services.apis) == []
    assert cloud.keys("") == []


def test_a_late_event_of_a_forgotten_job_makes_no_job_of_it(cloud: Cloud, user: UsersCloud) -> None:
    out = cloud.run("input/x.jsonl", mixed(2)).manifest
    job = cloud.services.store.job(out.job)
    assert job is not None
    forget(user, job, cloud.services.apis)
    late = cloud.dropped("input/x.jsonl", jsonl(mixed(2)), out.input.version_id)
    assert take_object(late, cloud.services) is None
    assert cloud.jobs() == []

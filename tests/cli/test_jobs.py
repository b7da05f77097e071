import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import boto3
import pytest
from batchdrop.aws.table_items import add_retry
from batchdrop.records import Job
from batchdrop.states import JobState
from botocore.exceptions import ClientError

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.jobs import list_recent

if TYPE_CHECKING:
    from conftest import Aws, Run


BUCKET, TABLE = "batchdrop-test", "batchdrop-jobs"


@pytest.fixture
def two(aws: "Aws", a_job: Callable[..., Job]) -> tuple[Job, Job]:
    """The older and the newer of two jobs of today, beside one of long ago."""
    older = a_job(state=JobState.COMPLETED, outcome=JobState.COMPLETED, published_at=1_793_870_100)
    newer = a_job(job=a_job().id.replace("T091412Z", "T101412Z"), key="input/[b].jsonl")
    for job in (older, newer, a_job(job="20250101T000000Z-0000000000")):
        aws.store.add(job)
    return older, newer


def test_jobs_lists_the_recent_ones_newest_first(run: "Run", two: tuple[Job, Job]) -> None:
    code, out, err = run("jobs")
    assert (code, err) == (0, "")
    assert [line.split() for line in out.splitlines()] == [
        ["job", "state", "dropped", "bytes", "answered", "failed", "tokens", "cost", "file"],
        [two[1].id, "RUNNING", "2026-11-05T09:14:12Z", "91,234", "[b].jsonl"],
        [two[0].id, "COMPLETED", "2026-11-05T09:14:12Z", "91,234", "mine/reviews.jsonl"],
    ]


def test_a_job_of_newer_code_is_named_and_the_others_are_shown(run: "Run", two: tuple[Job, Job]) -> None:
    make_newer(two[1].id)
    code, out, err = run("jobs")
    assert (code, two[0].id in out, two[1].id in out, err) == (0, True, False, f"{newer_sentence(two[1].id)}\n")
    assert run("show", two[1].id)[0::2] == (1, f"{newer_sentence(two[1].id)}\n")


def test_a_retry_of_newer_code_is_named_beside_its_job(run: "Run", aws: "Aws", a_job: Callable[..., Job]) -> None:
    job, retry = a_job(), a_job(job=RETRY)
    aws.store.add(job)
    aws.store.add(retry, also=[add_retry(retry, job.id, 2_000_000_000)])
    make_newer(RETRY)
    assert run("show", job.id)[0::2] == (0, f"{newer_sentence(RETRY)}\n")


RETRY = "20261105T111412Z-0000000000"


def newer_sentence(job: str) -> str:
    return f"Job {job} was written by a newer version of batchdrop: upgrade this command to see it."


def make_newer(job: str) -> None:
    boto3.client("dynamodb").update_item(
        TableName=TABLE,
        Key={"pk": {"S": f"JOB#{job}"}, "sk": {"S": "JOB"}},
        UpdateExpression="SET version = :newer",
        ExpressionAttributeValues={":newer": {"N": "999"}},
    )


def test_jobs_as_json_is_a_list(run: "Run", two: tuple[Job, Job]) -> None:
    assert json.loads(run("jobs", "--json").out)[1:] == [
        {
            "job": two[0].id,
            "state": "COMPLETED",
            "outcome": "COMPLETED",
            "reason": None,
            "key": "input/mine/reviews.jsonl",
            "bytes": 91_234,
            "dropped_at": "2026-11-05T09:14:12Z",
            "published_at": "2026-11-05T09:15:00Z",
            "totals": None,
        }
    ]


def test_jobs_takes_a_limit(run: "Run", two: tuple[Job, Job]) -> None:
    assert [each["job"] for each in json.loads(run("jobs", "--json", "--limit", "1").out)] == [two[1].id]


@pytest.mark.usefixtures("aws")
def test_no_jobs_are_said_and_an_empty_list_is_json(run: "Run") -> None:
    assert run("jobs") == (0, "", "No file was dropped in the last 7 days. Drop one with: batchdrop put FILE\n")
    assert run("jobs", "--json") == (0, "[]\n", "")


def test_who_may_not_read_a_folders_results_sees_its_jobs_all_the_same(aws: "Aws", a_job: Callable[..., Job]) -> None:
    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject")

    cloud = Cloud(title="", is_local=False, bucket=BUCKET, table=TABLE, session=boto3.Session())
    cloud.s3.meta.events.register("before-call.s3.GetObject", refuse)
    job = a_job(state=JobState.COMPLETED, manifest_key="output/theirs/manifest.json")
    aws.store.add(job)
    assert [(each.job, each.totals) for each in list_recent(cloud, days=2, limit=5)] == [(job.id, None)]

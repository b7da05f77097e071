"""A deployed stack as the command meets it: bucket, table and secrets in moto, its outputs from a small server."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
import pytest
from batchdrop.aws.store import Store
from batchdrop.records import Batch, Job, JobSettings
from batchdrop.states import JobState
from faking import rows
from faking.dynamodb import table_in_memory
from faking.stacks import a_stack
from faults.table import Table
from moto import mock_aws

from batchdrop_cli.main import main

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient

REGION, BUCKET, TABLE = "eu-central-1", "batchdrop-test", "batchdrop-jobs"
JOB = f"{datetime.now(UTC):%Y%m%d}T091412Z-7f3a9c2e51"  # dropped today, so that it is among the recent ones
NOW = 1_794_000_000


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@dataclass(frozen=True, kw_only=True)
class Aws:
    s3: "S3Client"
    secrets: "SecretsManagerClient"
    store: Store

    def drop(self, key: str, body: bytes) -> dict[str, str]:
        answer = self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        return {"version_id": answer["VersionId"], "etag": answer["ETag"].strip('"')}

    def keys(self, prefix: str = "") -> list[str]:
        return [each["Key"] for each in self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]


@pytest.fixture(scope="session")
def stacks() -> Iterator[str]:
    with a_stack(bucket=BUCKET, table=TABLE) as address:
        yield address


@pytest.fixture
def aws(stacks: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Aws]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", stacks)
    monkeypatch.chdir(tmp_path)  # no local cloud is up here
    with mock_aws(), table_in_memory(Table()):
        s3: S3Client = _client("s3")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        dynamodb: DynamoDBClient = _client("dynamodb")
        secrets: SecretsManagerClient = _client("secretsmanager")
        yield Aws(s3=s3, secrets=secrets, store=Store(dynamodb, TABLE, now=lambda: NOW))


@cache
def _client(service: str) -> Any:
    """One for all tests, that none listens at: a client takes as long to make as a command to run."""
    return boto3.client(service, region_name=REGION)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in this process, in a pipe or in `width` columns: its exit code and what it said."""

    def run_(*arguments: str | Path, width: int | None = None) -> Ran:
        capsys.readouterr()
        monkeypatch.delenv("COLUMNS", raising=False) if width is None else monkeypatch.setenv("COLUMNS", str(width))
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return run_


@pytest.fixture
def a_job() -> Callable[..., Job]:
    """A job that runs; with changes."""
    return rows.a_job(
        job=JOB,
        state=JobState.RUNNING,
        bucket=BUCKET,
        key="input/mine/reviews.jsonl",
        version_id="v1",
        etag="e1",
        bytes=91_234,
        dropped_at=1_793_870_052,
        settings=JobSettings(),
        splits=1,
        unplanned=0,
        unassembled=0,
        due_at=NOW,
    ).with_


@pytest.fixture
def a_batch() -> Callable[..., Batch]:
    """A batch of it that waits; with changes."""
    chat = rows.a_batch(job=JOB, endpoint="/v1/chat/completions", model="gpt-4o-mini", ledger="openai/gpt-4o-mini")
    return chat.with_(token="t", requests=200, bytes=1_000, tokens=300, cost=300, due_at=NOW).with_

"""The whole way, deployed: the command drops the example, the functions do their work, the consumer counts it once."""

import json
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pytest

import local_cloud
from batchdrop_cli.main import main
from local_cloud import LocalCloud
from local_cloud.deployment import CDK, ROOT, context
from local_cloud.environment import of_deployment
from local_cloud.state import Folder

pytestmark = pytest.mark.e2e

STACK = "batchdrop-consumer"
EXAMPLE = ROOT / "examples/reviews_and_rights.jsonl"
QUIET_SECONDS = 3  # long enough for a second event to have come and been taken


@pytest.fixture
def cloud(cloud_dir: Path) -> LocalCloud:
    return local_cloud.up(cloud_dir)


def client(cloud: LocalCloud, service: str, *, resource: bool = False) -> Any:
    make = boto3.resource if resource else boto3.client
    return make(
        service,
        endpoint_url=cloud.endpoint,
        region_name=cloud.region,
        aws_access_key_id=cloud.access_key_id,
        aws_secret_access_key=cloud.secret_access_key,
    )


def deploy_consumer(cloud: LocalCloud) -> dict[str, str]:
    """Deploy the example's stack as its README says; its outputs."""
    folder = Folder(Path(cloud.state_dir))
    saved = folder.read()
    assert saved is not None
    app = f"{sys.executable} {ROOT / 'examples/consumer/app.py'}"
    command = [str(CDK), "deploy", STACK, "--app", app, "--output", str(folder.path.parent / "consumer.out")]
    command += ["--require-approval", "never", "--context", f"bucket={cloud.bucket}"]
    command += ["--context", f"arch={context(folder)['arch']}"]
    subprocess.run(command, cwd=ROOT, env=of_deployment(folder, saved), check=True, capture_output=True, timeout=900)
    (stack,) = client(cloud, "cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def wait_for_row(table: Any, job: str) -> dict[str, Any]:
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline:
        answer: dict[str, Any] = table.get_item(Key={"job": job}, ConsistentRead=True)
        if "Item" in answer:
            return dict(answer["Item"])
        time.sleep(0.2)
    raise AssertionError(f"the consumer wrote no row for {job}")


def test_a_finished_job_is_counted_exactly_once(
    cloud: LocalCloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = deploy_consumer(cloud)
    table = client(cloud, "dynamodb", resource=True).Table(outputs["Summaries"])
    code = main(["run", str(EXAMPLE), "-o", str(tmp_path), "--csv", "--state-dir", cloud.state_dir])
    said = capsys.readouterr()
    assert code == 0, said.err
    assert "completed: 300 of 300 lines answered." in said.out
    manifest = json.loads((tmp_path / "manifest.json").read_bytes())

    row = wait_for_row(table, manifest["job"])
    labels = row.pop("labels")
    assert row == {"job": manifest["job"], "file": "input/reviews_and_rights.jsonl", "answered": 300, "failed": 0}
    assert {model: sum(counts.values()) for model, counts in labels.items()} == {
        "gpt-4o-mini": Decimal(125),
        "claude-haiku-4-5": Decimal(135),
    }
    assert {label for counts in labels.values() for label in counts} == {"positive", "negative", "neutral", "other"}

    table.update_item(
        Key={"job": manifest["job"]},
        UpdateExpression="SET seen = :yes",
        ExpressionAttributeValues={":yes": True},
    )
    prefix = manifest["files"]["results"][0]["key"].rpartition("/")[0]
    detail = {
        "job": manifest["job"],
        "input": manifest["input"],
        "manifest": {"bucket": cloud.bucket, "key": f"{prefix}/manifest.json", "version_id": None},
    }
    event = {"Source": "batchdrop", "DetailType": "Job Completed", "Detail": json.dumps(detail)}
    client(cloud, "events").put_events(Entries=[event])
    time.sleep(QUIET_SECONDS)
    assert "seen" in wait_for_row(table, manifest["job"])

"""A cloud that is ended in the middle of jobs comes back with all that it had, and the jobs go on."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from faking.cloud import jsonl
from faking.lines import chat, got, mixed, wanted

import local_cloud

if TYPE_CHECKING:
    from e2e.conftest import Behind, User

pytestmark = pytest.mark.e2e

HOUR = 3_600
KEY = "sk-real-canary"
ROW = {"pk": {"S": "TEST"}, "sk": {"S": "row"}, "n": {"N": "1"}}


@pytest.mark.parametrize("end", ["killed", "stopped"])
def test_a_cloud_comes_back_with_what_it_had_and_its_jobs_go_on(user: "User", behind: "Behind", end: str) -> None:
    before, charged_before = behind.cloud, charged(behind)
    dropped = {"before": mixed(20), "at the end": [chat("at the end")], "after": [chat("after")]}
    write(behind, end)
    behind.control("POST", "shape", model="*", seconds_to_complete=HOUR)
    user.put(f"{end}-before", jsonl(dropped["before"]))
    behind.wait(lambda: states_of_batches(behind) == ["IN_FLIGHT"] * 4)
    behind.control("DELETE", "faults")
    if end == "killed":
        dropped.pop("at the end")  # its event may be lost, and sweep lists what was dropped after 20 minutes
        held = behind.kill()
    else:
        held = []
        user.put(f"{end}-at the end", jsonl(dropped["at the end"]))
        stop(behind)

    after = behind.up()
    behind.free(held)
    assert (after.endpoint, after.bucket, after.table) == (before.endpoint, before.bucket, before.table)
    assert written(behind, end) == ([ROW], b"kept")
    behind.control("POST", "advance", seconds=HOUR)
    user.put(f"{end}-after", jsonl(dropped["after"]))
    for name, lines in dropped.items():
        answered = user.fetch(f"{end}-{name}")
        assert [got(json.loads(result)) for result in answered.results.splitlines()] == [wanted(line) for line in lines]
    assert charged(behind) == charged_before + sum(map(len, dropped.values()))


def stop(behind: "Behind") -> None:
    """End all that was started; real keys are forgotten."""
    pids = behind.cloud.pids
    assert set(pids) == {"emulator", "simulator", "ticker"}
    behind.aws("secretsmanager").create_secret(Name="somebodys/key", SecretString=KEY)
    assert local_cloud.down(behind.state_dir)
    assert local_cloud.current(behind.state_dir) is None
    assert not any(Path("/proc", str(pid)).exists() for pid in pids.values())
    assert not local_cloud.down(behind.state_dir)
    files = [path for path in behind.state_dir.rglob("*") if path.is_file()]
    assert [path.name for path in files if KEY.encode() in path.read_bytes()] == []


def write(behind: "Behind", what: str) -> None:
    """A row and an object, and a row that is deleted."""
    table, rows = behind.cloud.table, behind.aws("dynamodb")
    for row in (ROW, ROW | {"sk": {"S": "gone"}}):
        rows.put_item(TableName=table, Item=row | {"pk": {"S": f"TEST#{what}"}})
    rows.delete_item(TableName=table, Key={"pk": {"S": f"TEST#{what}"}, "sk": {"S": "gone"}})
    behind.aws("s3").put_object(Bucket=behind.cloud.bucket, Key=f"work/{what}", Body=b"kept")


def written(behind: "Behind", what: str) -> tuple[list[dict[str, Any]], bytes]:
    rows = behind.aws("dynamodb").query(
        TableName=behind.cloud.table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": f"TEST#{what}"}},
    )
    kept = behind.aws("s3").get_object(Bucket=behind.cloud.bucket, Key=f"work/{what}")["Body"].read()
    return [row | {"pk": {"S": "TEST"}} for row in rows["Items"]], kept


def charged(behind: "Behind") -> int:
    """How many requests the providers have taken money for."""
    return sum(int(provider["requests"]) for provider in behind.control("GET", "charges").values())


def states_of_batches(behind: "Behind") -> list[str]:
    """Of the jobs that are not over: the rows of others are gone."""
    return [row["state"]["S"] for row in behind.rows() if row["sk"]["S"].startswith("BATCH#") and "state" in row]

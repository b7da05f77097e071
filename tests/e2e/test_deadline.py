"""A job whose batches hang, on deployed functions: what they left is called, with the emulator killed in between."""

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from faking.cloud import jsonl
from faking.lines import chat, claude, got, wanted

if TYPE_CHECKING:
    from e2e.conftest import Behind, User

pytestmark = pytest.mark.e2e

LINES = [chat(f"hurry {number}") if number % 2 else claude(f"hurry {number}") for number in range(40)]
KEY = "input/hurried.jsonl"
NEAR = 40  # seconds, twenty ticks of two: less than a cancel and the margin take


@pytest.fixture
def hanging(behind: "Behind") -> Iterator[None]:
    """Batches hang, and each call takes half a second."""
    behind.control("POST", "shape", seconds_to_complete=10**6, seconds_to_cancel=2)
    behind.control("POST", "faults", fault="slow", operation="realtime", seconds=0.5, times=None)
    yield
    behind.control("DELETE", "faults")


def are_in_flight(behind: "Behind") -> bool:
    states = [row["state"]["S"] for row in behind.rows() if row["sk"]["S"].startswith("BATCH#") and "state" in row]
    return states == ["IN_FLIGHT", "IN_FLIGHT"]


def finishes_by_calls(behind: "Behind") -> bool:
    """Whether the job does; while it does not, its deadline comes near, as if an hour had gone by."""
    (job,) = [row for row in behind.rows() if row.get("key") == {"S": KEY} and row["sk"] == {"S": "JOB"}]
    now = int(time.time())
    if "finishing_at" not in job and not now < int(job["deadline_at"]["N"]) <= now + NEAR:
        behind.aws("dynamodb").update_item(
            TableName=behind.cloud.table,
            Key={name: job[name] for name in ("pk", "sk")},
            UpdateExpression="SET deadline_at = :near, due_at = :now",
            ExpressionAttributeValues={":near": {"N": str(now + NEAR)}, ":now": {"N": str(now)}},
        )
    return "finishing_at" in job


def called(behind: "Behind") -> int:
    return sum(int(each["realtime"]["requests"]) for each in behind.control("GET", "charges").values())


@pytest.mark.usefixtures("hanging")
def test_what_hangs_is_called_though_the_emulator_is_killed(user: "User", behind: "Behind") -> None:
    before = behind.control("GET", "charges")
    dropped = {"Key": KEY, "Body": jsonl(LINES), "Metadata": {"batchdrop-deadline": "1h"}}
    behind.aws("s3").put_object(Bucket=behind.cloud.bucket, **dropped)
    behind.wait(lambda: are_in_flight(behind))
    behind.wait(lambda: finishes_by_calls(behind))
    behind.wait(lambda: called(behind) >= len(LINES) // 4)
    held = behind.kill()
    behind.up()
    behind.free(held)

    answered = user.fetch("hurried")
    results = [json.loads(line) for line in answered.results.splitlines()]
    assert [got(each) for each in results] == [wanted(line) for line in LINES]
    assert {each["via"] for each in results} == {"realtime"}
    told = answered.manifest["deadline"]
    assert told["finished_realtime"] == len(LINES)
    after = behind.control("GET", "charges")
    twice = sum(int(after[name]["bodies_charged_more_than_once"]) for name in after)
    assert twice - sum(int(before[name]["bodies_charged_more_than_once"]) for name in before) <= told["doubts"]
    paid = sum(int(after[name]["realtime"]["requests"] - before[name]["realtime"]["requests"]) for name in after)
    assert len(LINES) <= paid <= len(LINES) + told["doubts"]
    assert [after[name]["requests"] for name in after] == [before[name]["requests"] for name in before]

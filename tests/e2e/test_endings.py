"""A unit that fails each time has an end, with deployed functions: here a batch's request file is gone."""

import json
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from batchdrop.failures import MOST_UNPAID
from faking.cloud import jsonl
from faking.lines import chat, claude, got, wanted

if TYPE_CHECKING:
    from e2e.conftest import Behind, User

pytestmark = pytest.mark.e2e

PATIENCE = 900  # seconds; a few are enough on a machine that does nothing else


@pytest.fixture
def no_uploads(behind: "Behind") -> Iterator[None]:
    """OpenAI takes no file until the test says so: a batch is planned, and not sent."""
    behind.control("POST", "faults", fault="status", provider="openai", operation="upload", code=429, times=1_000)
    yield
    behind.control("DELETE", "faults")


@pytest.mark.usefixtures("no_uploads")
def test_a_batch_that_fails_each_time_ends_its_job_with_a_reason_and_no_other_job(
    user: "User", behind: "Behind", events: Callable[..., list[dict[str, Any]]]
) -> None:
    alarms = len(logged(behind, "sweep", "JobsGivenUp"))
    dropped = [chat("is never sent"), claude("is answered")]
    user.put("endless", jsonl(dropped))
    behind.wait(lambda: len(openai_batches(behind)) == 1, seconds=PATIENCE)
    (batch,) = openai_batches(behind)
    behind.aws("s3").delete_object(Bucket=behind.cloud.bucket, Key=batch["requests_key"]["S"])
    behind.control("DELETE", "faults")
    beside = [chat("beside"), claude("beside")]
    user.put("beside", jsonl(beside))

    job = str(batch["job"]["S"])
    for tries in range(1, MOST_UNPAID + 1):
        behind.wait(lambda least=tries: len(failures(behind, job)) >= least, seconds=PATIENCE)  # type: ignore[misc]
        let_its_time_come(behind, batch)

    other = user.fetch("beside")
    assert other.manifest["status"] == "COMPLETED"
    assert [got(json.loads(line)) for line in other.results.splitlines()] == [wanted(line) for line in beside]

    answered = user.fetch("endless")
    reason, (never_sent, is_answered) = answered.manifest["reason"], map(json.loads, answered.results.splitlines())
    assert (answered.manifest["status"], len(failures(behind, job))) == ("FAILED", MOST_UNPAID)
    assert reason == (
        f"Batch 00000-0-0000 (openai, gpt-4o-mini, 1 requests) failed {MOST_UNPAID} times in a row: look for {job} in "
        'the log group of the function Submit ("unit failed", a timeout, or too little memory).'
    )
    assert (never_sent["error"]["code"], got(is_answered)) == ("submit_failed", wanted(dropped[1]))
    assert answered.failed == jsonl(dropped[:1])
    assert len(logged(behind, "sweep", "JobsGivenUp")) > alarms
    ends = [each["detail"] | {"kind": each["detail-type"]} for each in events("endless", "beside")]
    assert {each["job"]: (each["kind"], each["reason"]) for each in ends} == {
        job: ("Job Failed", reason),
        other.manifest["job"]: ("Job Completed", None),
    }


def openai_batches(behind: "Behind") -> list[dict[str, Any]]:
    """Those of jobs that are not over."""
    rows = [row for row in behind.rows() if row["sk"]["S"].startswith("BATCH#") and "state" in row]
    return [row for row in rows if row["provider"]["S"] == "openai"]


def let_its_time_come(behind: "Behind", batch: dict[str, Any]) -> None:
    """A worker's claim ends, and the wait for the next try, as if hours had gone by."""
    behind.aws("dynamodb").update_item(
        TableName=behind.cloud.table,
        Key={name: batch[name] for name in ("pk", "sk")},
        UpdateExpression="SET due_at = :past, claimed_until = :past",
        ConditionExpression="attribute_exists(pk)",
        ExpressionAttributeValues={":past": {"N": str(int(time.time()) - 1)}},
    )


def failures(behind: "Behind", job: str) -> list[str]:
    return logged(behind, "submit", '"unit failed"', job)


def logged(behind: "Behind", step: str, *words: str) -> list[str]:
    """The lines of a step's log that hold all of these."""
    lines = behind.logs().get(step, "").splitlines()
    return [line for line in lines if all(word in line for word in words)]

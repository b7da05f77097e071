"""A job over its budget, on deployed functions: it is held and pays nothing, until the command approves it."""

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from e2e.conftest import COMMAND
from faking.cloud import jsonl
from faking.lines import capped, claude, got, wanted

if TYPE_CHECKING:
    from e2e.conftest import Behind, User

pytestmark = pytest.mark.e2e

LINES = [capped("dear 0"), claude("dear 1"), capped("dear 2")]


def charged(behind: "Behind") -> dict[str, tuple[int, int]]:
    charges = behind.control("GET", "charges")
    return {name: (int(each["batches"]), int(each["requests"])) for name, each in charges.items()}


def row_of(behind: "Behind", name: str) -> dict[str, Any]:
    """The row of a file's job; empty while there is none."""
    return next((row for row in behind.rows() if row.get("key") == {"S": f"input/{name}.jsonl"}), {})


def batchdrop(behind: "Behind", *words: str) -> str:
    where = {"BATCHDROP_STATE_DIR": str(behind.state_dir)}
    done = subprocess.run([str(COMMAND), *words], env=os.environ | where, capture_output=True, text=True, check=True)
    return done.stdout


def test_a_job_over_its_budget_pays_nothing_until_it_is_approved(user: "User", behind: "Behind") -> None:
    before = charged(behind)
    dropped = {"Key": "input/dear.jsonl", "Body": jsonl(LINES), "Metadata": {"batchdrop-budget-usd": "0.000001"}}
    behind.aws("s3").put_object(Bucket=behind.cloud.bucket, **dropped)
    behind.wait(lambda: row_of(behind, "dear").get("is_announced") == {"BOOL": True}, seconds=300)
    held = row_of(behind, "dear")
    assert held["state"] == {"S": "HELD"}
    assert "more than its budget of $0.000001 (budget_usd)." in held["reason"]["S"]
    assert charged(behind) == before

    job = held["job"]["S"] if "job" in held else held["pk"]["S"].removeprefix("JOB#")
    assert job in batchdrop(behind, "approve", job)
    answered = user.fetch("dear")
    assert [got(json.loads(line)) for line in answered.results.splitlines()] == [wanted(line) for line in LINES]
    assert answered.manifest["status"] == "COMPLETED"
    after = charged(behind)
    assert {name: after[name][1] - before[name][1] for name in after} == {"openai": 2, "anthropic": 1}

"""An upgrade in the middle of jobs, rolled back and done again, on deployed functions.

The newer version is this one with what a next one would change: rows of a version of its own, and a setting that is not
known here.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from batchdrop.aws.row_versions import ROW_VERSION
from faking.cloud import jsonl
from faking.lines import chat, claude, got, wanted

from local_cloud import LocalCloudError, deployment
from local_cloud.state import STACK_NAME, Folder

if TYPE_CHECKING:
    from e2e.conftest import Behind, User

pytestmark = pytest.mark.e2e

HOUR = 3_600
NEWER_KEY, NEXT = "newer.zip", ROW_VERSION + 1
NEWER = {
    "batchdrop/aws/row_versions.py": [(f"ROW_VERSION = {ROW_VERSION}", f"ROW_VERSION = {NEXT}")],
    "batchdrop/records.py": [
        ("    version: int = 1\n", f"    version: int = {NEXT}\n"),
        ("    max_attempts: int = 3\n", '    max_attempts: int = 3\n    colour: str = "red"\n'),
    ],
}


class Functions:
    """The deployed functions, whose code can be changed."""

    def __init__(self, behind: "Behind") -> None:
        self._behind, self._lambda, self._s3 = behind, behind.aws("lambda"), behind.aws("s3")
        pages = self._lambda.get_paginator("list_functions").paginate()
        found = [each for page in pages for each in page["Functions"] if each["Handler"].startswith("handlers.")]
        self._names = [each["FunctionName"] for each in found]
        account = behind.cloud.access_key_id
        self._bucket = f"cdk-hnb659fds-assets-{account}-{behind.cloud.region}"
        (self.key,) = _code_of(behind.aws("cloudformation").get_template(StackName=STACK_NAME)["TemplateBody"])

    def deploy(self, key: str) -> None:
        """Change the code; the emulator ends the workers of the code before, in the middle of what they do."""
        held = self._behind.held()
        for name in self._names:
            self._lambda.update_function_code(FunctionName=name, S3Bucket=self._bucket, S3Key=key)
        self._behind.free(held)

    def build_newer(self) -> str:
        """Put code into the bucket that differs from what is deployed as `NEWER` says; its key."""
        body = self._s3.get_object(Bucket=self._bucket, Key=self.key)["Body"].read()
        made = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(body)) as old, zipfile.ZipFile(made, "w") as new:
            for entry in old.infolist():
                if "__pycache__" not in entry.filename or not entry.filename.startswith("batchdrop/"):
                    new.writestr(entry, _changed(entry.filename, old.read(entry)))
        self._s3.put_object(Bucket=self._bucket, Key=NEWER_KEY, Body=made.getvalue())
        return NEWER_KEY


def _code_of(template: str | dict[str, Any]) -> set[str]:
    """The object with our functions' code; the bucket keeps those of earlier deployments, too."""
    parsed = json.loads(template) if isinstance(template, str) else template
    resources = [each["Properties"] for each in parsed["Resources"].values() if each["Type"] == "AWS::Lambda::Function"]
    return {each["Code"]["S3Key"] for each in resources if each["Handler"].startswith("handlers.")}


def _changed(name: str, body: bytes) -> bytes:
    for before, after in NEWER.get(name, []):
        assert body.count(before.encode()) == 1
        body = body.replace(before.encode(), after.encode())
    return body


@pytest.fixture
def functions(behind: "Behind") -> Iterator[Functions]:
    functions = Functions(behind)
    behind.control("POST", "shape", model="*", seconds_to_complete=HOUR)
    yield functions
    behind.control("DELETE", "faults")
    functions.deploy(functions.key)


def lines(name: str) -> list[dict[str, Any]]:
    return [make(f"{name} {number}") for number in range(3) for make in (chat, claude)]


def rows_of(behind: "Behind", name: str) -> list[dict[str, Any]]:
    """A job's row, its splits' and its batches'."""
    rows = behind.rows()
    (job,) = [row["pk"] for row in rows if row["sk"] == {"S": "JOB"} and f"/{name}.jsonl" in row["key"]["S"]] or [None]
    kinds = ("JOB", "SPLIT", "BATCH")
    return sorted((row for row in rows if row["pk"] == job and row["sk"]["S"].startswith(kinds)), key=json.dumps)


def are_in_flight(behind: "Behind", name: str) -> bool:
    states = [row["state"]["S"] for row in rows_of(behind, name) if row["sk"]["S"].startswith("BATCH")]
    return states == ["IN_FLIGHT", "IN_FLIGHT"]


def end_batches(behind: "Behind") -> None:
    behind.control("POST", "advance", seconds=HOUR)


def paid_twice(behind: "Behind") -> int:
    return sum(each["bodies_charged_more_than_once"] for each in behind.control("GET", "charges").values())


def answers(user: "User", name: str) -> list[Any]:
    return [got(json.loads(line)) for line in user.fetch(name).results.splitlines()]


def test_jobs_outlive_an_upgrade_and_a_roll_back_and_nothing_is_paid_twice(
    user: "User", behind: "Behind", functions: Functions
) -> None:
    newer, paid_before = functions.build_newer(), paid_twice(behind)
    user.put("before", jsonl(lines("before")))
    behind.wait(lambda: are_in_flight(behind, "before"))

    functions.deploy(newer)
    user.put("newer", jsonl(lines("newer")))
    behind.wait(lambda: are_in_flight(behind, "newer"))
    written = rows_of(behind, "newer")
    assert {row["version"]["N"] for row in written} == {str(NEXT)}
    assert [row["settings"]["M"]["colour"] for row in written if "settings" in row] == [{"S": "red"}]

    functions.deploy(functions.key)
    user.put("after", jsonl(lines("after")))
    behind.wait(lambda: are_in_flight(behind, "after"))
    end_batches(behind)
    for name in ("before", "after"):
        assert answers(user, name) == [wanted(line) for line in lines(name)]
    assert rows_of(behind, "newer") == written

    functions.deploy(newer)
    assert answers(user, "newer") == [wanted(line) for line in lines("newer")]
    assert paid_twice(behind) == paid_before


@pytest.mark.usefixtures("user")  # the cloud is up
def test_the_same_code_and_values_change_nothing_of_the_stack(behind: "Behind") -> None:
    folder = Folder(behind.state_dir)
    saved = folder.read()
    assert saved is not None
    compare = ["diff", STACK_NAME, "--fail", *deployment.app_options(folder)]
    deployment.run_cdk(folder, saved, compare, directory=deployment.ROOT)
    with pytest.raises(LocalCloudError, match="cdk diff"):
        deployment.run_cdk(folder, saved, [*compare, "--context", "log_days=30"], directory=deployment.ROOT)

"""A job of 20 batches while much goes wrong between the deployed functions and AWS, and between them and the providers.

microburst stands between the functions and the emulator. What it does goes by the number of a call, so that it is the
same each time, as far as functions that run side by side make the same calls.
"""

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from e2e.conftest import User
from faking.cloud import jsonl
from faking.lines import chat, claude, got, wanted

from local_cloud.emulator import PYTHON
from local_cloud.state import Folder

if TYPE_CHECKING:
    from e2e.conftest import Behind

pytestmark = pytest.mark.e2e

PROCESS = Path(__file__).with_name("faulty_aws.py")
BATCHES, LINES_EACH = 20, 10
HOUR = 3_600
PATIENCE = 900  # seconds; a minute is enough on a machine that does nothing else
_REPLY_LOST = {"response": {"abort_bytes": 0}}
_CUT = {"response": {"abort_frac": 0.5}}
_CUT_UPLOAD = {"request": {"cut_upload": {"after_bytes": 100}}}


def _rule(service: str, operation: str, fault: dict[str, Any], *, every: int) -> dict[str, Any]:
    """One of so many calls goes wrong; none twice in a row, so that the client's own repetition goes through."""
    return {"service": service, "operation": operation, "sequence": {"fail": 1, "pass": every - 1}, **fault}


def _error(code: str, status: int) -> dict[str, Any]:
    return {"error": {"code": code, "status": status}}


AWS_FAULTS = [
    _rule("dynamodb", "TransactWriteItems", _REPLY_LOST, every=4),
    _rule("dynamodb", "TransactWriteItems", _error("ThrottlingException", 400), every=7),
    _rule("dynamodb", "UpdateItem", _REPLY_LOST, every=6),
    _rule("dynamodb", "UpdateItem", _error("ProvisionedThroughputExceededException", 400), every=9),
    _rule("dynamodb", "PutItem", _REPLY_LOST, every=5),
    _rule("dynamodb", "GetItem", _error("InternalServerError", 500), every=11),
    _rule("dynamodb", "Query", _error("ProvisionedThroughputExceededException", 400), every=13),
    _rule("s3", "PutObject", _CUT_UPLOAD, every=5),
    _rule("s3", "PutObject", _error("SlowDown", 503), every=7),
    _rule("s3", "GetObject", _CUT, every=5),
    _rule("s3", "GetObject", _error("InternalError", 500), every=7),
    _rule("s3", "DeleteObjects", _error("InternalError", 500), every=2),
    _rule("sqs", "SendMessage", _REPLY_LOST, every=4),
    _rule("sqs", "SendMessage", _error("InternalFailure", 500), every=7),
    _rule("events", "PutEvents", _REPLY_LOST, every=2),
    _rule("secretsmanager", "GetSecretValue", _error("InternalServiceError", 500), every=3),
]
PROVIDER_FAULTS: list[dict[str, Any]] = [
    {"fault": "reply_lost", "provider": "openai", "operation": "create", "after": 3, "times": 2},
    {"fault": "reply_lost", "provider": "anthropic", "operation": "create"},
    {"fault": "connection_reset", "provider": "openai", "operation": "upload", "after": 2},
    {"fault": "status", "provider": "openai", "operation": "upload", "code": 500, "times": 3},
    {"fault": "status", "provider": "openai", "operation": "create", "code": 429, "after": 6, "times": 2},
    {"fault": "garbage", "provider": "openai", "operation": "list", "times": 2},
    {"fault": "status", "provider": "anthropic", "operation": "retrieve", "code": 529, "times": 2},
    {"fault": "cut", "provider": "openai", "operation": "results", "bytes": 700, "times": 6},
    {"fault": "cut", "provider": "anthropic", "operation": "results", "bytes": 700, "times": 2},
]
SHAPES: list[dict[str, Any]] = [  # lost rows are not among them: what is counted and not given is waited for an hour
    {"model": "gpt-01", "expire_fraction": 0.5},
    {"model": "gpt-02", "failing": {"match": "", "fraction": 0.5, "status": 500}},
    {"model": "gpt-03", "no_newline": True},
    {"model": "gpt-04", "contradict": 3, "repeat": 2, "foreign": 2},
    {"model": "gpt-05", "cancel_fraction": 0.3},
    {"model": "claude-*", "expire_fraction": 0.5},
]


class Proxy:
    """microburst, between the functions and the emulator."""

    def __init__(self, url: str) -> None:
        self.url = url

    def goes_wrong(self, rules: list[dict[str, Any]]) -> None:
        httpx2.post(f"{self.url}/_microburst/rules", json=rules, timeout=PATIENCE).raise_for_status()

    def fired(self) -> Counter[tuple[str, str]]:
        """How often each operation was struck, by its service."""
        found = httpx2.get(f"{self.url}/_microburst/fired", params={"limit": 10_000}, timeout=PATIENCE).json()
        events = found["events"] if isinstance(found, dict) else found
        return Counter((event["service"], event["operation"]) for event in events)


@pytest.fixture
def proxy(behind: "Behind") -> Iterator[Proxy]:
    cloud = Folder(behind.state_dir).read()  # it need not be up
    assert cloud is not None
    command = [str(PYTHON), "-P", str(PROCESS), cloud.endpoint]
    with subprocess.Popen(command, env={}, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            made = Proxy(process.stdout.readline().strip())
            behind.up(functions_endpoint=made.url)
            yield made
            made.goes_wrong([])
        finally:
            process.terminate()


@pytest.fixture
def trouble(behind: "Behind", proxy: Proxy) -> Iterator[None]:  # noqa: ARG001 - the cloud of the proxy is up
    """Batches take an hour of the simulator's clock, and some of them go badly, once each."""
    behind.control("POST", "shape", model="*", seconds_to_complete=HOUR)
    for shape in SHAPES:
        behind.control("POST", "shape", times=1, **shape)
    for fault in PROVIDER_FAULTS:
        behind.control("POST", "faults", **fault)
    yield
    behind.control("DELETE", "faults")


def lines() -> list[dict[str, Any]]:
    """OpenAI makes a batch of each model; Claude's lines share one."""
    models = [f"gpt-{number:02}" for number in range(1, BATCHES)]
    chats = [chat(f"{model} says {number}", model=model) for number in range(LINES_EACH) for model in models]
    return [*chats, *(claude(f"Claude says {number}", number) for number in range(LINES_EACH))]


@pytest.mark.usefixtures("trouble")
def test_a_job_of_twenty_batches_is_answered_and_paid_once_whatever_goes_wrong(
    behind: "Behind", said: dict[str, Any], proxy: Proxy, tmp_path: Path
) -> None:
    user, dropped, before = User(said, tmp_path), lines(), bill(behind)
    proxy.goes_wrong(AWS_FAULTS)
    user.put("trouble", jsonl(dropped))
    behind.wait(lambda: states_of_batches(behind) == ["IN_FLIGHT"] * BATCHES, seconds=PATIENCE)

    held = behind.kill()
    behind.up(functions_endpoint=proxy.url)
    behind.free(held)
    behind.control("POST", "shape", model="*", seconds_to_complete=0)
    behind.control("POST", "advance", seconds=HOUR)

    behind.wait(lambda: is_over(behind, "trouble"), seconds=PATIENCE)
    answered = user.fetch("trouble")
    results = [json.loads(line) for line in answered.results.splitlines()]
    assert [got(result) for result in results] == [wanted(line) for line in dropped]
    assert (answered.errors, answered.failed) == (b"", b"")
    counts, total = answered.manifest["counts"], BATCHES * LINES_EACH
    assert (counts["total"], counts["answered"], counts["failed"]) == (total, total, 0)

    behind.wait(lambda: left_over(behind, answered.manifest["job"]) == [], seconds=PATIENCE)
    after = bill(behind)
    assert after["requests"] - before["requests"] == total
    assert {**after, "requests": 0} == {**before, "requests": 0}
    assert {rule["service"] + rule["operation"] for rule in AWS_FAULTS} == {"".join(struck) for struck in proxy.fired()}
    assert behind.control("GET", "state")["faults"] == []


def bill(behind: "Behind") -> dict[str, int]:
    """Requests that were charged, and what must not grow: what was paid or live twice, files and batches left there."""
    openai, anthropic = (behind.control("GET", "charges")[name] for name in ("openai", "anthropic"))
    return {
        "requests": openai["requests"] + anthropic["requests"],
        "paid twice": sum(each["bodies_charged_more_than_once"] for each in (openai, anthropic)),
        "live twice": sum(len(each["ever_live_duplicates"]) for each in (openai, anthropic)),
        "files": openai["files"],
        "batches of Claude": anthropic["batches_stored"],
    }


def is_over(behind: "Behind", name: str) -> bool:
    jobs = [row for row in behind.rows() if row["sk"]["S"] == "JOB" and row["key"]["S"] == f"input/{name}.jsonl"]
    return [row["state"]["S"] for row in jobs] == ["COMPLETED"]


def states_of_batches(behind: "Behind") -> list[str]:
    return [row["state"]["S"] for row in behind.rows() if row["sk"]["S"].startswith("BATCH#") and "state" in row]


def left_over(behind: "Behind", job: str) -> list[str]:
    """What should not be there any more: objects, rows of the work, slots, and what is reserved of limits."""
    found = behind.aws("s3").list_object_versions(Bucket=behind.cloud.bucket, Prefix=f"work/{job}/")
    objects = [each["Key"] for each in [*found.get("Versions", []), *found.get("DeleteMarkers", [])]]
    rows = [(row["pk"]["S"], row["sk"]["S"], row.get("reserved", {"N": "0"})["N"]) for row in behind.rows()]
    given_up = {row["sk"]["S"] for row in behind.rows() if "batch_id" in row and "expires_at" in row}
    of_job = {sk for pk, sk, _ in rows if pk == f"JOB#{job}" and sk.startswith(("SPLIT#", "BATCH#"))}
    work = sorted(of_job - given_up)  # what a provider may still hold is named until the job's row expires
    return [*objects, *work, *(pk for pk, _, held in rows if pk.startswith("SLOTS#") or held != "0")]

"""The reply to a create is lost: what a state machine of Step Functions makes of it, beside batchdrop.

The state machine is what most would write: create a batch, wait, ask, fetch. It runs on the local cloud, in the same
emulator as batchdrop, against the same simulator: `.venv/bin/python benchmarks/step_functions.py`.
"""

import io
import json
import tempfile
import time
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
from deployed import scratch
from machine import machine

import local_cloud
from local_cloud import LocalCloud
from local_cloud.aws import client

LINES = 1_000
PATIENCE = 600
RETRY = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 3}]
ROLE = "arn:aws:iam::{account}:role/somebodys"

# The Lambda of the state machine. It calls Anthropic's API as its SDK does, but repeats nothing by itself.
CODE = """
import json, urllib.request

URL, KEY, LINES = {url!r}, {key!r}, {lines}


def call(method, path, body=None):
    headers = {{"x-api-key": KEY, "anthropic-version": "2023-06-01", "content-type": "application/json"}}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + "/anthropic/v1/messages/batches" + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def params(number):
    asked = [{{"role": "user", "content": f"{{number}}?"}}]
    return {{"model": "claude-haiku-4-5", "max_tokens": 10, "messages": asked}}


def handler(event, context):
    if event["do"] == "create":
        requests = [{{"custom_id": f"r-{{number}}", "params": params(number)}} for number in range(LINES)]
        return {{"do": "ask", "id": json.loads(call("POST", "", {{"requests": requests}}))["id"], "ended": False}}
    if not event["ended"]:
        status = json.loads(call("GET", "/" + event["id"]))["processing_status"]
        return {{**event, "ended": status == "ended"}}
    return {{"answers": call("GET", "/" + event["id"] + "/results").count(b"succeeded")}}
"""


def states(function: str, retry: list[dict[str, Any]]) -> dict[str, Any]:
    """Create, wait, ask until it has ended, fetch; each task is retried as told."""
    task: dict[str, Any] = {"Type": "Task", "Resource": function, "Retry": retry}
    ended = {"Variable": "$.ended", "BooleanEquals": True, "Next": "Fetch"}
    return {
        "StartAt": "Create",
        "States": {
            "Create": {**task, "Next": "Wait"},
            "Wait": {"Type": "Wait", "Seconds": 1, "Next": "Ask"},
            "Ask": {**task, "Next": "Ended?"},
            "Ended?": {"Type": "Choice", "Choices": [ended], "Default": "Wait"},
            "Fetch": {**task, "End": True},
        },
    }


def zipped(code: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("toy.py", code)
    return packed.getvalue()


class Control:
    """The simulator: what it is told to break, and what it charged."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._url, self._headers = f"{cloud.simulator_url}/control/", cloud.simulator_headers

    def __call__(self, method: str, name: str, **values: Any) -> Any:  # noqa: ANN401 - JSON
        answer = httpx2.request(method, self._url + name, json=values, headers=self._headers, timeout=60)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def so_far(self) -> tuple[int, int]:
        """Batches that Anthropic's simulator accepted, and requests that it charged."""
        return len(self("GET", "batches")), int(self("GET", "charges")["anthropic"]["requests"])


def by_state_machine(cloud: LocalCloud, name: str, retry: list[dict[str, Any]]) -> int:
    """Run the state machine to its end; the answers it fetched, 0 where it failed."""
    functions, machines = client("lambda", cloud), client("stepfunctions", cloud)
    role = ROLE.format(account=cloud.access_key_id)
    code = CODE.format(url=cloud.simulator_url, key=cloud.simulator_key, lines=LINES)
    function = functions.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Handler="toy.handler",
        Role=role,
        Timeout=60,
        Code={"ZipFile": zipped(code)},
    )["FunctionArn"]
    machine_arn = machines.create_state_machine(
        name=name, definition=json.dumps(states(function, retry)), roleArn=role
    )["stateMachineArn"]
    execution = machines.start_execution(stateMachineArn=machine_arn, input=json.dumps({"do": "create"}))[
        "executionArn"
    ]
    for _ in range(PATIENCE):
        found = machines.describe_execution(executionArn=execution)
        if found["status"] != "RUNNING":
            return int(json.loads(found["output"])["answers"]) if found["status"] == "SUCCEEDED" else 0
        time.sleep(1)
    raise SystemExit(f"{name} did not end within {PATIENCE} s")


def by_batchdrop(cloud: LocalCloud) -> int:
    """Drop the same requests; the answers in the manifest."""
    s3, space = client("s3", cloud), {"Bucket": cloud.bucket}
    lines = [
        {"params": {"model": "claude-haiku-4-5", "max_tokens": 10, "messages": [{"role": "user", "content": f"{n}?"}]}}
        for n in range(LINES)
    ]
    s3.put_object(**space, Key="input/asked.jsonl", Body="".join(json.dumps(line) + "\n" for line in lines).encode())
    for _ in range(PATIENCE):
        found = s3.list_objects_v2(**space, Prefix="output/asked/").get("Contents", [])
        keys = [each["Key"] for each in found if each["Key"].endswith("/manifest.json")]
        if keys:
            return int(json.loads(s3.get_object(**space, Key=keys[0])["Body"].read())["counts"]["answered"])
        time.sleep(1)
    raise SystemExit(f"batchdrop did not end within {PATIENCE} s")


def main() -> None:
    print(machine())
    with tempfile.TemporaryDirectory(dir=scratch()) as folder:
        cloud = local_cloud.up(Path(folder))
        try:
            control = Control(cloud)
            print("\n| reply to create lost | batches | charged | answers |\n|---|---|---|---|")
            for name, run in (
                ("Step Functions, each task with `Retry`", partial(by_state_machine, cloud, "retried", RETRY)),
                ("Step Functions, no `Retry`", partial(by_state_machine, cloud, "once", [])),
                ("batchdrop", partial(by_batchdrop, cloud)),
            ):
                batches, charged = control.so_far()
                control("POST", "faults", fault="reply_lost", provider="anthropic", operation="create")
                answers = run()
                more, paid = control.so_far()
                print(f"| {name} | {more - batches} | {paid - charged:,} | {answers:,} |", flush=True)
        finally:
            local_cloud.down(Path(folder))


if __name__ == "__main__":
    main()

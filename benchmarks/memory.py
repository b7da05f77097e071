"""`make bench-memory`: what each step needs for a 90 MB batch, of each protocol.

The stack is deployed into a local cloud of its own and its triggers are taken away. Then each message that waits in a
queue is given to the deployed handler, in a process of its own, with the environment that its function has. So what is
measured is the deployed code, alone: not the emulator, not the simulator, not another run of the same worker.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from machine import machine

import local_cloud
from local_cloud import LocalCloud
from local_cloud.aws import client
from local_cloud.emulator import PYTHON

GOAL_MB = 200
BATCH_BYTES = 89_900_000  # just under `bytes_per_batch` of `providers.toml`, so that it is one batch
WIRE_BYTES = 120  # what packing counts around a body
LEASE_SECONDS = 900
TICK_SECONDS = 2  # the polling interval of the local cloud
QUEUED = ("intake", "plan", "submit", "collect", "assemble", "publish")
WORDS = (
    "the answer to every question that was ever asked lies in a bucket, line by line, in the order of the questions "
)
PROMPT = "@@"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A file that makes one batch of BATCH_BYTES. `expire` is the share that is answered before the batch expires."""

    name: str
    provider: str
    requests: int
    body: dict[str, Any]
    expire: float | None = None

    def line(self, number: int) -> bytes:
        text = f"{number}: {WORDS}"
        room = BATCH_BYTES // self.requests - WIRE_BYTES - len(json.dumps(self.body))
        prompt = (text * (room // len(text) + 1))[:room]
        return json.dumps(self.body).replace(PROMPT, prompt).encode() + b"\n"


CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": PROMPT}]}
EMBEDDING = {"model": "text-embedding-3-small", "dimensions": 256, "input": PROMPT}
CLAUDE = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": PROMPT}]}
CASES = (
    Case(name="openai", provider="openai", requests=49_000, body=CHAT),
    Case(name="embeddings", provider="openai", requests=30_000, body=EMBEDDING),
    Case(name="anthropic", provider="anthropic", requests=9_900, body=CLAUDE),
    Case(name="long lines", provider="anthropic", requests=3, body=CLAUDE),
    Case(name="expiring", provider="anthropic", requests=9_900, body=CLAUDE, expire=0.1),
)


class Deployed:
    """A deployed stack whose functions nothing starts any more."""

    def __init__(self, cloud: LocalCloud, folder: Path) -> None:
        self._cloud = cloud
        self._task_root = folder
        self._code = self._asset()
        found = self.aws("lambda").list_functions()["Functions"]
        functions = {each["Handler"].split(".")[1]: each for each in found if each["Handler"].startswith("handlers.")}
        self._environments = {step: each["Environment"]["Variables"] for step, each in functions.items()}
        self._queues = {step: self._queue(functions[step]["FunctionName"]) for step in QUEUED}
        text = Path(cloud.state_dir, "providers.toml").read_text(encoding="utf-8")
        limits = text.replace("enqueued_tokens = 2_000_000", "enqueued_tokens = 200_000_000")
        (folder / "providers.toml").write_text(limits, encoding="utf-8")

    def aws(self, service: str) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
        return client(service, endpoint=self._cloud.endpoint, account=self._cloud.access_key_id)

    def take_triggers_away(self) -> None:
        os.kill(self._cloud.pids["ticker"], signal.SIGTERM)
        functions, events = self.aws("lambda"), self.aws("events")
        for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
            functions.delete_event_source_mapping(UUID=mapping["UUID"])
        for rule in events.list_rules()["Rules"]:
            if "ScheduleExpression" in rule:
                events.disable_rule(Name=rule["Name"])

    def drop(self, key: str, body: Path) -> None:
        with body.open("rb") as file:
            self.aws("s3").put_object(Bucket=self._cloud.bucket, Key=key, Body=file)

    def next_event(self, step: str) -> dict[str, Any] | None:
        """The messages that wait for a step, as its function would get them."""
        messages = self.aws("sqs").receive_message(QueueUrl=self._queues[step], MaxNumberOfMessages=1)
        records = []
        for message in messages.get("Messages", []):
            self.aws("sqs").delete_message(QueueUrl=self._queues[step], ReceiptHandle=message["ReceiptHandle"])
            records.append({"messageId": message["MessageId"], "body": message["Body"], "eventSource": "aws:sqs"})
        return {"Records": records} if records else None

    def run(self, step: str, event: dict[str, Any]) -> "Figures":
        """Run a function once, in a process of its own."""
        environment = self._environments[step] | {
            "PYTHONPATH": str(self._code),
            "LAMBDA_TASK_ROOT": str(self._task_root),
            "BATCHDROP_LEASE_SECONDS": str(LEASE_SECONDS),
            "BATCHDROP_SPLIT_BYTES": str(2 * BATCH_BYTES),
            "AWS_ENDPOINT_URL": self._cloud.endpoint,
            "AWS_REGION": self._cloud.region,
            "AWS_DEFAULT_REGION": self._cloud.region,
            "AWS_ACCESS_KEY_ID": self._cloud.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self._cloud.secret_access_key,
            "TMPDIR": str(self._task_root),
        }
        done = subprocess.run(
            [str(PYTHON), "-P", str(Path(__file__).with_name("one_run.py")), step, json.dumps(event)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"{step} failed:\n{done.stdout}{done.stderr}")
        return Figures(**json.loads(done.stdout.splitlines()[-1]))

    def sizes(self, prefix: str, name: str) -> list[float]:
        """The objects under a prefix whose names begin like this, in MB."""
        pages = self.aws("s3").get_paginator("list_objects_v2").paginate(Bucket=self._cloud.bucket, Prefix=prefix)
        found = [each for page in pages for each in page.get("Contents", [])]
        return [each["Size"] / 1e6 for each in found if each["Key"].rpartition("/")[2].startswith(name)]

    def expire_next(self, provider: str, answered: float) -> None:
        """Let the next batch of a provider expire when a share of it is answered."""
        shape = {"provider": provider, "model": "*", "times": 1, "expire_fraction": answered}
        httpx2.post(f"{self._cloud.simulator_url}/control/shape", json=shape).raise_for_status()

    def _asset(self) -> Path:
        out = Path(self._cloud.state_dir, "cdk.out")
        return next(path for path in out.glob("asset.*") if (path / "handlers").is_dir())

    def _queue(self, function: str) -> str:
        """The address of the queue that starts a function."""
        (mapping,) = self.aws("lambda").list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
        name = mapping["EventSourceArn"].rpartition(":")[2]
        return str(self.aws("sqs").get_queue_url(QueueName=name)["QueueUrl"])


@dataclass(frozen=True, kw_only=True)
class Figures:
    wall_seconds: float
    cpu_seconds: float
    start_mb: float
    peak_mb: float


def steps_of(deployed: Deployed, case: Case, name: str) -> Iterator[tuple[str, Figures]]:
    """One job, step by step, until its manifest is there."""
    while not deployed.sizes(f"output/{name}/", "manifest.json"):
        waiting = ((step, deployed.next_event(step)) for step in QUEUED)
        step, event = next(((step, event) for step, event in waiting if event), ("poll", {"provider": case.provider}))
        if step == "poll":
            time.sleep(TICK_SECONDS)
        yield step, deployed.run(step, event)


def measure(folder: Path, cases: list[Case]) -> float:
    """Print the figures of every step; the greatest resident memory of all."""
    cloud = local_cloud.up(folder / "cloud")
    try:
        (folder / "task").mkdir()
        deployed = Deployed(cloud, folder / "task")
        deployed.take_triggers_away()
        return max(_measure_case(deployed, case, folder) for case in cases)
    finally:
        local_cloud.down(folder / "cloud")


def _measure_case(deployed: Deployed, case: Case, folder: Path) -> float:
    path = folder / "input.jsonl"
    with path.open("wb") as file:
        file.writelines(case.line(number) for number in range(case.requests))
    name = f"memory-{case.name}"
    if case.expire is not None:
        deployed.expire_next(case.provider, case.expire)
    deployed.drop(f"input/{name}.jsonl", path)
    print(f"\n{case.name}: {case.requests:,} requests, a file of {path.stat().st_size / 1e6:.1f} MB")
    print(f"  {'step':9}{'seconds':>9}{'CPU s':>8}{'at start':>10}{'peak':>10}")
    peak = 0.0
    for step, found in steps_of(deployed, case, name):
        peak = max(peak, found.peak_mb)
        print(
            f"  {step:9}{found.wall_seconds:9.2f}{found.cpu_seconds:8.2f}{found.start_mb:7.0f} MB"
            f"{found.peak_mb:7.0f} MB   {'' if found.peak_mb <= GOAL_MB else 'OVER THE GOAL'}",
            flush=True,
        )
        if step == "plan":
            sizes = ", ".join(f"{size:.1f} MB" for size in deployed.sizes("work/", "requests-"))
            print(f"            → batches of {sizes}")
    print(f"            → results of {sum(deployed.sizes(f'output/{name}/', 'results')):.1f} MB")
    return peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", nargs="*", default=[case.name for case in CASES], help="openai, embeddings, anthropic")
    wanted = parser.parse_args().case
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        peak = measure(Path(folder), [case for case in CASES if case.name in wanted])
    sys.exit(peak > GOAL_MB)


if __name__ == "__main__":
    main()

"""The deployed stack whose functions nothing starts: each message is handed to its handler when a benchmark says so.

So what is measured is the deployed code alone: not the emulator, not the simulator, not another run beside it.
"""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from zipfile import ZipFile

import httpx2
from forms import asked_form
from goals import Goals
from lines import write_chats
from machine import machine

import local_cloud
from local_cloud import LocalCloud
from local_cloud.aws import client
from local_cloud.emulator import PYTHON
from local_cloud.state import Folder

LEASE_SECONDS = 900
ROUND_SECONDS = 1  # between two rounds of poll; within one second it asks for nothing twice
PROVIDERS = ("openai", "anthropic")
QUEUED = ("intake", "plan", "submit", "finish", "collect", "assemble", "publish")
UNLIMITED = {"enqueued_tokens": 20_000_000_000, "queued_requests": 100_000_000}


def scratch() -> Path:
    """Where large files lie, and the environments of others; git ignores it."""
    folder = Path(__file__).parent.parent / ".bench"
    folder.mkdir(exist_ok=True)
    return folder


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one run of a handler took. `process_seconds` are all of its process so far, imports among them.

    `units` are DynamoDB's, `bytes` what S3 got and was sent, `logged` the bytes of the log.
    """

    wall_seconds: float
    cpu_seconds: float
    start_mb: float
    peak_mb: float
    process_seconds: float
    failed: bool
    calls: dict[str, int]
    units: dict[str, float]
    bytes: dict[str, int]
    logged: int


class Worker:
    """A process in which handlers run, as in Lambda; all of them in the same one."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [str(PYTHON), "-P", str(Path(__file__).with_name("worker.py"))],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self, step: str, event: dict[str, Any]) -> Figures:
        if self._process.stdin is None or self._process.stdout is None:
            raise LookupError("the worker has no pipes")
        print(json.dumps([step, event]), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        found = Figures(**json.loads(answer)) if answer else None
        if found is None or found.failed:
            raise SystemExit(f"{step} failed:\n{self._log.read_text(encoding='utf-8')[-4000:]}")
        return found


@dataclass
class Job:
    """What a file took on its way. `process_seconds` and `peak_mb` are the worker's."""

    runs: list[tuple[str, Figures]] = field(default_factory=list)
    wall_seconds: float = 0.0

    def cpu_seconds(self, *steps: str) -> float:
        return sum(run.cpu_seconds for step, run in self.runs if not steps or step in steps)

    @property
    def process_seconds(self) -> float:
        return self.runs[-1][1].process_seconds

    @property
    def peak_mb(self) -> float:
        return max(run.peak_mb for _, run in self.runs)

    def calls(self, *steps: str) -> Counter[str]:
        return sum((Counter(run.calls) for step, run in self.runs if not steps or step in steps), Counter[str]())

    def units(self, kind: str) -> float:
        return sum(run.units.get(kind, 0) for _, run in self.runs)

    def mb(self, kind: str, *steps: str) -> float:
        """The bytes that S3 `got` or was `sent`, in MB, as seen from the steps."""
        return sum(run.bytes.get(kind, 0) for step, run in self.runs if not steps or step in steps) / 1e6


class Deployed:
    """A deployed stack whose functions nothing starts any more, and its providers without limits."""

    def __init__(self, cloud: LocalCloud, folder: Path) -> None:
        self.cloud = cloud
        self._folder = folder
        self._chats: dict[tuple[int, int], Job] = {}
        self._provider_calls = Counter[str]()
        (self.archive,) = Folder(Path(cloud.state_dir)).cdk_out.glob("asset.*.zip")
        self.code = folder / "code"
        ZipFile(self.archive).extractall(self.code)
        found = self.aws("lambda").list_functions()["Functions"]
        self.functions = {
            each["Handler"].split(".")[1]: each for each in found if each["Handler"].startswith("handlers.")
        }
        self.queues = {step: self._queue(self.functions[step]["FunctionName"]) for step in QUEUED}
        self._take_triggers_away()
        text = Path(cloud.state_dir, "providers.toml").read_text(encoding="utf-8")
        for name, value in (
            ("enqueued_tokens = 2_000_000", "enqueued_tokens"),
            ("queued_requests = 200_000", "queued_requests"),
        ):
            text = text.replace(name, f"{value} = {UNLIMITED[value]}")
        (folder / "providers.toml").write_text(text, encoding="utf-8")

    def aws(self, service: str) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
        return client(service, self.cloud)

    def worker(self, **changes: str) -> Worker:
        """A process with the environment of a function."""
        environment = self.functions["sweep"]["Environment"]["Variables"] | {
            "PYTHONPATH": os.pathsep.join((str(self.code), str(Path(__file__).parent))),
            "LAMBDA_TASK_ROOT": str(self._folder),
            "BATCHDROP_LEASE_SECONDS": str(LEASE_SECONDS),
            "AWS_ENDPOINT_URL": self.cloud.endpoint,
            "AWS_REGION": self.cloud.region,
            "AWS_DEFAULT_REGION": self.cloud.region,
            "AWS_ACCESS_KEY_ID": self.cloud.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.cloud.secret_access_key,
            "TMPDIR": str(self._folder),
        }
        for step in QUEUED:
            environment |= self.functions[step]["Environment"]["Variables"]
        return Worker(environment | changes, self._folder / "worker.log")

    def drop(self, key: str, body: Path) -> None:
        self.aws("s3").upload_file(str(body), self.cloud.bucket, key)

    def next_event(self, step: str) -> dict[str, Any] | None:
        """The messages that wait for a step, as its function would get them."""
        url, size = self.queues[step]
        messages = self.aws("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=size).get("Messages", [])
        for message in messages:
            self.aws("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        records = [
            {"messageId": each["MessageId"], "body": each["Body"], "eventSource": "aws:sqs"} for each in messages
        ]
        return {"Records": records} if records else None

    def steps(
        self, run: Callable[[str, dict[str, Any]], Figures], *, manifests: int, under: str, providers: tuple[str, ...]
    ) -> Iterator[tuple[str, Figures]]:
        """Run what is to be run until so many manifests lie under a prefix of the outputs."""
        while True:
            for step, event in self._events():
                yield step, run(step, event)
            if len(self.sizes(f"output/{under}", "manifest.json")) >= manifests:
                return
            time.sleep(ROUND_SECONDS)
            for provider in providers:
                yield "poll", run("poll", {"provider": provider})

    def chats(self, lines: int, size: int) -> Job:
        """The job of a file of chats that alternate between the providers, in a process that is warm.

        One run serves several tables.
        """
        if (lines, size) not in self._chats:
            with tempfile.TemporaryDirectory(dir=scratch()) as folder, self.worker() as worker:
                few = write_chats(Path(folder, "few.jsonl"), len(PROVIDERS), *PROVIDERS)
                self._run_in(worker, f"warm-{lines}-{size}", few, PROVIDERS)
                body = write_chats(Path(folder, "chats.jsonl"), lines, *PROVIDERS, size=size)
                self._chats[lines, size] = self._run_in(worker, f"chats-{lines}-{size}", body, PROVIDERS)
        return self._chats[lines, size]

    def run_job(self, name: str, body: Path, *providers: str) -> Job:
        """Drop a file and run all of its steps in one new process."""
        with self.worker() as worker:
            return self._run_in(worker, name, body, providers)

    def _run_in(self, worker: Worker, name: str, body: Path, providers: tuple[str, ...]) -> Job:
        job, began = Job(), time.perf_counter()
        self.drop(f"input/{name}.jsonl", body)
        job.runs += self.steps(worker.run, manifests=1, under=f"{name}/", providers=providers)
        job.wall_seconds = time.perf_counter() - began
        return job

    def _events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """All that waits, step by step; what a step sends to a later one is found in the same round."""
        for step in QUEUED:
            while event := self.next_event(step):
                yield step, event

    def sizes(self, prefix: str, name: str) -> list[float]:
        """The objects under a prefix whose names begin like this, in MB."""
        pages = self.aws("s3").get_paginator("list_objects_v2").paginate(Bucket=self.cloud.bucket, Prefix=prefix)
        found = [each for page in pages for each in page.get("Contents", [])]
        return [each["Size"] / 1e6 for each in found if each["Key"].rpartition("/")[2].startswith(name)]

    def control(self, name: str, **settings: Any) -> Any:  # noqa: ANN401 - the simulator's JSON
        """One of the simulator's controls; with no settings it is asked."""
        url = f"{self.cloud.simulator_url}/control/{name}"
        with httpx2.Client(headers=self.cloud.simulator_headers, timeout=600) as http:
            answer = http.post(url, json=settings) if settings else http.get(url)
        return answer.raise_for_status().json()

    def no_faults(self) -> None:
        """Let batches go their usual way again."""
        url, headers = f"{self.cloud.simulator_url}/control/faults", self.cloud.simulator_headers
        httpx2.delete(url, headers=headers, timeout=600).raise_for_status()

    def provider_calls(self) -> Counter[str]:
        """The calls of the providers since the last time."""
        charges = self.control("charges")
        now = Counter({f"{name}.{call}": n for name in charges for call, n in charges[name]["calls"].items()})
        before, self._provider_calls = self._provider_calls, now
        return now - before

    def _take_triggers_away(self) -> None:
        os.kill(self.cloud.pids["ticker"], signal.SIGTERM)
        functions, rules = self.aws("lambda"), self.aws("events")
        for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
            functions.delete_event_source_mapping(UUID=mapping["UUID"])
        for rule in rules.list_rules()["Rules"]:
            if "ScheduleExpression" in rule:
                rules.disable_rule(Name=rule["Name"])

    def _queue(self, function: str) -> tuple[str, int]:
        """The address of the queue that starts a function, and how many messages it gets at once."""
        (mapping,) = self.aws("lambda").list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
        name = mapping["EventSourceArn"].rpartition(":")[2]
        return str(self.aws("sqs").get_queue_url(QueueName=name)["QueueUrl"]), int(mapping["BatchSize"])


def verdict(*, met: bool) -> str:
    return "met" if met else "MISSED"


def alone(measure: Callable[..., None]) -> None:
    """Run one table by itself."""
    print(machine())
    goals = Goals()
    with deployed() as stand:
        measure(stand, goals, form=asked_form())
    goals.show()


@contextmanager
def deployed() -> Iterator[Deployed]:
    """Deploy the stack into a local cloud of its own, for as long as it is measured."""
    with tempfile.TemporaryDirectory(dir=scratch()) as folder:
        task = Path(folder, "task")
        task.mkdir()
        try:
            yield Deployed(local_cloud.up(Path(folder, "cloud")), task)
        finally:
            local_cloud.down(Path(folder, "cloud"))

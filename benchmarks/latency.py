"""Table 4: how long a file is on its way on the warm local cloud, with providers that answer at once.

What is measured is batchdrop's own time: from the drop to the manifest, and within it from the drop to the last batch
created at its provider, and from poll's last finding to the manifest. Times within come from the functions' own logs.
"""

import json
import math
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from deployed import verdict
from forms import Form, asked_form
from machine import machine

import local_cloud
from local_cloud import LocalCloud
from local_cloud.aws import client

GOAL, LARGE_GOAL = 1.0, 10.0  # seconds
LARGE, LARGE_JOBS = 1_000, {Form.SMOKE: 1, Form.SHORT: 5, Form.FULL: 5}
SMALL, SMALL_JOBS = 8, {Form.SMOKE: 1, Form.SHORT: 20, Form.FULL: 200}
WARMING_JOBS = {Form.SMOKE: 1, Form.SHORT: 3, Form.FULL: 3}
LOOK_EVERY_SECONDS = 0.01
WAIT_SECONDS = 900  # on a machine with much else to do
MODELS = ("gpt-4o-mini", "gpt-5-mini", "claude-haiku-4-5", "claude-sonnet-4-5")


@dataclass(frozen=True, kw_only=True)
class Trip:
    """One job, in seconds since 1970."""

    job: str
    dropped: float
    visible: float


class Runner:
    """Drops files one after another."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._cloud = cloud
        self._s3 = client("s3", cloud)
        self._count = 0

    def run(self, lines: int) -> Trip:
        self._count += 1
        name = f"latency-{self._count:04}"
        body = b"".join(json.dumps(_line(number, name)).encode() + b"\n" for number in range(lines))
        dropped = time.time()
        self._s3.put_object(Bucket=self._cloud.bucket, Key=f"input/{name}.jsonl", Body=body)
        while (job := self._published(name)) is None:
            if time.time() - dropped > WAIT_SECONDS:
                raise SystemExit(f"{name} has no manifest after {WAIT_SECONDS} s")
            time.sleep(LOOK_EVERY_SECONDS)
        return Trip(job=job, dropped=dropped, visible=time.time())

    def last(self, step: str, message: str) -> dict[str, float]:
        """When a step last logged this of each job."""
        log = Path(self._cloud.logs, "functions", f"{step}.log").read_text(encoding="utf-8")
        found: dict[str, float] = {}
        for line in _logged(log, message):
            at = datetime.strptime(line["timestamp"], "%Y-%m-%d %H:%M:%S,%f%z").timestamp()
            job = line["correlation_id"]
            found[job] = max(found.get(job, at), at)
        return found

    def _published(self, name: str) -> str | None:
        """The job of a file whose manifest is there."""
        answer = self._s3.list_objects_v2(Bucket=self._cloud.bucket, Prefix=f"output/{name}/")
        keys = [each["Key"].split("/") for each in answer.get("Contents", [])]
        return next((key[2] for key in keys if key[-1] == "manifest.json"), None)


def _line(number: int, name: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"{name}: is {number} a good number?"}]
    return {"model": MODELS[number % len(MODELS)], "max_tokens": 9, "messages": messages}


def _logged(log: str, message: str) -> Iterator[dict[str, Any]]:
    for line in log.splitlines():
        if f'"message":"{message}"' in line:
            yield json.loads(line)


def percentile(values: list[float], share: float) -> float:
    """By the nearest rank."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def show(what: str, values: list[float], goal: float | None = None) -> None:
    middle = percentile(values, 0.5)
    word = "" if goal is None else f"   goal {goal:.0f} s at p50: {verdict(met=middle < goal)}"
    print(f"   {what:48}{middle:7.2f} s{percentile(values, 0.99):7.2f} s{max(values):7.2f} s{word}", flush=True)


def measure(cloud: LocalCloud, form: Form) -> None:
    runner = Runner(cloud)
    print("\n4. Latency on the warm local cloud, with providers that complete at once")
    print(f"   {'':48}{'p50':>9}{'p99':>9}{'longest':>9}")
    cold = [runner.run(LARGE) for _ in range(WARMING_JOBS[form])]
    show(f"{LARGE:,} lines, the first file after the deployment", [cold[0].visible - cold[0].dropped])
    large = [trip.visible - trip.dropped for trip in (runner.run(LARGE) for _ in range(LARGE_JOBS[form]))]
    show(f"{LARGE:,} lines, drop → manifest ({LARGE_JOBS[form]} jobs)", large, LARGE_GOAL)
    small = [runner.run(SMALL) for _ in range(SMALL_JOBS[form])]
    created, ended = runner.last("submit", "batch submitted"), runner.last("poll", "batch ended")
    show(f"{SMALL} lines, drop → manifest ({SMALL_JOBS[form]} jobs)", [trip.visible - trip.dropped for trip in small])
    show("    drop → last batch created", [created[trip.job] - trip.dropped for trip in small], GOAL)
    show("    last batch created → found ended by poll", [ended[trip.job] - created[trip.job] for trip in small])
    show("    found ended → manifest visible", [trip.visible - ended[trip.job] for trip in small], GOAL)


def measure_all(form: Form) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            measure(local_cloud.up(Path(folder)), form)
        finally:
            local_cloud.down(Path(folder))


if __name__ == "__main__":
    print(machine())
    measure_all(asked_form())

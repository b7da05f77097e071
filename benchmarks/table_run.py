"""A table through the whole of it, in one process: rows per second and memory of each step, and of the command.

`PYTHONPATH=tests .venv/bin/python benchmarks/table_run.py [rows]`; S3 is moto's, the table is in memory, the simulator
answers. A million rows take 10 to 40 minutes and 4 GB of disk. The memory of a step is the most while it runs, less
what was resident before: moto's copies of what the step reads and writes are in it, above all in plan, which reads the
table in one piece, and in publish, which has S3 join parts.
"""

import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faking.cloud import Cloud
from faking.cloud import cloud as new_cloud
from machine import machine
from templates import TEXT

from batchdrop_cli.answer_files import write_answers
from batchdrop_cli.cloud import Cloud as UsersCloud
from batchdrop_cli.table_files import read_lines

STEPS = ("plan", "submit", "collect", "assemble", "publish")
SETTINGS = b"""answers = ["csv", "jsonl"]
[template]
model = "gpt-4o-mini"
body = { messages = [{ role = "user", content = "Sentiment of: {{ text }}" }], max_completion_tokens = 20 }
id_column = "id"
keep = ["sku"]
"""
SPLIT_BYTES = 64 * 1024 * 1024  # as deployed
_STATUS = re.compile(r"^(VmHWM|VmRSS):\s+(\d+) kB$", re.MULTILINE)


@dataclass
class Figures:
    runs: int = 0
    cpu_seconds: float = 0.0
    most_mb: float = 0.0


class Meter:
    """Adds up the runs of each step."""

    def __init__(self) -> None:
        self.steps: dict[str, Figures] = {}
        self.resident_mb = 0.0

    @contextmanager
    def measured(self, step: str) -> Iterator[None]:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the most so far is forgotten
        before, began = _memory()["VmRSS"], time.process_time()
        yield
        found = self.steps.setdefault(step, Figures())
        found.runs += 1
        found.cpu_seconds += time.process_time() - began
        most = _memory()["VmHWM"]
        found.most_mb, self.resident_mb = max(found.most_mb, most - before), max(self.resident_mb, most)


def _memory() -> dict[str, float]:
    """Resident megabytes."""
    found = _STATUS.findall(Path("/proc/self/status").read_text(encoding="ascii"))
    return {name: int(kilobytes) / 1_000 for name, kilobytes in found}


class MeteredCloud(Cloud):
    meter: Meter

    def call(self, step: str, message: dict[str, Any], *, hops: int = 0) -> None:
        with self.meter.measured(step):
            super().call(step, message, hops=hops)


def table(rows: int) -> bytes:
    return b"id,sku,text\r\n" + b"".join(
        f'{number},sku-{number},"{TEXT}{number}"\r\n'.encode() for number in range(rows)
    )


def main(rows: int) -> None:
    print(machine())
    meter = Meter()
    with new_cloud(split_bytes=SPLIT_BYTES) as made, tempfile.TemporaryDirectory() as name:
        cloud = MeteredCloud(**{field: getattr(made, field) for field in Cloud.__dataclass_fields__})
        cloud.meter = meter
        cloud.s3.put_object(Bucket="bucket", Key="input/batchdrop.toml", Body=SETTINGS)
        body = table(rows)
        job = cloud.drop("input/reviews.csv", body)
        print(f"{rows:,} rows, {len(body) / 1e6:.0f} MB of CSV", flush=True)
        del body
        cloud.settle(rounds=2_000)
        manifest = cloud.outcome(job or "").manifest
        if manifest.counts is None or manifest.counts.answered != rows:
            raise AssertionError(manifest.counts)
        _fetched(cloud, meter, job or "", Path(name))
    _show(meter, rows)


def _fetched(cloud: Cloud, meter: Meter, job: str, folder: Path) -> None:
    """The command's part: Parquet is made of the answers, and read again as rows that could be dropped."""
    manifest, found = cloud.outcome(job).manifest, cloud.services.store.job(job)
    if found is None:
        raise LookupError(job)
    for file in (*manifest.files.results, *manifest.files.answers):
        cloud.services.files.download(file.key, folder / Path(file.key).name)
    users = UsersCloud(title="", is_local=True, bucket="", table="", session=None)  # type: ignore[arg-type]  # asks nobody
    with meter.measured("answers.parquet"):
        (path,) = write_answers(users, found, manifest, [folder / "results.jsonl"], ["parquet"])
    with meter.measured("rows of Parquet"):
        sum(map(len, read_lines(path)))


def _show(meter: Meter, rows: int) -> None:
    print("\n| step | runs | CPU s | rows/s | most memory of a run |\n|---|---|---|---|---|")
    for step, each in meter.steps.items():
        speed = rows / each.cpu_seconds
        print(f"| {step} | {each.runs} | {each.cpu_seconds:.0f} | {speed:,.0f} | {each.most_mb:.0f} MB |")
    whole = sum(meter.steps[step].cpu_seconds for step in STEPS)
    print(f"\nFrom the CSV to answers.csv: {whole:.0f} CPU s, {rows / whole:,.0f} rows/s.")
    print(f"Resident at most, stand-ins included: {meter.resident_mb:,.0f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)

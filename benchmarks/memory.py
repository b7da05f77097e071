"""`make bench-memory`: what each step needs for a 90 MB batch, of each protocol.

Each message is given to the deployed handler in a process of its own: what one run of a step takes, nothing before it.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployed import Deployed, Figures, deployed, scratch
from machine import machine

GOAL_MB = 200
BATCH_BYTES = 89_900_000  # just under `bytes_per_batch` of `providers.toml`, so that it is one batch
WIRE_BYTES = 120  # what packing counts around a body
WORDS = (
    "the answer to every question that was ever asked lies in a bucket, line by line, in the order of the questions "
)
PROMPT = "@@"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A file that makes one batch of `size` bytes. `expire` is the share that is answered before the batch expires."""

    name: str
    provider: str
    requests: int
    body: dict[str, Any]
    size: int = BATCH_BYTES
    expire: float | None = None

    def line(self, number: int) -> bytes:
        text = f"{number}: {WORDS}"
        room = self.size // self.requests - WIRE_BYTES - len(json.dumps(self.body))
        prompt = (text * (room // len(text) + 1))[:room]
        return json.dumps(self.body).replace(PROMPT, prompt).encode() + b"\n"


CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": PROMPT}]}
EMBEDDING = {"model": "text-embedding-3-small", "dimensions": 256, "input": PROMPT}
LARGE_EMBEDDING = {"model": "text-embedding-3-large", "dimensions": 3_072, "input": PROMPT}
CLAUDE = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": PROMPT}]}
CASES = (
    Case(name="openai", provider="openai", requests=49_000, body=CHAT),
    Case(name="embeddings", provider="openai", requests=30_000, body=EMBEDDING),
    Case(name="large embeddings", provider="openai", requests=49_990, body=LARGE_EMBEDDING),
    Case(name="anthropic", provider="anthropic", requests=9_900, body=CLAUDE),
    Case(name="long lines", provider="anthropic", requests=3, body=CLAUDE),
    Case(name="smoke", provider="openai", requests=10, body=CHAT, size=10_000),
    Case(name="expiring", provider="anthropic", requests=9_900, body=CLAUDE, expire=0.1),
)


def measure(stand: Deployed, case: Case, path: Path) -> float:
    """Print the figures of every step of a job; the greatest resident memory of all."""
    with path.open("wb") as file:
        file.writelines(case.line(number) for number in range(case.requests))
    name = f"memory-{case.name}"
    if case.expire is not None:
        expiring = {"provider": case.provider, "model": "*", "times": 1, "expire_fraction": case.expire}
        stand.control("shape", **expiring)
    stand.drop(f"input/{name}.jsonl", path)
    print(f"\n{case.name}: {case.requests:,} requests, a file of {path.stat().st_size / 1e6:.1f} MB")
    print(f"  {'step':9}{'seconds':>9}{'CPU s':>8}{'at start':>10}{'peak':>10}")
    peak = 0.0

    def run(step: str, event: dict[str, Any]) -> Figures:
        with stand.worker(BATCHDROP_SPLIT_BYTES=str(2 * BATCH_BYTES)) as worker:
            return worker.run(step, event)

    for step, found in stand.steps(run, manifests=1, under=f"{name}/", providers=(case.provider,)):
        peak = max(peak, found.peak_mb)
        print(
            f"  {step:9}{found.wall_seconds:9.2f}{found.cpu_seconds:8.2f}{found.start_mb:7.0f} MB"
            f"{found.peak_mb:7.0f} MB   {'' if found.peak_mb <= GOAL_MB else 'OVER THE GOAL'}",
            flush=True,
        )
        if step == "plan":
            sizes = ", ".join(f"{size:.1f} MB" for size in stand.sizes("work/", "requests-"))
            print(f"            → batches of {sizes}")
    print(f"            → results of {sum(stand.sizes(f'output/{name}/', 'results')):.1f} MB")
    return peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    names = [case.name for case in CASES if case.size == BATCH_BYTES]
    parser.add_argument("case", nargs="*", default=names, help="some of them: " + ", ".join(names))
    wanted = parser.parse_args().case
    print(machine())
    with deployed() as stand, tempfile.TemporaryDirectory(dir=scratch()) as folder:
        cases = [case for case in CASES if case.name in wanted]
        peak = max(measure(stand, case, Path(folder, "input.jsonl")) for case in cases)
    sys.exit(peak > GOAL_MB)


if __name__ == "__main__":
    main()

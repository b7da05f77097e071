"""Table 7: what each function loads before its first run, and how large its code is."""

import json
import os
import subprocess
from pathlib import Path

from deployed import Deployed, alone
from forms import Form
from goals import Goals

from local_cloud.emulator import PYTHON

STEPS = ("intake", "plan", "submit", "finish", "poll", "collect", "assemble", "publish", "sweep")
MOST_CPU = 0.7  # seconds, with bytecode in place
RUNS = {Form.SMOKE: 1, Form.SHORT: 3, Form.FULL: 3}
LOAD = """
import importlib, json, sys, time
began, cpu = time.perf_counter(), time.process_time()
importlib.import_module("handlers." + sys.argv[1])
took = time.perf_counter() - began, time.process_time() - cpu
print(json.dumps([*took, len(sys.modules), sorted({"openai", "anthropic"} & set(sys.modules))]))
"""


def measure(stand: Deployed, goals: Goals, *, form: Form) -> None:
    zipped, unzipped = sizes(stand)
    print(f"\n7. Cold start; one asset for all functions: {zipped:.1f} MB zipped, {unzipped:.1f} MB on disk")
    print(f"   {'':12}{'import':>9}{'CPU':>9}{'modules':>9}   SDKs")
    for step in STEPS:
        wall, cpu, modules, sdks = min(load(step, stand.code) for _ in range(RUNS[form]))
        print(f"   {step:12}{wall:7.2f} s{cpu:7.2f} s{modules:9}   {', '.join(sdks) or 'none'}", flush=True)
        goals.at_most(f"cold start of {step}", cpu, MOST_CPU, "CPU s")


def load(step: str, code: Path) -> tuple[float, float, int, list[str]]:
    """The seconds and CPU seconds of a function's imports, how many modules they are, and which SDKs are among them."""
    environment = {"PYTHONPATH": str(code), "PATH": os.environ["PATH"], "AWS_DEFAULT_REGION": "us-east-1"}
    command = [str(PYTHON), "-P", "-c", LOAD, step]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    wall, cpu, modules, sdks = json.loads(done.stdout)
    return wall, cpu, modules, sdks


def sizes(stand: Deployed) -> tuple[float, float]:
    """MB of the asset as Lambda gets it, and as it lies in /var/task."""
    unzipped = sum(path.stat().st_size for path in stand.code.rglob("*") if path.is_file())
    return stand.archive.stat().st_size / 1e6, unzipped / 1e6


if __name__ == "__main__":
    alone(measure)

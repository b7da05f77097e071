"""Run by `memory.py`: one deployed handler, one event; prints what it needed."""

import json
import resource
import sys
import time
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

STATUS = Path("/proc/self/status")


def resident_mb() -> float:
    """The most that was resident so far. `ru_maxrss` would count the parent, too, as it was before exec."""
    if STATUS.exists():
        (line,) = [line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


step, event = sys.argv[1], json.loads(sys.argv[2])
handler = import_module(f"handlers.{step}").handler
context = SimpleNamespace(
    function_name=step, memory_limit_in_mb=1024, invoked_function_arn=f"arn:local:{step}", aws_request_id="1"
)
start_mb = resident_mb()
began, cpu = time.perf_counter(), time.process_time()
answer = handler(event, context)
if answer and answer.get("batchItemFailures"):
    sys.exit(1)
figures = {
    "wall_seconds": time.perf_counter() - began,
    "cpu_seconds": time.process_time() - cpu,
    "start_mb": start_mb,
    "peak_mb": resident_mb(),
}
sys.stdout.write("\n" + json.dumps(figures) + "\n")

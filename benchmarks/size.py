"""Table 2: the same lines, ever more of them: memory and CPU for a line stay the same."""

import sys

from deployed import Deployed, alone, verdict
from forms import Form
from goals import Goals
from lines import CHAT

SIZES_MB = {Form.SMOKE: (1, 2), Form.SHORT: (36, 100), Form.FULL: (36, 360, 2_000)}
HUGE_MB = 5_000  # with --huge
MEMORY_FLAT, CPU_FLAT = 0.10, 0.15


def measure(stand: Deployed, goals: Goals, *, form: Form) -> None:
    sizes = SIZES_MB[form] + ((HUGE_MB,) if "--huge" in sys.argv else ())
    print("\n2. Size: both providers in turn, line by line")
    print(f"   goal: memory flat within {MEMORY_FLAT:.0%}, CPU for a line flat within {CPU_FLAT:.0%}")
    print(f"   {'file':>9}{'lines':>12}{'CPU / 100,000':>16}{'resident':>11}{'wall':>10}")
    first, most = None, 0.0
    for megabytes in sizes:
        lines = megabytes * 1_000_000 // CHAT
        job = stand.chats(lines, CHAT)
        each = job.cpu_seconds() / lines * 100_000
        first, most = first or (each, job.peak_mb), max(most, job.peak_mb)
        met = each <= first[0] * (1 + CPU_FLAT) and job.peak_mb <= first[1] * (1 + MEMORY_FLAT)
        print(
            f"   {megabytes:6} MB{lines:12,}{each:14.2f} s{job.peak_mb:8.0f} MB{job.wall_seconds:8.0f} s   "
            f"{verdict(met=met)}",
            flush=True,
        )
    what = f"resident at {sizes[-1]:,} MB, by that at {sizes[0]} MB"
    if first is not None:
        goals.at_most(what, most / first[1], 1 + MEMORY_FLAT, "times")


if __name__ == "__main__":
    alone(measure)

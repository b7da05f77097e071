"""Table 3: how fast each step is on one core, with the object store's own client and without it.

The client's share is what the same bytes take to be read and written with nothing done to them.
"""

from deployed import Deployed, Job, alone, verdict
from lines import CHAT

LINES = 100_000
LONG = 1_700  # bytes of a line of a common prompt
STREAMED_MB = 64
PLAN_GOAL, GOAL = 200, 75  # MB/s; the second is what a function's network gives
STEPS = ("plan", "submit", "collect", "assemble", "publish")


def measure(stand: Deployed, *, full: bool) -> None:  # noqa: ARG001 - the long form is the same
    got, sent = client_seconds(stand)
    print(
        f"\n3. Each step alone, MB/s on one core; S3's client alone reads {1 / got:.0f} and writes {1 / sent:.0f} MB/s"
    )
    print(f"   goal: plan {PLAN_GOAL} MB/s beside the client's share, and no step below {GOAL} MB/s")
    for size in (CHAT, LONG):
        job = stand.chats(LINES, size)
        print(f"   {f'lines of {size:,} B':18}{'bytes':>9}{'CPU':>9}{'client':>9}{'MB/s':>8}{'without':>9}")
        for step in STEPS:
            _show(step, job, got, sent, _megabytes(step, job))


def _show(step: str, job: Job, got: float, sent: float, megabytes: float) -> None:
    cpu = job.cpu_seconds(step)
    client = min(got * job.mb("got", step) + sent * job.mb("sent", step), cpu)
    own = megabytes / max(cpu - client, 0.001)
    met = megabytes / cpu >= GOAL and (step != "plan" or own >= PLAN_GOAL)
    print(
        f"   {step:18}{megabytes:6.0f} MB{cpu:7.2f} s{client:7.2f} s{megabytes / cpu:8.0f}{own:9.0f}   "
        f"{verdict(met=met)}",
        flush=True,
    )


def _megabytes(step: str, job: Job) -> float:
    """What goes through a step: plan's and submit's is what they read, the others' is what they write."""
    if step == "publish":
        return job.mb("sent", "assemble")  # S3 copies it by itself
    return job.mb("got" if step in {"plan", "submit"} else "sent", step)


def client_seconds(stand: Deployed) -> tuple[float, float]:
    """The CPU seconds for a MB that is read, and for one that is written."""
    with stand.worker() as worker:
        for _ in range(2):  # the first loads modules
            wrote = worker.run("_write", {"key": "work/bytes", "megabytes": STREAMED_MB})
            read = worker.run("_read", {"key": "work/bytes"})
    return read.cpu_seconds / STREAMED_MB, wrote.cpu_seconds / STREAMED_MB


if __name__ == "__main__":
    alone(measure)

"""Table 3: how fast each step is on one core, with the object store's own client and without it.

The client's share is what the same bytes take to be read and written with nothing done to them.
"""

from deployed import Deployed, Job, alone
from forms import Form
from goals import Goals
from lines import CHAT

LINES = {Form.SMOKE: 10, Form.SHORT: 100_000, Form.FULL: 100_000}
LONG = 1_700  # bytes of a line of a common prompt
STREAMED_MB = 64
GOALS = {(CHAT, "plan"): 150, (CHAT, "collect"): 150, (CHAT, "assemble"): 130, (LONG, "plan"): 300}  # MB/s
STEPS = ("plan", "submit", "collect", "assemble", "publish")


def measure(stand: Deployed, goals: Goals, *, form: Form) -> None:
    got, sent = client_seconds(stand)
    print(
        f"\n3. Each step alone, MB/s on one core; S3's client alone reads {1 / got:.0f} and writes {1 / sent:.0f} MB/s"
    )
    for size in (CHAT, LONG):
        job = stand.chats(LINES[form], size)
        print(f"   {f'lines of {size:,} B':18}{'bytes':>9}{'CPU':>9}{'client':>9}{'MB/s':>8}{'without':>9}")
        for step in STEPS:
            speed = _show(step, job, got, sent, _megabytes(step, job))
            if (size, step) in GOALS:
                goals.at_least(f"{step}, lines of {size:,} bytes", speed, GOALS[size, step], "MB/s")


def _show(step: str, job: Job, got: float, sent: float, megabytes: float) -> float:
    """Print a step's figures; its MB/s, the client's share among them."""
    cpu = job.cpu_seconds(step)
    client = min(got * job.mb("got", step) + sent * job.mb("sent", step), cpu)
    own = megabytes / max(cpu - client, 0.001)
    print(
        f"   {step:18}{megabytes:6.0f} MB{cpu:7.2f} s{client:7.2f} s{megabytes / cpu:8.0f}{own:9.0f}",
        flush=True,
    )
    return megabytes / cpu


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

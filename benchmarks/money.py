"""Table 6: what AWS asks for a million lines, and for a month in which nothing is dropped.

Calls, units, bytes and CPU seconds are counted while the deployed handlers run; the prices are AWS's public ones. The
free tier is left out. A function's seconds are its CPU seconds on the share of a core that its memory buys, and its
bytes at the speed of a function's network, one after the other: more than it will be.
"""

from collections import Counter
from dataclasses import dataclass

from deployed import PROVIDERS, Deployed, Figures, Job, alone, verdict
from forms import Form
from goals import Goals

LINES = 1_000_000
COUNTED = {Form.SMOKE: 10, Form.SHORT: 100_000, Form.FULL: LINES}
LINE_BYTES = 1_700
LINES_GOAL, MONTH_GOAL = 0.05, 5.00
MINUTES = 43_800  # of a month
CORE_MB = 1_769  # of memory for a whole core (Lambda's documentation)
NETWORK_MB = 75  # a second, of a function
FREE_TMP_MB = 512
HOURS_STORED = 24  # `work/` and its versions, until the provider has answered and the job is clean
POLLERS, POLL_SECONDS = 5, 20  # Lambda's on an idle queue: five long polls at once (its documentation)
KEY_MINUTES = 5  # a function reads a key again after so long
LOG_BYTES_A_RUN = 700  # what Lambda itself writes of a run; the steps' own lines are counted

# USD, us-east-1, arm64, before any free tier. AWS's own tables could not be read: docs/performance.md names what each
# price was compared with on 22 November 2026; "unchecked" ones were not, and are to be looked up before they are used.
PRICES = {
    "Lambda GB-second": 0.0000133334,
    "Lambda GB-second of /tmp": 0.0000000309,  # unchecked
    "Lambda request": 0.20e-6,  # unchecked
    "S3 write": 0.005e-3,  # PUT, COPY, POST, LIST
    "S3 read": 0.0004e-3,  # GET, HEAD
    "S3 GB-month": 0.023,
    "DynamoDB write": 0.625e-6,
    "DynamoDB read": 0.125e-6,
    "SQS request": 0.40e-6,
    "EventBridge event": 1.00e-6,  # unchecked
    "CloudWatch alarm": 0.10,  # a month, for each metric of it; unchecked
    "CloudWatch logs GB": 0.50,
    "Secret": 0.40,  # a month
    "Secrets Manager call": 0.05e-4,
    "GB to the providers": 0.09,  # the internet; unchecked. An account's first 100 GB of a month are free
}
S3_READS = {"GetObject", "HeadObject"}
S3_FREE = {"DeleteObject", "DeleteObjects", "AbortMultipartUpload"}


@dataclass(frozen=True, kw_only=True)
class Function:
    """How much memory and disk a step's function has."""

    memory_mb: int
    tmp_mb: int

    def seconds(self, run: Figures) -> float:
        """How long a run takes on Lambda."""
        return run.cpu_seconds * max(CORE_MB / self.memory_mb, 1) + sum(run.bytes.values()) / 1e6 / NETWORK_MB

    def bill(self, run: Figures) -> Counter[str]:
        seconds = self.seconds(run)
        return Counter(
            {
                "Lambda request": 1,
                "Lambda GB-second": seconds * self.memory_mb / 1024,
                "Lambda GB-second of /tmp": seconds * max(self.tmp_mb - FREE_TMP_MB, 0) / 1024,
                "CloudWatch logs GB": (LOG_BYTES_A_RUN + run.logged) / 1e9,
            }
        )


def measure(stand: Deployed, goals: Goals, *, form: Form) -> None:
    print("\n6. AWS's bill, USD, us-east-1, arm64, no free tier")
    lines = COUNTED[form]
    job = stand.chats(lines, LINE_BYTES)
    used = Counter({name: amount * LINES / lines for name, amount in bill_of(stand, job).items()})
    what = f"1,000,000 lines, {LINE_BYTES / 1e3:.1f} GB (counted on {lines:,})"
    goals.at_most("a million lines", show(what, used, LINES_GOAL), LINES_GOAL, "USD")
    stays = sum(PRICES[name] * amount for name, amount in used.items() if name != "GB to the providers")
    print(f"      without what leaves AWS, which is the lines themselves: {stays:.4f}")
    goals.at_most("an idle month", show("a month with nothing dropped", month(stand), MONTH_GOAL), MONTH_GOAL, "USD")


def show(what: str, used: Counter[str], goal: float) -> float:
    """Print a sum and what it is made of; the sum."""
    total = sum(PRICES[name] * amount for name, amount in used.items())
    print(f"   {what}: {total:.4f}, goal {goal:.2f}: {verdict(met=total <= goal)}")
    for name, amount in sorted(used.items(), key=lambda each: -PRICES[each[0]] * each[1]):
        print(f"      {name:28}{amount:16,.1f} x {PRICES[name]:.10f} = {PRICES[name] * amount:10.5f}", flush=True)
    return total


def functions_of(stand: Deployed) -> dict[str, Function]:
    return {
        step: Function(memory_mb=each["MemorySize"], tmp_mb=each.get("EphemeralStorage", {}).get("Size", FREE_TMP_MB))
        for step, each in stand.functions.items()
    }


def bill_of(stand: Deployed, job: Job) -> Counter[str]:
    functions, used = functions_of(stand), Counter[str]()
    for step, run in job.runs:
        used += functions[step].bill(run) + calls_of(run.calls) + units_of(run)
        used["SQS request"] += 2 * (step not in {"poll", "sweep"})  # Lambda receives and deletes the message
    used["GB to the providers"] = job.mb("got", "submit") / 1e3  # what submit reads is what it sends
    stored = job.mb("sent") - job.mb("sent", "publish")  # what users keep is not counted
    used["S3 GB-month"] += stored / 1e3 * HOURS_STORED / 730
    return used


def units_of(run: Figures) -> Counter[str]:
    return Counter({"DynamoDB write": run.units.get("write", 0), "DynamoDB read": run.units.get("read", 0)})


def calls_of(calls: dict[str, int]) -> Counter[str]:
    """What the calls of a run are on the bill; S3 tells EventBridge of each object that is made."""
    used = Counter[str]()
    for call, number in calls.items():
        service, _, name = call.partition(".")
        match service:
            case "s3" if name not in S3_FREE:
                used["S3 read" if name in S3_READS else "S3 write"] += number
                used["EventBridge event"] += number * (name in {"PutObject", "CompleteMultipartUpload", "CopyObject"})
            case "sqs":
                used["SQS request"] += number
            case "events":
                used["EventBridge event"] += number
            case "secretsmanager":
                used["Secrets Manager call"] += number
    return used


def month(stand: Deployed) -> Counter[str]:
    """What the stack takes when nothing is dropped: a minute's runs, the idle queues' polls, alarms and secrets."""
    functions, used = functions_of(stand), Counter[str]()
    with stand.worker() as worker:
        for warm in (False, True):
            for step, event in [("poll", {"provider": name}) for name in PROVIDERS] + [("sweep", {})]:
                run = worker.run(step, event)
                if warm:
                    used += functions[step].bill(run) + calls_of(run.calls) + units_of(run)
    used = Counter({name: amount * MINUTES for name, amount in used.items()})
    used["Secrets Manager call"] += 2 * len(PROVIDERS) * MINUTES / KEY_MINUTES  # by poll and by sweep
    used["SQS request"] += len(stand.queues) * POLLERS * MINUTES * 60 / POLL_SECONDS
    used["CloudWatch alarm"] += metrics_of_alarms(stand)
    used["Secret"] += len(PROVIDERS)
    return used


def metrics_of_alarms(stand: Deployed) -> int:
    pages = stand.aws("cloudwatch").get_paginator("describe_alarms").paginate()
    alarms = [alarm for page in pages for alarm in page["MetricAlarms"]]
    return sum(sum("MetricStat" in each for each in alarm.get("Metrics", [])) or 1 for alarm in alarms)


if __name__ == "__main__":
    alone(measure)

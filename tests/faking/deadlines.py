"""A job with a deadline, on a cloud of one call at a time, and what its providers charged."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from batchdrop.records import Batch, Job

from faking.cloud import TOML, Cloud, jsonl
from faking.cloud import cloud as new_cloud
from faking.lines import capped, claude

HANGS: dict[str, Any] = {"seconds_to_complete": 10**6}
DEADLINE = "batchdrop-deadline"
TWO_HOURS = 7_200
_ONE_AT_A_TIME = "realtime_concurrency = 1\nrealtime_requests_per_minute = 6000\nrealtime_tokens_per_minute = 9000000"


def lines(count: int, *, only: str | None = None) -> list[dict[str, Any]]:
    """Lines for both providers in turn, or for one, of which it is known what they may cost."""
    forms = {"openai": [capped], "anthropic": [claude], None: [capped, claude]}[only]
    return [forms[number % len(forms)](f"line {number}", number) for number in range(count)]


@contextmanager
def one_at_a_time(limits: str = _ONE_AT_A_TIME, **numbers: int) -> Iterator[Cloud]:
    """A cloud whose calls at real time come one after the other, in order."""
    kept = [each for each in TOML.read_text(encoding="utf-8").splitlines() if not each.startswith("realtime_")]
    text = "\n".join(f"{each}\n{limits}" if each.endswith(".limits]") else each for each in kept)
    with new_cloud(text, **numbers) as cloud:
        yield cloud


def drop(cloud: Cloud, dropped: list[Any], **metadata: str) -> str:
    """Drop a file whose job must be done in two hours, and let it be sent."""
    job = cloud.drop("input/x.jsonl", jsonl(dropped), **({DEADLINE: "2h"} | metadata))
    assert job is not None
    cloud.deliver_all()
    return job


def job_of(cloud: Cloud, job: str) -> Job:
    found = cloud.services.store.job(job)
    assert found is not None
    return found


def batches_of(cloud: Cloud, job: str) -> list[Batch]:
    return list(cloud.services.store.batches(job))


def charged(cloud: Cloud) -> dict[str, tuple[int, int]]:
    """How many requests each provider charged in batches, and at real time."""
    charges = cloud.simulator.charges()
    return {name: (each["requests"], each["realtime"]["requests"]) for name, each in charges.items()}


def most_charged(cloud: Cloud) -> int:
    """How often the request was charged that was charged most."""
    return max(int(each["max_charged_per_body"]) for each in cloud.simulator.charges().values())


def pass_until_finishing(cloud: Cloud, job: str) -> None:
    """Let time pass until the last safe moment has come, whose messages are not delivered yet."""
    while (now := job_of(cloud, job)).finishing_at is None:
        left = (now.last_safe_at or 0) - cloud.clock.seconds()
        cloud.tick(max(left, 60))
        if job_of(cloud, job).finishing_at is None:
            cloud.deliver_all()

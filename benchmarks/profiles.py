"""Where the CPU microseconds of a line go: plan, collect and assemble of 100,000 chats, in process, on moto.

Only our own modules are told, and what they call in C: neither S3's client nor moto. A profile makes Python's calls
dearer than they are, and C's not: shares say more than sums.
"""

import cProfile
import json
import logging
import pstats
import time
from collections import Counter
from pathlib import Path

from batchdrop.steps.poll import poll_provider
from calls import unlimited_providers
from faking.cloud import STEPS, Cloud, cloud
from lines import chat_lines
from machine import machine

LINES = 100_000
SHOWN = 12
PROFILED = ("plan", "collect", "assemble")
OWN = "functions/batchdrop/"
type Function = tuple[str, int, str]


def main() -> None:
    logging.disable(logging.CRITICAL)
    print(machine())
    with cloud(unlimited_providers(), split_bytes=64 * 1024 * 1024) as here:
        profiles = profile_job(here, b"".join(chat_lines(LINES, "openai", "anthropic")))
    for step, profile in profiles.items():
        show(step, own_seconds(pstats.Stats(profile)))


def profile_job(here: Cloud, body: bytes) -> dict[str, cProfile.Profile]:
    """Run a whole job; the profile of each step that is looked at."""
    profiles = {step: cProfile.Profile(time.process_time) for step in PROFILED}
    here.drop("input/profile.jsonl", body)
    while not here.is_quiet():
        for step in STEPS:
            for message in messages(here, step):
                profile = profiles.get(step)
                if profile is None:
                    here.call(step, message)
                else:
                    profile.runcall(here.call, step, message)
        here.clock.now += 60
        for provider in here.services.providers:
            poll_provider(provider, here.services)
    return profiles


def messages(here: Cloud, step: str) -> list[dict[str, object]]:
    """What waits for a step, taken from its queue."""
    url = here.queue_urls[step]
    found = here.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0).get("Messages", [])
    for each in found:
        here.sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
    return [json.loads(each["Body"]) for each in found]


def own_seconds(stats: pstats.Stats) -> Counter[str]:
    """The time within each of our functions, and within what C does for them."""
    found = Counter[str]()
    for function, (_, _, own, _, callers) in stats.stats.items():  # type: ignore[attr-defined]  # typeshed has no name for it
        if OWN in function[0]:
            found[_named(function)] += own
        elif function[0] == "~":
            for caller, (_, _, its, _) in callers.items():
                found[f"{function[2].strip('<>')} in {_named(caller)}"] += its if OWN in caller[0] else 0
    return found


def _named(function: Function) -> str:
    return f"{Path(function[0]).stem}.{function[2].strip('<>')}"


def show(step: str, seconds: Counter[str]) -> None:
    total = sum(seconds.values())
    print(
        f"\n{step}: {total / LINES * 1e6:.1f} microseconds a line\n\n| | microseconds a line | share |\n|---|---|---|"
    )
    for name, its in seconds.most_common(SHOWN):
        print(f"| {name} | {its / LINES * 1e6:.2f} | {its / total:.0%} |")
    rest = total - sum(its for _, its in seconds.most_common(SHOWN))
    print(f"| all else | {rest / LINES * 1e6:.2f} | {rest / total:.0%} |", flush=True)


if __name__ == "__main__":
    main()

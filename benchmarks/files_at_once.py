"""`make bench-files`: ten thousand files dropped at once, each told of twice and in any order; one job for each.

In process, on moto, which copies its whole table for every transaction: therefore in many clouds of a few files each.
What is measured is intake's work for a file, and that none is lost or taken twice. The whole path of many files is
tests/steps/test_bad_input.py's.
"""

import argparse
import random
import resource
import sys
import time
from collections import Counter
from dataclasses import dataclass

from batchdrop.steps.intake import Dropped, take_object
from faking.cloud import BUCKET, Cloud, jsonl
from faking.cloud import cloud as new_cloud
from faking.lines import chat
from machine import machine

CLOUD_FILES = 50
SEED = 7


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What became of the files of one cloud; `wrong` are keys with no job or several."""

    jobs: int
    splits: int
    wrong: list[str]
    seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    files = parser.parse_args().files
    begun = time.monotonic()
    seen = [_take(range(at, min(at + CLOUD_FILES, files))) for at in range(0, files, CLOUD_FILES)]
    jobs, splits = sum(each.jobs for each in seen), sum(each.splits for each in seen)
    wrong = [key for each in seen for key in each.wrong]
    an_event = 1000 * sum(each.seconds for each in seen) / files / 2
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(machine())
    print(f"{files:,} files, {2 * files:,} events: {jobs:,} jobs, {splits:,} splits to plan")
    print(f"{an_event:.1f} ms of the processor an event, moto's share included")
    print(f"{time.monotonic() - begun:.0f} s, {resident:.0f} MB resident")
    print(f"{len(wrong)} files lost or taken twice {wrong[:5]}")
    return 0 if jobs == splits == files and not wrong else 1


def _take(numbers: range) -> Taken:
    with new_cloud() as cloud:
        told = [_put(number, cloud) for number in numbers] * 2
        random.Random(SEED + numbers.start).shuffle(told)  # noqa: S311 - an order that repeats is what is wanted
        begun = time.process_time()
        for each in told:
            take_object(each, cloud.services)
        seconds = time.process_time() - begun
        jobs = Counter(job.key for job in cloud.jobs())
        return Taken(
            jobs=jobs.total(),
            splits=sum(row.startswith("SPLIT#") for _, row in cloud.rows()),
            wrong=sorted(key for key in {each.key for each in told} | set(jobs) if jobs[key] != 1),
            seconds=seconds,
        )


def _put(number: int, cloud: Cloud) -> Dropped:
    key, body = f"input/{number % 100:02}/{number:05}.jsonl", jsonl([chat(str(number))])
    return cloud.dropped(key, body, cloud.s3.put_object(Bucket=BUCKET, Key=key, Body=body)["VersionId"])


if __name__ == "__main__":
    sys.exit(main())

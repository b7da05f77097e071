"""`make bench-files`: ten thousand files dropped at once, each told of twice and in any order; one job for each.

In process, on moto: what is measured is intake's work for a file, and that none is lost or taken twice. The whole path
of many files is tests/steps/test_bad_input.py's.
"""

import argparse
import random
import resource
import sys
import time
from collections import Counter

from batchdrop.intake import Dropped, take_object
from faking.cloud import BUCKET, Cloud, jsonl
from faking.cloud import cloud as new_cloud
from faking.lines import chat
from machine import machine

SEED = 7


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    files = parser.parse_args().files
    with new_cloud() as cloud:
        told = [_put(number, cloud) for number in range(files)] * 2
        random.Random(SEED).shuffle(told)  # noqa: S311 - an order that repeats is what is wanted
        cpu, wall = time.process_time(), time.monotonic()
        for each in told:
            take_object(each, cloud.services)
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
        jobs = Counter(job.key for job in cloud.jobs())
        kinds = Counter(row.partition("#")[0] for _, row in cloud.rows())
    wrong = sorted({each.key for each in told} ^ set(jobs)) or [key for key, count in jobs.items() if count != 1]
    print(machine())
    print(f"{files:,} files, {len(told):,} events: {sum(jobs.values()):,} jobs, {kinds['SPLIT']:,} splits to plan")
    an_event = f"{1000 * cpu / len(told):.1f} ms an event"
    print(f"{wall:.0f} s, {cpu:.0f} s of them on the processor, moto's share included: {an_event}")
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB resident, moto's objects included")
    print(f"{len(wrong)} files lost or taken twice {wrong[:5]}")
    return 1 if wrong or kinds["SPLIT"] != files else 0


def _put(number: int, cloud: Cloud) -> Dropped:
    key, body = f"input/{number % 100:02}/{number:05}.jsonl", jsonl([chat(str(number))])
    return cloud.dropped(key, body, cloud.s3.put_object(Bucket=BUCKET, Key=key, Body=body)["VersionId"])


if __name__ == "__main__":
    sys.exit(main())

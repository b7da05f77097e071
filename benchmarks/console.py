"""What the console's pages take of server time, with 10,000 jobs in the table.

`PYTHONPATH=tests .venv/bin/python benchmarks/console.py` asks the application for each page, in its process: the time
from the request to its last byte. Calls to DynamoDB are answered in memory; boto3 makes and reads them, and each
sleeps for 5 ms first, as a call to AWS takes. The goal is 300 ms for the first paint of Jobs, the first time, too.
"""

import argparse
import sys
import time
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import NamedTuple

import boto3
from batchdrop.aws.table_items import add_row
from batchdrop.records import JobSettings
from batchdrop.states import JobState
from faking.cloud import BUCKET, REGION, TABLE, Cloud, cloud
from faking.rows import a_job
from machine import machine
from starlette.testclient import TestClient

from batchdrop_cli.cloud import Cloud as UsersCloud
from batchdrop_console.access import Access
from batchdrop_console.app import make_app
from batchdrop_console.pages import Console, notify

GOAL = 300  # milliseconds
_DAYS, _TIMES, _CALL = 30, 15, 0.005
PAGES = {
    "Jobs": "/",
    "Jobs, the hundredth page": "/?before={middle}",
    "Jobs, by a word of the newest": "/?text=newest",
    "Jobs, by a word that nothing has (2,000 looked at)": "/?text=nothing-has-this",
    "a job": "/jobs/{middle}",
    "Providers": "/providers",
}


def fill(made: Cloud, jobs: int) -> str:
    """Add rows of jobs that run, spread over the days; the id of one in the middle."""
    now, ids = datetime.now(UTC), list[str]()
    for number in range(jobs):
        at = now - timedelta(seconds=number * _DAYS * 86_400 // jobs)
        ids.append(f"{at:%Y%m%dT%H%M%SZ}-{number:010x}")
        key = f"input/folder-{number % 40}/{'newest' if number < jobs // 10 else 'older'}-{number}.jsonl"
        settings = JobSettings(summary=f"Run {number} of the nightly evaluation")
        row = a_job(job=ids[-1], key=key, state=JobState.RUNNING, dropped_at=int(at.timestamp()), settings=settings)
        put = add_row(row)(TABLE)["Put"]
        made.table.call("PutItem", {**put, "TableName": TABLE})
    return ids[jobs // 4]


class Took(NamedTuple):
    """Milliseconds, of the clock and of the processors."""

    wall: float
    cpu: float


def milliseconds(client: TestClient, url: str) -> Took:
    began, worked = time.perf_counter(), time.process_time()
    answer = client.get(url)
    took = Took((time.perf_counter() - began) * 1_000, (time.process_time() - worked) * 1_000)
    if answer.status_code != 200:
        raise SystemExit(f"{url}: {answer.status_code}")
    return took


def _wait(**_: object) -> None:
    """As long as a call to AWS takes."""
    time.sleep(_CALL)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jobs", type=int, nargs="?", default=10_000)
    jobs = parser.parse_args().jobs
    print(machine())
    print(f"| {jobs:,} jobs | the first time, of it CPU | median of {_TIMES}, of it CPU | most |")
    print("|---|---|---|---|", flush=True)
    with cloud() as made:
        middle = fill(made, jobs)
        session = boto3.Session(region_name=REGION)
        users = UsersCloud(title="", is_local=True, bucket=BUCKET, table=TABLE, session=session, notify=notify)
        users.store._table._client.meta.events.register("provide-client-params.dynamodb", _wait)  # noqa: SLF001
        _ = users.s3
        access, first_paint = Access(1), 0.0
        app = make_app(Console(cloud=users, log=print), access)
        with TestClient(app, base_url=access.address) as client:
            client.get(access.url.removeprefix(access.address))
            for name, path in PAGES.items():
                first, *times = (milliseconds(client, path.format(middle=middle)) for _ in range(_TIMES + 1))
                usual, cpu = median(each.wall for each in times), median(each.cpu for each in times)
                first_paint = first_paint or max(first.wall, usual)
                figures = f"{first.wall:.0f} ms, {first.cpu:.0f} | {usual:.0f} ms, {cpu:.0f}"
                print(f"| {name} | {figures} | {max(each.wall for each in times):.0f} ms |", flush=True)
    print(f"First paint: {first_paint:.0f} ms, goal {GOAL} ms.")
    return 0 if first_paint <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())

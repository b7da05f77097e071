"""Table 5: many small jobs at once, and very many batches at the providers."""

import json
import time
from collections.abc import Iterator
from itertools import batched
from typing import Any

import httpx2
from batchdrop.aws.provider_items import reserve
from batchdrop.aws.table_items import encode, key_of, values_of
from batchdrop.records import Batch
from batchdrop.states import BatchState
from deployed import PROVIDERS, Deployed, Figures, Job, alone, verdict
from forms import Form
from goals import Goals
from lines import CHAT, chat_lines

JOBS = {Form.SMOKE: 2, Form.SHORT: 10, Form.FULL: 1_000}
LINES = 4  # of a small job, of both providers in turn
ACTIVE = {Form.SMOKE: 4, Form.SHORT: 1_000, Form.FULL: 10_000}  # at each provider
ENDED = {Form.SMOKE: 2, Form.SHORT: 100, Form.FULL: 100}  # of them, in the second round
MOST_SECONDS, MOST_CALLS = 60, 200
MOST_OF_JOB = 66  # calls of AWS: half of what they were
WRITES = 25  # DynamoDB's most in a batch
NEVER, SOON = 80_000, 8_000  # seconds until a batch ends, by the simulator's clock
PAUSE_SECONDS = 10  # between two rounds; batches that young are asked for about every fifth second
HEADERS = {"anthropic-version": "2023-06-01"}


def measure(stand: Deployed, goals: Goals, *, form: Form) -> None:
    print(f"\n5. Scale; goal: a round within {MOST_SECONDS} s and {MOST_CALLS} calls of the providers")
    many_jobs(stand, goals, JOBS[form])
    many_batches(stand, ACTIVE[form], ENDED[form])


def many_jobs(stand: Deployed, goals: Goals, count: int) -> None:
    s3, job, began = stand.aws("s3"), Job(), time.perf_counter()
    stand.provider_calls()
    for number in range(count):
        body = b"".join(chat_lines(LINES, *PROVIDERS)).replace(b"00000000 ", b"%08d " % number)
        s3.put_object(Bucket=stand.cloud.bucket, Key=f"input/scale/{number:05}.jsonl", Body=body)
    with stand.worker() as worker:
        job.runs += stand.steps(worker.run, manifests=count, under="scale/", providers=PROVIDERS)
    calls = stand.provider_calls()
    print(
        f"   {count:,} jobs of {LINES} lines dropped at once: {time.perf_counter() - began:.0f} s one after another, "
        f"{job.cpu_seconds() / count:.2f} CPU s, {job.calls().total() / count:.0f} calls of AWS and "
        f"{calls.total() / count:.1f} of providers a job, {job.peak_mb:.0f} MB"
    )
    goals.at_most(f"calls of AWS for a job of {LINES} lines", job.calls().total() / count, MOST_OF_JOB, "calls")


def many_batches(stand: Deployed, count: int, ending: int) -> None:
    """Rounds of poll and sweep while so many batches are at each provider."""
    stand.control("shape", seconds_to_complete=NEVER)
    rows = [row for provider in PROVIDERS for row in at_provider(stand, provider, count, ending)]
    put(stand, rows)
    for name in PROVIDERS:
        begin_anew(stand, name)
    what = f"{count:,} active batches at each"
    print(f"   {what:40}{'seconds':>9}{'CPU':>9}{'calls':>7}{'of AWS':>8}{'resident':>11}")
    try:
        with stand.worker() as worker:
            for ended in (0, ending):
                for name in PROVIDERS:
                    stand.provider_calls()
                    run = worker.run("poll", {"provider": name})
                    calls, found = stand.provider_calls().total(), _found(stand)
                    is_whole = found == ended and "cut_at" not in _left(stand, name)
                    _show(f"poll {name}, {found} of {ended} ended found", run, calls, is_whole=is_whole)
                _show("sweep", worker.run("sweep", {}), 0, is_whole=True)
                stand.control("advance", seconds=SOON)
                time.sleep(PAUSE_SECONDS)
    finally:
        put(stand, rows, delete=True)
        stand.no_faults()


def _found(stand: Deployed) -> int:
    """How many batches poll has found to have ended since the last time."""
    return sum(len(event["Records"]) for event in iter(lambda: stand.next_event("collect"), None))


def _left(stand: Deployed, provider: str) -> dict[str, Any]:
    """What the last round left for the next one: where it was cut, if it was."""
    item: dict[str, Any] = stand.aws("dynamodb").get_item(TableName=stand.cloud.table, Key=_lease(provider))["Item"]
    return item


def begin_anew(stand: Deployed, provider: str) -> None:
    """Let the next round be the first, which knows how long its batches usually take.

    Small jobs ran before, and their batches took two seconds: any other would be late, and asked for by its id.
    """
    lease = {**_lease(provider), "usual": {"N": str(NEVER)}}
    stand.aws("dynamodb").put_item(TableName=stand.cloud.table, Item=lease)


def _lease(provider: str) -> dict[str, Any]:
    return {"pk": {"S": f"LEASE#poll#{provider}"}, "sk": {"S": "LEASE"}}


def _show(what: str, found: Figures, calls: int, *, is_whole: bool) -> None:
    """A round that was cut, or did not find what had ended, misses its goal however few calls it made."""
    met = is_whole and found.wall_seconds <= MOST_SECONDS and calls <= MOST_CALLS
    print(
        f"   {what:40}{found.wall_seconds:7.1f} s{found.cpu_seconds:7.1f} s{calls:8}{sum(found.calls.values()):8}"
        f"{found.peak_mb:8.0f} MB   {verdict(met=met)}",
        flush=True,
    )


def at_provider(stand: Deployed, provider: str, count: int, ending: int) -> Iterator[Batch]:
    """Create batches of one request at a provider, of which the last `ending` end soon; the rows that poll would find.

    The rows say that one was created each second until now: a provider's list has them in that order.
    """
    job, now = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{provider:.10}", int(time.time())
    headers = HEADERS | stand.cloud.simulator_headers
    with httpx2.Client(base_url=stand.cloud.simulator_url or "", headers=headers, timeout=600) as http:
        creates = CREATES[provider](http)
        for number in range(count):
            if number == count - ending:
                stand.control("shape", provider=provider, times=ending, seconds_to_complete=SOON)
            yield Batch(
                job=job,
                state=BatchState.IN_FLIGHT,
                id=f"00000-0-{number:04}",
                split=0,
                round=0,
                token=f"{number:016}",
                provider=provider,
                endpoint="/v1/chat/completions",
                requests=1,
                bytes=CHAT,
                tokens=100,
                cost=1,
                ledger=f"{provider}/scale",
                requests_key="work/scale",
                members_key="work/scale",
                batch_id=next(creates),
                submitted_at=now - count + number,
                due_at=now,
            )


def create_openai(http: httpx2.Client) -> Iterator[str]:
    """One file for all of them."""
    file = ("requests.jsonl", b"".join(chat_lines(1, "openai")), "application/jsonl")
    upload = http.post("/openai/v1/files", files={"file": file}, data={"purpose": "batch"}).raise_for_status().json()
    body = {"input_file_id": upload["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    while True:
        yield http.post("/openai/v1/batches", json=body).raise_for_status().json()["id"]


def create_anthropic(http: httpx2.Client) -> Iterator[str]:
    body = {"requests": [json.loads(line) for line in chat_lines(1, "anthropic")]}
    while True:
        yield http.post("/anthropic/v1/messages/batches", json=body).raise_for_status().json()["id"]


CREATES = {"openai": create_openai, "anthropic": create_anthropic}


def put(stand: Deployed, rows: list[Batch], *, delete: bool = False) -> None:
    """Write the rows past all conditions, which only a benchmark may; or delete them."""
    dynamodb, table = stand.aws("dynamodb"), stand.cloud.table
    for some in batched(rows, WRITES, strict=False):
        if delete:
            keys = [dict(zip(("pk", "sk"), key_of(row), strict=True)) for row in some]
            writes = [{"DeleteRequest": {"Key": encode(key)}} for key in keys]
        else:
            writes = [{"PutRequest": {"Item": encode(values_of(row))}} for row in some]
        dynamodb.batch_write_item(RequestItems={table: writes})
    if not delete:
        for name in PROVIDERS:
            dynamodb.transact_write_items(TransactItems=[reserve(f"{name}/scale", len(rows), limit=len(rows))(table)])


if __name__ == "__main__":
    alone(measure)

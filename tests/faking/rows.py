"""Rows as they are in a table: one of each kind, with changes. Tests that need a row begin with one of these."""

from batchdrop.records import Batch, Job, JobSettings, Split
from batchdrop.states import BatchState, JobState, SplitState

JOB = "20261105T091412Z-7f3a9c2e51"
NOW = 1_800_000_000


def a_job(**changes: object) -> Job:
    job = Job(
        job=JOB,
        state=JobState.PLANNING,
        bucket="b",
        key="input/a.jsonl",
        version_id="v",
        bytes=10,
        dropped_at=NOW,
        settings=JobSettings(priority=3, betas=("b",)),
        splits=2,
        unplanned=2,
        unassembled=2,
        due_at=NOW + 900,
    )
    return job.with_(**changes)


def a_split(index: int = 0, **changes: object) -> Split:
    split = Split(job=JOB, state=SplitState.PENDING, index=index, start=0, end=10, due_at=NOW + 900)
    return split.with_(**changes)


def a_batch(number: int = 0, state: BatchState = BatchState.WAITING, **changes: object) -> Batch:
    batch = Batch(
        job=JOB,
        state=state,
        id=f"00000-0-{number:04}",
        split=0,
        round=0,
        token="0123456789abcdef",
        provider="openai",
        endpoint="/v1/responses",
        model="gpt-4o",
        requests=5,
        bytes=500,
        tokens=150,
        cost=150,
        ledger="openai/gpt-4o",
        requests_key="work/r",
        members_key="work/m",
        due_at=NOW,
    )
    return batch.with_(**changes)

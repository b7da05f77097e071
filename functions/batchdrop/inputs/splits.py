"""Splits: how a file is cut into byte ranges, by its size alone."""

from batchdrop.records import Job, Split
from batchdrop.states import SplitState

_LARGE = 16  # a file of more splits than that has larger ones
_LARGER = 4  # times
_MOST = 2_000  # a job's splits: publish joins a few pieces of each, and S3 takes 10,000


def splitting_of(size: int, split_bytes: int) -> dict[str, int]:
    """Return the row changes that define a job's splits. They grow with the file: rows and messages do not."""
    if size > _LARGE * split_bytes:
        split_bytes = max(_LARGER * split_bytes, -(-size // _MOST))
    count = -(-size // split_bytes)
    return {"splits": count, "split_bytes": split_bytes, "unplanned": count, "unassembled": count}


def splits_of(job: Job, *, due_at: int) -> list[Split]:
    """The byte ranges of a job's file, by size alone."""
    return [
        Split(
            job=job.id,
            state=SplitState.PENDING,
            index=index,
            start=index * job.split_bytes,
            end=min((index + 1) * job.split_bytes, job.source.bytes),
            due_at=due_at,
        )
        for index in range(job.splits)
    ]

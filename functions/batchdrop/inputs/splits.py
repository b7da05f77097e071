"""Splits: how a file is cut into byte ranges, by its size alone, and how they are sent on their way."""

from batchdrop.records import Job, Split
from batchdrop.services import Services
from batchdrop.states import SplitState

_LARGE = 16  # a file of more splits than that has larger ones
_LARGER = 4  # times
_MOST = 2_000  # a job's splits: publish joins a few pieces of each, and S3 takes 10,000


def splitting_of(size: int, split_bytes: int) -> dict[str, int]:
    """What a job's row says of its splits. They grow with the file: rows and messages do not."""
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


def send_splits(job: Job, services: Services, *, first: int = 0) -> None:
    """Add the rows of a job's splits from `first` on, and have them planned. Twice is as good as once."""
    _send(splits_of(job, due_at=_due_at(services))[first:], services)


def add_missing_splits(job: Job, services: Services) -> None:
    """Add the rows of splits that are not there, since intake or inflating died, and have them planned."""
    found = {split.index for split in services.store.splits(job.id)}
    _send([split for split in splits_of(job, due_at=_due_at(services)) if split.index not in found], services)


def _send(splits: list[Split], services: Services) -> None:
    # Of 2,000 splits: 20 calls for the rows and 200 for the messages, a few seconds.
    services.store.add_all(splits)
    services.queues.plan_all((split.job, split.index) for split in splits)


def _due_at(services: Services) -> int:
    return services.now() + services.settings.lease_seconds

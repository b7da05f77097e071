"""Retry rounds: closes batches; requests to be sent again wait for the end of their split's round, and form the next.

The split counts its open batches, in the same transaction as the batch's move. The one that closes the last of them
either lets the split be assembled, or puts all that is to be sent again into new batches: never into the old ones.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Unpack

import msgspec
from aws_lambda_powertools import Logger

from batchdrop.aws import keys
from batchdrop.aws.optimistic import until_unchanged
from batchdrop.aws.table_items import Write, update_counter
from batchdrop.batches.corrections import corrections
from batchdrop.batches.falling import Falling, Untaken
from batchdrop.batches.packing import Group, group_again
from batchdrop.batches.request_files import BatchWriter, copy_requests, round_name
from batchdrop.batches.result_index import CHARGED, MISFITS, UNCHARGED, Collected, Found, read_collected
from batchdrop.batches.rows import batch_rows, call_batches
from batchdrop.batches.sent_again import may_fall
from batchdrop.batches.split_plan import PlannedBatch, read_members
from batchdrop.errors import ClaimLost, Gone
from batchdrop.limits.admission import admit_batches
from batchdrop.limits.circuit_breaker import account_refused
from batchdrop.providers.config import NotConfigured
from batchdrop.records import Batch, Job, Split
from batchdrop.row_changes import BatchChanges
from batchdrop.services import Services
from batchdrop.states import BatchState, JobState
from batchdrop.temporary_files import temporary_folder

logger = Logger(child=True)


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """The batches of a later round, and the ids of those that it goes on from; the first one that is written stays.

    `untaken` says which lines of these the fallback cannot take, and why.
    """

    batches: list[PlannedBatch]
    goes_on: list[str]
    untaken: Untaken = {}


class RoundEnd(msgspec.Struct, frozen=True, kw_only=True):
    """The effect of a batch's close on its split: `rows` are the next round's where it was the last."""

    split: Split
    rows: list[Batch] = []

    @property
    def is_last(self) -> bool:
        return self.split.open == 1

    def count(self, due_at: int) -> Write:
        """The split's count of open batches; due for assembly where none is left."""
        if self.rows:
            return update_counter(self.split, "open", 1, to=len(self.rows), round=self.split.round + 1)
        due = {"due_at": due_at} if self.is_last else {}
        return update_counter(self.split, "open", self.split.open, to=self.split.open - 1, **due)


def close_batch(
    batch: Batch,
    state: BatchState,
    services: Services,
    *,
    also: tuple[Write, ...] = (),
    **changes: Unpack[BatchChanges],
) -> Batch:
    """Move a batch to a state that ends it, and see to its split if it was the last of the round.

    Raises:
        ClaimLost: Another moved it first, or a provider of the next round is not configured: sweep comes back to it.
    """

    def close() -> tuple[Batch, RoundEnd]:
        end = _round_end(batch, services)
        services.store.add_all(end.rows)
        count = end.count(services.now() + services.settings.lease_seconds)
        return services.store.move(batch, state, also=[count, *also], **changes), end

    closed, end = until_unchanged(close)
    _go_on(end, services)
    return closed


def _round_end(batch: Batch, services: Services) -> RoundEnd:
    split = services.store.split(batch.job, batch.split)
    if split is None or batch.round != split.round or not split.open:
        raise ClaimLost  # a batch of a round that never began is counted nowhere
    try:
        return RoundEnd(split=split, rows=_next_round(split, batch, services) if split.open == 1 else [])
    except NotConfigured as error:
        account_refused(error.provider, error, services)
        raise ClaimLost from error


def _go_on(end: RoundEnd, services: Services) -> None:
    split = end.split
    if end.rows:
        logger.info("round begins", split=split.index, round=split.round + 1, batches=len(end.rows))
        for provider in sorted({row.provider for row in end.rows}):
            admit_batches(provider, services)
        call_batches(end.rows, services)
    elif end.is_last:
        services.queues.assemble(split.job, split.index)


def _next_round(split: Split, last: Batch, services: Services) -> list[Batch]:
    """The rows of the batches that send again what was left, `last` being the one that is closed now."""
    batches = [last if each.id == last.id else each for each in services.store.batches(split.job, split.index)]
    if not any(each.again for each in batches):
        return []
    job = services.store.job(split.job)
    if job is None:
        raise ClaimLost
    if job.state is not JobState.RUNNING or job.outcome is not None:
        return []
    left = _left(split, batches, services)
    if not left:
        return []
    try:
        planned = read_round(split, split.round + 1, services)
    except Gone:
        answered = _answered_by_duplicates(batches, services)
        planned = _plan_round(job, split, last, left, answered=answered, services=services)
    return list(batch_rows(job, split, planned.batches, services))


def read_round(split: Split, number: int, services: Services) -> Round:
    """A later round of a split.

    Raises:
        Gone: It was never planned.
    """
    return msgspec.json.decode(services.files.get(keys.plan_key(split.job, split.index, number)), type=Round)


def _plan_round(  # noqa: PLR0913 - what a round is made of
    job: Job, split: Split, last: Batch, left: list[Batch], *, answered: set[int], services: Services
) -> Round:
    with temporary_folder() as folder:
        prefix = f"{keys.attempt_prefix(split, 'round')}{last.id}-{last.epoch}/"
        name = round_name(split.index, split.round + 1)
        writer = BatchWriter(name, prefix, Path(folder), services, split=split.index)
        falling = Falling(job, writer, services)
        for each in left:
            _pool(each, answered, writer, falling, services)
        planned = Round(batches=writer.finish(), goes_on=[each.id for each in left], untaken=falling.untaken)
    key = keys.plan_key(split.job, split.index, split.round + 1)
    return msgspec.json.decode(services.files.put_first(key, msgspec.json.encode(planned)), type=Round)


def _left(split: Split, batches: list[Batch], services: Services) -> list[Batch]:
    """The closed batches that no round went on from.

    One of an earlier round is among them if it was to end otherwise when the next round was planned, and the worker
    that planned it died before it could close it.
    """
    left = [each for each in batches if each.again]
    if not left:
        return []
    gone_on = find_gone_on(split, services)
    return [each for each in left if each.id not in gone_on]


def find_gone_on(split: Split, services: Services) -> set[str]:
    """The ids of the batches that the split's rounds went on from."""
    return {each for number in range(1, split.round + 1) for each in read_round(split, number, services).goes_on}


def _answered_by_duplicates(batches: list[Batch], services: Services) -> set[int]:
    """The places of lines that a create which came too late has answered: nobody pays for them once more."""
    answered: set[int] = set()
    for each in batches:
        if each.is_duplicate and each.collected_key is not None:
            members = read_members(services.files, each.members_key)
            found = read_collected(services.files, each.collected_key).found
            answered.update(members[at] for at, what in enumerate(found) if what == Found.ANSWERED)
    return answered


def _pool(batch: Batch, answered: set[int], writer: BatchWriter, falling: Falling, services: Services) -> None:
    """Put what is left of a batch into the next round's; apart from the others what that costs no attempt."""
    members, collected = read_members(services.files, batch.members_key), _collected(batch, services)
    for group, kinds in _groups(batch, falling.job):
        own = kinds.difference(batch.fallen_kinds)
        positions = [at for at, found in enumerate(collected.found) if found in own and members[at] not in answered]
        edits = corrections(falling.job, batch, positions, services) if kinds == MISFITS else None
        copy_requests(batch, group, positions, writer, services, edits=edits)
    falling.pool(batch, collected, members, answered)


def _groups(batch: Batch, job: Job) -> Iterator[tuple[Group, frozenset[Found]]]:
    """Yield the requests that go again to the same route, each with its finding.

    A call in doubt may be paid, and an answer that does not fit is: their requests never fall.
    """
    if batch.misfits:
        yield group_again(batch, attempts=1, stays=may_fall(batch, job)), MISFITS
    if batch.is_uncharged_attempt:
        waits = not batch.blamed  # where the provider named some, the round made progress
        yield group_again(batch, waits=waits), CHARGED | UNCHARGED
        return
    if batch.uncharged:
        yield group_again(batch, waits=1), UNCHARGED
    if batch.again - batch.fallen - batch.misfits > batch.uncharged:
        doubtful = frozenset({Found.DOUBT}) if may_fall(batch, job) else frozenset[Found]()
        yield group_again(batch, attempts=1), CHARGED - doubtful
        yield group_again(batch, attempts=1, stays=True), doubtful


def _collected(batch: Batch, services: Services) -> Collected:
    """Return the finding on each request of a closed batch."""
    if batch.collected_key is None:
        return Collected.empty(batch.requests)
    return read_collected(services.files, batch.collected_key)

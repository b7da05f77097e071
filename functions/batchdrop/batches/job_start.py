"""Starts a job once its whole file is planned, or refuses it before anything is paid."""

from collections.abc import Sequence
from itertools import islice

import msgspec
from aws_lambda_powertools import Logger

from batchdrop.aws import keys
from batchdrop.batches.job_quote import write_quote
from batchdrop.batches.split_plan import lines_before, read_plan
from batchdrop.deadlines import next_deadline
from batchdrop.jobs import fail_job, settle_plan
from batchdrop.limits.admission import admit_batches
from batchdrop.records import Batch, Job, Split
from batchdrop.services import Services
from batchdrop.states import JobState, SplitState

logger = Logger(child=True)

_READ_AT_ONCE = 200  # batches: a page of the table holds more
REASONS = 5  # lines of a refused file that its reason names


def start_job(job: Job, services: Services, *, known: Sequence[Split | Batch] = ()) -> None:
    """Let the batches of a wholly planned job be sent; or refuse it, before anything is paid.

    Args:
        job: As it is.
        services: The services.
        known: The only split of a job of one, and its batches, as they were just written: they are not read again.

    Raises:
        ClaimLost: Another opened it, or stopped it.
    """
    if job.state is not JobState.PLANNING:
        return
    splits = [row for row in known if isinstance(row, Split)] or list(services.store.splits(job.id))
    reason = _refusal(job, splits, services)
    if reason is not None:
        fail_job(job, reason, services)
        return
    key = keys.line_numbering_key(job.id)
    services.files.put_first(key, msgspec.json.encode(lines_before(splits)))
    quote = write_quote(job, splits, services)
    quote_key = None if quote is None else keys.quote_key(job.id)
    due_at = next_deadline(job)
    running = services.store.move(job, JobState.RUNNING, line_numbering_key=key, quote_key=quote_key, due_at=due_at)
    logger.info("job opened", batches=sum(split.open for split in splits))
    for split in splits:
        if not split.open:
            services.queues.assemble(job.id, split.index)
    _admit(running, splits, [row for row in known if isinstance(row, Batch)], services)


def _admit(job: Job, splits: list[Split], batches: list[Batch], services: Services) -> None:
    """Admit what fits at the providers that its batches are for; where they are many, at all."""
    known = batches or list(islice(services.store.batches(job.id), _READ_AT_ONCE))
    its = {batch.provider for batch in known} if len(known) < _READ_AT_ONCE else set(services.providers)
    for name in sorted(its):
        admit_batches(name, services, known=[job, *splits, *known])


def fail_split(split: Split, reason: str, services: Services) -> None:
    """End a split that cannot be planned: its job ends FAILED, before anything is paid."""
    settled, _ = settle_plan(split, services, SplitState.FAILED, reason=reason)
    if settled.unplanned == 0:
        start_job(settled, services)


def _refusal(job: Job, splits: list[Split], services: Services) -> str | None:
    failed = [split for split in splits if split.state is SplitState.FAILED]
    if failed:
        return failed[0].reason
    invalid = sum(split.invalid for split in splits)
    if not invalid or job.settings.on_invalid != "reject":
        return None
    lines: list[str] = []
    for split, before in zip(splits, lines_before(splits).lines_before, strict=True):
        if split.invalid and len(lines) < REASONS:
            plan = read_plan(split, services)
            lines += [f"line {before + number} ({code})" for number, code in plan.first_codes]
    # Codes only: the messages quote names and values of bodies, and this goes into rows, events and logs.
    named = ", ".join(lines[:REASONS])
    more = ", …" if invalid > REASONS else ""
    return (
        f'{invalid} {"line is" if invalid == 1 else "lines are"} invalid, and on_invalid is "reject": {named}{more}. '
        "What is wrong with each: batchdrop validate FILE."
    )

"""Starts a job once its whole file is planned; or holds it, or refuses it, before anything is paid."""

from collections.abc import Sequence
from itertools import islice
from typing import Unpack

import msgspec
from aws_lambda_powertools import Logger

from batchdrop.aws import keys
from batchdrop.aws.optimistic import until_unchanged
from batchdrop.batches.job_quote import JobQuote, write_quote
from batchdrop.batches.split_plan import lines_before, read_plan
from batchdrop.deadlines import next_deadline
from batchdrop.dollars import micros_of
from batchdrop.inputs.fallbacks import fallback_of, why_untaken
from batchdrop.jobs import fail_job, settle_plan
from batchdrop.limits.admission import admit_batches
from batchdrop.limits.budgets import Budgets, budgets_of, has_budget, ledger_of, reservation, why_over
from batchdrop.limits.last_safe_moment import wants_calls
from batchdrop.records import Batch, Job, Split
from batchdrop.row_changes import JobChanges
from batchdrop.services import Services
from batchdrop.states import JobState, SplitState
from batchdrop.texts import count

logger = Logger(child=True)

_READ_AT_ONCE = 200  # batches: a page of the table holds more
REASONS = 5  # lines of a refused file that its reason names
_HELD_TICKS = 5


def start_job(job: Job, services: Services, *, known: Sequence[Split | Batch] = ()) -> None:
    """Let the batches of a wholly planned job be sent; or hold it, or refuse it, before anything is paid.

    Args:
        job: As it is.
        services: The services.
        known: The only split of a job of one, and its batches, as they were just written: they are not read again.

    Raises:
        ClaimLost: Another started it, or stopped it.
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
    planned: JobChanges = {"line_numbering_key": key, **_quoted(job, write_quote(job, splits, services))}
    moved = send_or_hold(job, budgets_of(job), services, **planned)
    if moved.state is JobState.RUNNING:
        send_started(moved, splits, [row for row in known if isinstance(row, Batch)], services)


def _quoted(job: Job, quote: JobQuote | None) -> JobChanges:
    """Return the row changes that note a job's quote."""
    if quote is None:
        return {}
    quoted: JobChanges = {"quote_key": keys.quote_key(job.id)}
    if has_budget(job) and quote.high is not None:
        quoted["most_micros"] = micros_of(quote.high)
    return quoted


def send_or_hold(job: Job, budgets: Budgets, services: Services, **planned: Unpack[JobChanges]) -> Job:
    """Open a planned job, if its budgets allow it or somebody approved it; hold it otherwise. The job as it is then.

    Args:
        job: It is planned, or held.
        budgets: Its budgets as they are now.
        services: The services.
        planned: What its row says from now on.

    Raises:
        ClaimLost: Another moved it.
    """
    most = planned.get("most_micros", job.most_micros)

    def decide() -> Job:
        """Reserve in the same transaction: two jobs that both fit, but not together, never both get the last of it."""
        ledger = ledger_of(budgets, services.now())
        committed = services.store.budgets.ledger(ledger).committed if ledger else 0
        why = None if job.is_approved else why_over(most, budgets, ledger, committed)
        if why is not None:
            return _hold(job, why, services, planned)
        taken, noted = reservation(job, budgets, most or 0, services)
        started: JobChanges = {**planned, **noted, "due_at": _first_check(job, services), "reason": None}
        return services.store.move(job, JobState.RUNNING, also=taken, **started)

    return until_unchanged(decide)


def _first_check(job: Job, services: Services) -> int:
    """Return when sweep looks at the clock for an open job: at once, where its last safe moment is to be found."""
    return services.now() if wants_calls(job) else next_deadline(job)


def _hold(job: Job, why: str, services: Services, planned: JobChanges) -> Job:
    """Hold a job; sweep announces it, and looks at it again and again."""
    is_announced = job.state is JobState.HELD and job.is_announced
    held: JobChanges = {
        **planned,
        "reason": f"{why} Nothing is sent, and nothing paid. To send it all the same: batchdrop approve {job.id} - "
        f"to end it: batchdrop reject {job.id}",
        "due_at": next_budget_check(services) if is_announced else services.now(),
        "failures": 0,
    }
    moved = services.store.move(job, JobState.HELD, **held)
    if job.state is not JobState.HELD:
        logger.warning("job held", most_micros=moved.most_micros)
    return moved


def next_budget_check(services: Services) -> int:
    """Return when a held job is looked at again, which reads the settings of its folders."""
    return services.now() + _HELD_TICKS * services.settings.tick_seconds


def send_started(job: Job, splits: list[Split], known: list[Batch], services: Services) -> None:
    """Send what an open job has: its batches as they fit, and its splits that have none to be put together."""
    logger.info("job started", batches=sum(split.open for split in splits))
    for split in splits:
        if not split.open:
            services.queues.assemble(job.id, split.index)
    _admit(job, splits, known, services)


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
    untaken = _why_no_fallback(job, splits, services)
    if untaken is not None:
        return untaken
    invalid = sum(split.invalid for split in splits)
    if not invalid or job.settings.on_invalid != "reject":
        return None
    lines: list[str] = []
    name = "line" if job.template_key is None else "row"
    for split, before in zip(splits, lines_before(splits).lines_before, strict=True):
        if split.invalid and len(lines) < REASONS:
            plan = read_plan(split, services)
            lines += [f"{name} {before + number} ({code})" for number, code in plan.first_codes]
    # Codes only: the messages quote names and values of bodies, and this goes into rows, events and logs.
    named = ", ".join(lines[:REASONS])
    more = ", …" if invalid > REASONS else ""
    return (
        f'{count(invalid, name)} {"is" if invalid == 1 else "are"} invalid, and on_invalid is "reject": {named}{more}. '
        "What is wrong with each: batchdrop validate FILE."
    )


def _why_no_fallback(job: Job, splits: list[Split], services: Services) -> str | None:
    """Return why a job's fallback has no sense: it can take none of its lines."""
    fallback = fallback_of(job.settings)
    if fallback is None:
        return None
    plans = (read_plan(split, services) for split in splits)
    routes = sorted({(each.provider, each.model, each.endpoint) for plan in plans for each in plan.routes})
    whys = {route: why_untaken(route, fallback, services.providers) for route in routes}
    if not whys or None in whys.values():
        return None
    (_, model, _), why = next(iter(whys.items()))
    return f"fallback = {fallback.name!r:.100} can take no line of this file, such as those for {model!r:.100}: {why}."

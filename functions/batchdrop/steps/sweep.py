"""Sweep: stalled work is re-queued, and batches that fit are admitted: messages make it fast, sweep makes it sure."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import product, takewhile
from typing import Any

from aws_lambda_powertools import Logger

from batchdrop.aws.guards import guard
from batchdrop.aws.metrics import Alert, count
from batchdrop.aws.table import Due
from batchdrop.batches.failed_units import end_failed_unit, give_up_whole_job, has_failed_for_good
from batchdrop.batches.job_start import start_job
from batchdrop.batches.late_creates import watch_creates
from batchdrop.batches.orphaned_uploads import delete_orphans
from batchdrop.batches.unknown_creates import resolve_batch
from batchdrop.deadlines import collection_deadline, last_moment
from batchdrop.failures import LAST, failures_of, retry_delay
from batchdrop.jobs import TooLate, add_missing_splits, fail_job, give_up_job
from batchdrop.limits.admission import admit_batches
from batchdrop.limits.budget_repair import rebuild_budgets
from batchdrop.limits.circuit_breaker import announce_pause_changes
from batchdrop.limits.ledger_repair import rebuild_ledgers
from batchdrop.missed_drops import send_missed_drops
from batchdrop.records import Batch, Job, Split
from batchdrop.services import Services
from batchdrop.states import TERMINAL_JOBS, BatchState, JobState, SplitState, State
from batchdrop.steps.cancel import continue_cancelling
from batchdrop.steps.collect import delete_from_provider
from batchdrop.steps.deadline import check_deadlines
from batchdrop.steps.held import check_held_job
from batchdrop.steps.publish import clean_up
from batchdrop.steps.reconcile import reconcile
from batchdrop.worker import Careful, Minute, turn

logger = Logger(child=True)

type _Look = Callable[[str, Services], object]
type Recoveries = dict[tuple[type, State], Callable[[Any, Services], None]]

_LEASE_SECONDS = 120  # longer than the function's time limit


def sweep(services: Services) -> None:
    """One round over everything that is due, unless another run is at it."""
    lease = services.store.leases.take("sweep", _LEASE_SECONDS)
    if lease is None:
        return
    minute = Minute(services)
    recoveries, careful = _recoveries(minute), Careful(lease, services)
    try:
        with guard("sweep", job=lease.at_job, unit=lease.at_sk):
            careful.count_death()
        for name, work in (("redrive", _redrive), ("budgets", rebuild_budgets)):
            with guard(name):
                work(services)
        with guard("reconcile"):
            reconcile(services, minute.has_time)
        with guard("listing"):
            send_missed_drops(services, minute.has_time)
        clean = partial(delete_orphans, has_time=minute.may_clean)
        looks: list[_Look] = [announce_pause_changes, rebuild_ledgers, watch_creates, clean]
        for provider, look in product(services.providers, looks):
            _run_guarded(look, provider, minute, services)
        for due in takewhile(lambda _: minute.has_time(), services.store.due(by=services.now())):
            careful.begin(due)
            _resume(due, recoveries, minute, services)
        for provider in services.providers:
            _run_guarded(partial(admit_batches, has_time=minute.has_time), provider, minute, services)
    except Exception:
        services.store.leases.end(lease)
        raise
    services.store.leases.end(lease)


def _recoveries(minute: Minute) -> Recoveries:
    """Return the recovery of each state, for this run: long ones get its time."""
    looks = {JobState.RUNNING: check_deadlines, JobState.CANCELLING: continue_cancelling}
    found = _RECOVERIES | {(Job, state): partial(look, minute=minute) for state, look in looks.items()}
    return found | {(Job, state): partial(clean_up, has_time=minute.may_clean) for state in TERMINAL_JOBS}


def _redrive(services: Services) -> None:
    redriven = services.queues.redrive()
    if redriven:
        logger.error("dead letters sent again", messages=redriven)
        count(Alert.DEAD_LETTER, redriven)


def _resume(due: Due, recoveries: Recoveries, minute: Minute, services: Services) -> None:
    """Look at one row; that somebody else was faster is fine, and one that fails does not stop the others."""
    failed = partial(_count_failure, due, services)
    with guard("sweep", failed=failed, job=due.job, unit=due.sk), suppress(TooLate):
        row = services.store.row(due, by=services.now())
        if row is not None and has_failed_for_good(row, services.now()):
            with turn(due.job, services):
                end_failed_unit(row, services)
            return
        recover = recoveries.get((type(row), row.state)) if row is not None else None
        provider = row.provider if isinstance(row, Batch) else None
        if recover is not None and minute.may_ask(provider):
            with turn(due.job, services), minute.asking(provider):
                recover(row, services)


def _count_failure(due: Due, services: Services) -> None:
    """A unit that cannot even be read, or ended, takes its job with it in the end."""
    if services.store.count_unit_failure(due.job, due.sk, services.settings.lease_seconds) > LAST:
        reason = f'A row that cannot be worked on ({due.sk}): look for {due.job} ("unit failed") in the logs of Sweep.'
        give_up_whole_job(due.job, reason, services)


def _run_guarded(look: _Look, provider: str, minute: Minute, services: Services) -> None:
    """Do a provider's part; one that fails does not stop the others'."""
    if minute.may_ask(provider):
        with guard("provider", unit=provider), minute.asking(provider):
            look(provider, services)


def _resume_planning(job: Job, services: Services) -> None:
    """A job that is planned is opened; one whose intake died gets its splits."""
    if services.now() >= last_moment(job):
        fail_job(job, f"It could not be read within {job.settings.max_age} (max_age).", services)
    elif job.unplanned == 0:
        start_job(job, services)
    elif _send(job, services):
        add_missing_splits(job, services)


def _publish(job: Job, services: Services) -> None:
    if job.has_results and services.now() > collection_deadline(job):
        give_up_job(job, services)
    elif _send(job, services):
        services.queues.publish(job.id)


def _plan(split: Split, services: Services) -> None:
    if _send(split, services):
        services.queues.plan(split.job, split.index)


def _assemble(split: Split, services: Services) -> None:
    """A split is assembled when its batches are closed and its job is open: until then its time comes again."""
    job = services.store.job(split.job)
    if split.open or job is None or job.state not in {JobState.RUNNING, JobState.CANCELLING}:
        return
    if _send(split, services):
        services.queues.assemble(split.job, split.index)


def _delete_from_provider(batch: Batch, services: Services) -> None:
    if _send(batch, services):
        delete_from_provider(batch, services)


def _submit(batch: Batch, services: Services) -> None:
    if _send(batch, services):
        send = services.queues.finish if batch.is_realtime else services.queues.submit
        send(batch.job, batch.id)


def _collect(batch: Batch, services: Services) -> None:
    if _send(batch, services):
        services.queues.collect(batch.job, batch.id)


def _send(row: Job | Split | Batch, services: Services) -> bool:
    """Return whether this run is the one to send a unit again; the next time is later, the more failed or were lost."""
    tries = failures_of(row, services.now()) + row.resends
    due_at = services.now() + retry_delay(tries, services.settings.lease_seconds)
    sent = services.store.try_mark_sent(row, due_at, is_again=True)
    if sent:
        logger.warning("sent again", unit=type(row).__name__, state=row.state, sends=row.sends + 1)
    return sent


# What a state waits for when its time has come; what needs to know of the run's time is added by the run.
_RECOVERIES: Recoveries = {
    (Job, JobState.PLANNING): _resume_planning,
    (Job, JobState.HELD): check_held_job,
    (Job, JobState.PUBLISHING): _publish,
    (Split, SplitState.PENDING): _plan,
    (Split, SplitState.PLANNED): _assemble,
    (Batch, BatchState.ADMITTED): _submit,
    (Batch, BatchState.SUBMITTING): resolve_batch,
    (Batch, BatchState.ENDED): _collect,
    (Batch, BatchState.COLLECTED): _delete_from_provider,
}

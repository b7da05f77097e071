"""Sweep: whatever stands still is sent again, and what fits is admitted. Messages make it fast; this makes it sure."""

from collections.abc import Callable
from functools import partial
from itertools import product, takewhile
from typing import Any

from aws_lambda_powertools import Logger

from batchdrop.admit import admit_batches
from batchdrop.alerts import Alert, count
from batchdrop.cancel import TooLate, ask_to_cancel, give_up_job, go_on_cancelling
from batchdrop.collect import delete_from_provider
from batchdrop.deadlines import end_of_patience, expected_at, last_moment
from batchdrop.doubt import resolve_batch
from batchdrop.duplicates import watch_creates
from batchdrop.errors import Transient
from batchdrop.orphans import delete_orphans
from batchdrop.pauses import see_to_pause
from batchdrop.plan import fail_job, open_job
from batchdrop.publish import clean_up, late_event
from batchdrop.rebuild import rebuild_ledgers
from batchdrop.records import Batch, Job, Split
from batchdrop.services import Services
from batchdrop.splits import add_missing_splits
from batchdrop.states import TERMINAL_JOBS, BatchState, JobState, SplitState, State
from batchdrop.store import Due
from batchdrop.turns import Minute, turn

logger = Logger(child=True)

type Heals = dict[tuple[type, State], Callable[[Any, Services], None]]

_LEASE_SECONDS = 120  # longer than the function's time limit
_LONGEST_BACKOFF = 6  # doublings: a unit that fails each time is sent again ever more seldom


def sweep(services: Services) -> None:
    """One round over everything that is due, unless another run is at it."""
    lease = services.store.lease("sweep", _LEASE_SECONDS)
    if lease is None:
        return
    minute = Minute(services)
    heals = _HEAL | {(Job, JobState.CANCELLING): partial(go_on_cancelling, minute=minute)}
    try:
        _redrive(services)
        for provider, look in product(
            services.providers, (see_to_pause, rebuild_ledgers, watch_creates, delete_orphans)
        ):
            _look(look, provider, minute, services)
        for due in takewhile(lambda _: minute.has_time(), services.store.due(by=services.now())):
            _heal(due, heals, minute, services)
        for provider in services.providers:
            _look(partial(admit_batches, has_time=minute.has_time), provider, minute, services)
    finally:
        services.store.end_lease(lease)


def _redrive(services: Services) -> None:
    """Send dead letters again; a failure does not stop what the table tells."""
    try:
        redriven = services.queues.redrive()
    except Exception:
        logger.exception("dead letters not sent again")
        count(Alert.UNIT_FAILED)
        return
    if redriven:
        logger.error("dead letters sent again", messages=redriven)
        count(Alert.DEAD_LETTER, redriven)


def _heal(due: Due, heals: Heals, minute: Minute, services: Services) -> None:
    """Look at one row; that somebody else was faster is fine, and one that fails does not stop the others."""
    try:
        row = services.store.row(due, by=services.now())
        heal = heals.get((type(row), row.state)) if row is not None else None
        provider = row.provider if isinstance(row, Batch) else None
        if heal is not None and minute.may_ask(provider):
            with turn(due.job, services), minute.asking(provider):
                heal(row, services)
    except TooLate:
        return
    except Transient as error:
        logger.warning("not healed for now", job=due.job, unit=due.sk, reason=str(error))
    except Exception:
        logger.exception("unit not healed", job=due.job, unit=due.sk)
        count(Alert.UNIT_FAILED)


def _look(look: Callable[[str, Services], object], provider: str, minute: Minute, services: Services) -> None:
    """Do a provider's part; one that fails does not stop the others'."""
    if not minute.may_ask(provider):
        return
    try:
        with minute.asking(provider):
            look(provider, services)
    except Exception:
        logger.exception("provider not looked after", provider=provider)
        count(Alert.UNIT_FAILED)


def _plan_on(job: Job, services: Services) -> None:
    """A job that is planned is opened; one whose intake died gets its splits."""
    if services.now() >= last_moment(job):
        fail_job(job, f"It could not be read within {job.settings.max_age} (max_age).", services)
    elif job.unplanned == 0:
        open_job(job, services)
    elif _send(job, services):
        add_missing_splits(job, services)


def _look_at_the_clock(job: Job, services: Services) -> None:
    """A running job that is late is told once; one that is too old is ended, with what was answered."""
    now = services.now()
    if now >= last_moment(job):
        reason = f"It was not done within {job.settings.max_age} (max_age)."
        ask_to_cancel(job.id, services.store, now=now, reason=reason)
        return
    expected = expected_at(job)
    if expected is not None and now >= expected and not job.is_late:
        services.events.job_late(late_event(job))
        services.store.let_go(job, last_moment(job), is_late=True)


def _publish(job: Job, services: Services) -> None:
    if job.outcome is not JobState.FAILED and services.now() > end_of_patience(job):
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
        services.queues.submit(batch.job, batch.id)


def _collect(batch: Batch, services: Services) -> None:
    if _send(batch, services):
        services.queues.collect(batch.job, batch.id)


def _send(row: Job | Split | Batch, services: Services) -> bool:
    """Whether this run is the one to send a unit again; the next time is later each time."""
    lease = services.settings.lease_seconds
    sent = services.store.sending(row, services.now() + lease * 2 ** min(row.sends, _LONGEST_BACKOFF))
    if sent:
        logger.warning("sent again", job=row.job, unit=type(row).__name__, state=row.state, sends=row.sends + 1)
    return sent


# What a state waits for when its time has come; a job that is being cancelled needs to know of the others.
_HEAL: Heals = {
    (Job, JobState.PLANNING): _plan_on,
    (Job, JobState.RUNNING): _look_at_the_clock,
    (Job, JobState.PUBLISHING): _publish,
    (Split, SplitState.PENDING): _plan,
    (Split, SplitState.PLANNED): _assemble,
    (Batch, BatchState.ADMITTED): _submit,
    (Batch, BatchState.SUBMITTING): resolve_batch,
    (Batch, BatchState.ENDED): _collect,
    (Batch, BatchState.COLLECTED): _delete_from_provider,
    **{(Job, state): clean_up for state in TERMINAL_JOBS},
}

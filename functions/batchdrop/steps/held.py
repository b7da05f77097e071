"""Held jobs: one goes on once it is approved, or fits its budget after all, and ends when nobody decides in time."""

from batchdrop.aws.metrics import Alert, count
from batchdrop.batches.job_start import next_budget_check, send_or_hold, send_started
from batchdrop.deadlines import last_moment
from batchdrop.jobs import fail_job
from batchdrop.limits.budgets import Budgets
from batchdrop.limits.drop_settings import budgets_now
from batchdrop.outputs.manifest_builder import held_event
from batchdrop.records import Job
from batchdrop.services import Services
from batchdrop.states import JobState


def check_held_job(job: Job, services: Services) -> None:
    """One look at a held job: its budgets are read again, for somebody may have raised them."""
    if services.now() >= last_moment(job):
        fail_job(
            job, f"It was over its budget, and nobody approved it within {job.settings.max_age} (max_age).", services
        )
        return
    budgets = budgets_now(job, services)
    if job.is_approved:
        services.events.job_approved(held_event(job, budgets, services))
    checked = send_or_hold(job, budgets, services)
    if checked.state is JobState.RUNNING:
        send_started(checked, list(services.store.splits(job.id)), [], services)
    else:
        _announce(checked, budgets, services)


def _announce(job: Job, budgets: Budgets, services: Services) -> None:
    """Keep the alarm on, and send the event once: again only where the run died before that was noted."""
    count(Alert.JOB_HELD)
    if not job.is_announced:
        services.events.job_held(held_event(job, budgets, services))
        services.store.release(job, next_budget_check(services), is_announced=True)

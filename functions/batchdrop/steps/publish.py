"""Publish: the sealed parts become the outputs, then the manifest is written, then the event is sent.

Twice gives the same bytes: outcome and times were fixed before, and what exists is never overwritten.
"""

from collections.abc import Callable

from aws_lambda_powertools import Logger

from batchdrop.aws import keys
from batchdrop.aws.metrics import Measure, measure, measure_folder
from batchdrop.aws.table_items import Write
from batchdrop.batches.job_quote import JobQuote, read_quote
from batchdrop.deadlines import ROWS_LIVE
from batchdrop.errors import OutOfTime
from batchdrop.inputs.fallbacks import fallback_of
from batchdrop.limits.budgets import settlement
from batchdrop.limits.spending import spent_by
from batchdrop.manifest import Manifest
from batchdrop.outputs.answered_tokens import answered_tokens
from batchdrop.outputs.manifest_builder import job_event, write_manifest
from batchdrop.providers.price_list import never_failing, settled_prices
from batchdrop.records import Batch, Job
from batchdrop.services import Services
from batchdrop.states import TERMINAL_JOBS, BatchState, JobState
from batchdrop.worker import time_of_a_run, turn

logger = Logger(child=True)


def publish_job(job_id: str, services: Services) -> None:
    """Publish a job that is over, unless it is published or another worker is at it."""
    job = services.store.job(job_id)
    if job is None or job.state is not JobState.PUBLISHING or job.outcome is None:
        return
    has_time = time_of_a_run(services)
    with turn(job_id, services):
        claimed = services.store.claim(job, services.settings.lease_seconds)
        try:
            quote = read_quote(claimed, services.files)
            manifest, at = write_manifest(claimed, quote, has_time, services)
        except OutOfTime:
            services.store.release(claimed, services.now())
            logger.info("publishing goes on in another run")
            return
        services.events.job_over(job_event(manifest, at))
        now = services.now()
        expires_at = max(now, job.kept_until or 0) + ROWS_LIVE
        # The first manifest stays, and so does what it says: an earlier publisher may have got that far.
        also = [*_settled(claimed, manifest, services), *_remembered(claimed, manifest, quote, services)]
        done = services.store.move(
            claimed, manifest.status, also=also, manifest_key=at.key, due_at=now, expires_at=expires_at
        )
        logger.info("job published", status=manifest.status, manifest=at.key)
        _measure(manifest)
        clean_up(done, services, has_time=has_time)


def _settled(job: Job, manifest: Manifest, services: Services) -> list[Write]:
    """Return the writes to the folder's budget with the move that ends a job."""
    if job.budget_ledger is None:
        return []
    prices = never_failing(settled_prices(services.providers))
    return settlement(job, spent_by(manifest, job.reserved_micros, prices), services)


def _remembered(job: Job, manifest: Manifest, quote: JobQuote | None, services: Services) -> list[Write]:
    """Return the writes to the history of its folder."""
    answered = answered_tokens(
        manifest.models, quote.routes if quote else [], now=services.now(), fallback=fallback_of(job.settings)
    )
    return [services.store.answers.add(job.key, each) for each in answered]


def _measure(manifest: Manifest) -> None:
    for each in manifest.models:
        measure(Measure.INPUT_TOKENS, each.provider, each.usage.input_tokens)
        measure(Measure.OUTPUT_TOKENS, each.provider, each.usage.output_tokens)
        measure(Measure.USD_SPENT, each.provider, float(each.cost_usd or 0))
        measure(Measure.USD_SAVED, each.provider, float(each.saved_usd or 0))
    if manifest.money is not None:
        measure_folder(Measure.USD_SPENT, manifest.input.key, float(manifest.money.cost_usd or 0))
        measure_folder(Measure.USD_SAVED, manifest.input.key, float(manifest.money.saved_usd or 0))


def clean_up(job: Job, services: Services, *, has_time: Callable[[], bool]) -> None:
    """Delete what a finished job leaves in `work/` and in the table; the next sweep goes on where time runs out."""
    if job.state not in TERMINAL_JOBS or not has_time():
        return
    if services.now() < (job.kept_until or 0):
        services.store.set_due(job, job.kept_until or 0)
        return
    kept, over = set[str](), list[str]()
    for batch_id, batch in services.store.found_batches(job.id):
        if batch is not None and batch.state is BatchState.COLLECTED and batch.due_at is not None:
            services.store.set_due(job, services.now() + services.settings.lease_seconds)
            return  # the provider's files are not deleted yet, and their ids are in these rows
        if batch is None or _was_given_up(batch):
            kept.add(batch_id)
        else:
            over.append(batch_id)
    _delete_work(job, kept, over, services, has_time)


def _was_given_up(batch: Batch) -> bool:
    """Return whether its provider may hold what it was sent or answered: only the row knows what it is called there."""
    return batch.state is BatchState.FAILED and (batch.batch_id is not None or batch.input_file_id is not None)


def _delete_work(job: Job, kept: set[str], over: list[str], services: Services, has_time: Callable[[], bool]) -> None:
    """Delete a job's work; the rows that `forget` needs stay as long as the job's own."""
    for batch_id in kept:
        services.store.keep_batch(job.id, batch_id, job.expires_at or services.now() + ROWS_LIVE)
    is_clean = services.files.delete_all(keys.work_prefix(job.id), has_time)
    if is_clean and services.store.delete_rows_of(job, over, has_time):
        services.store.clear_due(job)

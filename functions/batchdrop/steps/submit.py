"""Submit: one admitted batch is created at its provider, exactly once.

The order is the point: the upload's id is recorded before the intent, the intent before the create, and the batch's id
in one transaction with the row that says whose it is. A create whose outcome is unknown is not repeated here:
`unknown_creates` resolves it.
"""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aws_lambda_powertools import Logger

from batchdrop.aws.provider_items import end_pause, free_slot, own_batch_id, take_slot
from batchdrop.aws.provider_store import Pause
from batchdrop.aws.table_items import add_intent, require_state
from batchdrop.batches.orphaned_uploads import upload_name
from batchdrop.batches.refused_batches import end_refused, refuse_batch
from batchdrop.batches.refused_models import end_refused_model
from batchdrop.batches.resizing import replace_oversized
from batchdrop.batches.restored_batches import take_sent
from batchdrop.batches.submit_decision import FAILURES, Breaker, Decision, Then, decide
from batchdrop.batches.transitions import WINDOW_SECONDS, back_to_waiting, needs_slot, slot
from batchdrop.errors import (
    AccountRefused,
    Refused,
)
from batchdrop.limits.circuit_breaker import account_refused, call_failed, holds_back
from batchdrop.limits.ledgers import LEARNED_SECONDS
from batchdrop.limits.restore_hold import is_held
from batchdrop.providers.interface import BatchApi
from batchdrop.records import Batch, Intent, Job
from batchdrop.services import Services
from batchdrop.states import BatchState, JobState
from batchdrop.temporary_files import temporary_folder
from batchdrop.worker import turn

logger = Logger(child=True)

_LONGEST_SLOT_DELAY = 300  # seconds; a create in doubt keeps its slot for half an hour and more


def submit_batch(job_id: str, batch_id: str, services: Services) -> None:
    """Submit a batch, unless it is submitted or another worker is at it.

    One that still waits was sent because it is not admitted: its model is refused, and it ends; or it is too large, and
    is replaced by smaller ones.
    """
    job, batch = services.store.job(job_id), services.store.batch(job_id, batch_id)
    if job is None or batch is None or batch.state not in {BatchState.WAITING, BatchState.ADMITTED}:
        return
    if batch.is_realtime:  # since its message was sent
        return
    with turn(job_id, services):
        if is_held(batch.provider, services) or job.state is JobState.PUBLISHING:
            _give_back(batch, services)
            return
        if take_sent(batch, services):
            return
        if batch.state is BatchState.WAITING:
            if not end_refused_model(batch, services):
                replace_oversized(batch, services)
            return
        claimed = services.store.claim(batch, services.settings.lease_seconds)
        pause = services.store.providers.get_pause(batch.provider)
        if holds_back(pause, batch, services):
            _wait_again(claimed, services)
        elif needs_slot(claimed) and services.store.providers.slot_is_taken(claimed):
            _wait_for_slot(claimed, services)  # before the requests are downloaded
        else:
            _submit(job, claimed, pause, services)


def _give_back(batch: Batch, services: Services) -> None:
    """Nothing is sent: its table is held, or its job was published before that was restored."""
    if batch.state is BatchState.ADMITTED:
        _wait_again(services.store.claim(batch, services.settings.lease_seconds), services)


def _wait_again(held: Batch, services: Services) -> None:
    """Nothing was tried that may have failed, so that failures before it still count."""
    back_to_waiting(held, services, failures=held.failures)


def _submit(job: Job, claimed: Batch, pause: Pause | None, services: Services) -> None:
    row = claimed
    try:
        api = services.apis[row.provider]
        with _requests(row, api, services) as path:
            row = _ensure_uploaded(row, api, path, services)
            row = _record_intent(job, row, services)
            provider_id = api.create(
                row, path, deployment=services.settings.deployment, seconds=_create_seconds(services)
            )
    except FAILURES as error:
        _carry_out(decide(error, row, tick=services.settings.tick_seconds), row, error, services)
    else:
        _record(row, provider_id, pause, services)


def _carry_out(decision: Decision, batch: Batch, error: Exception, services: Services) -> None:
    if decision.log:  # without a trace, which would quote what the provider said, prompts perhaps
        log = logger.error if decision.then is Then.DOUBT else logger.warning if decision.reason else logger.info
        log(decision.log, batch=batch.id, reason=decision.reason)
    _update_breaker(decision, batch.provider, error, services)
    if decision.learned is not None:
        services.store.providers.learn_limit(batch.ledger, decision.learned, services.now() + LEARNED_SECONDS)
    match decision:
        case Decision(then=Then.WAIT):
            back_to_waiting(batch, services, ticks=decision.ticks, **decision.changes)
        case Decision(then=Then.WAIT_FOR_SLOT):
            _wait_for_slot(batch, services)
        case Decision(then=Then.DOUBT):  # which is no failure; a worker's death is one
            services.store.release(batch, batch.create_by or services.now())
        case Decision(then=Then.JUDGE, refusal=Refused() as refusal):
            refuse_batch(batch, refusal, services)
        case Decision(then=Then.END, refusal=Refused() as refusal):
            end_refused(batch, refusal, services)


def _update_breaker(decision: Decision, provider: str, error: Exception, services: Services) -> None:
    match decision.breaker:
        case Breaker.ACCOUNT_REFUSED if isinstance(error, AccountRefused):
            account_refused(provider, error, services)
        case Breaker.CALL_FAILED:
            call_failed(provider, decision.reason, services)
        case Breaker.ANSWERS:
            services.store.providers.end_pause(provider)


def _create_seconds(services: Services) -> int:
    """Return how long a create may take: well within the claim."""
    return services.settings.lease_seconds // 2


@contextmanager
def _requests(batch: Batch, api: BatchApi, services: Services) -> Iterator[Path | None]:
    """The request file on disk; None when it was uploaded before."""
    if api.needs_upload and batch.input_file_id:
        yield None
        return
    with temporary_folder() as folder:
        path = Path(folder) / "requests.jsonl"
        services.files.download(batch.requests_key, path)
        yield path


def _ensure_uploaded(batch: Batch, api: BatchApi, path: Path | None, services: Services) -> Batch:
    if not api.needs_upload or path is None:
        return batch
    name = upload_name(services.settings.deployment, batch.job, batch.id, batch.epoch)
    file_id = api.upload(path, name=name)
    return services.store.claim(batch.with_(claimed_until=0), services.settings.lease_seconds, input_file_id=file_id)


def _record_intent(job: Job, batch: Batch, services: Services) -> Batch:
    """Claim the create: the intent is written, and the job still runs, in one transaction."""
    now = services.now()
    create_by = now + _create_seconds(services)
    intent = Intent(
        job=batch.job,
        batch=batch.id,
        token=batch.token,
        provider=batch.provider,
        requests=batch.requests,
        started_at=now,
        create_by=create_by,
        account_id=services.apis.account_id(batch.provider),
        input_file_id=batch.input_file_id,
        expires_at=now + WINDOW_SECONDS,
    )
    return services.store.move(
        batch,
        BatchState.SUBMITTING,
        also=[add_intent(intent), require_state(job, JobState.RUNNING), *slot(batch, take_slot)],
        intended_at=now,
        account_id=intent.account_id,
        create_by=create_by,
        misses=0,
        claimed_until=create_by,
        due_at=create_by,
    )


def _wait_for_slot(batch: Batch, services: Services) -> None:
    """Another batch of the same number of requests is being created: a moment later it is settled, or in doubt.

    So the wait grows, drawn for each batch; where the chain of messages is long, sweep sends the next one. A batch that
    is to try a paused provider lets others try: the outcome of that create may be known when it is open again.
    """
    if services.store.providers.active_pause(batch.provider) is not None:
        back_to_waiting(batch, services, failures=batch.failures)
        return
    delay = _slot_delay(batch)
    if not services.queues.may_continue:
        services.store.release(batch, services.now() + delay, failures=batch.failures)
        return
    due_at = services.now() + services.settings.lease_seconds
    waiting = services.store.release(batch, due_at, failures=batch.failures)
    if services.store.try_mark_sent(waiting, due_at):
        services.queues.submit(batch.job, batch.id, delay=delay)


def _slot_delay(batch: Batch) -> int:
    """Seconds: up to twice as long each time; which of them is drawn by batch and time, so that no two keep step."""
    longest = min(1 << min(batch.sends + 1, 12), _LONGEST_SLOT_DELAY)
    return 1 + zlib.crc32(f"{batch.token} {batch.sends}".encode()) % longest


def _record(batch: Batch, provider_id: str, pause: Pause | None, services: Services) -> None:
    """Record the batch's id, and the end of the pause that it tried: nobody repeats what would be a write of its own.

    With no pause before, a failure that was counted meanwhile may be the later of the two, and stays.
    """
    now = services.now()
    over = [] if pause is None else [end_pause(batch.provider, now)]
    services.store.move(
        batch,
        BatchState.IN_FLIGHT,
        also=[own_batch_id(batch, provider_id, now + WINDOW_SECONDS), *slot(batch, free_slot), *over],
        batch_id=provider_id,
        submitted_at=now,
        due_at=now,
    )
    logger.info("batch submitted", batch=batch.id, batch_id=provider_id, requests=batch.requests)

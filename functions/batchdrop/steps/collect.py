"""Collect: an ended batch's results are copied raw (paid answers are safe), then each request is accounted for."""

from typing import Unpack

from aws_lambda_powertools import Logger

from batchdrop.aws import keys
from batchdrop.aws.metrics import Alert, count
from batchdrop.aws.optimistic import ConcurrentChange
from batchdrop.aws.provider_items import reserve, take_slot
from batchdrop.batches.accounting import MAX_RESULT_BYTES
from batchdrop.batches.collect_verdict import MISSING_SECONDS, Then, Verdict, judge
from batchdrop.batches.resizing import cut_in_search
from batchdrop.batches.restored_batches import find_copy
from batchdrop.batches.result_copy import ResultCopy, ended_batch
from batchdrop.batches.result_index import Found, index_key
from batchdrop.batches.retry_rounds import close_batch
from batchdrop.batches.sent_again import to_send_again
from batchdrop.batches.sources import answer_check
from batchdrop.batches.transitions import give_up, slot
from batchdrop.errors import (
    AccountRefused,
    ClaimLost,
    EndpointNotFound,
    Missing,
    Refused,
    Transient,
    Undecodable,
    Unreachable,
)
from batchdrop.limits.circuit_breaker import calls_refused, pause_provider
from batchdrop.limits.ledgers import estimate_of
from batchdrop.pause_codes import PauseCode
from batchdrop.records import Batch, Job
from batchdrop.refusal_kinds import Kind
from batchdrop.result_line import ErrorCode
from batchdrop.row_changes import BatchChanges
from batchdrop.services import Services
from batchdrop.states import BatchState, JobState
from batchdrop.worker import turn

logger = Logger(child=True)

_DELETE_SECONDS = 3 * 86_400  # how long a provider that deletes nothing is asked; it drops its files after 30 days
_AGE_SHARE, _LONGEST_WAIT = 20, 3_600  # tries come a twentieth of the time apart that they go on, an hour at most
_MOST_PAUSES = 5  # for account errors of the same lines: then they wait by themselves, up to an hour each time
_NO_LIMIT = 2**53  # what is at the provider already is counted, whatever the limit says


def collect_batch(job: str, batch_id: str, services: Services, *, max_bytes: int = MAX_RESULT_BYTES) -> None:
    """Collect a batch, unless it is collected or another worker is at it. A result over `max_bytes` is not read."""
    batch = services.store.batch(job, batch_id)
    if batch is None or batch.state is not BatchState.ENDED:
        return
    its_job = services.store.job(job)  # before the claim: where it is left to newer code, nothing is held up
    with turn(job, services):
        claimed = services.store.claim(batch, services.settings.lease_seconds)
        _collect(claimed, its_job, services, max_bytes)


def delete_from_provider(batch: Batch, services: Services) -> None:
    """Delete what the provider keeps of a collected batch; sweep tries again what fails, for some days.

    A server that has no such call keeps it.
    """
    try:
        if batch.batch_id is not None:  # none where its results were collected before the table was restored
            services.apis[batch.provider].delete(ended_batch(batch))
    except (AccountRefused, Refused, Transient) as error:
        logger.warning("provider files not deleted yet", batch=batch.id, reason=type(error).__name__)
        if not isinstance(error, EndpointNotFound) and services.now() - (batch.ended_at or 0) < _DELETE_SECONDS:
            return
    services.store.clear_due(batch)


def _collect(batch: Batch, job: Job | None, services: Services, max_bytes: int) -> None:
    try:
        accounted = batch if batch.collected_key is not None else _account(batch, job, services, max_bytes)
    except AccountRefused as error:
        calls_refused(batch.provider, error, services)
        _retry_later(batch, error, services)
    except NotProven as error:
        _retry_later(batch, error, services, at=services.now() + error.verdict.wait, **error.verdict.noted)
    except Missing as error:
        _missing(batch, error, services)
    except (Refused, Transient) as error:
        _retry_later(batch, error, services)
    else:
        due_at = services.now() + services.settings.lease_seconds
        closed = _close(accounted, services, due_at)
        delete_from_provider(closed, services)


def _close(batch: Batch, services: Services, due_at: int) -> Batch:
    try:
        return close_batch(batch, BatchState.COLLECTED, services, due_at=due_at)
    except (ClaimLost, Transient):  # its provider is not configured any more, or others write: no failure of this batch
        services.store.release(batch, due_at)
        raise


def _account(batch: Batch, job: Job | None, services: Services, max_bytes: int) -> Batch:
    """Copy the results, account for every request, and record both: a second run goes on from there."""
    if job is None:
        raise ClaimLost
    prefix = keys.collected_prefix(batch)
    check = answer_check(job, services)
    copy = ResultCopy(batch, services.apis[batch.provider], prefix, services, max_bytes=max_bytes, check=check)
    copied = copy.read()
    verdict = judge(copied, batch, now=services.now())
    _stop_unless_whole(verdict, batch, services)
    copy.account(copied, verdict)
    if copy.cut_as is not None and job.state is JobState.RUNNING and not batch.is_duplicate:
        _cut(batch, copy.cut_as, services)
    collected = copy.collected
    is_uncharged_attempt = copy.is_uncharged_attempt or _was_cancelled_for_deadline(batch, job)
    again = to_send_again(collected, batch, job, is_uncharged_attempt=is_uncharged_attempt, is_final=copy.is_final)
    services.files.put(index_key(prefix), collected.to_bytes(), content_type="application/octet-stream")
    answered = collected.found.count(Found.ANSWERED)
    logger.info("batch collected", batch=batch.id, answered=answered, again=again.get("again", 0))
    # Still the same claim: only what was found is added.
    found: BatchChanges = {
        "collected_key": prefix,
        **again,
        "is_uncharged_attempt": is_uncharged_attempt,
        "blamed": copy.blamed,
        "output_file_id": (copy.retrieved and copy.retrieved.output_file_id) or batch.output_file_id,
        "error_file_id": (copy.retrieved and copy.retrieved.error_file_id) or batch.error_file_id,
    }
    return services.store.claim(batch.with_(claimed_until=0), services.settings.lease_seconds, **found)


def _stop_unless_whole(verdict: Verdict, batch: Batch, services: Services) -> None:
    """Go on where each request can be accounted for.

    Raises:
        Missing: The provider does not have the results.
        NotProven: What is missing may still come.
        ClaimLost: The batch is another's.
    """
    if verdict.is_account_refused:
        _pause_refused_account(batch, services)
    if verdict.then is Then.DISOWN:
        _disown(batch, services)
    if verdict.error is not None:
        raise verdict.error
    if verdict.then is Then.WAIT:
        raise NotProven(verdict)


def _pause_refused_account(batch: Batch, services: Services) -> None:
    """Pause the provider; not for ever for the same lines, which may be refused alone while others are answered."""
    if batch.waits < _MOST_PAUSES:
        words = "the account was refused while a batch ran"
        pause_provider(batch.provider, words, PauseCode.ACCOUNT_REFUSED, services)
    else:
        count(Alert.PROVIDER_PAUSED)


def _was_cancelled_for_deadline(batch: Batch, job: Job) -> bool:
    """Return whether batchdrop had a batch cancelled, to call what it left at real time: that was no attempt.

    A worker may have died before it noted that: so whatever ended since then counts.
    """
    if job.finishing_at is None or batch.is_realtime:
        return False
    return batch.cancel_asked_at is not None or (batch.ended_at or 0) >= job.finishing_at


def _cut(batch: Batch, kind: Kind, services: Services) -> None:
    """Search a batch that failed for the requests that it failed for.

    Raises:
        ClaimLost: Always; its requests are in other batches now.
    """
    cut_in_search(batch, services, refused_as=kind)
    delete_from_provider(batch, services)
    raise ClaimLost


def _disown(batch: Batch, services: Services) -> None:
    """The batch that was adopted is somebody else's: look for ours again.

    Raises:
        ClaimLost: Always; what was read is not this batch's.
    """
    cost = estimate_of(batch.protocol, requests=batch.requests, tokens=batch.tokens)
    logger.warning("adopted batch is another's", batch=batch.id, batch_id=batch.batch_id)
    try:
        services.store.move(
            batch,
            BatchState.SUBMITTING,
            also=[reserve(batch.ledger, cost, limit=_NO_LIMIT), *slot(batch, take_slot)],
            cost=cost,
            excluded=(*batch.excluded, ended_batch(batch).id),
            batch_id=None,
            submitted_at=None,
            ended_at=None,
            ended_as=None,
            adopted=False,
            misses=0,
            defer_reason=None,
            due_at=services.now(),
        )
    except ConcurrentChange:
        _retry_later(batch, Transient("another batch of its size is being created"), services)
    raise ClaimLost


def _retry_later(
    batch: Batch, error: Exception, services: Services, *, at: int | None = None, **changes: Unpack[BatchChanges]
) -> None:
    """Give it back; the longer ago it ended, the later the next try: what is gone at the provider stays gone."""
    logger.warning("batch not collected for now", batch=batch.id, reason=str(error))
    now, tick = services.now(), services.settings.tick_seconds
    waited = min((now - (batch.ended_at or now)) // _AGE_SHARE, _LONGEST_WAIT)
    defer_reason = next(words for kind, words in _DEFER_REASONS.items() if isinstance(error, kind))
    released: BatchChanges = {"defer_reason": defer_reason, **changes}
    services.store.release(batch, at or now + max(tick, waited), **released)


def _missing(batch: Batch, error: Missing, services: Services) -> None:
    """Give results up that were missing for days: they were deleted at the provider; newer ones may still come."""
    copy = find_copy(batch, services)
    if copy is not None:  # of before the table was restored: the provider was asked to delete them then
        services.store.release(batch, services.now(), **copy)
    elif services.now() - (batch.ended_at or 0) < MISSING_SECONDS:
        _retry_later(batch, error, services)
    else:
        is_encoded = isinstance(error, Undecodable)
        give_up(batch, services, code=ErrorCode.UNDECODABLE_RESULT if is_encoded else ErrorCode.UNREADABLE_RESULT)


class NotProven(Transient):
    """Rows are missing in a download that may be incomplete: read it again in a while."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.noted.get("loss_evidence"))
        self.verdict = verdict


_DEFER_REASONS: dict[type[Exception], str] = {  # the first that fits
    AccountRefused: "the call for them was refused; the key, the account or base_url may be wrong",
    Undecodable: "the provider, or a proxy before it, compresses them in a way that cannot be decoded here",
    Missing: "the provider does not have them",
    Refused: "the provider refused the call for them",
    NotProven: "lines are missing in the provider's download",
    Unreachable: "the provider does not answer, or with an error of its own (5xx)",
    Transient: "they could not be fetched now",
}

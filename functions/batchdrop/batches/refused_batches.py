"""Handles a batch that the provider definitely refused, and keeps the provider's words.

Nothing was created, or it failed as a whole: its requests may be sent again, whole or in smaller batches. The words are
kept in an object under `work/`, named by the row of the batch that ended with them: they may quote a prompt, and stand
in results alone.
"""

import msgspec
from aws_lambda_powertools import Logger

from batchdrop.aws.bucket import Files
from batchdrop.aws.keys import refusal_key
from batchdrop.aws.provider_items import Release, free_slot
from batchdrop.aws.table_items import Write
from batchdrop.batches.refused_models import Words, learn_refused_model, put_words
from batchdrop.batches.request_files import token_mark
from batchdrop.batches.resizing import cut_in_search, halve, origin_of, replace_oversized
from batchdrop.batches.retry_rounds import close_batch
from batchdrop.batches.rows import delay_of
from batchdrop.batches.sent_again import falls_whole
from batchdrop.batches.transitions import back_to_waiting, slot
from batchdrop.errors import Refused
from batchdrop.limits.circuit_breaker import is_first_refusal, is_held_back, pause_provider
from batchdrop.limits.ledgers import LEARNED_SECONDS, learned_sizes
from batchdrop.pause_codes import PauseCode
from batchdrop.protocols import openai_failures
from batchdrop.protocols.outcome import QUEUE_FULL, Failure
from batchdrop.protocols.refusals import (
    Action,
    Standing,
    decide,
    named_request,
    parse_request_limit,
    refuses_model,
)
from batchdrop.records import Batch
from batchdrop.refusal_kinds import Kind
from batchdrop.result_line import ErrorCode
from batchdrop.row_changes import BatchChanges
from batchdrop.services import Services
from batchdrop.states import BatchState

logger = Logger(child=True)

_TOO_LARGE = 413  # HTTP's content too large
_MOST_CODES = 3  # that a pause names


def refuse_batch(batch: Batch, error: Refused, services: Services) -> None:
    """Decide what becomes of a batch whose upload or create was refused."""
    if is_held_back(batch, services):
        back_to_waiting(batch, services, endpoint_misses=0)  # another tries the provider: what comes of that says more
        return
    named = _named(batch, error)
    kind = _kind_of(batch, error, named)
    action = decide(kind, _standing(batch, kind, services, tries=batch.refusals))
    logger.warning("batch refused", batch=batch.id, status=error.status, code=error.code, kind=kind)
    match action:
        case Action.PAUSE:
            reason = f"it refused a batch ({error}), and it is not known why: that one is sent again first"
            pause_provider(batch.provider, reason, PauseCode.BATCH_REFUSED, services)
            back_to_waiting(batch, services, refused_as=kind, endpoint_misses=0)
        case Action.WAIT:
            _wait(batch, kind, services)
        case Action.CUT:
            services.store.providers.end_pause(batch.provider)
            _cut(batch, kind, error, named, services)
        case Action.END:
            services.store.providers.end_pause(batch.provider)
            end_refused(batch, error, services)


def end_refused(batch: Batch, error: Refused, services: Services) -> None:
    """End a batch that the provider will never take: its lines end with the provider's words."""
    if error.kind is Kind.MODEL and batch.model is not None:
        learn_refused_model(batch, error.words, services)
    code = ErrorCode.REQUEST_TOO_LARGE if error.kind is Kind.SIZE else error.code
    freed = slot(batch, free_slot) if batch.state is BatchState.SUBMITTING else []
    falls = falls_whole(batch, services.store.job(batch.job)) if _may_another_take(error) else {}
    logger.error("lines refused", batch=batch.id, requests=batch.requests, kind=error.kind)
    ended: BatchChanges = {
        **falls,
        "failure_code": code or f"http_{error.status}",
        "refused_as": error.kind,
        "refused_key": keep_words(batch, error.words, services),
        "input_file_id": None,  # so that what was uploaded is found to be nobody's, and deleted
        "ended_at": services.now(),
        "due_at": None,
    }
    also: tuple[Write, ...] = (Release(batch.ledger, batch.cost), *freed)
    close_batch(batch.with_(**falls), BatchState.FAILED, services, also=also, **ended)


def _may_another_take(error: Refused) -> bool:
    """Return whether another model may take the same requests: it is this one, or its provider, that fails them."""
    is_providers = error.kind is Kind.PASSING or error.code in {ErrorCode.NO_SUCH_CALL, QUEUE_FULL}
    return is_providers or error.kind is Kind.MODEL or refuses_model(error.code, error.words, of_row=False)


class JudgedFailure(msgspec.Struct, frozen=True, kw_only=True):
    """The decision on a batch that failed: it is sent again, unless it `is_final` or is to be cut.

    `refused` are the requests that the provider named; they end.
    """

    refused: tuple[Failure, ...] = ()
    is_final: bool = False
    cut_as: Kind | None = None


def judge_failed(batch: Batch, failures: tuple[Failure, ...], services: Services) -> JudgedFailure:
    """Decide what becomes of a batch that the provider failed as a whole, and learn the limits that it stated."""
    own = services.providers[batch.provider].refusals
    judged = openai_failures.judge_failures(failures, requests=batch.requests, own=own)
    until = services.now() + LEARNED_SECONDS
    if judged.limit is not None:
        services.store.providers.learn_limit(batch.ledger, judged.limit, until)
    if judged.refused:
        return JudgedFailure(refused=judged.refused)
    kind = judged.kind
    action = decide(kind, _standing(batch, kind, services, tries=batch.waits))
    if action is Action.PAUSE:
        is_account = kind is Kind.ACCOUNT
        code = PauseCode.ACCOUNT_REFUSED if is_account else PauseCode.BATCH_REFUSED
        reason = "the account was refused" if is_account else "it is not known why"
        pause_provider(batch.provider, f"it failed a batch ({_codes(failures)}): {reason}", code, services)
    if kind is Kind.MODEL:
        learn_refused_model(batch, judged.words, services)
    if kind is Kind.SIZE and (learned := learned_sizes(batch, judged.most_requests)):
        services.store.providers.learn_sizes(batch.ledger, until, **learned)
    is_stuck = kind is Kind.QUEUE and openai_failures.never_fits(
        judged.limit, requests=batch.requests, tokens=batch.tokens, waits=batch.waits
    )
    logger.warning("batch failed at the provider", batch=batch.id, kind=kind, action=action)
    return JudgedFailure(is_final=is_stuck or action is Action.END, cut_as=kind if action is Action.CUT else None)


def _codes(failures: tuple[Failure, ...]) -> str:
    return ", ".join(sorted({each.code or "no code" for each in failures[:_MOST_CODES]})) or "no code"


def keep_words(batch: Batch, words: str, services: Services) -> str | None:
    """Keep what a provider said of a batch, without the key; the object's key, or None where it said nothing."""
    if not words:
        return None
    key = refusal_key(batch)
    put_words(key, batch, words, services)
    return key


def read_words(batch: Batch, files: Files) -> str | None:
    """Return the provider's words on a batch that it refused."""
    if batch.refused_key is None:
        return None
    return msgspec.json.decode(files.get(batch.refused_key), type=Words).message


def _kind_of(batch: Batch, error: Refused, named: int | None) -> Kind:
    """The kind of a refusal: where it names one of several requests, or one of several models, it is of lines."""
    match error.kind:
        case Kind.PASSING if named is not None:
            return Kind.LINES
        case Kind.SIZE if named is not None and error.status != _TOO_LARGE and parse_request_limit(error.words) is None:
            return Kind.LINES
        case Kind.MODEL if batch.model is None:
            return Kind.LINES
    return error.kind


def _named(batch: Batch, error: Refused) -> int | None:
    """The request that the refusal names, if there are others."""
    if batch.requests == 1:
        return None
    return named_request(error.words, requests=batch.requests, custom_ids=token_mark(batch.token))


def _standing(batch: Batch, kind: Kind, services: Services, *, tries: int) -> Standing:
    if kind is not Kind.LINES and kind is not Kind.PASSING:
        return Standing(requests=batch.requests)
    refused, is_taken = pieces_of(batch, services)
    return Standing(
        requests=batch.requests,
        tries=tries,
        refused=refused,
        is_taken=is_taken,
        is_first=kind is Kind.LINES and not is_taken and is_first_refusal(batch, services),
    )


def pieces_of(batch: Batch, services: Services) -> tuple[int, bool]:
    """How many pieces of the batch that this one was cut from stand refused, with it, and whether one was taken."""
    refused, is_taken = 1, False
    for each in services.store.pieces(batch.job, origin_of(batch.id)):
        if each.id != batch.id:
            is_over = each.state in {BatchState.REPLACED, BatchState.FAILED}
            refused += is_over and each.refused_as is not None
            is_taken = is_taken or (each.batch_id is not None and not is_over and each.ended_as != "failed")
    return refused, is_taken


def _wait(batch: Batch, kind: Kind, services: Services) -> None:
    """Send it again in a while; after the first time with a new upload, for the old one may be what is not known."""
    tick, tries = services.settings.tick_seconds, batch.refusals + 1
    upload = batch.input_file_id if tries == 1 else None
    ticks = max(delay_of(tries - 1, tick) // tick, 1)
    back_to_waiting(
        batch, services, ticks=ticks, refusals=tries, refused_as=kind, endpoint_misses=0, input_file_id=upload
    )


def _cut(batch: Batch, kind: Kind, error: Refused, named: int | None, services: Services) -> None:
    """First it waits: cutting takes long, and a worker that dies at it, or may not, leaves nothing in doubt.

    Failures still count: it may be the cutting that fails each time.
    """
    waiting = back_to_waiting(
        batch, services, input_file_id=None, refused_as=kind, endpoint_misses=0, failures=batch.failures
    )
    if kind is not Kind.SIZE:
        cut_in_search(waiting, services, refused_as=kind, named=named)
        return
    learned = learned_sizes(batch, parse_request_limit(error.words))
    if learned:
        services.store.providers.learn_sizes(batch.ledger, services.now() + LEARNED_SECONDS, **learned)
    if "most_requests" in learned:
        replace_oversized(waiting, services)
    else:
        halve(waiting, services)

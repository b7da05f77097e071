"""Late creates: they arrived after they had been given up. Their answers are paid, and are used where possible.

A batch that still waits takes its late create as its own. Where it was created again, the duplicate becomes one more
batch of its split, for as long as the split is open: its answers fill the lines that are open, and nothing of it is
sent again. Only what is proven ours is cancelled or deleted.
"""

from collections.abc import Iterator
from contextlib import suppress

from aws_lambda_powertools import Logger

from batchdrop.aws.guards import guard
from batchdrop.aws.metrics import Alert, count
from batchdrop.aws.optimistic import ConcurrentChange, until_unchanged
from batchdrop.aws.provider_items import own_batch_id
from batchdrop.aws.table_items import increment_open
from batchdrop.batches.accounting import MAX_RESULT_BYTES
from batchdrop.batches.transitions import WINDOW_SECONDS
from batchdrop.batches.unknown_creates import created_since, is_ours
from batchdrop.correlation import name_job
from batchdrop.errors import AccountRefused, ClaimLost, Missing, Refused, Transient
from batchdrop.jsonl import cut_lines
from batchdrop.limits.restore_hold import is_held
from batchdrop.manifest import DuplicateBatch, Usage
from batchdrop.protocols.readers import answer_reader, outcome_reader
from batchdrop.providers.interface import BatchApi, ProviderBatch
from batchdrop.records import Batch, Intent, Split
from batchdrop.services import Services
from batchdrop.states import BatchState, JobState
from batchdrop.worker import Minute

logger = Logger(child=True)

_WATCH_SECONDS = 600  # between two looks at creates that were given up


def watch_creates(provider: str, services: Services) -> None:
    """Look for creates of a provider that arrived after they had been given up."""
    if is_held(provider, services) or not services.store.leases.take(f"watch#{provider}", _WATCH_SECONDS):
        return
    intents = services.store.providers.watched(provider)
    if not intents:
        return
    minute = Minute(services)
    try:
        api = services.apis[provider]
        for found in created_since(api, min(intent.started_at for intent in intents)):
            if not minute.may_ask(provider):
                return
            with minute.asking(provider):
                _check_found(found, intents, api, minute, services)
    except (AccountRefused, Transient, Missing, Refused) as error:
        logger.warning("creates not watched", provider=provider, reason=type(error).__name__)


def _check_found(
    found: ProviderBatch, intents: list[Intent], api: BatchApi, minute: Minute, services: Services
) -> None:
    """Settle a batch if it is one of those creates; one that cannot be looked at now does not stop the others."""
    with guard("duplicates", stops=AccountRefused, unit=found.id):
        intent = _intent_of(found, intents, api, services)
        if intent is not None:
            name_job(intent.job)
            _settle(found, intent, api, minute, services)


def _intent_of(found: ProviderBatch, intents: list[Intent], api: BatchApi, services: Services) -> Intent | None:
    """The given-up create that a batch is proven to be, unless it is known."""
    for intent in intents:
        if found.metadata.get("token") not in {None, intent.token} or found.requests not in {0, intent.requests}:
            continue
        if services.store.providers.owner(intent.provider, found.id):
            return None
        is_named = found.metadata.get("token") == intent.token
        if is_named or (not api.needs_upload and is_ours(found, intent.token, api)):
            return intent
    return None


def _settle(found: ProviderBatch, intent: Intent, api: BatchApi, minute: Minute, services: Services) -> None:
    services.store.job(intent.job)  # where it is left to newer code, so is what was created for it
    batch = services.store.batch(intent.job, intent.batch)
    if batch is not None and batch.state is BatchState.SUBMITTING:
        return  # it may be the create that is under way now: who settles that finds it
    if services.store.providers.owner(intent.provider, found.id):
        return  # it was, a moment ago
    if _adopt_if_waiting(found, intent, services):
        return
    if found.ended_as is None:
        found = api.retrieve(found.id)  # a list may be stale
    if found.ended_as is None:
        api.cancel(found.id)  # what it has answered by then is known, and reported, once it has ended
        return
    _announce(found, intent, _usage(found, intent, api, minute, services), services)
    if not _add_to_split_if_open(found, intent, services):
        with suppress(Refused):  # it may keep it for as long as it likes: it is reported, and not checked again
            api.delete(found)
        services.store.providers.record_foreign_batch(intent, found.id)


def _adopt_if_waiting(found: ProviderBatch, intent: Intent, services: Services) -> bool:
    """Adopt a late create for its batch while that waits to be created again: then nothing is paid twice."""
    batch = services.store.batch(intent.job, intent.batch)
    if batch is None or batch.state is not BatchState.WAITING or found.ended_as == "failed":
        return False
    now = services.now()
    try:
        services.store.move(
            batch,
            BatchState.IN_FLIGHT,
            also=[own_batch_id(batch, found.id, now + WINDOW_SECONDS)],
            batch_id=found.id,
            input_file_id=found.input_file_id,
            submitted_at=min(found.created_at or now, now),
            cost=0,  # it holds no share of the limits
            due_at=now,
        )
    except (ClaimLost, ConcurrentChange):
        return False
    logger.warning("late create taken", batch=batch.id, batch_id=found.id)
    return True


def _announce(found: ProviderBatch, intent: Intent, usage: Usage | None, services: Services) -> None:
    logger.error("duplicate batch", batch=intent.batch, batch_id=found.id)
    count(Alert.BATCH_DUPLICATE)
    services.events.duplicate_batch(
        DuplicateBatch(
            job=intent.job, provider=intent.provider, batch_id=found.id, requests=intent.requests, usage=usage
        )
    )


def _usage(found: ProviderBatch, intent: Intent, api: BatchApi, minute: Minute, services: Services) -> Usage | None:
    """Return the usage of its answers; None when they are gone, or are more than a minute's run can read."""
    protocol = services.providers[intent.provider].protocol
    read_outcome, read_answer = outcome_reader(protocol), answer_reader(protocol)
    usage = Usage()
    try:
        for line in _result_lines(found, api):
            if not minute.has_time():
                return None
            outcome = read_outcome(line) if line else None
            if outcome is not None and outcome.error is None and outcome.response is not None:
                usage += read_answer(outcome.response.body).usage
    except (Missing, Refused, ValueError, RecursionError):
        return None
    return usage


def _result_lines(found: ProviderBatch, api: BatchApi) -> Iterator[bytes | None]:
    for name in api.results(found):
        for line in cut_lines(api.stream(name), offset=0, max_bytes=MAX_RESULT_BYTES):
            yield line.bytes


def _add_to_split_if_open(found: ProviderBatch, intent: Intent, services: Services) -> bool:
    """Add a duplicate to the batches of its split, unless that is closed, or the duplicate has no answers."""
    if found.ended_as == "failed":
        return False

    def add() -> bool:
        job, doubled = services.store.job(intent.job), services.store.batch(intent.job, intent.batch)
        if job is None or doubled is None or job.state not in {JobState.RUNNING, JobState.CANCELLING}:
            return False
        split = services.store.split(intent.job, doubled.split)
        if split is None or not split.open:
            return False
        if services.store.providers.owner(intent.provider, found.id):
            return True  # another run added it
        duplicate = _duplicate(found, doubled, split, services.now())
        owned = own_batch_id(duplicate, found.id, services.now() + WINDOW_SECONDS)
        services.store.add(duplicate, also=[increment_open(split), owned])
        return True

    return until_unchanged(add)


def _duplicate(found: ProviderBatch, doubled: Batch, split: Split, now: int) -> Batch:
    """One more batch of the split's round, which has ended."""
    return doubled.as_planned(
        state=BatchState.ENDED,
        due_at=now,
        id=f"{doubled.id}-{found.id}",
        round=split.round,
        cost=0,
        batch_id=found.id,
        input_file_id=found.input_file_id,
        output_file_id=found.output_file_id,
        error_file_id=found.error_file_id,
        submitted_at=found.created_at,
        ended_at=now,
        ended_as=found.ended_as,
        is_duplicate=True,
    )

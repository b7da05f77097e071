"""Unknown creates: a create whose outcome is unknown is resolved from the provider's lists.

Nothing is created again before they show that the first create did not happen.

OpenAI's batches name our token and our upload, so that a listing tells. Anthropic's name nothing: there, a batch that
appeared since the intent, that nobody owns and that has our number of requests is taken as ours, until the token in its
results proves it. What is not found in several complete listings, long enough after the last moment at which the create
could arrive, was never created.
"""

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Unpack

import msgspec
from aws_lambda_powertools import Logger

from batchdrop.aws.metrics import Alert, count
from batchdrop.aws.optimistic import ConcurrentChange
from batchdrop.aws.provider_items import free_slot, own_batch_id
from batchdrop.aws.table_items import watch_intent
from batchdrop.batches.request_files import token_mark
from batchdrop.batches.restored_batches import take_sent
from batchdrop.batches.transitions import WINDOW_SECONDS, back_to_waiting, slot
from batchdrop.errors import AccountRefused, ClaimLost, EndpointNotFound, Missing, Refused, Transient
from batchdrop.jsonl import cut_lines
from batchdrop.limits.circuit_breaker import calls_refused, end_if_probe
from batchdrop.limits.restore_hold import is_held
from batchdrop.providers.interface import BatchApi, ProviderBatch
from batchdrop.records import Batch
from batchdrop.row_changes import BatchChanges
from batchdrop.services import Services
from batchdrop.states import BatchState

logger = Logger(child=True)

CLOCK_SKEW = 300  # seconds between our clock and a provider's, at most
_MOST_READ = 20  # smaller batches of others, of which one look reads the results
GRACE = 1_800  # seconds; the timing assumption: a create arrives within half an hour after its call ended, or never
_LISTINGS = 2  # complete listings that must miss a batch before it is given up
_CHECK_TICKS = 5  # ticks between two of them
_FIRST_LINE_BYTES = 128 * 1024 * 1024
_BEGINNING_BYTES = 1024 * 1024


class _CustomId(msgspec.Struct):
    custom_id: str


def resolve_batch(batch: Batch, services: Services) -> None:
    """Find out what became of a create in doubt; a provider that does not tell is no failure of the batch.

    Nor does a look that succeeds end the count: a create whose worker dies each time would be tried for ever.
    """
    with suppress(ClaimLost):
        claimed = services.store.claim(batch, services.settings.lease_seconds)
        if is_held(batch.provider, services):
            _check_later(claimed, services)
            return
        try:
            if take_sent(claimed, services):
                return
            _resolve(claimed, services.apis[batch.provider], services)
        except AccountRefused as error:
            calls_refused(batch.provider, error, services)
        except (Transient, Missing, Refused) as error:
            logger.warning("batch still in doubt", batch=batch.id, reason=type(error).__name__)
            if services.now() > (batch.create_by or 0) + GRACE:
                count(Alert.DOUBT_LASTS)
        else:
            return
        due_at = services.now() + services.settings.lease_seconds
        services.store.release(claimed, due_at, failures=claimed.failures)


def _resolve(batch: Batch, api: BatchApi, services: Services) -> None:
    started = batch.intended_at or 0
    listed = list(created_since(api, started))
    owner = services.store.providers.owner
    named = [each for each in listed if _is_named(each, batch) and not owner(batch.provider, each.id)]
    if named:
        _adopt(batch, named[0], services, is_proven=True)
    elif api.needs_upload:
        _not_found(batch, api, services)
    else:
        _resolve_by_count(batch, listed, api, services)


def _resolve_by_count(batch: Batch, listed: list[ProviderBatch], api: BatchApi, services: Services) -> None:
    excluded, owner = list(batch.excluded), services.store.providers.owner
    newest_at = _newest_at(batch, listed, services)
    in_time = [each for each in listed if newest_at is None or (each.created_at or 0) <= newest_at]
    candidates = []
    for each in in_time:
        if each.requests != batch.requests or each.id in excluded or owner(batch.provider, each.id):
            continue
        proof = is_ours(each, batch.token, api)
        if proof is False:
            excluded.append(each.id)
        elif proof is True:
            _adopt(batch, each, services, is_proven=True)
            return
        else:
            candidates.append(each)
    if len(candidates) == 1:
        _adopt(batch, candidates[0], services, is_proven=False)
    elif candidates:
        _check_later(batch, services, excluded=tuple(excluded), newest_at=newest_at)
    else:
        _resolve_by_results(batch, in_time, api, services, {"excluded": tuple(excluded), "newest_at": newest_at})


def _newest_at(batch: Batch, listed: list[ProviderBatch], services: Services) -> int | None:
    """Return up to when a batch that is ours was created; None while the grace lasts.

    That is the end of the grace, or the newest batch of the first listing after it where the provider's clock is ahead
    of ours. Others on the key may create batches after it without end.
    """
    end = (batch.create_by or 0) + GRACE
    is_elsewhere = services.apis.account_id(batch.provider) != batch.account_id  # whose listings say nothing of it
    if batch.newest_at is not None or services.now() < end or is_elsewhere:
        return batch.newest_at
    return max([end + CLOCK_SKEW, *(each.created_at or 0 for each in listed)])


def _resolve_by_results(
    batch: Batch, listed: list[ProviderBatch], api: BatchApi, services: Services, notes: BatchChanges
) -> None:
    """Look for the batch among those that ended with fewer requests, some in each look: each costs a call."""
    smaller = (each for each in listed if each.requests != batch.requests and may_hold(each, batch.requests))
    unknown = (each for each in smaller if each.id not in batch.excluded)
    foreign = (each for each in unknown if not services.store.providers.owner(batch.provider, each.id))
    for each in islice(foreign, _MOST_READ):
        if _is_proven(each, batch, api):
            _adopt(batch, each, services, is_proven=True)
            return
        notes["excluded"] = (*notes["excluded"], each.id)
    if next(foreign, None) is not None:
        _check_later(batch, services, **notes)
    else:
        _not_found(batch, api, services, **notes)


def _is_proven(found: ProviderBatch, batch: Batch, api: BatchApi) -> bool:
    """Return whether the results carry the batch's token; those that cannot be read prove nothing."""
    try:
        return is_ours(found, batch.token, api) is True
    except (Missing, Refused):
        return False


def may_hold(found: ProviderBatch, requests: int) -> bool:
    """Whether a provider's batch may be one of so many requests: one that ended may have lost some, and count fewer."""
    return found.requests == requests or (found.ended_as is not None and found.requests < requests)


def created_since(api: BatchApi, started: int) -> Iterator[ProviderBatch]:
    """The provider's batches that were created since, less the clocks' difference.

    It is documented nowhere that OpenAI lists the newest first: the listing ends early only once it is seen to.
    """
    before: int | None = None
    is_descending = False
    for each in api.newest():
        if each.created_at is None or each.created_at >= started - CLOCK_SKEW:
            yield _in_full(each, api)
        elif is_descending:
            return
        if each.created_at is not None:
            is_older = before is not None and each.created_at <= before
            is_descending = is_older and (is_descending or each.created_at != before)
            before = each.created_at


def _in_full(found: ProviderBatch, api: BatchApi) -> ProviderBatch:
    """The batch with what names it, which some servers leave out of their lists."""
    has_name = found.metadata or found.input_file_id or not api.needs_upload
    return found if has_name else api.retrieve(found.id)


def _is_named(found: ProviderBatch, batch: Batch) -> bool:
    by_file = found.input_file_id is not None and found.input_file_id == batch.input_file_id
    return by_file or found.metadata.get("token") == batch.token


def is_ours(found: ProviderBatch, token: str, api: BatchApi) -> bool | None:
    """Return whether the results of an ended batch carry our token; None while nobody can tell."""
    if found.ended_as is None:
        return None
    mark = token_mark(token)
    first = next(iter(cut_lines(api.stream(found.id), offset=0, max_bytes=_FIRST_LINE_BYTES)), None)
    try:
        custom_id = msgspec.json.decode((first and first.bytes) or b"", type=_CustomId).custom_id
    except (ValueError, RecursionError):  # rows that are not one per line: naming us is a proof, and nothing else is
        return True if mark.encode() in first_bytes(api.stream(found.id)) else None
    return mark in custom_id


def first_bytes(chunks: Iterator[bytes]) -> bytes:
    """A stream's beginning, a MiB or so of it."""
    beginning = bytearray()
    for chunk in chunks:
        beginning += chunk
        if len(beginning) >= _BEGINNING_BYTES:
            break
    return bytes(beginning)


def _adopt(batch: Batch, found: ProviderBatch, services: Services, *, is_proven: bool) -> None:
    now = services.now()
    owned = own_batch_id(batch, found.id, now + WINDOW_SECONDS)
    try:
        services.store.move(
            batch,
            BatchState.IN_FLIGHT,
            also=[owned, *slot(batch, free_slot), *end_if_probe(batch, services)],
            batch_id=found.id,
            submitted_at=min(found.created_at or now, now),
            adopted=not is_proven,
            due_at=now,
        )
    except ConcurrentChange:
        _check_later(batch, services)
        return
    logger.warning("batch adopted", batch=batch.id, batch_id=found.id)


def _not_found(batch: Batch, api: BatchApi, services: Services, **notes: Unpack[BatchChanges]) -> None:
    misses = batch.misses + 1
    if services.apis.account_id(batch.provider) != batch.account_id:
        # Another workspace, perhaps, whose listings say nothing of this create.
        logger.error("batch in doubt, and its provider's key, address or headers were changed", batch=batch.id)
        count(Alert.DOUBT_LASTS)
        _check_later(batch, services, **notes)
        return
    if services.now() < (batch.create_by or 0) + GRACE or misses < _LISTINGS:
        notes["misses"] = misses
        _check_later(batch, services, **notes)
        return
    if batch.input_file_id is not None:
        _delete_surely(batch.input_file_id, api)  # the fence: a create that is still under way finds no file
        late = [each for each in created_since(api, batch.intended_at or 0) if _is_named(each, batch)]
        if late:
            _adopt(batch, late[0], services, is_proven=True)
            return
    # Later its row is gone, and a write would make one that never expires.
    is_kept = services.now() < (batch.intended_at or 0) + WINDOW_SECONDS
    also = (watch_intent(batch),) if is_kept else ()
    over: BatchChanges = {"failures": batch.failures, "input_file_id": None, "excluded": (), "newest_at": None}
    back_to_waiting(batch, services, also=also, **over)
    logger.warning("batch was never created", batch=batch.id)


def _delete_surely(upload: str, api: BatchApi) -> None:
    """Delete an upload, at a server too that answers 500 for one that is gone.

    One that has no such call gives no fence: there the grace has to do, as at Anthropic.
    """
    try:
        api.delete_upload(upload)
    except EndpointNotFound:
        logger.warning("upload stays: the provider deletes none", upload=upload)
    except Transient:
        if any(each.id == upload for each in api.uploads()):
            raise


def _check_later(batch: Batch, services: Services, **changes: Unpack[BatchChanges]) -> None:
    due_at = services.now() + _CHECK_TICKS * services.settings.tick_seconds
    released: BatchChanges = {"failures": batch.failures, **changes}
    services.store.release(batch, due_at, **released)

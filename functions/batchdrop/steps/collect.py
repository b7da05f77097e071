"""Collect: an ended batch's results are copied raw (paid answers are safe), then each request is accounted for."""

from collections.abc import Iterator
from typing import Any

from aws_lambda_powertools import Logger

from batchdrop.aws import bucket
from batchdrop.aws.metrics import Alert, count
from batchdrop.aws.multipart import Upload
from batchdrop.aws.store import Changed
from batchdrop.aws.table_items import reserve, take_slot
from batchdrop.batches.accounting import Accounts
from batchdrop.batches.refused_batches import judge_failed
from batchdrop.batches.resizing import cut_in_search
from batchdrop.batches.restored_batches import find_copy
from batchdrop.batches.result_index import CHARGED, UNCHARGED, Collected, Found, index_key, raw_key
from batchdrop.batches.retry_rounds import close_batch
from batchdrop.batches.transitions import slot
from batchdrop.errors import AccountRefused, NoSuchCall, NotMyTurn, Refused, Transient, Unreachable
from batchdrop.limits.circuit_breaker import calls_refused, pause_provider
from batchdrop.limits.ledgers import estimate_of
from batchdrop.protocols import anthropic, openai
from batchdrop.protocols.outcome import Failure
from batchdrop.protocols.refusals import Kind
from batchdrop.providers.clients import BatchApi, Missing, ProviderBatch, Undecodable
from batchdrop.records import Batch, Job
from batchdrop.result_line import ErrorCode
from batchdrop.services import Services
from batchdrop.states import BatchState, JobState
from batchdrop.steps.cancel import give_up
from batchdrop.worker import turn

logger = Logger(child=True)

MAX_RESULT_BYTES = 128 * 1024 * 1024  # 2,048 embeddings in one line are 70 MB
_UNREADABLE = Failure(code=ErrorCode.UNREADABLE_RESULT, message="The provider's result line cannot be read.")
_WITHHELD = Failure(
    code=ErrorCode.UNREADABLE_RESULT,
    message="The provider counts more results than it gives, perhaps this line's: for three days it gave none.",
)
_DELETE_SECONDS = 3 * 86_400  # how long a provider that deletes nothing is asked; it drops its files after 30 days
_MISSING_SECONDS = 3 * 86_400  # how long results are asked for that the provider does not have, or counts alone
_LATE_SECONDS = 900  # what misses rows may still come: it is believed when nothing has changed for so long
_AGE_SHARE, _LONGEST_WAIT = 20, 3_600  # tries come a twentieth of the time apart that they go on, an hour at most
_COUNTED_SHARE = 4  # the same, of whole downloads for rows that the provider counts and does not give
_MOST_PAUSES = 5  # for account errors of the same lines: then they wait by themselves, up to an hour each time
_NO_LIMIT = 2**53  # what is at the provider already is counted, whatever the limit says


def collect_batch(job: str, batch_id: str, services: Services, *, max_bytes: int = MAX_RESULT_BYTES) -> None:
    """Collect a batch, unless it is collected or another worker is at it. A result over `max_bytes` is not read."""
    batch = services.store.batch(job, batch_id)
    if batch is None or batch.state is not BatchState.ENDED:
        return
    services.store.job(job)  # before the claim: where it is left to newer code, nothing is held up
    with turn(job, services):
        claimed = services.store.claim(batch, services.settings.lease_seconds)
        _collect(claimed, services, max_bytes)


def delete_from_provider(batch: Batch, services: Services) -> None:
    """Delete what the provider keeps of a collected batch; sweep tries again what fails, for some days.

    A server that has no such call keeps it.
    """
    try:
        if batch.batch_id is not None:  # none where its results were collected before the table was restored
            services.apis[batch.provider].delete(_ended(batch))
    except (AccountRefused, Refused, Transient) as error:
        logger.warning("provider files not deleted yet", batch=batch.id, reason=type(error).__name__)
        if not isinstance(error, NoSuchCall) and services.now() - (batch.ended_at or 0) < _DELETE_SECONDS:
            return
    services.store.not_due(batch)


def _collect(batch: Batch, services: Services, max_bytes: int) -> None:
    try:
        accounted = batch if batch.collected_key is not None else _account(batch, services, max_bytes)
    except AccountRefused as error:
        calls_refused(batch.provider, error, services)
        _later(batch, error, services)
    except _NotProven as error:
        _later(batch, error, services, due_at=services.now() + error.wait, **error.found)
    except Missing as error:
        _missing(batch, error, services)
    except (Refused, Transient) as error:
        _later(batch, error, services)
    else:
        due_at = services.now() + services.settings.lease_seconds
        closed = _close(accounted, services, due_at)
        delete_from_provider(closed, services)


def _close(batch: Batch, services: Services, due_at: int) -> Batch:
    try:
        return close_batch(batch, BatchState.COLLECTED, services, due_at=due_at)
    except NotMyTurn:  # its provider is not configured any more, perhaps: that is no failure of this batch
        services.store.let_go(batch, due_at)
        raise


def _account(batch: Batch, services: Services, max_bytes: int) -> Batch:
    """Copy the results, account for every request, and record both: a second run goes on from there."""
    job = services.store.job(batch.job)
    if job is None:
        raise NotMyTurn
    prefix = bucket.collected_prefix(batch)
    copy = _Copy(batch, services.apis[batch.provider], prefix, services, max_bytes)
    copy.run()
    if batch.adopted and copy.is_of_strangers():
        _disown(batch, services)
    if copy.cut_as is not None and job.state is JobState.RUNNING and not batch.is_duplicate:
        _cut(batch, copy.cut_as, services)
    collected = copy.collected
    uncharged, charged = _to_send_again(copy, batch, job)
    again = uncharged + charged
    services.files.put(index_key(prefix), collected.to_bytes(), content_type="application/octet-stream")
    answered = collected.found.count(Found.ANSWERED)
    logger.info("batch collected", batch=batch.id, answered=answered, again=again)
    # Still the same claim: only what was found is added.
    return services.store.claim(
        batch.with_(claimed_until=0),
        services.settings.lease_seconds,
        collected_key=prefix,
        again=again,
        uncharged=uncharged,
        in_vain=copy.in_vain,
        blamed=copy.blamed,
        **_files_of(copy.told, batch),
    )


def _to_send_again(copy: "_Copy", batch: Batch, job: Job) -> tuple[int, int]:
    """How many requests are sent again without counting an attempt, and how many others.

    Account errors are no attempt of their own requests, and say nothing of the others.
    """
    if job.state is not JobState.RUNNING or batch.is_duplicate or copy.is_final:
        return 0, 0
    uncharged = sum(found in UNCHARGED for found in copy.collected.found)
    charged = sum(found in CHARGED for found in copy.collected.found)
    can_be_charged = copy.in_vain or batch.attempt < job.settings.max_attempts
    return uncharged, charged if can_be_charged else 0


def _files_of(told: ProviderBatch | None, batch: Batch) -> dict[str, str | None]:
    """The ids of the files that the batch has by now: they are deleted later."""
    return {
        "output_file_id": (told and told.output_file_id) or batch.output_file_id,
        "error_file_id": (told and told.error_file_id) or batch.error_file_id,
    }


def _cut(batch: Batch, kind: Kind, services: Services) -> None:
    """Search a batch that failed for the requests that it failed for.

    Raises:
        NotMyTurn: Always; its requests are in other batches now.
    """
    cut_in_search(batch, services, refused_as=kind)
    delete_from_provider(batch, services)
    raise NotMyTurn


def _disown(batch: Batch, services: Services) -> None:
    """The batch that was adopted is somebody else's: look for ours again.

    Raises:
        NotMyTurn: Always; what was read is not this batch's.
    """
    cost = estimate_of(batch.protocol, requests=batch.requests, tokens=batch.tokens)
    logger.warning("adopted batch is another's", batch=batch.id, batch_id=batch.batch_id)
    try:
        services.store.move(
            batch,
            BatchState.SUBMITTING,
            also=[reserve(batch.ledger, cost, limit=_NO_LIMIT), *slot(batch, take_slot)],
            cost=cost,
            excluded=(*batch.excluded, batch.batch_id),
            batch_id=None,
            submitted_at=None,
            ended_at=None,
            ended_as=None,
            adopted=False,
            misses=0,
            put_off=None,
            due_at=services.now(),
        )
    except Changed:
        _later(batch, Transient("another batch of its size is being created"), services)
    raise NotMyTurn


def _later(batch: Batch, error: Exception, services: Services, *, due_at: int | None = None, **changes: Any) -> None:
    """Give it back; the longer ago it ended, the later the next try: what is gone at the provider stays gone."""
    logger.warning("batch not collected for now", batch=batch.id, reason=str(error))
    now, tick = services.now(), services.settings.tick_seconds
    waited = min((now - (batch.ended_at or now)) // _AGE_SHARE, _LONGEST_WAIT)
    put_off = next(words for kind, words in _PUT_OFF.items() if isinstance(error, kind))
    services.store.let_go(batch, due_at or now + max(tick, waited), put_off=put_off, **changes)


def _missing(batch: Batch, error: Missing, services: Services) -> None:
    """What the provider does not know for a while may come; what it does not know for days was deleted there."""
    copy = find_copy(batch, services)
    if copy is not None:  # of before the table was restored: the provider was told to delete them then
        services.store.let_go(batch, services.now(), **copy)
    elif _ended_since(batch, services) < _MISSING_SECONDS:
        _later(batch, error, services)
    else:
        is_encoded = isinstance(error, Undecodable)
        give_up(batch, services, code=ErrorCode.UNDECODABLE_RESULT if is_encoded else ErrorCode.UNREADABLE_RESULT)


def _ended_since(batch: Batch, services: Services) -> int:
    return services.now() - (batch.ended_at or 0)


class _Copy:
    """Copies the provider's streams to `work/`, noting where each request's row lies.

    `in_vain` says that the batch failed through no fault of its requests, `is_final` that it failed and will again,
    `cut_as` that it is to be cut, and for what; `blamed` counts the requests that the provider named.
    `told` is the batch as the provider showed it when it was asked again, since something was missing.
    What the provider sent and nobody can read may be a paid answer: no request that has no row is sent again then.
    """

    def __init__(self, batch: Batch, api: BatchApi, prefix: str, services: Services, max_bytes: int) -> None:
        self._batch, self._api, self._prefix, self._services = batch, api, prefix, services
        own = services.providers[batch.provider].refusals
        self._accounts = Accounts(batch, services.settings.deployment, max_bytes=max_bytes, own=own)
        self._bytes: dict[str, int] = {}
        self._gone: dict[str, Missing] = {}
        self._streams = 0
        self.told: ProviderBatch | None = None
        self.in_vain = self.is_final = self._is_withheld = False
        self.cut_as: Kind | None = None
        self.blamed = 0

    @property
    def collected(self) -> Collected:
        return self._accounts.collected

    def is_of_strangers(self) -> bool:
        """Whether there are results, and all of them are another batch's."""
        return self._accounts.strangers > 0 and not self._accounts.nonsense and not any(self.collected.found)

    def run(self) -> None:
        """Copy and account.

        Raises:
            Missing: The provider does not have the results, or gives what are none of this batch's.
            Transient: It cannot be told yet whether they are whole.
        """
        self._read(self._api.results(_ended(self._batch)))
        if self._count_missing() and not (self._batch.adopted and self.is_of_strangers()):
            self._ask_again()
        if self._batch.ended_as == "failed" and not self._bytes and not self._gone:
            self._failed()
            return
        strange = self._accounts.strangers + self._accounts.nonsense
        if strange:
            logger.warning("results of unknown requests", batch=self._batch.id, lines=strange)
        if self._batch.adopted and self.is_of_strangers():
            return
        if (strange or (self._gone and not self._bytes)) and not any(self.collected.found):
            raise next(iter(self._gone.values()), Missing("what it gives is no result of this batch"))
        if Found.OF_ACCOUNT in self.collected.found:
            self._account_refused()
        self._prove_loss()
        self._name_the_unreadable()

    def _account_refused(self) -> None:
        """Pause the provider; not for ever for the same lines, which may be refused alone while others are answered."""
        if self._batch.waits < _MOST_PAUSES:
            pause_provider(self._batch.provider, "the account was refused while a batch ran", self._services)
        else:
            count(Alert.PROVIDER_PAUSED)

    def _count_missing(self) -> int:
        return self.collected.found.count(Found.NOTHING)

    def _ask_again(self) -> None:
        """Read the files that the batch names by now: an id may come late, or have been wrong.

        Raises:
            Missing: One of them is not there; after some days, what the others hold is kept.
        """
        try:
            self.told = self._api.retrieve(self._batch.batch_id or "")
        except (Missing, Refused) as error:
            logger.warning("batch not shown again", batch_id=self._batch.batch_id, reason=type(error).__name__)
        else:
            names = self._api.results(self.told)
            self._gone = {name: error for name, error in self._gone.items() if name in names}
            self._read(names)
        if self._gone and _ended_since(self._batch, self._services) < _MISSING_SECONDS:
            raise next(iter(self._gone.values()))

    def _read(self, names: list[str]) -> None:
        for name in names:
            if name in self._bytes or name in self._gone:
                continue
            try:
                self._bytes[name] = self._copy(self._api.stream(name))
            except Missing as error:
                self._gone[name] = error

    def _copy(self, chunks: Iterator[bytes]) -> int:
        stream, self._streams = self._streams, self._streams + 1
        key = raw_key(self._prefix, stream)
        with self._services.files.writer(key) as out:
            left = self._accounts.read(_teed(chunks, out), stream)
        for span in left:
            logger.warning("results are not one per line", batch=self._batch.id, bytes=len(span))
            self._accounts.read_rows(self._services.files.reader(key), stream, span)
        return out.bytes

    def _prove_loss(self) -> None:
        """Requests that are in no stream are lost only when the streams are proven whole.

        They are when they are as long as the provider says, and hold as many rows as it counts; or, where it does not
        count more than it gives, when nothing has changed for a quarter of an hour. What it counts is paid: that is
        waited for as long as for a file that is gone, and then not sent again.

        Raises:
            Transient: Not proven yet.
        """
        missing, counted = self._count_missing(), self._counted()
        rows = self._batch.requests - missing + self._accounts.nonsense
        if not missing or (0 < counted <= rows and self._are_as_long_as_told()):
            return
        seen = f"{missing} missing of {counted or None} counted in {sum(self._bytes.values())} bytes"
        now, age = self._services.now(), _ended_since(self._batch, self._services)
        since = self._batch.seen_at if self._batch.seen == seen else now
        self._is_withheld = counted > rows
        left = _MISSING_SECONDS - age if self._is_withheld else _LATE_SECONDS - (now - since)
        if left > 0:
            share = age // _COUNTED_SHARE if self._is_withheld else 0
            wait = min(left, max(_LATE_SECONDS, share))
            raise _NotProven(wait, seen=seen, seen_at=since, counted=counted)

    def _counted(self) -> int:
        """How many results the provider last said to have; 0 where it never did."""
        return (self.told and self.told.rows) or self._batch.counted

    def _are_as_long_as_told(self) -> bool:
        return bool(self._bytes) and all(self._length(name) == size for name, size in self._bytes.items())

    def _length(self, name: str) -> int | None:
        try:
            return self._api.length(name)
        except (Missing, Refused):  # not every server tells of a file what it gives of it
            return None

    def _failed(self) -> None:
        """The provider refused the batch as a whole: find out whose fault it was."""
        failures = self._api.retrieve(self._batch.batch_id or "").failures
        judged = judge_failed(self._batch, failures, self._services)
        self.cut_as, self.blamed = judged.cut_as, len(judged.refused)
        self.in_vain, self.is_final = not judged.is_final, judged.is_final
        blamed = {failure.line - 1: failure for failure in judged.refused if failure.line}
        if self.is_final:
            first = failures[0] if failures else Failure(code=None, message="The provider failed the whole batch.")
            blamed = dict.fromkeys(range(self._batch.requests), first) | blamed
        lines = (openai.refused_line(self._accounts.custom_id(at), each) for at, each in sorted(blamed.items()))
        if blamed:
            self._copy(lines)

    def _name_the_unreadable(self) -> None:
        """What may be a paid answer, in what nobody can read or that never came, is not paid for again."""
        if not self._accounts.nonsense and not self._gone and not self._is_withheld:
            return
        error = _UNREADABLE if self._accounts.nonsense or self._gone else _WITHHELD
        line = anthropic.refused_line if self._accounts.is_anthropic else openai.refused_line
        unanswered = [at for at, found in enumerate(self.collected.found) if found == Found.NOTHING]
        if unanswered:
            self._copy(line(self._accounts.custom_id(at), error) for at in unanswered)


class _NotProven(Transient):
    """Lines are missing in a download that may be incomplete: read it again in a while."""

    def __init__(self, wait: int, **found: Any) -> None:
        super().__init__(found["seen"])
        self.wait, self.found = wait, found


_PUT_OFF: dict[type[Exception], str] = {  # the first that fits
    AccountRefused: "the call for them was refused; the key, the account or base_url may be wrong",
    Undecodable: "the provider, or a proxy before it, compresses them in a way that cannot be decoded here",
    Missing: "the provider does not have them",
    Refused: "the provider refused the call for them",
    _NotProven: "lines are missing in what the provider gives",
    Unreachable: "the provider does not answer, or with an error of its own (5xx)",
    Transient: "they could not be fetched now",
}


def _ended(batch: Batch) -> ProviderBatch:
    if batch.batch_id is None:
        raise LookupError(f"{batch.job}: batch {batch.id} ended without an id")
    return ProviderBatch(
        id=batch.batch_id,
        ended_as=batch.ended_as,
        input_file_id=batch.input_file_id,
        output_file_id=batch.output_file_id,
        error_file_id=batch.error_file_id,
    )


def _teed(chunks: Iterator[bytes], out: Upload) -> Iterator[bytes]:
    for chunk in chunks:
        out.write(chunk)
        yield chunk

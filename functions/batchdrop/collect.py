"""Collect: an ended batch's results are copied raw (paid answers are safe), then each request is accounted for."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from aws_lambda_powertools import Logger

from batchdrop import files
from batchdrop.batch_files import custom_id_prefix
from batchdrop.cancel import give_up
from batchdrop.collected import Collected, Found, index_key, raw_key
from batchdrop.errors import AccountRefused, NoSuchCall, NotMyTurn, Refused, Transient, Unreachable
from batchdrop.files import Line, cut_lines
from batchdrop.ledgers import LEARNED_SECONDS, estimate_of
from batchdrop.pauses import calls_refused, pause_provider
from batchdrop.protocols import anthropic, openai
from batchdrop.protocols.outcome import Answer, Failure, Outcome, is_account_error
from batchdrop.providers.api import BatchApi, Missing, ProviderBatch
from batchdrop.providers.config import Protocol
from batchdrop.records import Batch
from batchdrop.results import ErrorCode
from batchdrop.rounds import close_batch
from batchdrop.services import Services
from batchdrop.states import BatchState, JobState
from batchdrop.store import Changed
from batchdrop.submit import slot
from batchdrop.turns import turn
from batchdrop.uploads import Upload
from batchdrop.writes import reserve, take_slot

logger = Logger(child=True)

MAX_RESULT_BYTES = 128 * 1024 * 1024  # 2,048 embeddings in one line are 70 MB
_ENDS_BYTES = 64 * 1024  # of a longer line: its custom_id stands before or behind what makes it long
_UNREADABLE = Failure(code=ErrorCode.UNREADABLE_RESULT, message="The provider's result line cannot be read.")
_DELETE_SECONDS = 3 * 86_400  # how long a provider that deletes nothing is asked; it drops its files after 30 days
_MISSING_SECONDS = 3 * 86_400  # how long results are asked for that the provider says it does not have
_LATE_SECONDS = 900  # after its end a batch's files may still come
_AGE_SHARE, _LONGEST_WAIT = 20, 3_600  # tries come a twentieth of the time apart that they go on, an hour at most
_NO_LIMIT = 2**53  # what is at the provider already is counted, whatever the limit says


def collect_batch(job: str, batch_id: str, services: Services, *, max_bytes: int = MAX_RESULT_BYTES) -> None:
    """Collect a batch, unless it is collected or another worker is at it. A result over `max_bytes` is not read."""
    batch = services.store.batch(job, batch_id)
    if batch is None or batch.state is not BatchState.ENDED:
        return
    with turn(job, services):
        claimed = services.store.claim(batch, services.settings.lease_seconds)
        _collect(claimed, services, max_bytes)


def delete_from_provider(batch: Batch, services: Services) -> None:
    """Delete what the provider keeps of a collected batch; sweep tries again what fails, for some days.

    A server that has no such call keeps it.
    """
    try:
        services.apis[batch.provider].delete(_ended(batch))
    except (AccountRefused, Refused, Transient) as error:
        logger.warning("provider files not deleted yet", job=batch.job, batch=batch.id, reason=type(error).__name__)
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
        _later(batch, error, services, seen=error.seen)
    except Missing as error:
        _missing(batch, error, services)
    except (Refused, Transient) as error:
        _later(batch, error, services)
    else:
        due_at = services.now() + services.settings.lease_seconds
        closed = close_batch(accounted, BatchState.COLLECTED, services, due_at=due_at)
        delete_from_provider(closed, services)


def _account(batch: Batch, services: Services, max_bytes: int) -> Batch:
    """Copy the results, account for every request, and record both: a second run goes on from there."""
    job = services.store.job(batch.job)
    if job is None:
        raise NotMyTurn
    prefix = files.collected_prefix(batch)
    copy = _Copy(batch, services.apis[batch.provider], prefix, services, max_bytes)
    copy.run()
    if batch.adopted and copy.is_of_strangers():
        _disown(batch, services)
    collected = copy.collected
    left = sum(found in {Found.NOTHING, Found.RETRYABLE} for found in collected.found)
    can_go_again = copy.in_vain or (batch.attempt < job.settings.max_attempts and not copy.is_final)
    again = left if can_go_again and job.state is JobState.RUNNING and not batch.is_duplicate else 0
    services.files.put(index_key(prefix), collected.to_bytes(), content_type="application/octet-stream")
    answered = collected.found.count(Found.ANSWERED)
    logger.info("batch collected", job=batch.job, batch=batch.id, answered=answered, again=again)
    # Still the same claim: only what was found is added.
    return services.store.claim(
        batch.with_(claimed_until=0),
        services.settings.lease_seconds,
        collected_key=prefix,
        again=again,
        in_vain=copy.in_vain,
    )


def _disown(batch: Batch, services: Services) -> None:
    """The batch that was adopted is somebody else's: look for ours again.

    Raises:
        NotMyTurn: Always; what was read is not this batch's.
    """
    cost = estimate_of(batch.protocol, requests=batch.requests, tokens=batch.tokens)
    logger.warning("adopted batch is another's", job=batch.job, batch=batch.id, batch_id=batch.batch_id)
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


def _later(batch: Batch, error: Exception, services: Services, **changes: Any) -> None:
    """Give it back; the longer ago it ended, the later the next try: what is gone at the provider stays gone."""
    logger.warning("batch not collected for now", job=batch.job, batch=batch.id, reason=str(error))
    now, tick = services.now(), services.settings.tick_seconds
    waited = min((now - (batch.ended_at or now)) // _AGE_SHARE, _LONGEST_WAIT)
    put_off = next(words for kind, words in _PUT_OFF.items() if isinstance(error, kind))
    services.store.let_go(batch, now + max(tick, waited), put_off=put_off, **changes)


def _missing(batch: Batch, error: Missing, services: Services) -> None:
    """What the provider does not know for a while may come; what it does not know for days was deleted there."""
    if _ended_since(batch, services) < _MISSING_SECONDS:
        _later(batch, error, services)
    else:
        give_up(batch, services, code=ErrorCode.UNREADABLE_RESULT)


def _ended_since(batch: Batch, services: Services) -> int:
    return services.now() - (batch.ended_at or 0)


class _Copy:
    """Copies the provider's streams to `work/`, noting where each request's line lies.

    `in_vain` says that the batch failed through no fault of its requests, `is_final` that it failed and will again.
    What the provider sent and nobody can read may be a paid answer: no request that has no line is sent again then.
    """

    def __init__(self, batch: Batch, api: BatchApi, prefix: str, services: Services, max_bytes: int) -> None:
        self._batch, self._api, self._prefix, self._services = batch, api, prefix, services
        self._max_bytes = max_bytes
        self._accounts = _Accounts(batch, services.settings.deployment)
        self._bytes: dict[str, int] = {}
        self.in_vain = self.is_final = self._is_partly_gone = False

    @property
    def collected(self) -> Collected:
        return self._accounts.collected

    def is_of_strangers(self) -> bool:
        """Whether there are results, and all of them are another batch's."""
        return self._accounts.strangers > 0 and not self._accounts.nonsense and not self._is_ours()

    def _is_ours(self) -> bool:
        return any(self.collected.found) or bool(self._accounts.unreadable)

    def run(self) -> None:
        """Copy and account.

        Raises:
            Missing: The provider does not have the results, or gives what are none of this batch's.
            Transient: It cannot be told yet whether they are whole.
        """
        ended = _ended(self._batch)
        names = self._api.results(ended)
        if self._batch.ended_as == "failed" and not names:
            self._failed()
            return
        names = names or self._api.results(self._api.retrieve(ended.id))
        for number, name in enumerate(names):
            self._take(name, number)
        strange = self._accounts.strangers + self._accounts.nonsense
        if strange:
            logger.warning("results of unknown requests", job=self._batch.job, batch=self._batch.id, lines=strange)
        if self._batch.adopted and self.is_of_strangers():
            return
        if (strange or (self._is_partly_gone and not self._bytes)) and not self._is_ours():
            raise Missing("what it gives is no result of this batch")
        if self._accounts.account_errors:
            self.in_vain = True
            pause_provider(self._batch.provider, "the account was refused while a batch ran", self._services)
        self._prove_loss()
        self._name_the_unreadable(len(names))

    def _take(self, name: str, number: int) -> None:
        try:
            self._bytes[name] = self._copy(self._api.stream(name), number)
        except Missing:
            if _ended_since(self._batch, self._services) < _MISSING_SECONDS:
                raise
            self._is_partly_gone = True  # what the other streams hold is kept

    def _copy(self, chunks: Iterator[bytes], number: int) -> int:
        key = raw_key(self._prefix, number)
        with self._services.files.writer(key) as out:
            too_long = self._accounts.read(_teed(chunks, out), number, self._max_bytes)
        for line in too_long:
            logger.error("result too long", job=self._batch.job, batch=self._batch.id, bytes=line.length)
            self._accounts.note_unreadable(self._ends(key, line))
        return out.bytes

    def _ends(self, key: str, line: Line) -> bytes:
        """How a line begins and ends: what is too long for memory is read from its copy."""
        read, end = self._services.files.reader(key), line.offset + line.length
        head = read(line.offset, min(line.offset + _ENDS_BYTES, end))
        tail = read(max(line.offset, end - _ENDS_BYTES), end)
        return b"".join((*head, b"\n", *tail))

    def _prove_loss(self) -> None:
        """Lines that are in no stream are lost only when the streams are proven whole.

        Raises:
            Transient: Not proven yet: the provider does not tell the length, and nobody has read them twice.
        """
        missing = self.collected.found.count(Found.NOTHING)
        if not missing:
            return
        if self._bytes and all(self._length(name) == size for name, size in self._bytes.items()):
            return
        unreadable = len(self._accounts.unreadable)
        seen = f"{missing} missing and {unreadable} unreadable in {sum(self._bytes.values())} bytes"
        if self._batch.seen != seen or _ended_since(self._batch, self._services) < _LATE_SECONDS:
            raise _NotProven(seen)

    def _length(self, name: str) -> int | None:
        try:
            return self._api.length(name)
        except Missing:  # not every server tells of a file what it gives of it
            return None

    def _failed(self) -> None:
        """The provider refused the batch as a whole: find out whose fault it was."""
        failures = self._api.retrieve(self._batch.batch_id or "").failures
        batch, services = self._batch, self._services
        judged = openai.judge_failure(failures, requests=batch.requests, tokens=batch.tokens, waits=batch.waits)
        if judged.limit is not None:
            services.store.learn_limit(batch.ledger, judged.limit, services.now() + LEARNED_SECONDS)
        self.in_vain, self.is_final = judged.in_vain, not judged.in_vain
        blamed = {failure.line - 1: failure for failure in judged.refused if failure.line}
        if self.is_final:
            first = failures[0] if failures else Failure(code=None, message="The provider failed the whole batch.")
            blamed = dict.fromkeys(range(self._batch.requests), first) | blamed
        lines = (openai.refused_line(self._accounts.custom_id(at), each) for at, each in sorted(blamed.items()))
        if blamed:
            self._copy(lines, 0)

    def _name_the_unreadable(self, number: int) -> None:
        """Paid answers that nobody can read are errors of their own, and are not paid for again."""
        may_be_any = self._accounts.nonsense or self._is_partly_gone
        asked = range(self._batch.requests) if may_be_any else self._accounts.unreadable
        unanswered = [at for at in asked if self.collected.found[at] == Found.NOTHING]
        if unanswered:
            line = anthropic.refused_line if self._accounts.is_anthropic else openai.refused_line
            self._copy((line(self._accounts.custom_id(at), _UNREADABLE) for at in unanswered), number)


class _NotProven(Transient):
    """Lines are missing in a download that may be incomplete: read it again in a while."""

    def __init__(self, seen: str) -> None:
        super().__init__(seen)
        self.seen = seen


_PUT_OFF: dict[type[Exception], str] = {  # the first that fits
    AccountRefused: "the call for them was refused; the key, the account or base_url may be wrong",
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


def outcome_reader(protocol: Protocol) -> Callable[[bytes], Outcome]:
    return anthropic.read_outcome if protocol is Protocol.ANTHROPIC else openai.read_outcome


def answer_reader(protocol: Protocol) -> Callable[[msgspec.Raw], Answer]:
    return anthropic.read_answer if protocol is Protocol.ANTHROPIC else openai.read_answer


class _Accounts:
    """Reads result lines and notes the best one of each request.

    `strangers` counts lines of other batches, `nonsense` those that are nobody's, `account_errors` those that are the
    account's matter; `unreadable` holds the positions of those that are ours and no result line.
    """

    def __init__(self, batch: Batch, deployment: str) -> None:
        self._prefix = custom_id_prefix(deployment, batch.token)
        self._requests = batch.requests
        self._read_outcome = outcome_reader(batch.protocol)
        self.collected = Collected.empty(batch.requests)
        self.is_anthropic = batch.protocol is Protocol.ANTHROPIC
        self.strangers = self.nonsense = self.account_errors = 0
        self.unreadable: list[int] = []

    def read(self, chunks: Iterator[bytes], stream: int, max_bytes: int) -> list[Line]:
        """Read a stream; the lines over `max_bytes` are returned, without their bytes, and not noted."""
        too_long = []
        for line in cut_lines(chunks, offset=0, max_bytes=max_bytes):
            if line.bytes is None:
                too_long.append(line)
            elif line.bytes and not line.bytes.isspace():
                self._note(line.bytes, stream, line.offset)
        return too_long

    def custom_id(self, position: int) -> str:
        return f"{self._prefix}{position}"

    def _note(self, text: bytes, stream: int, offset: int) -> None:
        try:
            outcome = self._read_outcome(text)
        except (msgspec.DecodeError, ValueError, RecursionError):
            self.note_unreadable(text)
            return
        position = self._position(outcome.custom_id)
        if position is None:
            self.strangers += bool(outcome.custom_id)
            self.nonsense += not outcome.custom_id
            return
        if outcome.error is not None and is_account_error(outcome.error.code, outcome.error.message):
            self.account_errors += 1
        self.collected.note(position, _found(outcome), stream, offset, len(text))

    def note_unreadable(self, text: bytes) -> None:
        """Note a line, or a part of it, that is no result line, under the request whose custom_id stands in it."""
        found = re.search(re.escape(self._prefix.encode()) + rb'(\d+)"', text)
        position = None if found is None else self._position(self._prefix + found[1].decode())
        if position is None:
            self.nonsense += 1
        else:
            self.unreadable.append(position)

    def _position(self, custom_id: str) -> int | None:
        text = custom_id.removeprefix(self._prefix)
        if not custom_id.startswith(self._prefix) or not text.isdecimal():
            return None
        position = int(text)
        return position if position < self._requests else None


def _found(outcome: Outcome) -> Found:
    if outcome.error is None:
        return Found.ANSWERED
    passes = outcome.error.retryable or is_account_error(outcome.error.code, outcome.error.message)
    return Found.RETRYABLE if passes else Found.REFUSED

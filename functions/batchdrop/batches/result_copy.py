"""Copies a batch's results raw, so that paid answers are safe, then accounts for each request."""

from collections.abc import Iterator
from typing import Any

from aws_lambda_powertools import Logger

from batchdrop.aws.metrics import Alert, count
from batchdrop.aws.multipart import Upload
from batchdrop.batches.accounting import Accounts
from batchdrop.batches.refused_batches import judge_failed
from batchdrop.batches.result_index import Collected, Found, raw_key
from batchdrop.errors import ClaimLost, Missing, Refused, Transient
from batchdrop.limits.circuit_breaker import pause_provider
from batchdrop.pause_codes import PauseCode
from batchdrop.protocols import anthropic_results, openai_results
from batchdrop.protocols.outcome import Failure
from batchdrop.providers.interface import BatchApi, ProviderBatch
from batchdrop.records import Batch
from batchdrop.refusal_kinds import Kind
from batchdrop.result_line import ErrorCode
from batchdrop.services import Services

logger = Logger(child=True)

_UNREADABLE = Failure(code=ErrorCode.UNREADABLE_RESULT, message="The provider's result line cannot be read.")
_WITHHELD = Failure(
    code=ErrorCode.UNREADABLE_RESULT,
    message="The provider counts more results than it gives, perhaps this line's: for three days it gave none.",
)
MISSING_SECONDS = 3 * 86_400  # how long results are asked for that the provider does not have, or counts alone
_LATE_SECONDS = 900  # what misses rows may still come: it is believed when nothing has changed for so long
_COUNTED_SHARE = 4  # the same, of whole downloads for rows that the provider counts and does not give
_MOST_PAUSES = 5  # for account errors of the same lines: then they wait by themselves, up to an hour each time


def ended_since(batch: Batch, services: Services) -> int:
    return services.now() - (batch.ended_at or 0)


class ResultCopy:
    """Copies the provider's streams to `work/`, noting where each request's row lies.

    `is_uncharged_attempt` says that the batch failed through no fault of its requests, `is_final` that it failed and
    will again, `cut_as` that it is to be cut, and for what; `blamed` counts the requests that the provider named.
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
        self.is_uncharged_attempt = self.is_final = self._is_withheld = False
        self.cut_as: Kind | None = None
        self.blamed = 0

    @property
    def collected(self) -> Collected:
        return self._accounts.collected

    def has_only_foreign_results(self) -> bool:
        """Whether there are results, and all of them are another batch's."""
        return self._accounts.foreign > 0 and not self._accounts.malformed and not any(self.collected.found)

    def run(self) -> None:
        """Copy and account.

        Raises:
            Missing: The provider does not have the results, or gives what are none of this batch's.
            Transient: It cannot be told yet whether they are whole.
            ClaimLost: Reading them took longer than the claim: another worker judges the provider by them.
        """
        self._read(self._api.results(ended_batch(self._batch)))
        if self._count_missing() and not (self._batch.adopted and self.has_only_foreign_results()):
            self._ask_again()
        if self._services.now() >= self._batch.claimed_until:
            raise ClaimLost
        if self._batch.ended_as == "failed" and not self._bytes and not self._gone:
            self._failed()
            return
        strange = self._accounts.foreign + self._accounts.malformed
        if strange:
            logger.warning("results of unknown requests", batch=self._batch.id, lines=strange)
        if self._batch.adopted and self.has_only_foreign_results():
            return
        if (strange or (self._gone and not self._bytes)) and not any(self.collected.found):
            raise next(iter(self._gone.values()), Missing("what it gives is no result of this batch"))
        if Found.OF_ACCOUNT in self.collected.found:
            self._account_refused()
        self._prove_loss()
        self._add_unreadable_errors()

    def _account_refused(self) -> None:
        """Pause the provider; not for ever for the same lines, which may be refused alone while others are answered."""
        if self._batch.waits < _MOST_PAUSES:
            words = "the account was refused while a batch ran"
            pause_provider(self._batch.provider, words, PauseCode.ACCOUNT_REFUSED, self._services)
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
        if self._gone and ended_since(self._batch, self._services) < MISSING_SECONDS:
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
        rows = self._batch.requests - missing + self._accounts.malformed
        if not missing or (0 < counted <= rows and self._are_as_long_as_told()):
            return
        evidence = f"{missing} missing of {counted or None} counted in {sum(self._bytes.values())} bytes"
        now, age = self._services.now(), ended_since(self._batch, self._services)
        since = self._batch.loss_evidence_at if self._batch.loss_evidence == evidence else now
        self._is_withheld = counted > rows
        left = MISSING_SECONDS - age if self._is_withheld else _LATE_SECONDS - (now - since)
        if left > 0:
            share = age // _COUNTED_SHARE if self._is_withheld else 0
            wait = min(left, max(_LATE_SECONDS, share))
            raise NotProven(wait, loss_evidence=evidence, loss_evidence_at=since, counted=counted)

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
        self.is_uncharged_attempt, self.is_final = not judged.is_final, judged.is_final
        blamed = {failure.line - 1: failure for failure in judged.refused if failure.line}
        if self.is_final:
            first = failures[0] if failures else Failure(code=None, message="The provider failed the whole batch.")
            blamed = dict.fromkeys(range(self._batch.requests), first) | blamed
        lines = (openai_results.refused_line(self._accounts.custom_id(at), each) for at, each in sorted(blamed.items()))
        if blamed:
            self._copy(lines)

    def _add_unreadable_errors(self) -> None:
        """What may be a paid answer, in what nobody can read or that never came, is not paid for again."""
        if not self._accounts.malformed and not self._gone and not self._is_withheld:
            return
        error = _UNREADABLE if self._accounts.malformed or self._gone else _WITHHELD
        line = anthropic_results.refused_line if self._accounts.is_anthropic else openai_results.refused_line
        unanswered = [at for at, found in enumerate(self.collected.found) if found == Found.NOTHING]
        if unanswered:
            self._copy(line(self._accounts.custom_id(at), error) for at in unanswered)


class NotProven(Transient):
    """Lines are missing in a download that may be incomplete: read it again in a while."""

    def __init__(self, wait: int, **found: Any) -> None:
        super().__init__(found["loss_evidence"])
        self.wait, self.found = wait, found


def ended_batch(batch: Batch) -> ProviderBatch:
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

"""Copies a batch's results raw, so that paid answers are safe, and notes where each request's row lies."""

from collections.abc import Iterator

import msgspec
from aws_lambda_powertools import Logger

from batchdrop.aws.multipart import Upload
from batchdrop.batches.accounting import Accounts
from batchdrop.batches.collect_verdict import Copied, Then, Verdict
from batchdrop.batches.refused_batches import judge_failed
from batchdrop.batches.result_index import Collected, Found, raw_key
from batchdrop.errors import ClaimLost, Missing, Refused
from batchdrop.protocols import anthropic_results, openai_results
from batchdrop.protocols.answer_checks import AnswerCheck
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


class ResultCopy:
    """Copies the provider's streams to `work/`, noting where each request's row lies.

    `read` reads them, `account` does what their verdict says; `collected` then is whole.

    `is_uncharged_attempt` says that the batch failed through no fault of its requests, `is_final` that it failed and
    will again, `cut_as` that it is to be cut, and for what; `blamed` counts the requests that the provider named.
    `retrieved` is the batch as the provider showed it when it was asked again, since something was missing.
    """

    def __init__(  # noqa: PLR0913 - whose results, from where to where, and how they are read
        self,
        batch: Batch,
        api: BatchApi,
        prefix: str,
        services: Services,
        *,
        max_bytes: int,
        check: AnswerCheck | None = None,
    ) -> None:
        self._batch, self._api, self._prefix, self._services = batch, api, prefix, services
        own = services.providers[batch.provider].refusals
        self._accounts = Accounts(batch, services.settings.deployment, max_bytes=max_bytes, own=own, check=check)
        self._bytes: dict[str, int] = {}
        self._gone: dict[str, Missing] = {}
        self._streams = 0
        self.retrieved: ProviderBatch | None = None
        self.is_uncharged_attempt = self.is_final = False
        self.cut_as: Kind | None = None
        self.blamed = 0

    @property
    def collected(self) -> Collected:
        return self._accounts.collected

    def read(self) -> Copied:
        """Copy what the provider has; what is missing is asked for once more.

        Raises:
            ClaimLost: Reading took longer than the claim: another worker judges the provider by it.
        """
        self._read(self._api.results(ended_batch(self._batch)))
        copied = self._copied()
        if copied.missing and not (self._batch.adopted and copied.has_only_foreign_results(self._batch)):
            self._ask_again()
            copied = self._copied()
        if self._services.now() >= self._batch.claimed_until:
            raise ClaimLost
        if copied.foreign or copied.malformed:
            lines = copied.foreign + copied.malformed
            logger.warning("results of unknown requests", batch=self._batch.id, lines=lines)
        if copied.may_be_whole(self._batch):
            return msgspec.structs.replace(copied, has_stated_sizes=self._have_stated_sizes())
        return copied

    def account(self, copied: Copied, verdict: Verdict) -> None:
        """Account for the requests that have no row, as the results were judged."""
        if verdict.then is Then.FIND_FAULT:
            self._find_fault()
        else:
            self._add_unreadable_errors(copied, is_withheld=verdict.is_withheld)

    def _copied(self) -> Copied:
        found = self.collected.found
        return Copied(
            missing=found.count(Found.NOTHING),
            foreign=self._accounts.foreign,
            malformed=self._accounts.malformed,
            has_account_errors=Found.OF_ACCOUNT in found,
            sizes=dict(self._bytes),
            gone=dict(self._gone),
            counted=(self.retrieved and self.retrieved.rows) or self._batch.counted,
        )

    def _ask_again(self) -> None:
        """Read the files that the batch names by now: an id may come late, or have been wrong."""
        try:
            self.retrieved = self._api.retrieve(self._batch.batch_id or "")
        except (Missing, Refused) as error:
            logger.warning("batch not shown again", batch_id=self._batch.batch_id, reason=type(error).__name__)
        else:
            names = self._api.results(self.retrieved)
            self._gone = {name: error for name, error in self._gone.items() if name in names}
            self._read(names)

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
            left = self._accounts.read(teed(chunks, out), stream)
        for span in left:
            logger.warning("results are not one per line", batch=self._batch.id, bytes=len(span))
            self._accounts.read_rows(self._services.files.reader(key), stream, span)
        return out.bytes

    def _have_stated_sizes(self) -> bool:
        return all(self._length(name) == size for name, size in self._bytes.items())

    def _length(self, name: str) -> int | None:
        try:
            return self._api.length(name)
        except (Missing, Refused):  # not every server tells of a file what it gives of it
            return None

    def _find_fault(self) -> None:
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

    def _add_unreadable_errors(self, copied: Copied, *, is_withheld: bool) -> None:
        """Add errors for results that are unreadable or never came: they may be paid, and are not sent again."""
        if not copied.malformed and not copied.gone and not is_withheld:
            return
        error = _UNREADABLE if copied.malformed or copied.gone else _WITHHELD
        line = anthropic_results.refused_line if self._accounts.is_anthropic else openai_results.refused_line
        unanswered = [at for at, found in enumerate(self.collected.found) if found == Found.NOTHING]
        if unanswered:
            self._copy(line(self._accounts.custom_id(at), error) for at in unanswered)


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


def teed(chunks: Iterator[bytes], out: Upload) -> Iterator[bytes]:
    for chunk in chunks:
        out.write(chunk)
        yield chunk

"""A closed batch as assemble sees it: who answered what, and why a request of it has no answer."""

from functools import cached_property
from typing import Literal

from msgspec import UNSET
from msgspec.structs import replace

from batchdrop.aws import bucket
from batchdrop.batches.refused_batches import read_words
from batchdrop.batches.refused_models import MAX_WORDS_BYTES
from batchdrop.batches.result_index import Collected, Found, raw_key, read_collected
from batchdrop.batches.split_plan import read_members
from batchdrop.outputs.line_spool import Spool
from batchdrop.protocols.answer_checks import AnswerCheck
from batchdrop.protocols.outcome import QUEUE_FULL, Outcome, unreadable_outcome
from batchdrop.protocols.readers import outcome_reader, usual_reader
from batchdrop.protocols.usual_rows import UsualAnswers, line_ends
from batchdrop.records import Batch
from batchdrop.refusal_kinds import Kind
from batchdrop.result_line import ErrorCode, ResultError
from batchdrop.services import Services
from batchdrop.states import BatchState
from batchdrop.texts import cut

MOST_BYTES = 1024 * 1024  # of rows that are decoded at once
# Of whole batches, in our own words: whose fault, what to say, and whether sending it again may help.
_FAILURES: dict[str, tuple[Literal["provider", "batchdrop"], str, bool]] = {
    ErrorCode.PROVIDER_STUCK: (
        "batchdrop",
        "The provider never ended the batch, although it was asked to cancel it; it may still charge.",
        False,
    ),
    ErrorCode.UNREADABLE_RESULT: (
        "provider",
        "The provider no longer has the batch's results; they were paid for, and are not sent again.",
        False,
    ),
    ErrorCode.UNDECODABLE_RESULT: (
        "provider",
        "The provider gives the results in a compression that cannot be decoded; they are paid, and not sent again.",
        False,
    ),
    ErrorCode.REQUEST_TOO_LARGE: (
        "provider",
        "The provider refuses this line for its size, even in a batch of its own.",
        False,
    ),
    QUEUE_FULL: (
        "provider",
        "The provider had no room for this line, even in a batch of its own, at any attempt.",
        True,
    ),
    ErrorCode.SUBMIT_FAILED: (
        "batchdrop",
        "The line was not sent: batchdrop failed at its batch each time. The job's reason says where to look.",
        True,
    ),
    ErrorCode.COLLECT_FAILED: (
        "batchdrop",
        "The line's batch may be answered and charged; batchdrop failed at it each time. The job's reason says where.",
        False,
    ),
    ErrorCode.NOT_BATCHABLE: (
        "provider",
        "Not sent: within a day before, the provider said that it does not take this model in batches.",
        False,
    ),
    ErrorCode.NO_SUCH_CALL: (
        "batchdrop",
        "The provider's address does not expose a batch API (404 or HTML): check its base_url in providers.toml.",
        True,
    ),
}


CUT_OFF = ResultError(
    code=ErrorCode.CUT_OFF,
    message="The answer was cut off at its limit of tokens, and does not fit the output schema: raise the limit.",
    source="provider",
    retryable=False,
)


class SentBatch:
    """A closed batch: who answered what, and where its result lines lie in the raw copies."""

    def __init__(self, batch: Batch, services: Services) -> None:
        self.batch = batch
        self.members = read_members(services.files, batch.members_key)
        self._read_outcome, self.usual = outcome_reader(batch.protocol), usual_reader(batch.protocol)
        self.collected = Collected.empty(batch.requests)
        if batch.collected_key is not None:
            self.collected = read_collected(services.files, batch.collected_key)
        self._files = services.files

    def spool(self, positions: list[int], spool: Spool, store: bucket.Files) -> None:
        """Copy the result lines of some requests to the disk."""
        streams, offsets, lengths = self.collected.streams, self.collected.offsets, self.collected.lengths
        positions.sort(key=offsets.__getitem__)
        for stream in sorted({streams[position] for position in positions}):
            its = [position for position in positions if streams[position] == stream]
            fields = (self.members, offsets, lengths)
            wanted = zip(*(map(each.__getitem__, its) for each in fields), strict=True)
            spool.take(store.reader(raw_key(self.batch.collected_key or "", stream)), wanted)

    def outcome(self, place: int, position: int, spool: Spool) -> Outcome | None:
        """Return the provider's outcome of a request, whose line is spooled under its place; None without one."""
        found = self.collected.found[position]
        if found == Found.NOTHING:
            return None
        text = spool.line(place, self.collected.lengths[position])
        return unreadable_outcome(text) if found == Found.UNREADABLE else self._read_outcome(text)

    def misfit_error(self, position: int, outcome: Outcome, check: AnswerCheck | None) -> ResultError | None:
        """Why the answer to a request is none, if it does not fit the output schema. Nothing of it is in the words."""
        found = self.collected.found[position]
        if found == Found.CUT_OFF:
            return CUT_OFF
        if found != Found.MISFIT or outcome.response is None or check is None:
            return None
        places = check.misfit(self.batch.endpoint, outcome.response.body).places
        why = f"does not fit the output schema at {', '.join(places)}" if places else "is not JSON"
        return ResultError(code=ErrorCode.SCHEMA, message=f"The answer {why}.", source="provider", retryable=True)

    def answers(self, places: list[int], positions: list[int], spool: Spool) -> UsualAnswers | None:
        """Return the provider's answers to requests, if all of them are as its protocol usually has them."""
        lengths = [self.collected.lengths[position] for position in positions]
        if sum(lengths) > MOST_BYTES:
            return None
        lines = spool.lines(places, lengths)
        text = b"\n".join(lines)
        ends = line_ends(text)
        return self.usual.answers(text, ends) if len(ends) == len(lines) - 1 else None

    @property
    def via(self) -> Literal["batch", "realtime"] | None:
        """How its requests were sent; None where they were not."""
        if self.batch.is_realtime:
            return "realtime" if self.batch.called else None
        return None if self.batch.batch_id is None else "batch"

    @property
    def is_fallback(self) -> bool:
        return self.batch.is_fallback

    def attempts(self) -> int:
        """Return how often its requests were sent, this batch included."""
        return self.batch.attempt - (self.batch.batch_id is None and not self.batch.called)

    def missing_result_error(self, *, is_cancelled: bool) -> ResultError:
        """Return why a request of this batch has no line at all."""
        code = self.batch.failure_code
        if self.batch.state is BatchState.FAILED:
            source, message, retryable = _FAILURES.get(code or "") or self._refusal()
            return ResultError(
                code=code or ErrorCode.PROVIDER_FAILED,
                message=message,
                source=source,
                retryable=retryable,
                provider_message=self._words or UNSET,
            )
        if is_cancelled:
            message = "The job was cancelled before this line was answered."
            return ResultError(code=ErrorCode.CANCELLED, message=message, source="batchdrop", retryable=True)
        message = "The batch ended, and the provider gave neither an answer nor an error for this line."
        return ResultError(code=ErrorCode.REQUEST_LOST, message=message, source="batchdrop", retryable=True)

    @cached_property
    def _words(self) -> str | None:
        return read_words(self.batch, self._files)

    def _refusal(self) -> tuple[Literal["provider"], str, bool]:
        code = self.batch.failure_code
        if self.batch.requests == 1:
            return "provider", f"The provider refused this line, in a batch of its own: {code}.", False
        return "provider", f"The provider refused the whole batch: {code}.", self.batch.refused_as is Kind.LINES

    def in_its_words(self, outcome: Outcome) -> ResultError | None:
        """The error of a result line; one that ended a whole batch is in the provider's own words, too."""
        error = outcome.error
        if error is None or error.source != "provider" or self.batch.ended_as != "failed":
            return error
        return replace(error, provider_message=cut(error.message, MAX_WORDS_BYTES))

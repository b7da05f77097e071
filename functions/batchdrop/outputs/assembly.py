"""Assembles a split: joins answers to its lines, in input order, window by window, and seals them in pieces."""

from array import array
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec
from aws_lambda_powertools import Logger
from msgspec import UNSET
from msgspec.structs import replace

from batchdrop.aws import bucket, keys
from batchdrop.batches.refused_batches import read_words
from batchdrop.batches.refused_models import MAX_WORDS_BYTES
from batchdrop.batches.result_index import Collected, Found, raw_key, read_collected
from batchdrop.batches.split_plan import (
    IndexedError,
    IndexedLine,
    LineNumbering,
    Plan,
    read_index,
    read_members,
    read_plan,
)
from batchdrop.errors import Gone, Locked
from batchdrop.inputs.request_lines import MAX_LINE_BYTES, is_translated
from batchdrop.manifest import ModelCounts
from batchdrop.outputs.line_spool import Spool, read_spans
from batchdrop.outputs.sealed_parts import Part, RouteTally, Sealed, Tally
from batchdrop.protocols.outcome import QUEUE_FULL, Answer, Outcome, unreadable_outcome
from batchdrop.protocols.readers import answer_reader, outcome_reader
from batchdrop.protocols.translate.answer import chat_outcome
from batchdrop.records import Batch, Job, Protocol, Split
from batchdrop.refusal_kinds import Kind
from batchdrop.result_line import ErrorCode, Result, ResultError
from batchdrop.services import Services
from batchdrop.states import BatchState, JobState
from batchdrop.texts import cut

logger = Logger(child=True)

_encode = msgspec.json.Encoder().encode
_WRITE_BUFFER = 256 * 1024
_LINE_BYTES = 500  # what a line weighs beside its answer: never sent, it stands in both results and errors
_NEVER = 0xFFFF_FFFF  # the line was in no batch
_INPUT_GONE = "The dropped file was deleted before its job was done: this line is empty in failed.jsonl."
_INPUT_LOCKED = "For a day, S3 did not let the dropped file be read: this line is empty in failed.jsonl."
_LOCKED_SECONDS = 86_400  # outputs are never overwritten: answers wait that long for a right that is missing
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


class InputUnread(Exception):  # noqa: N818 - it is an outcome: look again later
    """S3 does not let the dropped file be read, which may pass."""


class _Sent:
    """A closed batch: who answered what, and where its result lines lie in the raw copies."""

    def __init__(self, batch: Batch, services: Services) -> None:
        self.batch = batch
        self.members = read_members(services.files, batch.members_key)
        self.read_outcome = outcome_reader(batch.protocol)
        self.collected = Collected.empty(batch.requests)
        if batch.collected_key is not None:
            self.collected = read_collected(services.files, batch.collected_key)
        self._files = services.files

    def spool(self, positions: list[int], spool: Spool, store: bucket.Files) -> None:
        """Copy the result lines of some requests to the disk."""
        found, members = self.collected, self.members
        offsets, lengths, streams = found.offsets, found.lengths, found.streams
        positions.sort(key=offsets.__getitem__)
        for stream in sorted({streams[position] for position in positions}):
            wanted = (
                (members[position], offsets[position], lengths[position])
                for position in positions
                if streams[position] == stream
            )
            spool.take(store.reader(raw_key(self.batch.collected_key or "", stream)), wanted)

    def attempts(self) -> int:
        """How often its requests were sent, this batch included."""
        return self.batch.attempt - (self.batch.batch_id is None)

    def missing_result_error(self, *, is_cancelled: bool) -> ResultError:
        """Why a request of this batch has no line at all."""
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
        """The error of a result line; what ended a whole batch is told in the provider's own words, too."""
        error = outcome.error
        if error is None or error.source != "provider" or self.batch.ended_as != "failed":
            return error
        return replace(error, provider_message=cut(error.message, MAX_WORDS_BYTES))


class _Output:
    """An output of the split in one or more sealed pieces, each on disk until it is whole."""

    def __init__(self, folder: Path, name: str, prefix: str, services: Services, piece_bytes: int) -> None:
        self._folder, self._name, self._prefix, self._services = folder, name, prefix, services
        self._piece_bytes = piece_bytes
        self.sealed: list[Sealed] = []
        self._open()

    def _open(self) -> None:
        self._path = self._folder / f"{self._name}-{len(self.sealed)}"
        self._file: BinaryIO = self._path.open("wb", buffering=_WRITE_BUFFER)
        self._bytes = self._lines = self._first = self._last = 0

    def write(self, line: bytes, number: int = 0) -> None:
        if self._bytes >= self._piece_bytes:
            self.seal()
            self._open()
        self._file.write(line)
        self._bytes += len(line)
        self._lines += 1
        self._first = self._first or number
        self._last = number

    def seal(self) -> None:
        self._file.close()
        key = f"{self._prefix}{self._name}-{len(self.sealed):05}.jsonl"
        self._services.files.put(key, self._path)
        self._path.unlink()
        self.sealed.append(
            Sealed(key=key, bytes=self._bytes, lines=self._lines, first_line=self._first, last_line=self._last)
        )


class Assembly:
    """A run over a split: `done` of its `total` lines, blank ones aside, are assembled, by it or before."""

    def __init__(self, job: Job, split: Split, services: Services, folder: Path, spool: BinaryIO) -> None:
        self._job, self._split, self._services = job, split, services
        self._plan: Plan = read_plan(split, services)
        opened = msgspec.json.decode(services.files.get(job.line_numbering_key or ""), type=LineNumbering)
        self._lines_before = opened.lines_before[split.index]
        batches = [
            each
            for each in services.store.batches(split.job, split.index)
            if each.round <= split.round and each.state is not BatchState.REPLACED
        ]
        self._sent = [_Sent(each, services) for each in batches]
        self._is_cancelled = job.state is JobState.CANCELLING
        self.total, self.done = self._plan.lines - self._plan.blank_lines, split.assembled
        self._spool = Spool(spool, self.total)
        self._which, self._where = self._best()
        self._route_of = array("i", bytes(4 * self.total))
        self._tally = Tally()
        self._routes = [RouteTally() for _ in self._plan.routes]
        prefix, piece = keys.attempt_prefix(split, "assemble"), services.settings.piece_bytes
        self._results = _Output(folder, "results", prefix, services, min(job.settings.part_bytes or piece, piece))
        self._errors = _Output(folder, "errors", prefix, services, piece)
        self._failed = _Output(folder, "failed", prefix, services, piece)
        self._failed_at, self._failed_bytes = array("Q"), array("I")

    def run(self, has_time: Callable[[], bool]) -> Part:
        """Assemble one window of lines at least, and more while there is time.

        Raises:
            InputUnread: Lines have failed, and the file that they are copied from cannot be read now.
        """
        if self._split.refused_at:
            self.unreadable  # noqa: B018 - asked before the work is done once more
        lines = enumerate(read_index(self._services.files, self._plan))
        for place, line in islice(lines, self.done):
            self._route_of[place] = line.route
        for number, window in enumerate(self._windows()):
            if number and not has_time():
                break
            self._spool_results(window)
            for place, line in islice(lines, len(window)):
                self._route_of[place] = line.route
                self._write(line, self._result(place, line))
            self.done = window.stop
        self._write_failed()
        for output in (self._results, self._errors, self._failed):
            output.seal()
        return Part(
            results=self._results.sealed,
            errors=self._errors.sealed,
            failed=self._failed.sealed,
            counts=self._tally.counts(),
            models=self._models(),
            api_versions=sorted({sent.batch.api_version for sent in self._sent if sent.batch.api_version}),
        )

    @cached_property
    def unreadable(self) -> str | None:
        """Why the version that was dropped cannot be read any more, if so; asked for once a line has failed."""
        source, now = self._job.source, self._services.now()
        refused_at = self._split.refused_at or now
        try:  # a HEAD is allowed where a KMS key is not
            next(self._services.files.stream(source.key, end=1, version_id=source.version_id), None)
        except Locked as error:
            if now < refused_at + _LOCKED_SECONDS:
                raise InputUnread from error
            return _INPUT_LOCKED
        except Gone as error:
            if error.may_pass(written_at=self._job.dropped_at, refused_at=refused_at, now=now):
                raise InputUnread from error
            logger.warning("input deleted before its job was done", split=self._split.index)
            return _INPUT_GONE
        return None

    def _windows(self) -> Iterator[range]:
        """The lines that are left, in ranges whose results fit on the disk together."""
        start, size = self.done, 0
        for place in range(start, self.total):
            size += _LINE_BYTES
            if self._which[place] != _NEVER:
                size += self._sent[self._which[place]].collected.lengths[self._where[place]]
            if size >= self._services.settings.spool_bytes:
                yield range(start, place + 1)
                start, size = place + 1, 0
        if start < self.total:
            yield range(start, self.total)

    def _spool_results(self, window: range) -> None:
        self._spool.clear()
        for number, sent in enumerate(self._sent):
            found, which, where = sent.collected.found, self._which, self._where
            positions = [
                position
                for position, place in enumerate(sent.members)
                if found[position] and place in window and which[place] == number and where[place] == position
            ]
            sent.spool(positions, self._spool, self._services.files)

    def _write(self, line: IndexedLine, result: Result) -> None:
        if result.error is not None and self.unreadable:
            message = f"{result.error.message} {self.unreadable}"
            result = msgspec.structs.replace(result, error=msgspec.structs.replace(result.error, message=message))
        text = _encode(result) + b"\n"
        self._results.write(text, result.line)
        if result.error is not None:
            self._errors.write(text)
            self._failed_at.append(line.offset)
            self._failed_bytes.append(line.length)

    def _result(self, place: int, line: IndexedLine) -> Result:
        if line.error is not None or self._which[place] == _NEVER:
            return self._unsent(line)
        return self._answer(line, place, self._sent[self._which[place]], self._where[place])

    def _outcome(self, place: int, sent: _Sent, position: int) -> Outcome | None:
        """What the provider said of a request; None when it said nothing."""
        if sent.collected.found[position] == Found.NOTHING:
            return None
        text = self._spool.line(place, sent.collected.lengths[position])
        if sent.collected.found[position] == Found.UNREADABLE:
            return unreadable_outcome(text)
        return sent.read_outcome(text)

    def _best(self) -> tuple[array[int], array[int]]:
        """For each line: which batch speaks for it, and at which position.

        An answer speaks before an error; of several errors the last one does, unless it is a duplicate's.
        """
        which, where = array("I", [_NEVER]) * self.total, array("I", bytes(4 * self.total))
        for number, sent in enumerate(self._sent):
            for position, place in enumerate(sent.members):
                if sent.batch.is_duplicate and sent.collected.found[position] != Found.ANSWERED:
                    continue
                before = which[place]
                if before == _NEVER or self._sent[before].collected.found[where[place]] != Found.ANSWERED:
                    which[place], where[place] = number, position
        return which, where

    def _unsent(self, line: IndexedLine) -> Result:
        number = self._lines_before + line.number
        error = line.error or self._unwritten(line)
        self._tally.fail(error.code)
        return Result(
            id=None,
            custom_id=line.custom_id,
            response=None,
            error=ResultError(
                code=error.code, message=f"Line {number}: {error.message}.", source="input", retryable=False
            ),
            line=number,
            provider=error.provider,
            model=error.model,
            endpoint=error.endpoint,
            batch_id=None,
            attempts=0,
        )

    def _unwritten(self, line: IndexedLine) -> IndexedError:
        """Why a line that was planned is in no batch: when one was replaced, its body was none for every reader."""
        route, why = self._plan.routes[line.route], "not JSON for every reader: it was in no batch that could be sent"
        return IndexedError(ErrorCode.INVALID_JSON, why, route.provider, route.model, route.endpoint)

    def _answer(self, line: IndexedLine, place: int, sent: _Sent, position: int) -> Result:
        route, counts = self._plan.routes[line.route], self._routes[line.route]
        outcome, protocol = self._outcome(place, sent, position), sent.batch.protocol
        if outcome is not None and is_translated(protocol, route.endpoint):
            outcome, protocol = chat_outcome(outcome, created=sent.batch.ended_at or 0), Protocol.OPENAI
        counts.requests += 1
        error = (
            sent.missing_result_error(is_cancelled=self._is_cancelled)
            if outcome is None
            else sent.in_its_words(outcome)
        )
        if error is not None:
            self._tally.fail(error.code)
        elif outcome is not None and outcome.response is not None:
            self._count_answer(counts, answer_reader(protocol)(outcome.response.body))
        return Result(
            id=None if outcome is None else outcome.id,
            custom_id=line.custom_id,
            response=None if outcome is None else outcome.response,
            error=error,
            line=self._lines_before + line.number,
            provider=route.provider,
            model=route.model,
            endpoint=route.endpoint,
            batch_id=sent.batch.batch_id,
            attempts=sent.attempts(),
        )

    def _count_answer(self, counts: RouteTally, answer: Answer) -> None:
        self._tally.answer(answer.finish_reason)
        counts.add(answer.usage)

    def _write_failed(self) -> None:
        """The input lines of the errors, byte for byte; one over the limit, or unreadable, stands as an empty one."""
        source = self._job.source
        spans = (
            (offset, offset + (length if length <= MAX_LINE_BYTES else 0))
            for offset, length in zip(self._failed_at, self._failed_bytes, strict=True)
        )
        line, written = bytearray(), 0
        read = self._services.files.reader(source.key, source.version_id)
        try:
            for chunk, is_last in () if self._failed_at and self.unreadable else read_spans(read, spans):
                line += chunk
                if is_last:
                    self._failed.write(bytes(line) + b"\n")
                    written += 1
                    line.clear()
        except Gone as error:  # deleted since it was asked for: the next run knows, and says so
            raise InputUnread from error
        for _ in range(written, len(self._failed_at)):
            self._failed.write(b"\n")

    def _models(self) -> list[ModelCounts]:
        batches = self._batches_by_route()
        models = [
            ModelCounts(
                provider=route.provider,
                model=route.model,
                endpoint=route.endpoint,
                requests=counts.requests,
                answered=counts.answered,
                failed=counts.requests - counts.answered,
                batches=batches[number],
                usage=counts.usage(),
            )
            for number, (route, counts) in enumerate(zip(self._plan.routes, self._routes, strict=True))
        ]
        return [each for each in models if each.requests or each.batches]

    def _batches_by_route(self) -> list[int]:
        """How many batches held requests of each route, counted by the split's last run; Anthropic's mix models."""
        counts = [0] * len(self._plan.routes)
        for sent in self._sent if self.done == self.total else ():
            for route in {self._route_of[place] for place in sent.members}:
                counts[route] += 1
        return counts

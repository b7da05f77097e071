"""Assembles a split: joins answers to its lines, in input order, window by window, and seals them in pieces."""

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import repeat
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from batchdrop.aws import keys
from batchdrop.batches.result_index import Found
from batchdrop.batches.sources import answer_check
from batchdrop.batches.split_plan import (
    IndexedError,
    IndexedLine,
    LineIndex,
    Plan,
    Route,
    lines_before_split,
    read_plan,
)
from batchdrop.inputs.request_lines import is_translated
from batchdrop.manifest import ModelCounts
from batchdrop.outputs.answer_outputs import AnswerOutputs
from batchdrop.outputs.failed_lines import FailedLines
from batchdrop.outputs.join_index import NO_BATCH, JoinIndex
from batchdrop.outputs.line_spool import Spool
from batchdrop.outputs.sealed_parts import Part, RouteTally, Tally
from batchdrop.outputs.sent_batches import MOST_BYTES, SentBatch
from batchdrop.outputs.split_outputs import SplitOutput
from batchdrop.outputs.unused_answers import count_unused
from batchdrop.protocols.answer_checks import AnswerCheck
from batchdrop.protocols.readers import answer_reader
from batchdrop.protocols.translate.answer import chat_outcome
from batchdrop.protocols.usual_rows import UsualAnswers
from batchdrop.records import Job, Protocol, Split
from batchdrop.result_line import ErrorCode, Result, ResultError, UsualResult
from batchdrop.services import Services
from batchdrop.states import BatchState, JobState

_ANSWERED = int(Found.ANSWERED)  # a member of an enumeration costs more to compare with
_encoder = msgspec.json.Encoder()
_LINE_BYTES = 500  # what a line weighs beside its answer: never sent, it stands in both results and errors
_BLOCK_LINES = 256  # enough that a block costs nothing beside its lines
_FEW_LINES = 16  # where the answers of a block are not all usual, those of its parts may be


class _Block:
    """Lines that follow one another, from a place on, and what becomes of them."""

    def __init__(self, place: int, lines: list[IndexedLine]) -> None:
        self.place, self.lines = place, lines
        self.results: list[Result | UsualResult | None] = [None] * len(lines)
        self.finish_reasons: list[str | None] = [None] * len(lines)
        self.answered = 0


class Assembly:
    """A run over a split: `done` of its `total` lines, blank ones aside, are assembled, by it or before.

    `batches` are all of the split's, as its rows tell.
    """

    def __init__(self, job: Job, split: Split, services: Services, folder: Path, spool: BinaryIO) -> None:
        self._job, self._split, self._services = job, split, services
        self._plan: Plan = read_plan(split, services)
        self._lines_before = lines_before_split(job, split, services.files)
        self.batches = list(services.store.batches(split.job, split.index))
        batches = [each for each in self.batches if each.round <= split.round and each.state is not BatchState.REPLACED]
        self.sent = [SentBatch(each, services) for each in batches]
        self._is_cancelled = job.state is JobState.CANCELLING
        self.total, self.done = self._plan.lines - self._plan.blank_lines, split.assembled
        self._spool, self._join = Spool(spool, self.total), JoinIndex(self.total)
        self._found = [sent.collected.found for sent in self.sent]
        self._lengths = [sent.collected.lengths for sent in self.sent]
        for sent in self.sent:
            self._join.add(sent.members, sent.collected.found, is_duplicate=sent.batch.is_duplicate)
        self._route_of = array("i", bytes(4 * self.total))
        self._tally = Tally()
        self._routes = [RouteTally() for _ in self._plan.routes]
        prefix, piece = keys.attempt_prefix(split, "assemble"), services.settings.piece_bytes
        self._results = SplitOutput(folder, "results", prefix, services, min(job.settings.part_bytes or piece, piece))
        self._errors = SplitOutput(folder, "errors", prefix, services, piece)
        self._failed = SplitOutput(folder, "failed", prefix, services, piece)
        self._answers = AnswerOutputs(job, split, services, folder, prefix)
        self._failed_lines = FailedLines(job, split, services)

    def run(self, has_time: Callable[[], bool]) -> Part:
        """Assemble one window of lines at least, and more while there is time.

        Raises:
            InputUnread: Lines have failed, and the file that they are copied from cannot be read now.
        """
        if self._split.refused_at:
            self.unreadable  # noqa: B018 - asked before the work is done once more
        lines = LineIndex(self._services.files, self._plan)
        for _ in self._blocks(lines, range(self.done)):
            pass  # their routes are noted
        for number, window in enumerate(self._windows()):
            if number and not has_time():
                break
            self._spool_results(window)
            for block in self._blocks(lines, window):
                self._write(block)
            self.done = window.stop
        if self.done == self.total:
            count_unused(self._join, self.sent, self._counts_of, self._spool, self._services.files)
        self._failed_lines.copy_to(self._failed)
        return self._seal()

    @cached_property
    def _check(self) -> AnswerCheck | None:
        """What answers were held against; of those that do not fit it tells why."""
        return answer_check(self._job, self._services)

    @property
    def unreadable(self) -> str | None:
        """Why the version that was dropped cannot be read any more, if so; asked for once a line has failed."""
        return self._failed_lines.unreadable

    def _seal(self) -> Part:
        for output in (self._results, self._errors, self._failed):
            output.seal()
        return Part(
            results=self._results.sealed,
            errors=self._errors.sealed,
            failed=self._failed.sealed,
            counts=self._tally.counts(),
            models=self._models(),
            api_versions=sorted({sent.batch.api_version for sent in self.sent if sent.batch.api_version}),
            answers=self._answers.seal(),
            doubts=sum(sent.batch.doubts for sent in self.sent) if self.done == self.total else 0,
        )

    def _windows(self) -> Iterator[range]:
        """The lines that are left, in ranges whose results fit on the disk together."""
        most = self._services.settings.spool_bytes
        if sum(map(sum, self._lengths)) + _LINE_BYTES * self.total < most:  # most splits
            yield from [range(self.done, self.total)] if self.done < self.total else []
            return
        start, size = self.done, 0
        for place in range(start, self.total):
            size += _LINE_BYTES + self._result_bytes(place, place + 1)
            if size >= most:
                yield range(start, place + 1)
                start, size = place + 1, 0
        if start < self.total:
            yield range(start, self.total)

    def _blocks(self, index: LineIndex, window: range) -> Iterator[_Block]:
        """The next lines of the index, which are a window's, in blocks whose results fit into memory together."""
        place = window.start
        while place < window.stop:
            lines = index.take(min(_BLOCK_LINES, window.stop - place))
            self._route_of[place : place + len(lines)] = array("i", [line.route for line in lines])
            yield from self._halves(_Block(place, lines))
            place += len(lines)

    def _halves(self, block: _Block) -> Iterator[_Block]:
        """The block if its results are not too long; else its halves, or theirs."""
        place, lines = block.place, block.lines
        if len(lines) == 1 or self._result_bytes(place, place + len(lines)) <= MOST_BYTES:
            yield block
        else:
            middle = len(lines) // 2
            yield from self._halves(_Block(place, lines[:middle]))
            yield from self._halves(_Block(place + middle, lines[middle:]))

    def _result_bytes(self, start: int, stop: int) -> int:
        """How long the result lines of so many lines are."""
        spoken = zip(self._join.batches[start:stop], self._join.positions[start:stop], strict=True)
        return sum([self._lengths[number][position] for number, position in spoken if number != NO_BATCH])

    def _spool_results(self, window: range) -> None:
        self._spool.clear()
        for number, sent in enumerate(self.sent):
            sent.spool(self._join.positions_in(number, window), self._spool, self._services.files)

    def _write(self, block: _Block) -> None:
        """Write a block: its usual answers together, every other line by itself."""
        for (number, route), lines in self._answered(block).items():
            if not self._take_answers(block, number, route, lines):
                for start in range(0, len(lines), _FEW_LINES):
                    self._take_answers(block, number, route, lines[start : start + _FEW_LINES])
        for at, line in enumerate(block.lines):
            if block.results[at] is None:
                block.results[at] = self._result(block, at, line)
        numbers = [self._lines_before + line.number for line in block.lines]
        text = _encoder.encode_lines(block.results)
        self._results.write_lines(text, numbers)
        self._answers.write(text)
        self._tally.answers(block.finish_reasons, block.answered)

    def _answered(self, block: _Block) -> dict[tuple[int, int], list[int]]:
        """Which lines of a block have an answer, by the number of its batch and by its route."""
        lines = defaultdict[tuple[int, int], list[int]](list)
        start, stop = block.place, block.place + len(block.lines)
        spoken = zip(block.lines, self._join.batches[start:stop], self._join.positions[start:stop], strict=True)
        for at, (line, number, position) in enumerate(spoken):
            if number != NO_BATCH and line.error is None and self._found[number][position] == _ANSWERED:
                lines[number, line.route].append(at)
        return lines

    def _take_answers(self, block: _Block, number: int, route: int, lines: list[int]) -> bool:
        """Put the answers of lines into a block; False, and nothing is done, where one of them is not usual."""
        sent, its = self.sent[number], self._plan.routes[route]
        places = [block.place + at for at in lines]
        positions = [self._join.positions[place] for place in places]
        is_foreign = is_translated(sent.batch.protocol, its.endpoint)
        answers = None if is_foreign else sent.answers(places, positions, self._spool)
        if answers is None:
            return False
        results = self._usual_results(sent, its, [block.lines[at] for at in lines], answers)
        for at, result, reason in zip(lines, results, answers.finish_reasons, strict=True):
            block.results[at], block.finish_reasons[at] = result, reason
        block.answered += len(lines)
        counts, usage = self._routes[route], sent.usual.sum_usage(answers.usages)
        counts.requests += len(lines)
        counts.add(usage, answers=len(lines), is_retry=sent.attempts() > 1, is_realtime=sent.batch.is_realtime)
        return True

    def _usual_results(
        self, sent: SentBatch, route: Route, lines: list[IndexedLine], answers: UsualAnswers
    ) -> Iterator[UsualResult]:
        return map(
            UsualResult,
            answers.ids,
            [line.custom_id for line in lines],
            answers.responses,
            repeat(None),
            [self._lines_before + line.number for line in lines],
            repeat(route.provider),
            repeat(route.model),
            repeat(route.endpoint),
            repeat(sent.batch.batch_id),
            repeat(sent.attempts()),
            repeat(sent.via),
            repeat(UNSET) if self._job.template_key is None else [line.kept for line in lines],
        )

    def _result(self, block: _Block, at: int, line: IndexedLine) -> Result:
        """The result of one line, whatever it is; an error is also written where errors go."""
        number = self._join.batches[block.place + at]
        if line.error is not None or number == NO_BATCH:
            result = self._unsent(line)
        else:
            result = self._answer(block, at, line, self.sent[number])
        if result.error is None:
            return result
        if self.unreadable:
            message = f"{result.error.message} {self.unreadable}"
            result = replace(result, error=replace(result.error, message=message))
        self._errors.write(_encoder.encode(result) + b"\n")
        self._failed_lines.add(line)
        return result

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
            row=line.kept,
        )

    def _unwritten(self, line: IndexedLine) -> IndexedError:
        """Why a line that was planned is in no batch: when one was replaced, its body was none for every reader."""
        route, why = self._plan.routes[line.route], "not JSON for every reader: it was in no batch that could be sent"
        return IndexedError(ErrorCode.INVALID_JSON, why, route.provider, route.model, route.endpoint)

    def _answer(self, block: _Block, at: int, line: IndexedLine, sent: SentBatch) -> Result:
        route, counts, place = self._plan.routes[line.route], self._routes[line.route], block.place + at
        position, protocol = self._join.positions[place], sent.batch.protocol
        outcome = sent.outcome(place, position, self._spool)
        misfit = None if outcome is None else sent.misfit_error(position, outcome, self._check)
        if outcome is not None and is_translated(protocol, route.endpoint):
            outcome, protocol = chat_outcome(outcome, created=sent.batch.ended_at or 0), Protocol.OPENAI
        counts.requests += 1
        missing = sent.missing_result_error(is_cancelled=self._is_cancelled)
        error = missing if outcome is None else misfit or sent.in_its_words(outcome)
        if error is not None:
            self._tally.fail(error.code)
        if outcome is not None and outcome.response is not None and (error is None or misfit is not None):
            answer, answers = answer_reader(protocol)(outcome.response.body), int(error is None)
            block.answered += answers
            block.finish_reasons[at] = answer.finish_reason if answers else None
            counts.add(answer.usage, answers=answers, is_retry=sent.attempts() > 1, is_realtime=sent.batch.is_realtime)
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
            via=sent.via,
            row=line.kept,
        )

    def _counts_of(self, place: int) -> RouteTally:
        return self._routes[self._route_of[place]]

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
                retries=counts.retries,
                duplicates=counts.duplicates,
                realtime=counts.realtime,
            )
            for number, (route, counts) in enumerate(zip(self._plan.routes, self._routes, strict=True))
        ]
        return [each for each in models if each.requests or each.batches]

    def _batches_by_route(self) -> list[int]:
        """How many batches held requests of each route, counted by the split's last run; Anthropic's mix models."""
        counts = [0] * len(self._plan.routes)
        for sent in self.sent if self.done == self.total else ():
            for route in {self._route_of[place] for place in sent.members}:
                counts[route] += 1
        return counts

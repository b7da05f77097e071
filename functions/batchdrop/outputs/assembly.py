"""Assembles a split: joins answers to its lines, in input order, window by window, and seals them in pieces."""

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import chain, repeat
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from batchdrop.aws import keys
from batchdrop.batches.result_index import Found
from batchdrop.batches.shared_lines import read_pairs
from batchdrop.batches.sources import answer_check
from batchdrop.batches.split_plan import IndexedLine, LineIndex, Plan, Route, lines_before_split, read_plan
from batchdrop.inputs.fallbacks import fallback_of
from batchdrop.inputs.request_lines import is_translated
from batchdrop.manifest import Usage
from batchdrop.outputs.answer_outputs import AnswerOutputs
from batchdrop.outputs.failed_lines import FailedLines
from batchdrop.outputs.join_index import NO_BATCH, JoinIndex
from batchdrop.outputs.line_spool import Spool
from batchdrop.outputs.route_tallies import RouteTallies
from batchdrop.outputs.sealed_parts import Part, RouteTally, Tally
from batchdrop.outputs.sent_batches import MOST_BYTES, SentBatch
from batchdrop.outputs.split_outputs import SplitOutput
from batchdrop.outputs.superseded_batches import find_superseded, members_of
from batchdrop.outputs.unsent_lines import unsent_result
from batchdrop.outputs.untaken_lines import UntakenLines
from batchdrop.outputs.unused_answers import count_unused
from batchdrop.protocols.answer_checks import AnswerCheck
from batchdrop.protocols.outcome import Outcome
from batchdrop.protocols.readers import answer_reader
from batchdrop.protocols.translate.answer import chat_outcome
from batchdrop.protocols.usual_rows import UsualAnswers
from batchdrop.records import Job, Protocol, Split
from batchdrop.result_line import AnsweredBy, Result, ResultError, UsualResult
from batchdrop.services import Services
from batchdrop.states import BatchState, JobState

_ANSWERED = int(Found.ANSWERED)  # a member of an enumeration costs more to compare with
_encoder = msgspec.json.Encoder()
_LINE_BYTES = 500  # what a line weighs beside its answer: never sent, it stands in both results and errors
_BLOCK_LINES = 256  # enough that a block costs nothing beside its lines
_FEW_LINES = 16  # where the answers of a block are not all usual, those of its parts may be

type _Speaker = tuple[
    int, int, bool
]  # the number of a batch, a route, whether its answers are those of other lines, too


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
        gone = find_superseded(batches, split, services)
        self.sent = [SentBatch(each, services) for each in batches if each.id not in gone]
        self._superseded = [each for each in batches if each.id in gone]
        self._is_cancelled = job.state is JobState.CANCELLING
        self.total, self.done = self._plan.lines - self._plan.blank_lines, split.assembled
        self._spool, self._join = Spool(spool, self.total), JoinIndex(self.total)
        self._found = [sent.collected.found for sent in self.sent]
        self._lengths = [sent.collected.lengths for sent in self.sent]
        for sent in self.sent:
            self._join.add(sent.members, sent.collected.found, is_duplicate=sent.batch.is_duplicate)
        self._join.share(read_pairs(services.files, self._plan.shared_key))
        self._numbers = array("I", bytes(4 * self.total if self._plan.shared_key else 0))
        self._route_of = array("i", bytes(4 * self.total))
        self._tally = Tally()
        fallback = fallback_of(job.settings)
        self._routes = RouteTallies(self._plan.routes, fallback)
        self._fallback = UNSET if fallback is None else AnsweredBy(provider=fallback.provider, model=fallback.model)
        self._untaken = UntakenLines(job, split, services, self.total)
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
            self._count_batches()
            count_unused(self._join, self.sent, self._counts_of, self._spool, self._services.files)
        self._failed_lines.copy_to(self._failed)
        return self._seal()

    @cached_property
    def _check(self) -> AnswerCheck | None:
        """Return the check of answers, which names the misfits of those that do not fit."""
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
            models=self._routes.models(),
            api_versions=sorted({sent.batch.api_version for sent in self.sent if sent.batch.api_version}),
            answers=self._answers.seal(),
            doubts=sum(each.doubts for each in self.batches) if self.done == self.total else 0,
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
            if self._numbers:
                self._numbers[place : place + len(lines)] = array("I", [line.number for line in lines])
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
        """Return how long the result lines of so many lines are."""
        spoken = zip(self._join.batches[start:stop], self._join.positions[start:stop], strict=True)
        return sum([self._lengths[number][position] for number, position in spoken if number != NO_BATCH])

    def _spool_results(self, window: range) -> None:
        self._spool.clear()
        also = self._join.firsts_before(window)
        for number, sent in enumerate(self.sent):
            sent.spool(self._join.positions_in(number, window, also), self._spool, self._services.files)

    def _write(self, block: _Block) -> None:
        """Write a block: its usual answers together, every other line by itself."""
        for speaker, lines in self._answered(block).items():
            if not self._take_answers(block, speaker, lines):
                for start in range(0, len(lines), _FEW_LINES):
                    self._take_answers(block, speaker, lines[start : start + _FEW_LINES])
        for at, line in enumerate(block.lines):
            if block.results[at] is None:
                block.results[at] = self._result(block, at, line)
        numbers = [self._lines_before + line.number for line in block.lines]
        text = _encoder.encode_lines(block.results)
        self._results.write_lines(text, numbers)
        self._answers.write(text)
        self._tally.answers(block.finish_reasons, block.answered)

    def _answered(self, block: _Block) -> dict[_Speaker, list[int]]:
        """Group the answered lines of a block by the batch that answers them."""
        lines = defaultdict[_Speaker, list[int]](list)
        start, stop, join = block.place, block.place + len(block.lines), self._join
        its = (
            block.lines,
            range(start, stop),
            *(each[start:stop] for each in (join.batches, join.positions, join.firsts)),
        )
        for at, (line, place, number, position, first) in enumerate(zip(*its, strict=True)):
            if number != NO_BATCH and line.error is None and self._found[number][position] == _ANSWERED:
                lines[number, line.route, place != first].append(at)
        return lines

    def _take_answers(self, block: _Block, speaker: _Speaker, lines: list[int]) -> bool:
        """Put the answers of lines into a block; False, and nothing is done, where one of them is not usual."""
        number, route, are_shared = speaker
        sent, its = self.sent[number], self._plan.routes[route]
        places = [self._join.firsts[block.place + at] for at in lines]
        positions = [self._join.positions[place] for place in places]
        is_foreign = is_translated(sent.batch.protocol, its.endpoint)
        answers = None if is_foreign else sent.answers(places, positions, self._spool)
        if answers is None:
            return False
        results = [*self._usual_results(sent, its, [block.lines[at] for at in lines], answers)]
        for result, place in zip(results, places, strict=True) if are_shared else ():
            result.shared_with = self._number_of(place)
        for at, result, reason in zip(lines, results, answers.finish_reasons, strict=True):
            block.results[at], block.finish_reasons[at] = result, reason
        block.answered += len(lines)
        counts, usage = self._routes.of(route, is_fallback=sent.is_fallback), sent.usual.sum_usage(answers.usages)
        counts.ask(len(lines), are_shared=are_shared)
        self._count_answers(counts, usage, sent, answers=len(lines), are_shared=are_shared)
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
            repeat(self._answered_by(sent)),
            repeat(UNSET) if self._job.template_key is None else [line.kept for line in lines],
        )

    def _answered_by(self, sent: SentBatch) -> AnsweredBy | UnsetType:
        return self._fallback if sent.is_fallback else UNSET

    def _result(self, block: _Block, at: int, line: IndexedLine) -> Result:
        """The result of one line, whatever it is; an error is also written where errors go."""
        number = self._join.batches[block.place + at]
        if line.error is not None or number == NO_BATCH:
            name = "Line" if self._job.template_key is None else "Row"
            result = unsent_result(line, self._lines_before + line.number, self._plan.routes, name=name)
        else:
            result = self._answer(block, at, line, self.sent[number])
        if result.error is None:
            return result
        self._tally.fail(result.error.code)
        if self.unreadable:
            message = f"{result.error.message} {self.unreadable}"
            result = replace(result, error=replace(result.error, message=message))
        self._errors.write(_encoder.encode(result) + b"\n")
        self._failed_lines.add(line)
        return result

    def _answer(self, block: _Block, at: int, line: IndexedLine, sent: SentBatch) -> Result:
        route, place = self._plan.routes[line.route], block.place + at
        first, counts = self._join.firsts[place], self._counts_of(sent, place)
        position, protocol = self._join.positions[place], sent.batch.protocol
        outcome = sent.outcome(first, position, self._spool)
        misfit = None if outcome is None else sent.misfit_error(position, outcome, self._check)
        if outcome is not None and is_translated(protocol, route.endpoint):
            outcome, protocol = chat_outcome(outcome, created=sent.batch.ended_at or 0), Protocol.OPENAI
        counts.ask(are_shared=place != first)
        error = misfit or self._error(outcome, sent)
        if outcome is not None and outcome.response is not None and (error is None or misfit is not None):
            answer, answers = answer_reader(protocol)(outcome.response.body), int(error is None)
            block.answered += answers
            block.finish_reasons[at] = answer.finish_reason if answers else None
            self._count_answers(counts, answer.usage, sent, answers=answers, are_shared=place != first)
        return Result(
            id=None if outcome is None else outcome.id,
            custom_id=line.custom_id,
            response=None if outcome is None else outcome.response,
            error=error and self._untaken.with_reason(error, first),
            line=self._lines_before + line.number,
            provider=route.provider,
            model=route.model,
            endpoint=route.endpoint,
            batch_id=sent.batch.batch_id,
            attempts=sent.attempts(),
            via=sent.via,
            answered_by=self._answered_by(sent),
            row=line.kept,
            shared_with=UNSET if place == first else self._number_of(first),
        )

    def _error(self, outcome: Outcome | None, sent: SentBatch) -> ResultError | None:
        if outcome is None:
            return sent.missing_result_error(is_cancelled=self._is_cancelled)
        return sent.in_its_words(outcome)

    def _counts_of(self, sent: SentBatch, place: int) -> RouteTally:
        return self._routes.of(self._route_of[place], is_fallback=sent.is_fallback)

    def _count_batches(self) -> None:
        batches = [*(sent.batch for sent in self.sent), *self._superseded]
        members = chain((sent.members for sent in self.sent), members_of(self._superseded, self._services.files))
        for batch, its in zip(batches, members, strict=True):
            self._routes.count_batch({self._route_of[place] for place in its}, is_fallback=batch.is_fallback)

    def _count_answers(
        self, counts: RouteTally, usage: Usage, sent: SentBatch, *, answers: int = 1, are_shared: bool
    ) -> None:
        """Count answers of a batch, all of which are those of other lines, too, or none."""
        is_realtime = sent.batch.is_realtime
        if are_shared:
            counts.add_shared(usage, answers=answers, is_realtime=is_realtime)
        else:
            counts.add(usage, answers=answers, is_retry=sent.attempts() > 1, is_realtime=is_realtime)

    def _number_of(self, place: int) -> int:
        """The number of a line that others share."""
        return self._lines_before + self._numbers[place]

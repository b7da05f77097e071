"""Accounting: reads a batch's result rows and notes the best one of each request, wherever it stands."""

import re
from collections.abc import Iterable, Iterator, Sequence
from operator import sub

from batchdrop.batches.request_files import custom_id_prefix, token_mark
from batchdrop.batches.result_index import Collected, Found
from batchdrop.jsonl import Block, Line, Read, cut_blocks, joined
from batchdrop.protocols.answer_checks import AnswerCheck, Fit
from batchdrop.protocols.outcome import Outcome
from batchdrop.protocols.readers import outcome_reader, usual_reader
from batchdrop.protocols.refusals import RefusalRule, classify, refuses_model
from batchdrop.protocols.result_rows import BETWEEN_ROWS, Piece, cut_rows
from batchdrop.protocols.usual_rows import NamedRows, line_ends
from batchdrop.records import Batch, Protocol
from batchdrop.refusal_kinds import Kind
from batchdrop.result_line import MAX_RAW_BYTES, ErrorCode, ResultError

BLOCK_BYTES = 256 * 1024  # enough that a block costs nothing beside its rows, and little memory when it is decoded
_MOST_BYTES = 1024 * 1024  # that are decoded at once
_FEW_LINES = 32  # where a block is not usual, its parts may be: one row in a hundred costs a quarter of them
_OF_FIT = {Fit.FITS: Found.ANSWERED, Fit.MISFIT: Found.MISFIT, Fit.CUT_OFF: Found.CUT_OFF}
_LENGTHS_OF_NUMBERS = frozenset(range(1, 10))
_CUSTOM_ID_BYTES = 128  # ours have 64 at most
_ODD_BYTES = 1024 * 1024  # of lines that hold no row, in memory
_WRAPPED = 3  # a row within an object within an object
MAX_RESULT_BYTES = 128 * 1024 * 1024  # 2,048 embeddings in one line are 70 MB


class Accounts:
    """Accounts for each request of a batch by its results.

    `foreign` counts rows of other batches, `malformed` what is nobody's. Answers that were asked for in the job's
    output schema are held against it (`check`).
    """

    def __init__(
        self,
        batch: Batch,
        deployment: str,
        *,
        max_bytes: int,
        own: Sequence[RefusalRule] = (),
        check: AnswerCheck | None = None,
    ) -> None:
        self._own, self._endpoint = own, batch.endpoint
        self._check = check if batch.has_schema else None
        self._prefix, self._mark = custom_id_prefix(deployment, batch.token), token_mark(batch.token)
        self._id = re.compile(re.escape(self._mark.encode()) + rb'([0-9]{1,9})"')
        self._requests, self._max_bytes = batch.requests, max_bytes
        self._id_start = f"\n{self._prefix}"
        self.outcome, self.usual = outcome_reader(batch.protocol), usual_reader(batch.protocol)
        self.collected = Collected.empty(batch.requests)
        self.is_anthropic = batch.protocol is Protocol.ANTHROPIC
        self.foreign = self.malformed = 0

    def custom_id(self, position: int) -> str:
        return f"{self._prefix}{position}"

    def read(self, chunks: Iterable[bytes], stream: int, *, block_bytes: int = BLOCK_BYTES) -> list[range]:
        """Read a stream: blocks of usual rows at once, all others line by line.

        Returns the places of what is to be read once more from the copy, by `read_rows`: lines that hold no row, one
        after the other, and are too much for memory.
        """
        left: list[range] = []
        odd = _OddLines()
        found = cut_blocks(joined(chunks, block_bytes), offset=0, max_bytes=self._max_bytes, block_bytes=block_bytes)
        for line in self._unusual_lines(found, stream, odd):
            is_row = line.bytes is not None and self._note_line(line.bytes, stream, line.offset)
            if not is_row and (odd or line.bytes is None or line.bytes.strip()):
                odd.add(line)
            elif odd:
                left += self._read_odd(odd, stream)
                odd.clear()
        return left + self._read_odd(odd, stream)

    def _unusual_lines(self, blocks: Iterable[Line | Block], stream: int, odd: "_OddLines") -> Iterator[Line]:
        """Note the rows of each block that holds usual ones only, and give the lines of the others, and single ones.

        Lines that hold no row are read when a row follows them: while there are such, line by line is what finds it.
        """
        for block in blocks:
            if isinstance(block, Line):
                yield block
                continue
            is_noted = not odd and self._note_block(block, stream)
            for few in () if is_noted else block.cut(_FEW_LINES):
                if odd or not self._note_block(few, stream):
                    yield from few.lines(max_bytes=self._max_bytes)

    def _note_block(self, block: Block, stream: int) -> bool:
        """Note a block of usual rows of this batch, one per line; False where it is another, and nothing is noted."""
        if len(block.bytes) > _MOST_BYTES:
            return False
        text = block.bytes.removesuffix(b"\n")
        ends = line_ends(text)
        starts = [0, *[end + 1 for end in ends]]
        lengths = list(map(sub, [*ends, len(text)], starts))
        named = None if max(lengths) > self._max_bytes else self.usual.names(text, ends)
        positions = None if named is None else self._positions(named.custom_ids)
        if named is None or positions is None:
            return False
        try:
            suspects = named.doubtful if self._check is None else self._suspects(self._check, text, ends, named)
            doubtful = [self._found(self.outcome(text[starts[at] : starts[at] + lengths[at]])) for at in suspects]
        except (ValueError, RecursionError):
            return False
        offsets, kept = [block.offset + start for start in starts], 0
        for at, found in zip(suspects, doubtful, strict=True):
            self.collected.note_answers(positions[kept:at], stream, offsets[kept:at], lengths[kept:at])
            self.collected.note(positions[at], found, stream, offsets[at], lengths[at])
            kept = at + 1
        self.collected.note_answers(positions[kept:], stream, offsets[kept:], lengths[kept:])
        return True

    def _suspects(self, check: AnswerCheck, text: bytes, ends: list[int], named: NamedRows) -> list[int]:
        """The rows that may be no answers, or whose answers may not fit the output schema: of mixed blocks all."""
        answers = None if named.doubtful else self.usual.answers(text, ends)
        if answers is None:
            return list(range(len(named.custom_ids)))
        bodies = enumerate(each.body for each in answers.responses)
        return [at for at, body in bodies if check.verdict(self._endpoint, body) is not Fit.FITS]

    def _positions(self, custom_ids: list[str]) -> list[int] | None:
        """The positions that custom_ids name, if each is ours as we write them today.

        A line feed stands before each custom_id, and what is between two prefixes is digits: so none holds another one.
        """
        before, *numbers = ("\n" + "\n".join(custom_ids)).split(self._id_start)
        digits, lengths = "".join(numbers), {len(number) for number in numbers}
        are_numbers = digits.isascii() and digits.isdigit() and lengths <= _LENGTHS_OF_NUMBERS
        if before or not are_numbers or len(numbers) != len(custom_ids):
            return None
        positions = list(map(int, numbers))
        return positions if max(positions) < self._requests else None

    def _read_odd(self, odd: "_OddLines", stream: int) -> list[range]:
        if odd.text is None:
            return [odd.span]
        self.read_rows(odd.read, stream, odd.span)
        return []

    def read_rows(self, read: Read, stream: int, span: range) -> None:
        """Read a part of a stream's copy row by row; what is none is noted under the requests that it names."""
        for piece in cut_rows(read(span.start, span.stop), offset=span.start, max_bytes=self._max_bytes):
            self._note_piece(read, piece, stream)

    def _note_line(self, text: bytes, stream: int, offset: int) -> bool:
        """Note a line of one row, or of several; False where it holds anything else."""
        bare = text.strip(BETWEEN_ROWS)
        if not (bare.startswith(b"{") and bare.endswith(b"}")):  # not worth to be decoded, repaired and decoded again
            return False
        if self._note_row(text, stream, offset):
            return True
        if {each.is_row for each in self._cut(text, offset)} != {True}:
            return False
        return all(self._note_row(each.text or b"", stream, each.offset) for each in self._cut(text, offset))

    def _cut(self, text: bytes, offset: int) -> Iterator[Piece]:
        return cut_rows([text], offset=offset, max_bytes=self._max_bytes)

    def _note_row(self, text: bytes, stream: int, offset: int) -> bool:
        try:
            outcome = self.outcome(text)
        except (ValueError, RecursionError):
            return False
        position = self._position(outcome.custom_id)
        if position is None:
            is_foreign = bool(outcome.custom_id) and self._mark not in outcome.custom_id
            self.foreign += is_foreign
            return is_foreign
        self.collected.note(position, self._found(outcome), stream, offset, len(text))
        return True

    def _found(self, outcome: Outcome) -> Found:
        if outcome.error is None and outcome.response is not None and self._check is not None:
            return _OF_FIT[self._check.verdict(self._endpoint, outcome.response.body)]
        found = _found(outcome)
        if outcome.error is None:
            return found
        if _is_of_account(outcome.error, self._own):
            return Found.OF_ACCOUNT
        is_models = found is Found.REFUSED and refuses_model(outcome.error.code, outcome.error.message, self._own)
        return Found.NOT_SERVED if is_models else found

    def _note_piece(self, read: Read, piece: Piece, stream: int) -> None:
        if self._note_rows(piece, stream, _WRAPPED):
            return
        chunks = read(piece.offset, piece.offset + piece.length) if piece.text is None else [piece.text]
        self._note_unreadable(piece, stream, list(self._ids(chunks, piece.offset)))

    def _note_rows(self, piece: Piece, stream: int, depth: int) -> bool:
        """Note a row, or the rows that an object holds; False where there is none, and nothing is noted."""
        if piece.text is None or not piece.is_row:
            return False
        if self._note_row(piece.text, stream, piece.offset):
            return True
        return bool(depth) and self._note_inner(piece, stream, depth)

    def _note_inner(self, piece: Piece, stream: int, depth: int) -> bool:
        """Note the rows that an object holds; requests that it names beside them, and no row is of, are unreadable."""
        inner = [each for each in self._cut((piece.text or b"")[1:-1], piece.offset + 1) if self._names_any(each)]
        rest = [each for each in inner if not self._note_rows(each, stream, depth - 1)]
        if len(rest) == len(inner):
            return False
        span = range(piece.offset, piece.offset + piece.length)
        for each in rest:
            ids = [found for found in self._ids([each.text or b""], each.offset) if not self._is_in(span, found[0])]
            if ids:
                self._note_unreadable(each, stream, ids)
        return True

    def _is_in(self, span: range, position: int) -> bool:
        """Return whether the row that is noted of a request lies there."""
        return self.collected.found[position] != Found.NOTHING and self.collected.offsets[position] in span

    def _names_any(self, piece: Piece) -> bool:
        return self._id.search(piece.text or b"") is not None

    def _note_unreadable(self, piece: Piece, stream: int, ids: list[tuple[int, int]]) -> None:
        """Note what is no row under each request that it names: from its name to the next one's."""
        if not ids:
            self.malformed += 1
            return
        ends = [at for _, at in ids[1:]] + [piece.offset + piece.length]
        for number, ((position, at), end) in enumerate(zip(ids, ends, strict=True)):
            start = at if number else piece.offset
            self.collected.note(position, Found.UNREADABLE, stream, start, min(end - start, MAX_RAW_BYTES))

    def _ids(self, chunks: Iterable[bytes], offset: int) -> Iterator[tuple[int, int]]:
        """The requests that are named in a text of any length, each with the place of its name."""
        held = b""
        for chunk in chunks:
            text, held_at = held + chunk, offset - len(held)
            for found in self._id.finditer(text):
                if found.end() > len(held) and int(found[1]) < self._requests:
                    yield int(found[1]), held_at + found.start()
            offset += len(chunk)
            held = text[-_CUSTOM_ID_BYTES:]

    def _position(self, custom_id: str) -> int | None:
        number = custom_id.partition(self._mark)[2]
        if not re.fullmatch("[0-9]{1,9}", number):
            return None
        return int(number) if int(number) < self._requests else None


class _OddLines:
    """Lines that hold no row, one after the other: where they lie, and their text while that is not too much."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.span = range(0)
        self.text: bytearray | None = bytearray()

    def __bool__(self) -> bool:
        return bool(self.span)

    def add(self, line: Line) -> None:
        start = self.span.start if self.span else line.offset
        self.span = range(start, line.offset + line.length)
        if line.bytes is None or self.text is None or self.span.stop - start > _ODD_BYTES:
            self.text = None
        else:
            self.text += b"\n" * (line.offset - start - len(self.text))
            self.text += line.bytes.ljust(line.length, b"\r")

    def read(self, start: int, end: int) -> Iterator[bytes]:
        yield bytes(self.text or b"")[start - self.span.start : end - self.span.start]


def _is_of_account(error: ResultError, own: Sequence[RefusalRule]) -> bool:
    return classify(None, error.code, error.message, own, of_row=True) is Kind.ACCOUNT


def _found(outcome: Outcome) -> Found:
    if outcome.error is None:
        return Found.ANSWERED
    if outcome.error.code == ErrorCode.EMPTY_ANSWER:
        return Found.REFUSED  # it may be paid
    return Found.RETRYABLE if outcome.error.retryable else Found.REFUSED

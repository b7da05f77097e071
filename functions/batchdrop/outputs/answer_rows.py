"""Answers as rows of a table: one for each result line, the same columns for all. Pure."""

import csv
import io
from collections.abc import Iterator, Sequence
from decimal import Decimal

import msgspec
from msgspec import Raw

from batchdrop.costs import price_of
from batchdrop.manifest import Usage
from batchdrop.outputs.schema_columns import SchemaColumns
from batchdrop.protocols.answer_checks import AnswerCheck
from batchdrop.protocols.answer_texts import Words, answer_in, words_in
from batchdrop.rates import PriceList
from batchdrop.result_line import ErrorCode

FIRST = ("line", "custom_id")
LAST = (
    *("text", "model", "provider", "finish_reason", "input_tokens", "output_tokens", "cost_usd"),
    *("error_code", "error_message"),
)
_TAKEN = frozenset({*FIRST, *LAST, "embedding"})
_FORMULAS = (
    *"=+-@\t\r\n\uff1d\uff0b\uff0d\uff20",
)  # what a cell begins with that a spreadsheet would run; the last four are full-width
_NULL = b"null"
_ANSWERED = frozenset({ErrorCode.SCHEMA, ErrorCode.CUT_OFF})  # errors of lines that have an answer, which does not fit
type Cell = str | int | Raw | None


class _Response(msgspec.Struct):
    body: Raw


class _Error(msgspec.Struct):
    code: str
    message: str


class _Model(msgspec.Struct):
    provider: str | None
    model: str | None


class _Result(msgspec.Struct):
    """A result line, as far as it is read here."""

    line: int
    custom_id: Raw
    provider: str | None
    model: str | None
    endpoint: str | None
    response: _Response | None
    error: _Error | None
    row: dict[str, Raw] | None = None
    via: str | None = None
    answered_by: _Model | None = None
    shared_with: int | None = None

    @property
    def by(self) -> _Model:
        """The model that answered, or was asked."""
        return self.answered_by or _Model(self.provider, self.model)


_results = msgspec.json.Decoder(_Result)


class AnswerRows:
    """Makes rows of result lines.

    Args:
        keep: The columns that a template keeps.
        prices: What models cost.
        check: The job's output schema, whose fields are columns; None without one.
    """

    def __init__(self, keep: Sequence[str], prices: PriceList, check: AnswerCheck | None = None) -> None:
        self._keep, self._prices = keep, prices
        kept = [f"in.{name}" if name in _TAKEN else name for name in keep]
        self._fields = None if check is None else SchemaColumns(check, {*_TAKEN, *kept})
        self.columns = (*FIRST, *kept, *(self._fields.names if self._fields else ()), *LAST)

    def read(self, lines: bytes) -> Iterator[dict[str, Cell]]:
        """The rows of whole result lines."""
        return map(self._row, _results.decode_lines(lines))

    def _row(self, result: _Result) -> dict[str, Cell]:
        kept = result.row or {}
        head: list[Cell] = [result.line, result.custom_id, *map(kept.get, self._keep)]
        row = dict.fromkeys(self.columns) | dict(zip(self.columns, head, strict=False))
        if result.response is None or (result.error is not None and result.error.code not in _ANSWERED):
            return row | dict(zip(LAST, _of_error(result), strict=True))
        words = words_in(result.endpoint, result.response.body)
        row |= dict(zip(LAST, self._of_answer(result, words, result.response.body), strict=True))
        fields = self._fields.cells(words.text) if self._fields and result.error is None and words.text else None
        row |= {} if fields is None else fields | {"text": None}
        return row if words.embedding is None else row | {"embedding": words.embedding}

    def _of_answer(self, result: _Result, words: Words, body: Raw) -> list[Cell]:
        answer = answer_in(result.endpoint, body)
        usage = answer.usage if result.shared_with is None else Usage()  # it stands in the row of that line
        called = usage if result.via == "realtime" else Usage()
        price = price_of(self._prices, result.by.provider or "", result.by.model or "", usage, called=called)
        return [
            words.text or words.refusal,
            result.by.model,
            result.by.provider,
            "refusal" if words.refusal else answer.finish_reason,
            usage.input_tokens,
            usage.output_tokens,
            None if price is None else _plain(price.dollars),
            *_words_on(result),
        ]


def _of_error(result: _Result) -> list[Cell]:
    return [None, result.by.model, result.by.provider, None, None, None, None, *_words_on(result)]


def _words_on(result: _Result) -> tuple[Cell, Cell]:
    return (None, None) if result.error is None else (result.error.code, result.error.message)


def _plain(dollars: Decimal) -> str:
    """All its digits, and no exponent."""
    return f"{dollars.normalize():f}"


class CsvWriter:
    """Writes rows as CSV (RFC 4180), embeddings aside.

    Args:
        columns: Its columns.
        formulas: Whether a text that a spreadsheet would run is left as it is; otherwise a `'` stands before it.
    """

    def __init__(self, columns: Sequence[str], *, formulas: bool) -> None:
        self._columns, self._formulas = columns, formulas

    def head(self, *, bom: bool) -> bytes:
        """The header; with a byte-order mark, by which Excel knows UTF-8."""
        return (b"\xef\xbb\xbf" if bom else b"") + self._written(map(self._safe, self._columns))

    def line(self, row: dict[str, Cell]) -> bytes:
        return self._written(self._cell(row[name]) for name in self._columns)

    def _cell(self, value: Cell) -> str | int:
        if isinstance(value, Raw):
            return self._of_json(bytes(value))
        return "" if value is None else self._safe(value) if isinstance(value, str) else value

    def _of_json(self, value: bytes) -> str:
        """A text as it is, null as nothing, any other value as JSON."""
        if value.startswith(b'"'):
            return self._safe(msgspec.json.decode(value, type=str))
        return "" if value == _NULL else value.decode()

    def _safe(self, text: str) -> str:
        return f"'{text}" if text.startswith(_FORMULAS) and not self._formulas else text

    @staticmethod
    def _written(cells: Iterator[str | int]) -> bytes:
        out = io.StringIO(newline="")
        csv.writer(out).writerow(cells)
        return out.getvalue().encode(errors="replace")

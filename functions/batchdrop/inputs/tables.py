"""Tables (`.csv`, `.tsv`) as JSONL: each row becomes an object of its cells by column, every cell a string.

A quoted cell may hold line ends, so that a table cannot be cut by bytes: it is read once, from its beginning, as a
stream. Line n of what is made is row n, the header aside; a blank row is a blank line, and a row that has not as many
cells as the header stands as a list of them. Pure.
"""

import codecs
import csv
import io
from collections.abc import Collection, Iterable, Iterator, Sequence

import msgspec

from batchdrop.errors import Unprocessable
from batchdrop.inputs.file_formats import reject_binary
from batchdrop.inputs.request_lines import MAX_LINE_BYTES

_ROWS, _PIECE = 512, 1024 * 1024  # that are written at once: so many, or about so many bytes
_TWICE = "names a column twice or more: give each a name of its own"
_EMPTY = "has a column without a name: give it one"
_encoder = msgspec.json.Encoder()


class MissingColumn(Unprocessable):
    """The table lacks a column. Its header is no part of the message: without a header, data would be."""

    def __init__(self, message: str, *, column: str, header: Sequence[str]) -> None:
        super().__init__(message)
        self.column, self.header = column, header


def to_jsonl(chunks: Iterator[bytes], *, delimiter: str, columns: Collection[str] = ()) -> Iterator[bytes]:
    """The rows of a table, each as a line of JSON.

    Args:
        chunks: UTF-8 with a header; with or without a BOM.
        delimiter: What stands between cells.
        columns: Those that it must have.

    Raises:
        Unprocessable: It is no table, it lacks a column, or a row cannot be read; the message names the row.
    """
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE_BYTES))  # of the whole process, perhaps the user's own
    table = _Table(reject_binary(chunks, "CSV"), delimiter)
    header = table.header(columns)
    for rows in table.rows():
        yield _lines(header, rows)


def _lines(header: Sequence[str], rows: list[list[str]]) -> bytes:
    if all(len(row) == len(header) for row in rows):
        return _encoder.encode_lines([dict(zip(header, row, strict=True)) for row in rows])
    return b"".join(map(_line, [header] * len(rows), rows))


def _line(header: Sequence[str], row: list[str]) -> bytes:
    if not row:
        return b"\n"
    cells = dict(zip(header, row, strict=True)) if len(row) == len(header) else row
    return _encoder.encode(cells) + b"\n"


class _Table:
    """Reads a table's rows; `_unused` counts the bytes since the last one, so that memory is bounded."""

    def __init__(self, chunks: Iterator[bytes], delimiter: str) -> None:
        self._reader = csv.reader(self._texts(chunks), delimiter=delimiter, strict=True)
        self._row = self._read = self._unused = 0

    def header(self, columns: Collection[str]) -> list[str]:
        header = self._next()
        if header is None:
            raise Unprocessable("The table is empty: it has no header and no row.")
        if not header:
            raise Unprocessable("The table begins with a blank line: its first line must name its columns.")
        if len(set(header)) < len(header) or "" in header:
            raise Unprocessable(f"The table's header {_EMPTY if '' in header else _TWICE}.")
        missing = [each for each in columns if each not in header]
        if missing:
            raise MissingColumn(
                f'The table has no column "{missing[0]:.100}", which the template names (missing_column). Its header '
                f"has {len(header)} {'column' if len(header) == 1 else 'columns'}: correct the name in [template], or "
                "set delimiter to what stands between the cells.",
                column=missing[0],
                header=header,
            )
        return header

    def rows(self) -> Iterator[list[list[str]]]:
        """The other rows, some at once."""
        rows: list[list[str]] = []
        written = self._read
        while (row := self._next()) is not None:
            rows.append(row)
            if len(rows) == _ROWS or self._read - written > _PIECE:
                yield rows
                rows, written = [], self._read
        if rows:
            yield rows
        elif self._row == 1:
            raise Unprocessable("The table has a header and no row below it.")

    def _next(self) -> list[str] | None:
        try:
            row = next(self._reader, None)
        except csv.Error as error:
            raise self._problem(_in_words(str(error))) from None
        self._row += row is not None
        self._unused = 0
        return row

    def _texts(self, chunks: Iterable[bytes]) -> Iterator[str]:
        """The lines of the file, each with its end; a quoted cell may have several."""
        held = b""
        for chunk in chunks:
            end = chunk.rfind(b"\n") + 1
            whole, rest = chunk[:end], chunk[end:]
            if end:
                yield from self._decoded(held + whole)
                held = b""
            held += rest
            self._bound(len(held))
        yield from self._decoded(held)

    def _decoded(self, block: bytes) -> Iterator[str]:
        if not self._read:
            block = block.removeprefix(codecs.BOM_UTF8)
        self._read += len(block) or 1
        self._unused += len(block)
        self._bound(0)
        try:
            yield from io.StringIO(block.decode(), newline="")
        except UnicodeDecodeError:
            yield from map(self._decode, block.splitlines(keepends=True))

    def _decode(self, line: bytes) -> str:
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            why = f"it is not UTF-8 (byte 0x{line[error.start]:02x}): save the file as UTF-8"
            raise self._problem(why) from None

    def _bound(self, more: int) -> None:
        if self._unused + more > MAX_LINE_BYTES:
            raise self._problem(f"it is longer than {MAX_LINE_BYTES:,} bytes: is a quote not closed?")

    def _problem(self, why: str) -> Unprocessable:
        where = f"Row {self._row} of the table" if self._row else "The header of the table"
        return Unprocessable(f"{where} cannot be read: {why}{'' if why.endswith('?') else '.'}")


def _in_words(error: str) -> str:
    if "unexpected end of data" in error:
        return "a quote that it opens is never closed"
    if "field larger" in error:
        return f"a cell is longer than {MAX_LINE_BYTES:,} characters: is a quote not closed?"
    if "expected after" in error:
        return "something follows a closing quote: write a quote within a quoted cell twice"
    return f"{error}"

"""Reads rows of data under a template: each becomes a request line, which is read as any other is. Pure.

`TemplatedReader` and `TemplatedBlocks` stand in the places of `LineReader` and `UsualReader`. What they say of a row is
what those say of its request; the row's own bytes stay where they are.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Annotated

import msgspec
from aws_lambda_powertools import Logger
from msgspec import Raw

from batchdrop.inputs.request_lines import MAX_LINE_BYTES, LineError, LineReader, Request
from batchdrop.inputs.templates import Rendering
from batchdrop.inputs.usual_lines import UsualLines, UsualReader, cut_objects, has_ascii_escape
from batchdrop.protocols.duplicate_keys import reject_duplicate_keys
from batchdrop.protocols.json_text import decode_object, reject_unportable_json
from batchdrop.protocols.request_checks import NULL, LineProblem
from batchdrop.result_line import ErrorCode

logger = Logger(child=True)

type Row = dict[str, Raw]

_BLOCK_BYTES = 8 * 1024 * 1024  # of requests that are made at once: a short row may become a long one

_row = msgspec.json.Decoder(dict[str, Raw])
_cells = msgspec.json.Decoder(list[Raw])
_whole = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
_plain = msgspec.json.Decoder(list[str | _whole | float | bool | None])
_COLUMN_SHOWN = 100  # characters


class TemplatedReader:
    """Reads rows one by one.

    Args:
        rendering: What becomes of them.
        lines: Reads what becomes of them.
    """

    def __init__(self, rendering: Rendering, lines: LineReader) -> None:
        self._rendering, self._lines = rendering, lines

    def read(self, line: bytes) -> Request | LineError:
        """Read a row, without its line end, as `LineReader.read` reads a line."""
        try:
            return self._read(line)
        except LineProblem as problem:
            return LineError(code=problem.code, message=problem.message)
        except Exception as error:  # noqa: BLE001 - a mistake of ours that only this line finds
            return self._lines.failed_at(error)

    def _read(self, line: bytes) -> Request | LineError:
        row = read_row(line)
        custom_id, kept = self._custom_id(row), self._rendering.kept(row)
        try:
            read = self._lines.read(render(self._rendering, row))
        except LineProblem as problem:
            return LineError(code=problem.code, message=problem.message, custom_id=custom_id, row=kept)
        return msgspec.structs.replace(read, custom_id=custom_id, row=kept)

    def _custom_id(self, row: Row) -> Raw:
        try:
            return self._rendering.custom_id(row)
        except KeyError:
            return NULL


def read_row(line: bytes) -> Row:
    """A row of data: a JSON object, by column.

    Raises:
        LineProblem: It is none.
    """
    try:
        row = decode_object(_row, line)
    except LineProblem as problem:
        raise _ragged(line) or problem from None
    reject_unportable_json(line)
    reject_duplicate_keys(line)
    return row


def render(rendering: Rendering, row: Row) -> bytes:
    """The request line of a row.

    Raises:
        LineProblem: The row lacks a column, or the request would be too long.
    """
    for column in rendering.columns:
        if column not in row:
            raise LineProblem(
                ErrorCode.MISSING_COLUMN,
                f'it has no column "{column:.{_COLUMN_SHOWN}}", which the template names: add it to the row, or '
                "correct the name in [template]",
            )
    size = rendering.size([row])
    if size > MAX_LINE_BYTES:
        raise LineProblem(
            ErrorCode.LINE_TOO_LONG,
            f"its request would have about {size:,} bytes; at most {MAX_LINE_BYTES:,} are accepted",
        )
    return rendering.lines([row])[:-1]


def _ragged(line: bytes) -> LineProblem | None:
    """Return the error of a table's row that stands as a list: it has not as many cells as the header."""
    try:
        cells = len(_cells.decode(line))
    except msgspec.DecodeError:
        return None
    return LineProblem(
        ErrorCode.TEMPLATE,
        f"a row with {cells} {'cell' if cells == 1 else 'cells'}, which is not as many as the header has: put a cell "
        'that holds a delimiter, a quote or a line end in "quotes"; or write the row as an object of its columns',
    )


class TemplatedBlocks:
    """Reads rows in blocks.

    Args:
        rendering: What becomes of them.
        usual: Reads what becomes of them.
    """

    def __init__(self, rendering: Rendering, usual: UsualReader) -> None:
        self._rendering, self._usual = rendering, usual
        self.learn = usual.learn

    def read(self, block: bytes) -> UsualLines | None:
        """Read whole rows, each with its line feed; None if one of them, or its request, is not known to be usual."""
        try:
            return self._read(block)
        except (ValueError, KeyError, OverflowError, RecursionError):  # msgspec's errors are ValueErrors
            return None

    def _read(self, block: bytes) -> UsualLines | None:
        lines = None if has_ascii_escape(block) else cut_objects(block)
        if lines is None:
            return None
        lengths, rows = lines[0], _row.decode_lines(block)
        values = b",".join(chain.from_iterable(row.values() for row in rows))
        _plain.decode(b"[%b]" % values)  # within lists and objects names may stand twice, too deep as well
        if len(rows) != len(lengths) or _count_colons(rows) + values.count(b":") != block.count(b":"):
            return None  # a name that is written twice in one row is read once
        if self._rendering.size(rows) > _BLOCK_BYTES:
            return None
        custom_ids = [self._rendering.custom_id(row) for row in rows]
        kept = [self._rendering.kept(row) for row in rows]
        usual = self._usual.read(self._rendering.lines(rows))
        if usual is None or len(usual.lengths) != len(rows):
            return None
        return msgspec.structs.replace(usual, lengths=lengths, custom_ids=custom_ids, rows=kept)


def _count_colons(rows: Sequence[Row]) -> int:
    """The colons behind the names of rows, and those within them; each name once."""
    return sum(map(len, rows)) + "".join(chain.from_iterable(rows)).count(":")


def under_template(
    rendering: Rendering | None, lines: LineReader, usual: UsualReader
) -> tuple[LineReader | TemplatedReader, UsualReader | TemplatedBlocks]:
    """The readers of a job's lines: of its rows, where it has a template."""
    if rendering is None:
        return lines, usual
    return TemplatedReader(rendering, lines), TemplatedBlocks(rendering, usual)

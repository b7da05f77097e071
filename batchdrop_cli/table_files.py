"""Parquet, Arrow and Excel as JSON lines: each row becomes an object of its cells by column.

The functions never see these files: the command and the client drop what is made of them. pyarrow and calamine come
with the extra `tables`, and are imported when such a file is read.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec
from batchdrop.aws.keys import is_table
from batchdrop.errors import Unprocessable
from batchdrop.inputs.tables import MissingColumn

from batchdrop_cli.user_errors import UserError
from local_cloud.extras import how_to_install

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 1_000  # that are Python objects at a time
_READ_BYTES = 1024 * 1024  # of a column at a time; by default a whole row group is read
_EXACT = 2**53  # Excel's numbers are doubles: whole ones up to here are what was typed
_encoder = msgspec.json.Encoder()


def is_converted(path: Path) -> bool:
    """Return whether a file is dropped as the JSON lines that are made of it."""
    return path.suffix.lower() in _READERS


def holds_rows(path: Path, key: str) -> bool:
    """Return whether what is dropped there is a table, which means nothing without a template."""
    return is_table(key) or is_converted(path)


def dropped_name(path: Path) -> str:
    return f"{path.stem}.jsonl" if is_converted(path) else path.name


@contextmanager
def as_dropped(path: Path) -> Iterator[Path]:
    """The file as it is uploaded: itself, or a temporary one with the lines that are made of it.

    Raises:
        UserError: Its rows cannot be read.
    """
    if not is_converted(path):
        yield path
        return
    with TemporaryDirectory(prefix="batchdrop-") as folder:
        lines = Path(folder) / dropped_name(path)
        try:
            with lines.open("wb") as out:
                out.writelines(read_lines(path))
        except Unprocessable as error:
            raise UserError(f"{path}: {error} Nothing was dropped.") from None
        yield lines


def read_lines(path: Path, columns: Collection[str] = ()) -> Iterator[bytes]:
    """The rows of a table, a line of JSON for each, in pieces.

    Args:
        path: The table.
        columns: Those that it must have.

    Raises:
        Unprocessable: It is no such file, it lacks a column, or holds what JSON does not.
        UserError: The extra is not installed.
    """
    path.open("rb").close()
    try:
        pieces = _READERS[path.suffix.lower()](path, columns)
        first = next(pieces, None)
        if first is None:
            raise Unprocessable("The table has no row.")
        yield first
        yield from pieces
    except (ValueError, TypeError, OverflowError, NotImplementedError, OSError) as error:
        # Their words may quote a cell.
        raise Unprocessable(f"Its rows cannot be read ({type(error).__name__}): is it a whole {path.suffix}?") from None


def load(name: str) -> Any:  # noqa: ANN401 - a module without types
    """A module of the extra `tables`.

    Raises:
        UserError: It is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in {"pyarrow", "python_calamine"}:
            raise
        raise UserError(f"Parquet, Arrow and Excel files need {error.name}: {how_to_install('tables')}") from None


def _check_columns(names: Sequence[str], columns: Collection[str]) -> None:
    if "" in names:
        raise Unprocessable("The table has a column without a name: give it one.")
    if len(set(names)) < len(names):
        raise Unprocessable("The table names a column twice or more: give each a name of its own.")
    missing = [each for each in columns if each not in names]
    if missing:
        raise MissingColumn(
            f'The table has no column "{missing[0]:.100}", which the template names (missing_column): it has '
            f"{len(names)} {'column' if len(names) == 1 else 'columns'}.",
            column=missing[0],
            header=names,
        )


# Parquet and Arrow


def _read_parquet(path: Path, columns: Collection[str]) -> Iterator[bytes]:
    with load("pyarrow.parquet").ParquetFile(path, buffer_size=_READ_BYTES, pre_buffer=False) as file:
        _check_columns(file.schema_arrow.names, columns)
        yield from map(_lines_of, file.iter_batches(batch_size=_ROWS))


def _read_arrow(path: Path, columns: Collection[str]) -> Iterator[bytes]:
    pyarrow = load("pyarrow")
    ipc = load("pyarrow.ipc")
    with pyarrow.OSFile(str(path)) as source:
        try:
            file = ipc.open_file(source)
            batches: Iterable[pa.RecordBatch] = map(file.get_batch, range(file.num_record_batches))
        except pyarrow.ArrowInvalid:  # a stream has no end that lists its batches
            source.seek(0)
            file = batches = ipc.open_stream(source)
        _check_columns(file.schema.names, columns)
        for batch in batches:
            for start in range(0, batch.num_rows, _ROWS):
                yield _lines_of(batch.slice(start, _ROWS))


def _lines_of(batch: "pa.RecordBatch") -> bytes:
    columns = [_cells(name, batch.column(name)) for name in batch.schema.names]
    return _encoder.encode_lines(
        [dict(zip(batch.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]
    )


def _cells(name: str, column: "pa.Array") -> list[Any]:
    """Values that msgspec writes: times as ISO 8601, decimals as text, bytes as base64, NaN as null."""
    pyarrow, kind = load("pyarrow"), column.type
    types = pyarrow.types
    if types.is_floating(kind) and load("pyarrow.compute").is_inf(column).true_count:
        raise Unprocessable(f'Column "{name:.100}" holds an infinite number, which JSON has not.')
    if types.is_temporal(kind) and getattr(kind, "unit", None) == "ns":
        column = _without_nanoseconds(name, column)
    if types.is_decimal(kind):  # msgspec writes 0E-7
        return [None if value is None else f"{value:f}" for value in column.to_pylist()]
    values: list[Any] = column.to_pylist()
    return values


def _without_nanoseconds(name: str, column: "pa.Array") -> "pa.Array":
    """The same times, where they are whole microseconds, which is all that Python knows."""
    pyarrow, kind = load("pyarrow"), column.type
    if pyarrow.types.is_timestamp(kind):
        micros = pyarrow.timestamp("us", kind.tz)
    else:
        micros = pyarrow.time64("us") if pyarrow.types.is_time(kind) else pyarrow.duration("us")
    try:
        return column.cast(micros)
    except pyarrow.ArrowInvalid:
        raise Unprocessable(f'Column "{name:.100}" holds times with nanoseconds: round them to microseconds.') from None


# Excel


def _read_excel(path: Path, columns: Collection[str]) -> Iterator[bytes]:
    """The only sheet that is shown; calamine holds it in memory whole, 1,048,576 rows at most."""
    calamine = load("python_calamine")
    try:
        workbook = calamine.CalamineWorkbook.from_path(str(path))
        sheet = workbook.get_sheet_by_name(_only_sheet(workbook.sheets_metadata))
    except calamine.CalamineError as error:
        raise ValueError from error
    rows = sheet.iter_rows()
    first = next(rows, None)
    if first is None:
        raise Unprocessable("The sheet is empty: it has no header and no row.")
    header = [str(_plain(cell)) for cell in first]
    if not any(header):
        raise Unprocessable("The sheet begins with a blank row: its first row must name its columns.")
    _check_columns(header, columns)
    for row in rows:
        yield _excel_line(header, row)


def _only_sheet(sheets: Sequence[Any]) -> str:
    shown = [str(each.name) for each in sheets if f"{each.visible}".endswith(".Visible")]
    if len(shown) != 1:
        raise Unprocessable(
            f"The workbook has {len(shown)} sheets: save the one that holds the rows as a file of its own."
        )
    return shown[0]


def _excel_line(header: Sequence[str], row: Sequence[Any]) -> bytes:
    """An empty cell is null, and a row of empty cells a blank line."""
    cells = [None if cell == "" else _plain(cell) for cell in row]
    if all(cell is None for cell in cells):
        return b"\n"
    return _encoder.encode(dict(zip(header, cells, strict=True))) + b"\n"


def _plain(cell: Any) -> Any:  # noqa: ANN401 - whatever a cell holds
    """A whole number as one: Excel has no others than doubles."""
    return int(cell) if isinstance(cell, float) and cell.is_integer() and abs(cell) <= _EXACT else cell


_READERS: dict[str, Callable[[Path, Collection[str]], Iterator[bytes]]] = {
    ".parquet": _read_parquet,
    ".arrow": _read_arrow,
    ".feather": _read_arrow,
    ".xlsx": _read_excel,
}

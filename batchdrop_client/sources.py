"""Makes a file of the input of `put`: a path as it is, everything else written to a temporary one, in constant memory.

Data frames and tables are known by their methods: their libraries are the user's own, and are not imported here.
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import msgspec

type Rows = Iterable[Mapping[str, Any]]


class PandasFrame(Protocol):
    @property
    def itertuples(self) -> Callable[..., Any]: ...


class PolarsFrame(Protocol):
    @property
    def iter_rows(self) -> Callable[..., Any]: ...


class ArrowTable(Protocol):
    @property
    def to_batches(self) -> Callable[..., Any]: ...


type Source = str | os.PathLike[str] | bytes | Rows | PandasFrame | PolarsFrame | ArrowTable
"""A path, bytes of JSON lines, an iterable of mappings, or a table: a request each."""

_ROWS_AT_ONCE = 1_000  # of a table, which are Python objects at a time


@contextmanager
def as_file(source: Source, key: str, are_data: Callable[[], bool] = lambda: False) -> Iterator[Path]:
    """A file with what is dropped; a temporary one has the key's last name, and is gone afterwards.

    Args:
        source: What is dropped.
        key: Where it goes.
        are_data: Whether a template makes requests of the rows: then a table's empty cells are null. In requests they
            are left out. Asked for tables alone.

    Raises:
        TypeError: It is none of what can be dropped, or a row is no mapping or holds what JSON does not.
        ValueError: A row holds what JSON does not, or two columns of a table have one name.
    """
    if isinstance(source, str | os.PathLike):
        yield Path(source)
        return
    with TemporaryDirectory(prefix="batchdrop-") as folder:
        path = Path(folder) / key.rpartition("/")[2]
        with path.open("wb") as file:
            file.writelines([source] if isinstance(source, bytes | bytearray) else _lines(_rows(source, are_data)))
        yield path


def _lines(rows: Iterable[Any]) -> Iterator[bytes]:
    for number, row in enumerate(rows, start=1):
        yield encode_line(row, f"Row {number}")


def encode_line(row: Any, name: str) -> bytes:  # noqa: ANN401 - what a user gives
    """A row as a line of JSON.

    Raises:
        TypeError: It is no mapping, or holds what JSON does not; the message begins with its name, and quotes nothing.
        ValueError: It holds what JSON does not.
    """
    if not isinstance(row, Mapping):
        raise TypeError(f"{name} is a {type(row).__name__}, not a mapping.")
    try:
        return _encoded(row if isinstance(row, dict) else dict(row)) + b"\n"
    except UnicodeEncodeError:
        raise ValueError(f"{name} holds text that UTF-8 has no bytes for.") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise type(error)(f"{name}: {error}") from None


def _encoded(row: dict[str, Any]) -> bytes:
    line = _encoder.encode(row)
    if b"null" in line:
        _refuse_no_number(row)
    return line


def _refuse_no_number(value: object) -> None:
    if _holds_no_number(value):
        raise ValueError("NaN and infinite numbers are not JSON: leave them out, or write None.")


def _holds_no_number(value: object) -> bool:
    """Return whether NaN or an infinite number is in it, for which msgspec writes null."""
    if isinstance(value, Mapping):
        return any(map(_holds_no_number, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_holds_no_number, value))
    return isinstance(value, float) and not math.isfinite(value)


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a cell holds
    """An array's or a number's Python value, and a time as ISO 8601 has it: numpy and pandas have methods for it."""
    for method in ("tolist", "isoformat"):
        if callable(getattr(value, method, None)):
            plain = getattr(value, method)()
            _refuse_no_number(plain)
            return plain
    raise TypeError(f"{type(value).__name__} is not JSON.")


_encoder = msgspec.json.Encoder(enc_hook=_plain)


def _rows(source: Any, are_data: Callable[[], bool]) -> Iterable[Any]:  # noqa: ANN401 - known by its methods
    if isinstance(source, Mapping):
        raise TypeError("A single mapping is one request: put it into a list.")
    table = _table_rows(source)
    if table is not None:
        return table if are_data() else map(_filled, table)
    if isinstance(source, Iterable):
        return source
    raise TypeError(f"put() takes a path, bytes, rows or a data frame, not a {type(source).__name__}.")


def _table_rows(source: Any) -> Iterator[Mapping[str, Any]] | None:  # noqa: ANN401 - known by its methods
    """The rows of a table, each with every column; None for what is no table."""
    if hasattr(source, "iter_rows"):  # polars
        return map(_without_nan, source.iter_rows(named=True))
    if hasattr(source, "to_batches"):  # Arrow
        _refuse_twice(source.column_names)
        batches = source.to_batches(max_chunksize=_ROWS_AT_ONCE)
        return map(_without_nan, chain.from_iterable(batch.to_pylist() for batch in batches))
    if hasattr(source, "itertuples"):  # pandas
        names = list(map(str, source.columns))
        _refuse_twice(names)
        return _pandas_rows(source, names)
    return None


def _refuse_twice(names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        raise ValueError("Two columns of the table have one name: give each a name of its own.")


def _pandas_rows(frame: Any, names: Sequence[str]) -> Iterator[Mapping[str, Any]]:  # noqa: ANN401 - a pandas.DataFrame
    for start in range(0, len(frame), _ROWS_AT_ONCE):
        some = frame.iloc[start : start + _ROWS_AT_ONCE]
        plain = some.astype(object).where(some.notna(), None)
        for values in plain.itertuples(index=False, name=None):
            yield dict(zip(names, values, strict=True))


def _without_nan(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row with None for NaN, which is an empty cell in pandas."""
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}


def _filled(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row without its empty cells: in a table each row has every column."""
    return {name: value for name, value in row.items() if value is not None}

"""What `put` takes, as a file: a path as it is, everything else written to a temporary one, in constant memory.

Data frames and tables are known by their methods: their libraries are the user's own, and are not imported here.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
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
def as_file(source: Source, name: str) -> Iterator[Path]:
    """A file with what is dropped; a temporary one has this name, and is gone afterwards.

    Raises:
        TypeError: It is none of what can be dropped, or a row is no mapping or holds what JSON does not.
        ValueError: A row holds what JSON does not.
    """
    if isinstance(source, str | os.PathLike):
        yield Path(source)
        return
    with TemporaryDirectory(prefix="batchdrop-") as folder:
        path = Path(folder) / name
        with path.open("wb") as file:
            file.writelines([source] if isinstance(source, bytes | bytearray) else _lines(_rows(source)))
        yield path


def _lines(rows: Iterable[Any]) -> Iterator[bytes]:
    encode = msgspec.json.Encoder(enc_hook=_plain).encode
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            raise TypeError(f"Row {number} is a {type(row).__name__}, not a mapping.")
        try:
            yield encode(row if isinstance(row, dict) else dict(row)) + b"\n"
        except UnicodeEncodeError:
            raise ValueError(f"Row {number} holds text that UTF-8 has no bytes for.") from None
        except (TypeError, ValueError, RecursionError) as error:
            raise type(error)(f"Row {number}: {error}") from None


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a cell holds
    """An array's or a number's Python value: numpy's have a method for it."""
    if callable(getattr(value, "tolist", None)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON.")


def _rows(source: Any) -> Iterable[Any]:  # noqa: ANN401 - known by its methods
    if isinstance(source, Mapping):
        raise TypeError("A single mapping is one request: put it into a list.")
    if hasattr(source, "iter_rows"):  # polars
        return map(_filled, source.iter_rows(named=True))
    if hasattr(source, "to_batches"):  # Arrow
        batches = source.to_batches(max_chunksize=_ROWS_AT_ONCE)
        return map(_filled, chain.from_iterable(batch.to_pylist() for batch in batches))
    if hasattr(source, "itertuples"):  # pandas
        return _pandas_rows(source)
    if isinstance(source, Iterable):
        return source
    raise TypeError(f"put() takes a path, bytes, rows or a data frame, not a {type(source).__name__}.")


def _pandas_rows(frame: Any) -> Iterator[Mapping[str, Any]]:  # noqa: ANN401 - a pandas.DataFrame
    names = list(map(str, frame.columns))
    for start in range(0, len(frame), _ROWS_AT_ONCE):
        some = frame.iloc[start : start + _ROWS_AT_ONCE]
        plain = some.astype(object).where(some.notna(), None)
        for values in plain.itertuples(index=False, name=None):
            yield _filled(dict(zip(names, values, strict=True)))


def _filled(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row without its empty cells: in a table each row has every column."""
    return {name: value for name, value in row.items() if value is not None}

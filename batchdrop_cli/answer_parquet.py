"""Rows of answers as Parquet, each column of the type that all its cells have; in constant memory.

They are read twice: a column of numbers may have a text in its last row.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from batchdrop.outputs.answer_rows import Cell
from msgspec import Raw

from batchdrop_cli.table_files import load

if TYPE_CHECKING:
    import pyarrow as pa

type Rows = Callable[[], Iterator[dict[str, Cell]]]

_COST = "cost_usd"
_OWN = {"line", "input_tokens", "output_tokens"}  # whole numbers, also where all of them are missing
_MONEY = 38, 18  # digits, and those behind the point: a token may cost a millionth of a cent
_EMBEDDING = "embedding"
_ROWS, _GROUP_BYTES = 50_000, 16 * 1024 * 1024  # of a row group, which is held in memory
_INT64 = 2**63
_EXACT = 2**53  # whole numbers that a double holds exactly


class _Kind(Enum):
    TEXT = auto()
    BOOL = auto()
    NUMBER = auto()
    WHOLE = auto()
    LARGE = auto()  # a whole number that no double holds
    VECTOR = auto()


def write_parquet(columns: Sequence[str], rows: Rows, path: Path) -> None:
    """Write rows, which are read twice.

    Args:
        columns: Those of each row; an embedding may stand beside them.
        rows: Begins to read them.
        path: Where to.
    """
    pyarrow = load("pyarrow")
    kinds: dict[str, set[_Kind]] = {name: set() for name in columns}
    for row in rows():
        for name, cell in row.items():
            kinds.setdefault(name, set()).update(_kind_of(name, cell))
    schema = pyarrow.schema([(name, _type_of(name, found)) for name, found in kinds.items()])
    reads = [(name, _reader_of(name, kind)) for name, kind in zip(schema.names, schema.types, strict=True)]
    with load("pyarrow.parquet").ParquetWriter(path, schema, compression="zstd") as out:
        for some in _groups(rows()):
            cells = [[read(row.get(name)) for row in some] for name, read in reads]
            out.write_table(pyarrow.table(cells, schema=schema), row_group_size=len(some))


def _groups(rows: Iterator[dict[str, Cell]]) -> Iterator[list[dict[str, Cell]]]:
    group: list[dict[str, Cell]] = []
    size = 0
    for row in rows:
        group.append(row)
        size += sum(len(bytes(cell)) if isinstance(cell, Raw) else len(str(cell)) for cell in row.values())
        if len(group) == _ROWS or size > _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _kind_of(name: str, cell: Cell) -> set[_Kind]:
    """None for null, which every type has."""
    if cell is None or isinstance(cell, int):
        return set() if cell is None else {_Kind.WHOLE}
    text = bytes(cell) if isinstance(cell, Raw) else b'"'
    match text[:1]:
        case b"n":
            return set()
        case b"t" | b"f":
            return {_Kind.BOOL}
        case b"[" if name == _EMBEDDING:
            return {_Kind.VECTOR}
        case b'"' | b"{" | b"[":
            return {_Kind.TEXT}
        case _:
            return {_number_kind(text.decode())}


def _number_kind(text: str) -> _Kind:
    """A number that would not come back as it is stays a text."""
    with suppress(ValueError):
        whole = int(text)
        if -_INT64 <= whole < _INT64:
            return _Kind.WHOLE if abs(whole) <= _EXACT else _Kind.LARGE
    with suppress(ArithmeticError):  # an exponent of twenty digits
        return _Kind.NUMBER if Decimal(repr(float(text))) == Decimal(text) else _Kind.TEXT
    return _Kind.TEXT


def _type_of(name: str, kinds: set[_Kind]) -> "pa.DataType":
    pyarrow = load("pyarrow")
    if name == _COST:
        return pyarrow.decimal128(*_MONEY)
    if name in _OWN or (kinds and kinds <= {_Kind.WHOLE, _Kind.LARGE}):
        return pyarrow.int64()
    if kinds and kinds <= {_Kind.WHOLE, _Kind.NUMBER}:
        return pyarrow.float64()
    types = {_Kind.BOOL: pyarrow.bool_(), _Kind.VECTOR: pyarrow.list_(pyarrow.float64())}
    (kind,) = kinds if len(kinds) == 1 else (_Kind.TEXT,)
    return types.get(kind, pyarrow.string())


def _reader_of(name: str, kind: "pa.DataType") -> Callable[[Cell], Any]:
    return _money if name == _COST else _text if load("pyarrow").types.is_string(kind) else _value


def _text(cell: Cell) -> str | None:
    """A text as it is, any other value as JSON; half of a surrogate pair, which no UTF-8 has, as a question mark."""
    if isinstance(cell, Raw):
        text = bytes(cell)
        cell = _value(cell) if text[:1] == b'"' else None if text == b"null" else text.decode()
    return None if cell is None else str(cell).encode(errors="replace").decode()


def _value(cell: Cell) -> Any:  # noqa: ANN401 - any JSON value
    return msgspec.json.decode(cell) if isinstance(cell, Raw) else cell


def _money(cell: Cell) -> Decimal | None:
    text = _text(cell)
    return None if text is None else round(Decimal(text), _MONEY[1])

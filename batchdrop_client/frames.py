"""Results as a table of the user's own library, which is imported when it is asked for; all rows are in memory.

Its columns are those of `answers.csv`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from batchdrop.outputs.answer_rows import FIRST, LAST, AnswerRows, Cell
from batchdrop.providers.price_list import never_failing
from batchdrop.rates import PriceList
from msgspec import Raw

from batchdrop_client.results import Result

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

_NUMBERS = ("input_tokens", "output_tokens")
_COST, _EMBEDDING = "cost_usd", "embedding"
_OWN = (*FIRST, *LAST)
_TEXTS = frozenset(_OWN) - {"line", _COST, *_NUMBERS}
_encode = msgspec.json.Encoder().encode

type Columns = dict[str, list[Any]]


def columns_of(results: Iterable[Result], prices: PriceList) -> Columns:
    """The columns of a table with a row for each result: those of `answers.csv`, in its order.

    `line`, `custom_id` (text, or JSON where it is none), the columns that the job's template keeps (`in.NAME` where one
    has the name of another column), `text`, `model`, `provider`, `finish_reason`, `input_tokens`, `output_tokens`,
    `cost_usd`, `error_code`, `error_message`; at the end `embedding`, where there is one.
    """
    found = list(results)
    kept = list(dict.fromkeys(name for result in found for name in result.row or {}))
    reader = AnswerRows(kept, never_failing(prices))
    rows = [_row(reader, result, kept) for result in found]
    columns: Columns = {name: [row[name] for row in rows] for name in reader.columns}
    vectors = [result.embedding for result in found]
    return columns | ({_EMBEDDING: vectors} if any(vector is not None for vector in vectors) else {})


def _row(reader: AnswerRows, result: Result, kept: Sequence[str]) -> Mapping[str, Any]:
    """A row of answers, its kept cells as Python values."""
    (row,) = reader.read(_encode(result) + b"\n")
    cells = (result.row or {}).get
    names = reader.columns[len(FIRST) :]
    own = {name: _plain(name, row[name]) for name in _OWN}
    return own | {name: cells(column) for name, column in zip(names, kept, strict=False)}


def _plain(name: str, cell: Cell) -> str | int | float | None:
    if isinstance(cell, Raw):
        value = msgspec.json.decode(cell)
        return value if value is None or isinstance(value, str) else bytes(cell).decode()
    return float(cell) if name == _COST and cell is not None else cell


def to_pandas(results: Iterable[Result], prices: PriceList) -> "pd.DataFrame":
    import pandas as pd  # noqa: PLC0415 - the user's own, and slow to load

    columns = columns_of(results, prices)
    # pandas' own "Int64" holds empty cells beside whole numbers.
    kinds = {"line": "int64", _COST: "float64"} | dict.fromkeys(_NUMBERS, "Int64")
    return pd.DataFrame(columns).astype(kinds)


def to_polars(results: Iterable[Result], prices: PriceList) -> "pl.DataFrame":
    import polars as pl  # noqa: PLC0415 - the user's own, and slow to load

    columns = columns_of(results, prices)
    kinds = {name: pl.String if name in _TEXTS else pl.Float64 if name == _COST else pl.Int64 for name in _OWN}
    return pl.DataFrame(columns, schema_overrides=kinds, strict=False, infer_schema_length=None)


def to_arrow(results: Iterable[Result], prices: PriceList) -> "pa.Table":
    import pyarrow as pa  # noqa: PLC0415 - the user's own, and slow to load

    columns = columns_of(results, prices)
    kinds = {name: pa.string() if name in _TEXTS else pa.float64() if name == _COST else pa.int64() for name in _OWN}
    return pa.table({name: pa.array(values, type=kinds.get(name)) for name, values in columns.items()})

"""Results as a table of the user's own library, which is imported when it is asked for; all rows are in memory."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from batchdrop_client.results import Result

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

_NUMBERS = ("input_tokens", "output_tokens")
_FIRST = ("line", "custom_id")
_LAST = ("text", "embedding", "provider", "model", "finish_reason", *_NUMBERS, "error_code", "error_message")
_OWN = frozenset({*_FIRST, *_LAST})
_TEXTS = _OWN - {"line", "embedding", *_NUMBERS}

type Columns = dict[str, list[Any]]


def columns_of(results: Iterable[Result]) -> Columns:
    """The columns of a table with a row for each result.

    `line`, `custom_id` (text, or JSON where it is none), the columns that the job's template keeps (`in.NAME` where one
    has the name of another column), `text`, `embedding` (where there is one), `provider`, `model`, `finish_reason`,
    `input_tokens`, `output_tokens`, `error_code`, `error_message`.
    """
    rows = [(_own(result), result.row or {}) for result in results]
    kept = dict.fromkeys(name for _, row in rows for name in row)
    columns: Columns = {name: [own[name] for own, _ in rows] for name in _FIRST}
    for name in kept:
        columns[f"in.{name}" if name in _OWN else name] = [row.get(name) for _, row in rows]
    columns |= {name: [own[name] for own, _ in rows] for name in _LAST}
    if not any(vector is not None for vector in columns["embedding"]):
        del columns["embedding"]
    return columns


def _own(result: Result) -> Mapping[str, Any]:
    usage, error = result.usage, result.error
    return {
        "line": result.line,
        "custom_id": _as_text(result.custom_id),
        "text": result.text,
        "embedding": result.embedding,
        "provider": result.provider,
        "model": result.model,
        "finish_reason": result.finish_reason,
        "input_tokens": None if usage is None else usage.input_tokens,
        "output_tokens": None if usage is None else usage.output_tokens,
        "error_code": None if error is None else error.code,
        "error_message": None if error is None else error.message,
    }


def _as_text(custom_id: object) -> str | None:
    return custom_id if custom_id is None or isinstance(custom_id, str) else msgspec.json.encode(custom_id).decode()


def to_pandas(results: Iterable[Result]) -> "pd.DataFrame":
    import pandas as pd  # noqa: PLC0415 - the user's own, and slow to load

    columns = columns_of(results)
    kinds = {"line": "int64"} | dict.fromkeys(_NUMBERS, "Int64")  # the latter holds empty cells beside whole numbers
    return pd.DataFrame(columns).astype(kinds)


def to_polars(results: Iterable[Result]) -> "pl.DataFrame":
    import polars as pl  # noqa: PLC0415 - the user's own, and slow to load

    columns = columns_of(results)
    kinds = {name: pl.String if name in _TEXTS else pl.Int64 for name in columns if name in _OWN - {"embedding"}}
    return pl.DataFrame(columns, schema_overrides=kinds, strict=False, infer_schema_length=None)


def to_arrow(results: Iterable[Result]) -> "pa.Table":
    import pyarrow as pa  # noqa: PLC0415 - the user's own, and slow to load

    columns = columns_of(results)
    kinds = {name: pa.string() if name in _TEXTS else pa.int64() for name in _OWN - {"embedding"}}
    return pa.table({name: pa.array(values, type=kinds.get(name)) for name, values in columns.items()})

"""Answers as Parquet: each cell is the CSV's, each column has the type of all its cells."""

import csv
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from batchdrop.outputs.answer_rows import AnswerRows, Cell, CsvWriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from batchdrop_cli.answer_parquet import write_parquet


def result(line: int, row: dict[str, Any] | None) -> bytes:
    nobody = dict.fromkeys(("provider", "model", "endpoint", "response"))
    found = {"line": line, "custom_id": "a", **nobody, "error": {"code": "c", "message": "m"}, "row": row}
    return json.dumps(found).encode() + b"\n"


def table_of(folder: Path, columns: tuple[str, ...], rows: list[dict[str, Cell]]) -> pa.Table:
    write_parquet(columns, lambda: iter(rows), folder / "x.parquet")
    return pyarrow.parquet.read_table(folder / "x.parquet")


def raws(*cells: str) -> list[dict[str, Cell]]:
    return [{"n": Raw(cell.encode())} for cell in cells]


TYPES: dict[str, tuple[list[str], pa.DataType, list[Any]]] = {
    "whole numbers": (["1", "null", "-9223372036854775808"], pa.int64(), [1, None, -(2**63)]),
    "numbers": (["1", "2.50", "1e-3"], pa.float64(), [1.0, 2.5, 0.001]),
    "booleans": (["true", "null", "false"], pa.bool_(), [True, None, False]),
    "texts": (['"a\\n"', '""', "null"], pa.string(), ["a\n", "", None]),
    "nothing": (["null"], pa.string(), [None]),
    "numbers and texts": (["1", '"b"', "2.50", "true"], pa.string(), ["1", "b", "2.50", "true"]),
    "numbers that no double holds": (["0.1234567890123456789"], pa.string(), ["0.1234567890123456789"]),
    "numbers that no int64 holds": (["9223372036854775808"], pa.string(), ["9223372036854775808"]),
    "a large number beside a fraction": (["9007199254740993", "0.5"], pa.string(), ["9007199254740993", "0.5"]),
    "numbers beyond all": (["1e400", "1e99999999999999999999"], pa.string(), ["1e400", "1e99999999999999999999"]),
    "lists and objects": (["[1, 2]", '{"a": 1}'], pa.string(), ["[1, 2]", '{"a": 1}']),
}


@pytest.mark.parametrize(("cells", "kind", "values"), TYPES.values(), ids=TYPES)
def test_a_column_has_the_type_of_all_its_cells(
    tmp_path: Path, cells: list[str], kind: pa.DataType, values: list[Any]
) -> None:
    column = table_of(tmp_path, ("n",), raws(*cells))["n"]
    assert (column.type, column.to_pylist()) == (kind, values)


def test_costs_are_exact_and_tokens_whole_also_where_none_is_known(tmp_path: Path) -> None:
    rows: list[dict[str, Cell]] = [
        {"cost_usd": None, "input_tokens": None, "line": 1},
        {"cost_usd": "0.0000000375", "input_tokens": None, "line": 2},
    ]
    found = table_of(tmp_path, ("line", "input_tokens", "cost_usd"), rows)
    assert found.schema.types == [pa.int64(), pa.int64(), pa.decimal128(38, 18)]
    assert found["cost_usd"].to_pylist() == [None, Decimal("0.0000000375").quantize(Decimal("1e-18"))]


def test_embeddings_are_lists_of_numbers_where_all_of_them_are(tmp_path: Path) -> None:
    vector: dict[str, Cell] = {"line": 1, "embedding": Raw(b"[0.5, 1]")}
    assert table_of(tmp_path, ("line",), [vector, {"line": 2}])["embedding"].to_pylist() == [[0.5, 1.0], None]
    packed: dict[str, Cell] = {"line": 2, "embedding": Raw(b'"AAAA"')}
    assert table_of(tmp_path, ("line",), [vector, packed])["embedding"].to_pylist() == ["[0.5, 1]", "AAAA"]


def test_no_row_is_a_table_with_columns(tmp_path: Path) -> None:
    assert table_of(tmp_path, ("line", "text"), []).column_names == ["line", "text"]


def test_half_of_a_pair_is_a_question_mark_as_in_csv(tmp_path: Path) -> None:
    assert table_of(tmp_path, ("text",), [{"text": "a\ud83d"}])["text"].to_pylist() == ["a?"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)
KEPT = st.none() | st.fixed_dictionaries({}, optional={"n": JSON, "text": JSON})


@given(rows=st.lists(KEPT, min_size=1, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_cell_is_the_csvs(tmp_path: Path, rows: list[dict[str, Any] | None]) -> None:
    answers = AnswerRows(("n", "text"), lambda *_: None)
    lines = b"".join(result(number, row) for number, row in enumerate(rows, start=1))
    table = CsvWriter(answers.columns, formulas=True)
    body = table.head(bom=False) + b"".join(map(table.line, answers.read(lines)))
    header, *cells = csv.reader(io.StringIO(body.decode(), newline=""))
    found = table_of(tmp_path, answers.columns, list(answers.read(lines)))
    assert found.column_names == header
    for name, column in zip(header, zip(*cells, strict=True), strict=True):
        same = [as_csv(cell, text) for cell, text in zip(found[name].to_pylist(), column, strict=True)]
        assert same == list(column)


def as_csv(cell: Any, text: str) -> str:
    """The cell as CSV has it; a number as it was written, where it is the same one."""
    if isinstance(cell, float):
        return text if float(text) == cell else repr(cell)
    return "" if cell is None else json.dumps(cell) if isinstance(cell, bool) else str(cell)

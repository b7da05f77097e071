"""Parquet, Arrow and Excel: each row becomes a line, its cells of their own types, and is dropped like any table's."""

import datetime as dt
import json
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
import xlsxwriter
from batchdrop.errors import Unprocessable
from hypothesis import given
from hypothesis import strategies as st

from batchdrop_cli.table_files import as_dropped, dropped_name, is_converted, read_lines
from local_cloud.extras import how_to_install

if TYPE_CHECKING:
    from cli.conftest import Aws, Run

ASKED = ("--model", "gpt-4o-mini", "--prompt", "It: {{ text }}", "--id-column", "id", "--keep", "day")
ZONE = dt.timezone(dt.timedelta(hours=2))
CELLS: list[tuple[pa.DataType, Any, Any]] = [
    (pa.int64(), 2**62, 2**62),
    (pa.float64(), 0.1, 0.1),
    (pa.float64(), float("nan"), None),
    (pa.bool_(), True, True),
    (pa.string(), ' "a"\n{{ b }}\0\u2028', ' "a"\n{{ b }}\0\u2028'),
    (pa.dictionary(pa.int8(), pa.string()), "c", "c"),
    (pa.decimal128(20, 7), Decimal("0E-7"), "0.0000000"),
    (pa.decimal128(38, 2), Decimal("123456789012345678901234567890.10"), "123456789012345678901234567890.10"),
    (pa.date32(), dt.date(2026, 1, 2), "2026-01-02"),
    (pa.timestamp("us"), dt.datetime(2026, 1, 2, 3, 4, 5, 600_000), "2026-01-02T03:04:05.600000"),  # noqa: DTZ001
    (pa.timestamp("ns"), dt.datetime(2026, 1, 2), "2026-01-02T00:00:00"),  # noqa: DTZ001
    (pa.timestamp("ns", "+02:00"), dt.datetime(2026, 1, 2, 3, tzinfo=ZONE), "2026-01-02T03:00:00+02:00"),
    (pa.time64("ns"), dt.time(3, 4), "03:04:00"),
    (pa.duration("ns"), dt.timedelta(days=1, seconds=2), "P1DT2S"),
    (pa.binary(), b"\xff", "/w=="),
    (pa.list_(pa.int8()), [1, None], [1, None]),
    (pa.struct([("a", pa.date32())]), {"a": dt.date(2026, 1, 2)}, {"a": "2026-01-02"}),
]


def to_parquet(table: pa.Table, path: Path) -> None:
    pyarrow.parquet.write_table(table, path)


def to_stream(table: pa.Table, path: Path) -> None:
    with pa.OSFile(str(path), "wb") as out, pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)


def to_arrow(table: pa.Table, path: Path) -> None:
    with pa.OSFile(str(path), "wb") as out, pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)


def to_feather(table: pa.Table, path: Path) -> None:
    pyarrow.feather.write_feather(table, str(path))


WRITERS: dict[str, tuple[str, Callable[[pa.Table, Path], None]]] = {
    "parquet": ("x.parquet", to_parquet),
    "arrow": ("x.arrow", to_arrow),
    "a stream": ("x.ARROW", to_stream),
    "feather": ("x.feather", to_feather),
}


def rows_of(path: Path) -> list[Any]:
    return [json.loads(line) if line else None for line in b"".join(read_lines(path)).split(b"\n")[:-1]]


@pytest.mark.parametrize("kind", WRITERS)
def test_each_value_keeps_its_type_or_becomes_its_text(tmp_path: Path, kind: str) -> None:
    name, write = WRITERS[kind]
    columns = {f"c{number}": pa.array([value, None], type=type_) for number, (type_, value, _) in enumerate(CELLS)}
    write(pa.table(columns), tmp_path / name)
    wanted = {f"c{number}": cell for number, (_, _, cell) in enumerate(CELLS)}
    assert rows_of(tmp_path / name) == [wanted, dict.fromkeys(wanted)]


@pytest.mark.parametrize("kind", WRITERS)
def test_rows_of_many_pieces_stay_in_order(tmp_path: Path, kind: str) -> None:
    name, write = WRITERS[kind]
    write(pa.table({"n": range(2_500)}), tmp_path / name)
    assert rows_of(tmp_path / name) == [{"n": number} for number in range(2_500)]


@given(texts=st.lists(st.text(), min_size=1))
def test_every_text_comes_through(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = tmp_path_factory.mktemp("t") / "x.parquet"
    to_parquet(pa.table({"text": texts}), path)
    assert rows_of(path) == [{"text": text} for text in texts]


def a_workbook(path: Path, *rows: list[Any], sheets: int = 1, hidden: int = 0) -> Path:
    with xlsxwriter.Workbook(str(path)) as book:
        formats = {
            dt.datetime: book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
            dt.date: book.add_format({"num_format": "yyyy-mm-dd"}),
        }
        sheet = book.add_worksheet()
        for number, row in enumerate(rows):
            for column, cell in enumerate(row):
                if type(cell) in formats:
                    sheet.write_datetime(number, column, cell, formats[type(cell)])
                elif cell is not None:
                    write = sheet.write_string if isinstance(cell, str) else sheet.write
                    write(number, column, cell)
        others = [book.add_worksheet() for _ in range(sheets - 1 + hidden)]
        for each in others[:hidden]:
            each.hide()
    return path


def test_a_workbook_has_whole_numbers_dates_and_blank_rows(tmp_path: Path) -> None:
    path = a_workbook(
        tmp_path / "x.xlsx",
        ["id", "text", 7, "day", "at", "is"],
        [12, " a\n=b\u2028 ", 1.5, dt.date(2026, 1, 2), dt.datetime(2026, 1, 2, 3, 4), True],  # noqa: DTZ001
        [],
        [2**53, None, 1e300],
        hidden=1,
    )
    assert rows_of(path) == [
        {
            "id": 12,
            "text": " a\n=b\u2028 ",
            "7": 1.5,
            "day": "2026-01-02",
            "at": "2026-01-02T03:04:00",
            "is": True,
        },
        None,
        {"id": 2**53, "text": None, "7": 1e300, "day": None, "at": None, "is": None},
    ]


def parquet(**columns: pa.Array) -> Callable[[Path], Path]:
    return lambda folder: _written(pa.table(columns), folder / "x.parquet")


def workbook(*rows: list[Any], sheets: int = 1) -> Callable[[Path], Path]:
    return lambda folder: a_workbook(folder / "x.xlsx", *rows, sheets=sheets)


def broken(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(b"PAR1 secret words")
        return folder / name

    return write


def _written(table: pa.Table, path: Path) -> Path:
    to_parquet(table, path)
    return path


def twice(folder: Path) -> Path:
    table = pa.table([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    to_arrow(table, folder / "x.arrow")
    return folder / "x.arrow"


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a column that is missing": (
        parquet(txt=pa.array(["a"])),
        'The table has no column "text", which the template names (missing_column): it has 1 column.',
    ),
    "no row": (parquet(text=pa.array([], type=pa.string())), "The table has no row."),
    "an infinite number": (
        parquet(text=pa.array([float("-inf")])),
        'Column "text" holds an infinite number, which JSON has not.',
    ),
    "nanoseconds": (
        parquet(text=pa.array([1], type=pa.timestamp("ns"))),
        'Column "text" holds times with nanoseconds: round them to microseconds.',
    ),
    "no UTF-8": (
        parquet(text=pa.array([b"\xff"]).view(pa.string())),
        "Its rows cannot be read (UnicodeDecodeError): is it a whole .parquet?",
    ),
    "two columns of a name": (twice, "The table names a column twice or more: give each a name of its own."),
    "a column of a workbook without a name": (
        workbook(["text", None, "more"], ["a"]),
        "The table has a column without a name: give it one.",
    ),
    "a workbook that begins later": (
        workbook([], ["text"], ["a"]),
        "The sheet begins with a blank row: its first row must name its columns.",
    ),
    "a workbook without a cell": (workbook(), "The sheet is empty: it has no header and no row."),
    "a workbook with a header alone": (workbook(["text"]), "The table has no row."),
    "two sheets": (
        workbook(["text"], ["a"], sheets=2),
        "The workbook has 2 sheets: save the one that holds the rows as a file of its own.",
    ),
    "a broken Parquet": (broken("x.parquet"), "Its rows cannot be read (ArrowInvalid): is it a whole .parquet?"),
    "a broken Arrow": (broken("x.arrow"), "Its rows cannot be read (ArrowInvalid): is it a whole .arrow?"),
    "a broken workbook": (broken("x.xlsx"), "Its rows cannot be read (ValueError): is it a whole .xlsx?"),
}


@pytest.mark.parametrize(("write", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_table_is_refused_without_its_words(
    tmp_path: Path, write: Callable[[Path], Path], said: str
) -> None:
    with pytest.raises(Unprocessable) as refused:
        b"".join(read_lines(write(tmp_path), ["text"]))
    assert str(refused.value) == said


@pytest.mark.parametrize(
    ("name", "converted", "dropped"),
    [
        ("a.b.parquet", True, "a.b.jsonl"),
        ("A.XLSX", True, "A.jsonl"),
        ("x.csv", False, "x.csv"),
        ("parquet", False, "parquet"),
    ],
)
def test_a_name_says_what_is_dropped(name: str, converted: bool, dropped: str) -> None:  # noqa: FBT001 - a case
    assert (is_converted(Path(name)), dropped_name(Path(name))) == (converted, dropped)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    day = pa.array([dt.date(2026, 1, 2), None])
    return _written(pa.table({"id": [7, 8], "text": ['a "b"', "c"], "day": day}), tmp_path / "reviews.parquet")


LINES = b'{"id":7,"text":"a \\"b\\"","day":"2026-01-02"}\n{"id":8,"text":"c","day":null}\n'


def test_a_table_is_checked_quoted_and_shown_offline(run: "Run", table: Path) -> None:
    assert "2 rows: 2 to be sent" in run("validate", table, *ASKED).out
    assert run("quote", table, *ASKED).code == 0
    shown = json.loads(run("template", table, "--row", "1", *ASKED).out)
    assert (shown["custom_id"], shown["row"]) == (7, {"day": "2026-01-02"})
    assert run("put", table, *ASKED, "--dry-run").code == 0


def test_its_lines_are_dropped_with_the_settings_of_a_table(aws: "Aws", run: "Run", table: Path) -> None:
    ran = run("put", table, *ASKED)
    assert (ran.code, f"Dropped {table} at s3://batchdrop-test/input/reviews.jsonl" in ran.err) == (0, True)
    settings, dropped = aws.keys()
    assert aws.s3.get_object(Bucket="batchdrop-test", Key=dropped)["Body"].read() == LINES
    assert aws.s3.get_object(Bucket="batchdrop-test", Key=settings)["Body"].read().startswith(b'answers = ["csv"]\n')
    assert "is already processing the same bytes" in run("put", table, *ASKED).err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "reviews.parquet is a table: name --model and --prompt (or --embed)"),
        ((*ASKED, "--key", "input/x.csv"), "is dropped as JSON lines: end its --key in .jsonl, not as input/x.csv."),
        ((*ASKED, "--keep", "more"), 'The table has no column "more"'),
        ((*ASKED, "--max-cost", "0.000001"), "reviews.parquet: what it may cost at most is unknown"),
    ],
)
def test_a_table_that_cannot_be_asked_about_is_not_dropped(
    aws: "Aws", run: "Run", table: Path, options: tuple[str, ...], said: str
) -> None:
    code, out, err = run("put", table, *options)
    assert (code in {1, 2, 4}, out, err.count("\n"), aws.keys()) == (True, "", 1, [])
    assert said in err


def test_a_cell_that_cannot_be_read_ends_the_command_before_the_upload(aws: "Aws", run: "Run", tmp_path: Path) -> None:
    numbers = pa.array([1.0] * 1_500 + [float("inf")])
    path = _written(pa.table({"text": numbers}), tmp_path / "x.parquet")
    code, _, err = run("put", path, "--model", "gpt-4o-mini", "--prompt", "{{ text }}")
    assert (code, aws.keys()) == (1, [])
    assert err.startswith(f'{path}: Column "text" holds an infinite number')
    assert not list(tmp_path.glob("batchdrop-*"))


@pytest.mark.parametrize(("name", "module"), [("x.parquet", "pyarrow"), ("x.xlsx", "python_calamine")])
def test_the_extra_is_named_where_it_is_missing(
    run: "Run", tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str
) -> None:
    for each in [each for each in sys.modules if each.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, each)
    monkeypatch.setattr(sys, "meta_path", [Without(module), *sys.meta_path])
    (tmp_path / name).touch()
    ran = run("validate", tmp_path / name, *ASKED)
    said = f"Parquet, Arrow and Excel files need {module}: {how_to_install('tables')}\n"
    assert ran == (1, "", said)


class Without:
    """Finds a module nowhere."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(self, name: str, *_: object) -> None:
        if name.partition(".")[0] == self._name:
            raise ModuleNotFoundError(name, name=self._name)


def test_other_files_are_uploaded_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    with as_dropped(path) as stored:
        assert stored is path

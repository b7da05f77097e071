# ruff: noqa: SLF001 - the file below a journal
import json
from pathlib import Path
from typing import Any

import pytest

from local_cloud.emulator_state import Journal

Rows = dict[tuple[str, str], Any]


class Tables:
    """Tables as the emulator keeps them: its own way to put a row and to remove one."""

    def __init__(self) -> None:
        self.rows: Rows = {}

    def put(self, _table: dict[str, Any], pk: str, sk: str, item: object) -> None:
        self.rows[pk, sk] = item

    def remove(self, _table: dict[str, Any], pk: str, sk: str) -> None:
        self.rows.pop((pk, sk), None)


TABLE = {"TableArn": "arn:1"}


def replayed(path: Path) -> Rows:
    tables = Tables()
    Journal(path).replay([TABLE], tables.put, tables.remove)
    return tables.rows


def test_a_row_is_what_was_written_last(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.write(TABLE, "a", "1", {"n": 1})
    journal.write(TABLE, "b", "1", {"n": 1})
    journal.write(TABLE, "a", "1", {"n": 2})
    journal.write(TABLE, "b", "1", None)
    journal.write({"TableArn": "arn:of a table that is gone"}, "c", "1", {"n": 1})
    assert replayed(path) == {("a", "1"): {"n": 2}}


def test_a_line_that_a_kill_cut_is_left_out_and_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal(path).write(TABLE, "a", "1", {"n": 1})
    with path.open("a") as file:
        file.write(json.dumps(["arn:1", "a", "1", {"n": 2}])[:-3])
    Journal(path).write(TABLE, "b", "1", {"n": 3})
    assert replayed(path) == {("a", "1"): {"n": 1}, ("b", "1"): {"n": 3}}


def test_the_journal_begins_anew_when_the_table_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.write(TABLE, "a", "1", {"n": 1})
    saved: list[Rows] = []
    journal.begin_anew(lambda: saved.append(replayed(path)))
    journal.write(TABLE, "b", "1", {"n": 2})
    assert saved == [{("a", "1"): {"n": 1}}]
    assert replayed(path) == {("b", "1"): {"n": 2}}


class FullDisk:
    """A file on a disk that takes some bytes more and no others."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, line: bytes) -> int:
        return int(self._file.write(line[:5]))

    def truncate(self, size: int) -> None:
        self._file.truncate(size)


def test_a_write_that_a_full_disk_cuts_is_an_error_and_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.write(TABLE, "a", "1", {"n": 1})
    whole = journal._file
    journal._file = FullDisk(whole)  # type: ignore[assignment]  # by shape
    with pytest.raises(OSError, match="No space left"):
        journal.write(TABLE, "a", "1", {"n": 2})
    journal._file = whole
    journal.write(TABLE, "b", "1", {"n": 3})
    assert replayed(path) == {("a", "1"): {"n": 1}, ("b", "1"): {"n": 3}}

"""A job's answers as files on this machine, where they are asked for and were not published: one row per line.

They are made of the `answers.jsonl` that was published, else of the results, in constant memory.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
from batchdrop.manifest import Manifest
from batchdrop.outputs.answer_rows import AnswerRows, Cell, CsvWriter
from batchdrop.providers.price_list import never_failing
from batchdrop.records import Job
from msgspec import Raw

from batchdrop_cli.answer_parquet import write_parquet
from batchdrop_cli.cloud import Cloud
from batchdrop_cli.table_files import load
from batchdrop_cli.user_errors import UserError

PARQUET = "parquet"
JSON_LINES = "answers.jsonl"
_BYTES = 1024 * 1024
_encode = msgspec.json.Encoder().encode
_published = msgspec.json.Decoder(dict[str, Raw])

type Row = dict[str, Cell]


class _Kept(msgspec.Struct):
    row: dict[str, Raw] | None = None


_kept = msgspec.json.Decoder(_Kept)


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Rows that can be read twice, and the columns that all of them have; an embedding may stand beside these."""

    columns: Sequence[str]
    rows: Callable[[], Iterator[Row]]


def check_kinds(kinds: Collection[str] | None) -> None:
    """Refuse, before anything is dropped or fetched, what cannot be written here.

    Raises:
        UserError: The extra is not installed.
    """
    if PARQUET in (kinds or ()):
        load("pyarrow")


def kinds_to_write(cloud: Cloud, job: Job, manifest: Manifest | None, asked: Collection[str]) -> list[str]:
    """Return the unpublished kinds that are asked for now, or were at the drop. Merged results have no manifest.

    Raises:
        UserError: The extra is not installed, although Parquet is asked for now.
    """
    check_kinds(asked)
    kinds = {*asked, *job.settings.answers} - _published_kinds(manifest)
    try:
        check_kinds(kinds)
    except UserError as error:
        cloud.notify(f"answers.parquet is not written. {error}")
        kinds.discard(PARQUET)
    return sorted(kinds)


def _published_kinds(manifest: Manifest | None) -> set[str]:
    return set() if manifest is None else {Path(file.key).suffix[1:] for file in manifest.files.answers}


def names_of(kinds: Collection[str]) -> list[str]:
    return [f"answers.{kind}" for kind in kinds]


def write_answers(
    cloud: Cloud, job: Job, manifest: Manifest | None, results: Sequence[Path], kinds: Collection[str]
) -> list[Path]:
    """Write `answers.*` of these kinds beside a job's results; where these are merged, there is no manifest."""
    paths = [results[0].with_name(name) for name in names_of(kinds)] if results else []  # a failed job has none
    if paths:
        is_published = "jsonl" in _published_kinds(manifest)
        answers = _of_published(results[0].with_name(JSON_LINES)) if is_published else _of_results(cloud, results)
        for path in paths:
            unfinished = path.with_name(f".{path.name}.part")
            _WRITERS[path.suffix](answers, unfinished, job)
            unfinished.replace(path)
    return paths


def without_means(paths: Sequence[Path], written: Collection[str], asked: Collection[str]) -> list[Path]:
    """The files less `answers.jsonl`, which is deleted, where it was published only for Parquet to be made of it.

    Args:
        paths: The files that were fetched or written.
        written: The kinds of answers that were written here.
        asked: The kinds of answers that stay: those that are asked for, and those that lay there before.
    """
    is_means = PARQUET in written and "jsonl" not in asked
    means = [path for path in paths if is_means and path.name == JSON_LINES]
    for path in means:
        path.unlink()
    return [path for path in paths if path not in means]


def _of_published(path: Path) -> Answers:
    first = next(_blocks([path]), b"{}").partition(b"\n")[0]
    columns = [name for name in _published.decode(first) if name != "embedding"]
    return Answers(columns=columns, rows=partial(_read, [path], _rows_of))


def _rows_of(lines: bytes) -> list[Row]:
    return [dict[str, Cell](row) for row in _published.decode_lines(lines)]


def _of_results(cloud: Cloud, results: Sequence[Path]) -> Answers:
    rows = AnswerRows(_kept_columns(results), never_failing(cloud.prices))
    return Answers(columns=rows.columns, rows=partial(_read, results, rows.read))


def _kept_columns(results: Sequence[Path]) -> list[str]:
    """Return the kept columns of a row; the template, which names them all, is deleted when its job is over."""
    kept = (each.row for block in _blocks(results) for each in _kept.decode_lines(block))
    return list(dict.fromkeys(name for row in kept if row is not None for name in row))


def _read(paths: Sequence[Path], read: Callable[[bytes], Iterable[Row]]) -> Iterator[Row]:
    for block in _blocks(paths):
        yield from read(block)


def _blocks(paths: Sequence[Path]) -> Iterator[bytes]:
    """Whole lines, some at a time; they end at line feeds and nowhere else."""
    for path in paths:
        with path.open("rb") as file:
            while lines := file.readlines(_BYTES):
                yield b"".join(lines)


def _to_csv(answers: Answers, path: Path, job: Job) -> None:
    table = CsvWriter(answers.columns, formulas=job.settings.csv_formulas)
    with path.open("wb") as out:
        out.write(table.head(bom=job.settings.csv_bom))
        out.writelines(map(table.line, answers.rows()))


def _to_jsonl(answers: Answers, path: Path, _: Job) -> None:
    with path.open("wb") as out:
        out.writelines(_encode(row) + b"\n" for row in answers.rows())


def _to_parquet(answers: Answers, path: Path, _: Job) -> None:
    write_parquet(answers.columns, answers.rows, path)


_WRITERS = {".csv": _to_csv, ".jsonl": _to_jsonl, ".parquet": _to_parquet}

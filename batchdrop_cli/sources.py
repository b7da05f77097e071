"""Finds the files that `put` drops: one file, each file of a folder, or standard input."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import NamedTuple

from batchdrop.aws.keys import ENDINGS, INPUT, SETTINGS_FILE, settings_keys
from batchdrop.providers.config import Providers

from batchdrop_cli.check import check_kind, check_settings
from batchdrop_cli.cloud import Cloud
from batchdrop_cli.drop import choose_key, is_settings
from batchdrop_cli.exit_codes import FAILED, LINES_FAILED, OK, OVER_LIMIT, WRONG_USE
from batchdrop_cli.row_settings import RowOptions, refuse_table_without_template, settings_there
from batchdrop_cli.say import Notify, count, note
from batchdrop_cli.table_files import dropped_name, holds_rows, is_converted
from batchdrop_cli.user_errors import EXPECTED, NotReadable, UserError, sentence

STANDARD_INPUT = Path("-")
_STDIN_KEY = f"{INPUT}stdin.jsonl"
_STDIN_NAME = "standard input"
_AS_LINES = f"Standard input is taken as JSON lines; for a table, add --key {INPUT}NAME.csv."
_SHOWN = 3  # names of files that are left out


class Source(NamedTuple):
    """A file, and the key that it is dropped at; None for the usual one.

    `name` is what it is called; None for its path.
    """

    path: Path
    key: str | None
    name: str | None = None


@contextmanager
def sources_of(file: Path, key: str | None) -> Iterator[Sequence[Source]]:
    """The files to drop; what comes on standard input lies in a file of its own meanwhile.

    Raises:
        UserError: The folder holds none, or the key does not fit.
    """
    if file == STANDARD_INPUT:
        with _spooled(key) as source:
            yield [source]
    elif file.is_dir():
        yield _in_folder(file, key)
    else:
        yield [Source(file, key)]


def notify_of(found: Sequence[Source]) -> Notify:
    """Tells what happens meanwhile, by the names of the files."""
    named = [(str(each.path), each.name) for each in found if each.name is not None]
    return lambda text: note(reduce(lambda said, each: said.replace(*each), named, text))


@contextmanager
def _spooled(key: str | None) -> Iterator[Source]:
    """Standard input in a file of its own, whose path no error names."""
    if sys.stdin.isatty():
        note("Reading lines from the terminal; Ctrl-D ends them.")
    with TemporaryDirectory(prefix="batchdrop-") as folder:
        path = Path(folder) / PurePosixPath(key or _STDIN_KEY).name
        with path.open("wb") as out:
            shutil.copyfileobj(sys.stdin.buffer, out)
        try:
            yield Source(path, key or _STDIN_KEY, _STDIN_NAME)
        except UserError as error:
            quoted = str(error).replace(f"See: batchdrop quote {path}", "See its quote with --dry-run.")
            text = quoted.replace(str(path), _STDIN_NAME.capitalize())
            is_guessed = key is None and isinstance(error, NotReadable)
            error.args = (f"{_AS_LINES} {text.partition(': ')[2]}" if is_guessed else text,)
            raise


def _in_folder(folder: Path, key: str | None) -> list[Source]:
    """The folder's files in their order, the settings first: they hold for the files that follow."""
    prefix = _prefix(folder, key)
    found: list[Path] = []
    others: list[Path] = []
    for path in sorted(_files(folder)):
        is_known = path.name == SETTINGS_FILE or path.name.endswith(ENDINGS) or is_converted(path)
        (found if is_known else others).append(path)
    if others:
        names = ", ".join(str(path.relative_to(folder)) for path in others[:_SHOWN])
        more = ", …" if len(others) > _SHOWN else ""
        note(f"{count(len(others), 'file')} left out: neither JSON lines nor a table by the name ({names}{more}).")
    if not any(path.name != SETTINGS_FILE for path in found):
        raise UserError(
            f"{folder} holds no file to drop: names must end in .jsonl, .csv, .tsv, .parquet, .arrow or .xlsx."
            if others
            else f"{folder} is an empty folder: there is no file to drop.",
            code=WRONG_USE,
        )
    ordered = sorted(found, key=lambda path: path.name != SETTINGS_FILE)
    dropped = [path.with_name(dropped_name(path)).relative_to(folder).as_posix() for path in ordered]
    return [Source(path, f"{prefix}{name}") for path, name in zip(ordered, dropped, strict=True)]


def _files(folder: Path) -> Iterator[Path]:
    """All files below, but what is hidden; links to folders are not followed."""
    for at, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(at, name) for name in names if not name.startswith("."))


def _prefix(folder: Path, key: str | None) -> str:
    if key is None:
        name = folder.resolve().name
        return f"{INPUT}{name}/" if name else INPUT
    if not key.startswith(INPUT) or not key.endswith("/"):
        raise UserError(f"--key {key}: for a folder it must begin with {INPUT} and end with a slash.", code=WRONG_USE)
    return key


def checked_key(source: Source) -> str:
    """The key of a file that can become a job, or settings."""
    key = choose_key(source.path, source.key)
    if is_settings(key):
        check_settings(source.path)
    elif not holds_rows(source.path, key):
        check_kind(source.path, key)
    return key


def refuse_tables_without_template(
    keys: Mapping[Path, str], cloud: Cloud, options: RowOptions, providers: Providers
) -> None:
    """Refuse tables before any file is dropped; one whose settings are dropped with it is looked at in its turn.

    Raises:
        UserError: Neither the options nor the settings in the bucket say what is asked of one.
    """
    dropped = {*keys.values()}
    for path, key in keys.items():
        if holds_rows(path, key) and dropped.isdisjoint(settings_keys(key)):
            refuse_table_without_template(path, key, settings_there(cloud, key, options, providers))


def each_of[T](do: Callable[[T], int | str], chosen: Mapping[str, T]) -> Iterator[int | str]:
    """Do something with each; of several, by their names, one that fails does not stop the others."""
    for name, each in chosen.items():
        try:
            yield do(each)
        except EXPECTED as error:
            if len(chosen) == 1:
                raise
            text, code = sentence(error)
            note(text if text.startswith(name) else f"{name}: {text}", style="red")
            yield code


def worst_of(codes: Sequence[int]) -> int:
    """The code of several files: the command failed, if one did; some lines failed, if some of one did."""
    return next((code for code in (FAILED, WRONG_USE, OVER_LIMIT, LINES_FAILED) if code in codes), OK)

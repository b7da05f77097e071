"""Why a file on this machine cannot be read, for the person who has it; of a table, its columns are named."""

import shlex
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

from batchdrop.errors import Unprocessable
from batchdrop.inputs.tables import MissingColumn
from batchdrop.texts import count, cut

from batchdrop_cli.table_files import is_converted

_SHOWN, _COMPARED = 10, 1_000  # columns
_LONGEST_NAME = 100
_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}


def describe_unreadable(path: Path, error: Unprocessable) -> str:
    """The error as it is shown here, and nowhere else: rows, events and logs have no names of columns."""
    return f"{path}: {_describe_missing(path, error) if isinstance(error, MissingColumn) else error}"


def _describe_missing(path: Path, error: MissingColumn) -> str:
    known = {name.lower()[:_LONGEST_NAME]: name for name in islice(error.header, _COMPARED)}
    near = get_close_matches(error.column.lower()[:_LONGEST_NAME], known, n=1)
    meant = f' Did you mean "{_name(known[near[0]])}"?' if near else ""
    names = ", ".join(map(_name, error.header[:_SHOWN])) + (", …" if len(error.header) > _SHOWN else "")
    cells = "" if is_converted(path) else ", or set --delimiter to what stands between the cells"
    if (found := _delimiter_in(error)) is not None:
        return (
            f'The table has no column "{_name(error.column)}" (missing_column): its header is one cell, with '
            f"{_DELIMITERS[found]} between the names. Add: --delimiter {shlex.quote(found)}"
        )
    return (
        f'The table has no column "{_name(error.column)}", which the template names (missing_column).{meant} Its '
        f"header has {count(len(error.header), 'column')}: {names}. Correct the name in --prompt, --system, --embed, "
        f"--id-column, --keep or [template]{cells}."
    )


def _delimiter_in(error: MissingColumn) -> str | None:
    """Return the delimiter of a header that was read as one cell, where the missing column is one of them."""
    if len(error.header) != 1:
        return None
    names = error.header[0]
    return next((each for each in _DELIMITERS if error.column in names.split(each) and each in names), None)


def _name(column: str) -> str:
    return cut(column, _LONGEST_NAME)

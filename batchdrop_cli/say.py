"""How the command speaks: answers on standard output, everything else on standard error.

On a terminal lines are broken between words, and never within an id or a command that is to be typed. Pipes get every
line whole, unless COLUMNS names a width. All that is printed is escaped here, whoever wrote it.
"""

import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

from batchdrop import texts
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from batchdrop_cli.escapes import escape, escape_json

_WIDE = 200  # columns of a table where nobody looks at a terminal, so that logs and pipes are not folded
_GAP = 2  # between two columns of a table: rich pads each cell on both sides
_COMMAND = re.compile(r"batchdrop .*?(?=$|[.,;)](?: |$)| - | \()")
_LABEL = re.compile(r" *(?:\S+ {2,})?")  # what the rest of a line stands under: `state    RUNNING: …`
_GLUE = "\0"  # stands for a blank at which a line is not broken

count = texts.count

Notify = Callable[[str], None]
"""Takes a sentence about what happens meanwhile: `note` for the command."""


class Patient(Console):
    """Goes on where nobody reads any more, as behind `| head`: the work is done, and the exit code stays what it is."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        with suppress(OSError):  # a stream that is no file has no descriptor
            os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)


def _console(*, stderr: bool) -> Console:
    # Text comes from files and providers: no markup, no emoji codes, no colouring of what looks like a number.
    return Patient(stderr=stderr, markup=False, emoji=False, highlight=False, width=_width(stderr=stderr) or _WIDE)


def _width(*, stderr: bool) -> int | None:
    """The columns to be kept to; None in a pipe."""
    stream = sys.stderr if stderr else sys.stdout
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    return Console(file=stream).width if stream.isatty() else None


def err() -> Console:
    return _console(stderr=True)


def say(text: str = "", *, style: str | None = None) -> None:
    """An answer, one line: standard output."""
    _print(text, style, stderr=False)


def note(text: str, *, style: str | None = None) -> None:
    """Print a line of progress to standard error, so that a pipe gets the answer alone."""
    _print(text, style, stderr=True)


def asked(question: str) -> str:
    """Return the user's answer, in small letters; Ctrl-D is a no."""
    try:
        return input(f"{question} ").strip().lower()
    except EOFError:
        note("")
        return "n"


def describe_newer(job: str) -> str:
    """Return why a job is not shown that newer code wrote, and what to do."""
    return f"Job {job} was written by a newer version of batchdrop: upgrade this command to see it."


def say_as_is(text: str) -> None:
    """JSON, to standard output: not a byte is added, and the same value is read from it."""
    _console(stderr=False).print(escape_json(text), soft_wrap=True)


def _print(text: str, style: str | None, *, stderr: bool) -> None:
    width = _width(stderr=stderr)
    console = _console(stderr=stderr)
    for line in [escape(text)] if width is None else wrap(text, width):
        console.print(line, style=style, soft_wrap=True)


def wrap(text: str, width: int) -> list[str]:
    """A text in lines, none longer than `width` but where a word or a command is; continued under its label."""
    line = escape(text)
    label = _LABEL.match(line)
    glued = _COMMAND.sub(lambda command: command[0].replace(" ", _GLUE), line)
    parts = textwrap.wrap(
        glued,
        width,
        subsequent_indent=" " * (label.end() if label else 0),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [part.replace(_GLUE, " ") for part in parts] or [""]


def say_table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[str] = ()) -> None:
    """A table of plain text; the columns named in `numbers` are set to the right.

    Where it is wider than the terminal, each row is a paragraph instead: no cell is ever broken.
    """
    rows = [[escape(cell) for cell in row] for row in rows]
    console = _console(stderr=False)
    if _table_width([headings, *rows]) > console.width:
        for row in rows:
            for line in paragraph(headings, row, console.width):
                console.print(line, soft_wrap=True)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, justify="right" if heading in numbers else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def _table_width(rows: Sequence[Sequence[str]]) -> int:
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return sum(widths) + _GAP * (len(widths) - 1)


def paragraph(headings: Sequence[str], row: Sequence[str], width: int) -> Iterator[str]:
    """A row as `first cell`, then `heading cell` pairs under it, as many to a line as fit."""
    yield row[0]
    line = ""
    for pair in (f"{heading} {cell}" for heading, cell in zip(headings[1:], row[1:], strict=True) if cell):
        if line and cell_len(line) + 2 + cell_len(pair) > width:
            yield line
            line = ""
        line = f"{line}  {pair}"
        if cell_len(line) > width:
            yield from wrap(line, width)
            line = ""
    if line:
        yield line

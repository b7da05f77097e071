"""How the command speaks: answers on standard output, everything else on standard error."""

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDE = 200  # columns where nobody looks at a terminal, so that logs and pipes are not folded


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    # Text comes from files and providers: no markup, no emoji codes, no colouring of what looks like a number.
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False, width=None if stream.isatty() else _WIDE)


def err() -> Console:
    return _console(stderr=True)


def say(line: str = "", *, style: str | None = None) -> None:
    """An answer: standard output, one line as it is."""
    _console(stderr=False).print(line, style=style, soft_wrap=True)


def note(line: str, *, style: str | None = None) -> None:
    """What happens meanwhile: standard error, so that a pipe gets the answer alone."""
    err().print(line, style=style, soft_wrap=True)


def say_table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[str] = ()) -> None:
    """A table of plain text; the columns named in `numbers` are set to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, justify="right" if heading in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    _console(stderr=False).print(table)


def count(number: int, noun: str, plural: str | None = None) -> str:
    """`1 line`, `2,000 lines`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"

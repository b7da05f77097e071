"""How the rows of a results file may lie in it, and be spelt, at servers of the same two protocols."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from provider_simulator.facts import Layout

_SPOILT = 5  # rows, the first ones


def _printed(row: bytes) -> bytes:
    return msgspec.json.format(row, indent=2)


def _pairs(rows: list[bytes]) -> bytes:
    return b"".join(row + (b"\n" if number % 2 else b" ") for number, row in enumerate(rows))


def _beginning_with(field: bytes) -> Callable[[list[bytes]], bytes]:
    """The first rows get one more field, as it is."""
    return lambda rows: b"".join(
        (b"{" + field + b"," + row[1:] if number < _SPOILT else row) + b"\n" for number, row in enumerate(rows)
    )


_LAYOUTS: dict[Layout, Callable[[list[bytes]], bytes]] = {
    "pairs": _pairs,
    "one_line": b" ".join,
    "array": lambda rows: b"[" + b",".join(rows) + b"]",
    "printed": lambda rows: b"\n".join(map(_printed, rows)),
    "printed_array": lambda rows: b"[\n" + b",\n".join(map(_printed, rows)) + b"\n]\n",
    "in_an_object": lambda rows: b'{"object":"list","data":[' + b",".join(rows) + b"]}",
    "bom": lambda rows: b"\xef\xbb\xbf" + b"\n".join(rows),
    "nan": _beginning_with(b'"score":NaN'),
    "surrogates": _beginning_with(b'"note":"cut \\ud83d "'),
    "latin_1": _beginning_with(b'"note":"Z\xfcrich"'),
}


def lay_out(path: Path, layout: Layout) -> None:
    """Write a file of rows, one a line, anew; one without rows stays empty."""
    rows = path.read_bytes().splitlines()
    if rows:
        path.write_bytes(_LAYOUTS[layout](rows))

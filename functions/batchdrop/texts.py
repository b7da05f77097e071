"""Texts from outside, cut to what a row, an event, a header, a metric or a sentence has room for."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

_ELLIPSIS = "…"
_UNKNOWN_FIELD = re.compile(r"contains unknown field `([^`]{1,100})`")  # msgspec's words
_LONGEST_NAME = 100  # that a nearest one is looked for


def cut(text: str, max_bytes: int) -> str:
    """The text where it has at most `max_bytes` bytes in UTF-8, else as many whole characters as fit before an "…".

    Half of a surrogate pair, which UTF-8 cannot hold, becomes "?".
    """
    if len(text) <= max_bytes and text.isascii():
        return text
    written = text[: max_bytes + 1].encode(errors="replace")
    if len(written) <= max_bytes:
        return written.decode()
    return written[: max_bytes - len(_ELLIPSIS.encode())].decode(errors="ignore") + _ELLIPSIS


def nearest_of(name: str, known: Iterable[str]) -> str:
    """The known name that is nearest to one that is not; all of them where none is near."""
    names = list(known)
    found = get_close_matches(name.lower().replace("-", "_")[:_LONGEST_NAME], names, n=1)
    return f"did you mean {found[0]}?" if found else f"known are {', '.join(names)}"


def with_nearest(problem: str, known: Iterable[str]) -> str:
    """Return msgspec's error on a table; an unknown field gets the nearest known name."""
    found = _UNKNOWN_FIELD.search(problem)
    return problem if found is None else f"{problem}; {nearest_of(found[1], known)}"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """`1 line`, `2,000 lines`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"

"""HTML of values: the only place where a report's tags are made. Each value is text, whoever wrote it. Pure."""

from collections.abc import Iterable, Sequence
from html import escape

_NUMBER, _LONG = ' class="n"', ' class="long"'
_SHORT = 16  # characters, which fit a column of a phone


def text(value: object) -> str:
    """A value as text of an element or of a quoted attribute; a character that does not show is named by its number."""
    return escape("".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in str(value)))


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """Names with their values; those that are None are left out."""
    found = [f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in pairs if value is not None]
    return f"<dl>{''.join(found)}</dl>"


def table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table that scrolls by itself. Its first column names the rows; whole numbers stand to the right."""
    lines = list(rows)
    numbers = [isinstance(each, int) for each in lines[0]] if lines else [False] * len(headings)
    head = "".join(
        f'<th scope="col"{_NUMBER if is_number else ""}>{text(each)}</th>'
        for each, is_number in zip(headings, numbers, strict=True)
    )
    body = "".join(f"<tr>{_cells(row)}</tr>" for row in lines)
    return (
        f'<div class="scroll" role="region" aria-label="{text(caption)}" tabindex="0"><table>'
        f"<caption>{text(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cells(row: Sequence[object]) -> str:
    first, *rest = row
    return f'<th scope="row">{text(first)}</th>' + "".join(_cell(each) for each in rest)


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f"<td{_NUMBER}>{value:,}</td>"
    return f"<td{_LONG if len(str(value)) > _SHORT else ''}>{text(value)}</td>"

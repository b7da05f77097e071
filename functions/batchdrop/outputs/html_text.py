"""HTML of values: the only place where a report's tags are made. Each value is text, whoever wrote it. Pure."""

from collections.abc import Iterable, Sequence
from html import escape


def text(value: object) -> str:
    """A value as text of an element or of a quoted attribute; a character that does not show is named by its number."""
    return escape("".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in str(value)))


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """Names with their values; those that are None are left out."""
    found = [f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in pairs if value is not None]
    return f"<dl>{''.join(found)}</dl>"


def table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table that scrolls by itself; whole numbers and money stand to the right."""
    head = "".join(f'<th scope="col">{text(each)}</th>' for each in headings)
    body = "".join(f"<tr>{_cells(row)}</tr>" for row in rows)
    return (
        f'<div class="scroll" role="region" aria-label="{text(caption)}" tabindex="0"><table>'
        f"<caption>{text(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cells(row: Sequence[object]) -> str:
    first, *rest = row
    return f'<th scope="row">{text(first)}</th>' + "".join(_cell(each) for each in rest)


def _cell(value: object) -> str:
    return f'<td class="n">{value:,}</td>' if isinstance(value, int) else f"<td>{text(value)}</td>"

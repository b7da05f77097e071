"""Recognises a dropped file that is not JSONL by its first bytes: thousands of line errors would not explain it."""

import codecs
import csv
import io
import json
from collections.abc import Iterator
from itertools import islice

import msgspec

from batchdrop.errors import Unprocessable

_HEAD_BYTES = 64 * 1024
_SAVE_AS_UTF8 = "save it as UTF-8"
_KINDS = (  # the first bytes, what they begin, and what to do
    (b"\x1f\x8b", "gzip", "name it .jsonl.gz"),
    (b"\x28\xb5\x2f\xfd", "zstd", "name it .jsonl.zst"),
    (b"BZh", "bzip2", "unpack it"),
    (b"\xfd7zXZ\x00", "xz", "unpack it"),
    (b"PK\x03\x04", "zip or an Excel workbook (.xlsx)", "unpack it, or export its rows as JSONL"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls)", "export its rows as JSONL"),
    (b"PAR1", "Parquet", "export its rows as JSONL"),
    (codecs.BOM_UTF32_LE, "UTF-32", _SAVE_AS_UTF8),
    (codecs.BOM_UTF32_BE, "UTF-32", _SAVE_AS_UTF8),
    (codecs.BOM_UTF16_LE, "UTF-16", _SAVE_AS_UTF8),
    (codecs.BOM_UTF16_BE, "UTF-16", _SAVE_AS_UTF8),
    (b"{\0", "UTF-16", _SAVE_AS_UTF8),
    (b"\0{", "UTF-16", _SAVE_AS_UTF8),
)
_CSV_ROWS = 2  # a header and a row
_TEXT_LINES = 2  # one line may be a mistake of its own
_SPREAD = (
    "The file's objects are spread over several lines (pretty-printed): write each object on one line, for example "
    "with `jq -c . FILE`, and upload it again."
)
_COMMAS = "The file's lines end in commas: write one object per line, with nothing between them, and upload it again."
_CARRIAGE_RETURNS = (
    "The file's lines end in a carriage return alone: end each in a line feed, for example with `tr '\\r' '\\n'`, "
    "and upload it again."
)
_TEXT = (
    "The file is text, not JSON lines: write each request as one JSON object on a line of its own, and upload it again."
)
_ARRAY = (
    "The file is one JSON array: write one object per line, with no brackets around them and no commas between them."
)

_first_value = json.JSONDecoder(strict=False, parse_int=float)  # a string may hold a line end that is not escaped


def reject_non_jsonl(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, when they begin as JSONL does.

    Raises:
        Unprocessable: They are another kind of file; the sentence says which, and what to do.
    """
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= _HEAD_BYTES:
            break
    reason = _other_kind(head)
    if reason is not None:
        raise Unprocessable(reason)
    yield head
    yield from chunks


def reject_binary(chunks: Iterator[bytes], wanted: str) -> Iterator[bytes]:
    """The same bytes, when they do not begin as another kind of file than text in UTF-8 does.

    Raises:
        Unprocessable: They do.
    """
    head = next(chunks, b"")
    for magic, name, remedy in _KINDS:
        if head.startswith(magic):
            raise Unprocessable(_looks_like(name, remedy).replace("JSONL", wanted).replace(".jsonl", ".csv"))
    yield head
    yield from chunks


def _other_kind(head: bytes) -> str | None:
    for magic, name, remedy in _KINDS:
        if head.startswith(magic):
            return _looks_like(name, remedy)
    text = head.removeprefix(codecs.BOM_UTF8)
    return _ARRAY if _is_array(text) else _other_text(text[:_HEAD_BYTES], is_cut=len(head) >= _HEAD_BYTES)


def _looks_like(name: str, remedy: str) -> str:
    return f"The file looks like {name}, not like JSONL: {remedy}, and upload it again."


def _other_text(text: bytes, *, is_cut: bool) -> str | None:
    """Return the kind of a text whose lines mean nothing alone; one line that is an object rules that out."""
    whole, line_end, _ = text.rpartition(b"\n")
    lines = [line.strip() for line in (whole if is_cut and line_end else text).split(b"\n")]
    lines = [line for line in lines if line]
    if not lines or _is_object(lines[0]):
        return None
    if _is_spread(text, lines):
        return _SPREAD
    if len(lines) > 1 and all(line.endswith(b",") and _is_object(line[:-1]) for line in lines[:2]):
        return _COMMAS
    return None if any(map(_is_object, lines)) else _kind_without_objects(text, lines)


def _kind_without_objects(text: bytes, lines: list[bytes]) -> str | None:
    if _is_utf_16(text):
        return _looks_like("UTF-16", _SAVE_AS_UTF8)
    if _has_carriage_returns(lines[0]):
        return _CARRIAGE_RETURNS
    if lines[0].startswith(b"<"):
        return _looks_like("HTML or XML", "save the data itself, not the page that shows it")
    if _is_csv(text, lines):
        return _looks_like("CSV", "export its rows as JSONL")
    return _TEXT if _is_plain_text(lines) else None


def _is_spread(text: bytes, lines: list[bytes]) -> bool:
    """Return whether each object takes several lines: the first does, and no object on a line of its own follows it."""
    if not lines[0].startswith(b"{"):
        return False
    decoded = text.decode(errors="replace").lstrip()
    try:
        _, end = _first_value.raw_decode(decoded)
    except (ValueError, RecursionError):  # longer than what is looked at, or broken
        return lines[0] == b"{" and len(lines) > 1 and lines[1].startswith(b'"')
    rest = decoded[end:].lstrip(" \t\r\n,")
    following, line_end, _ = rest.partition("\n")
    is_alone = bool(line_end) and not _is_object(following.strip().encode())
    return "\n" in decoded[:end] and (not rest or (rest.startswith("{") and is_alone))


def _is_plain_text(lines: list[bytes]) -> bool:
    """Return whether several lines are there, and none even begins as an object or an array does."""
    return len(lines) >= _TEXT_LINES and not any(line.startswith((b"{", b"[")) for line in lines)


def _is_utf_16(text: bytes) -> bool:
    begun = text.lstrip(b" \t\r\n\0")
    return begun.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, b"{\0"))


def _has_carriage_returns(line: bytes) -> bool:
    pieces = [piece for piece in line.split(b"\r") if piece.strip()]
    return len(pieces) > 1 and _is_object(pieces[0]) and pieces[1].lstrip().startswith(b"{")


def _is_csv(text: bytes, lines: list[bytes]) -> bool:
    """Return whether a header and a row have as many cells, two at least; a JSON object begins nowhere."""
    if len(lines) < _CSV_ROWS or any(line.startswith(b"{") for line in lines):
        return False
    decoded = text.decode(errors="replace")
    return any(_has_columns(decoded, delimiter) for delimiter in ",;\t|")


def _has_columns(text: str, delimiter: str) -> bool:
    try:
        rows = list(islice(filter(None, csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)), _CSV_ROWS))
    except csv.Error:
        return False
    header = rows[0]
    return len(rows) == _CSV_ROWS and len(header) > 1 and all(header) and len(header) == len(rows[1])


def _is_array(head: bytes) -> bool:
    """Whether a JSON array begins here that is more than a line: a line that is one is that line's mistake only."""
    first, _, rest = head.lstrip().partition(b"\n")
    if not first.startswith(b"["):
        return False
    if _is_json(first):
        return not rest.strip()
    second, line_end, _ = rest.lstrip().partition(b"\n")
    return not (line_end and _is_json(second))


def _is_object(line: bytes) -> bool:
    return line.startswith(b"{") and _is_json(line)


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True

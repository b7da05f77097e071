"""Reads servers' JSON field by field: a field of an undocumented type must not cost the whole answer."""

import codecs
import re
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
from msgspec import Raw

from batchdrop.protocols.json_text import reject_non_utf8
from batchdrop.protocols.request_checks import LineProblem

NULL = Raw(b"null")
_NOTHING = frozenset({b"null", b'""', b"{}", b"[]", b"false"})
# What is anything else is words, which may quote a prompt: codes stand in rows, logs, events and counts.
_CODE = re.compile(r"[A-Za-z0-9_.:/-]{1,100}", re.ASCII)
_LONGEST_ID = 512  # bytes: DynamoDB's sort keys take 1,024, and ours hold two ids at most
_MOST = 2**53  # a whole number that every reader of JSON keeps
_LAST_SECOND = 253_402_300_799  # of the year 9999
_NESTED = 3  # an `error` within an `error` within an `error`
_MARKS = (  # of the byte order; UTF-32's begins as UTF-16's does
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# A text that never ends is one token, too: tried again from each quote in it, it would take the square of its length.
_TOKENS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|-?(?:NaN|Infinity)', re.DOTALL)
_CONTROL = re.compile(rb"[\x00-\x1f]")
_ESCAPE = re.compile(
    rb"""
      (?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})
    | (?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})
    | (?P<good>\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))
    | (?P<nothing>\\)
    """,
    re.VERBOSE,
)
_string: msgspec.json.Decoder[str | None] = msgspec.json.Decoder(str | None)
_number = msgspec.json.Decoder(float, strict=False)
_mapping = msgspec.json.Decoder(dict[str, Raw])
_items = msgspec.json.Decoder(list[Raw])


class ParsedError(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An error, whatever its form. `status` is set where its code is a number, as an HTTP status is."""

    code: str | None = None
    message: str = ""
    status: int | None = None
    type: str | None = None


def is_present(raw: Raw) -> bool:
    return bytes(raw) not in _NOTHING


def is_object(raw: Raw) -> bool:
    return bytes(memoryview(raw)[:1]) == b"{" and is_present(raw)


def is_empty(answer: Raw) -> bool:
    """Return whether an answer holds nothing: no value, or one without content."""
    return not is_present(answer) or (bytes(memoryview(answer)[:1]) == b'"' and not (as_str(answer) or "").strip())


def read_field[T](decoder: msgspec.json.Decoder[T], raw: Raw, otherwise: T) -> T:
    try:
        return decoder.decode(raw)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors, and so are bytes that are not UTF-8
        return otherwise


def as_str(raw: Raw) -> str | None:
    """A string; None for anything else."""
    return read_field(_string, raw, None)


def identifier(raw: Raw) -> str | None:
    """An id: a string that is not empty, or a whole number's digits; none is longer than a key of the table takes."""
    digits = bytes(raw)
    found = digits.decode() if digits.isdigit() else as_str(raw)
    return found if found and len(found.encode()) <= _LONGEST_ID else None


def as_int(raw: Raw) -> int | None:
    """A number from 0 to 2**53 without its fraction, also when it stands in a string; None for anything else."""
    try:
        number = int(_number.decode(raw))
    except (msgspec.DecodeError, ValueError, OverflowError):
        return None
    return number if 0 <= number <= _MOST else None


def seconds(raw: Raw) -> int | None:
    """A moment in seconds since 1970, as a number or as ISO 8601; None for one that no calendar has."""
    try:
        moment = datetime.fromisoformat(as_str(raw) or "")
    except ValueError:
        number = as_int(raw)
    else:
        number = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    return number if number is not None and 0 <= number <= _LAST_SECOND else None


def mapping(raw: Raw) -> dict[str, Raw]:
    """An object's fields; none for anything else."""
    return read_field(_mapping, raw, {})


def items(raw: Raw) -> list[Raw]:
    """An array's elements; none for anything else."""
    return read_field(_items, raw, [])


def unwrapped(body: Raw) -> Raw:
    """An object that was sent as text, as the object that it is; everything else as it came."""
    if bytes(memoryview(body)[:1]) != b'"':
        return body
    inner = (as_str(body) or "").strip()
    if not inner.startswith("{"):
        return body
    try:
        return Raw(msgspec.json.format(inner.encode(), indent=-1))  # on one line
    except (msgspec.DecodeError, RecursionError):
        return body


def utf8(line: bytes) -> bytes:
    """The line, with U+FFFD in the place of what is no UTF-8: a paid answer is kept, and the results stay readable."""
    try:
        if not line.isascii():
            reject_non_utf8(line)
    except LineProblem:
        return line.decode(errors="replace").encode()
    return line


def read_row[T](read: Callable[[bytes], T], row: bytes) -> T:
    """Return a result row, as it is, or repaired.

    Raises:
        msgspec.DecodeError: It is not a result row, repaired or not.
    """
    try:
        return read(on_one_line(utf8(row)))
    except msgspec.DecodeError:
        return read(on_one_line(utf8(repair(row))))


def repair(line: bytes) -> bytes:
    """A result line as JSON has it, where its server's writer was careless: a paid answer is kept.

    A byte-order mark is taken off; NaN and Infinity become null, halves of surrogate pairs U+FFFD; control characters
    and backslashes that escape nothing are escaped.
    """
    return _TOKENS.sub(_repaired, line.removeprefix(codecs.BOM_UTF8))


def _repaired(token: re.Match[bytes]) -> bytes:
    text = token[0]
    if not text.startswith(b'"'):
        return b"null"
    text = _CONTROL.sub(lambda found: b"\\u%04x" % found[0][0], text)
    return _ESCAPE.sub(_repaired_escape, text) if b"\\" in text else text


def _repaired_escape(escape: re.Match[bytes]) -> bytes:
    match escape.lastgroup:
        case "half":
            return b"\\ufffd"
        case "nothing":
            return b"\\\\"
        case _:
            return escape[0]


def on_one_line(row: bytes) -> bytes:
    """A row without the line ends between its tokens, as every result line is.

    Raises:
        msgspec.DecodeError: It is not JSON.
    """
    return msgspec.json.format(row, indent=-1) if b"\n" in row or b"\r" in row else row


def transcode_to_utf8(body: bytes) -> bytes:
    """An answer's bytes as UTF-8, whatever they were: UTF-16 and UTF-32 are recognised by their marks and zeros.

    What is none of these is taken as Latin-1, in which every byte is a character.
    """
    encoding = next((name for mark, name in _MARKS if body.startswith(mark)), None) or _guess_encoding(body)
    return body if encoding == "utf-8" else body.decode(encoding, errors="replace").encode(errors="replace")


def _guess_encoding(body: bytes) -> str:
    if body[1:2] == b"\0":
        return "utf-16-le"
    if body[:1] == b"\0":
        return "utf-16-be"
    try:
        body.decode()
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def parse_error(raw: Raw) -> ParsedError:
    """An error as it was meant: a text, an object with code and message, or either within another's `error`."""
    raw = unwrapped(raw)
    fields = mapping(raw)
    for _ in range(_NESTED):
        if not is_present(fields.get("error", NULL)):
            break
        raw = unwrapped(fields["error"])
        fields = mapping(raw)
    if not fields:
        return ParsedError(message=as_str(raw) or "")
    code = fields.get("code", NULL)
    kind = as_str(fields.get("type", NULL))
    words = (as_str(fields.get(name, NULL)) for name in ("message", "detail"))
    sentences = (name for name in (as_str(code), kind) if as_code(name) is None)
    return ParsedError(
        code=as_code(as_str(code)) or as_code(kind),
        message=next(filter(None, (*words, *sentences)), ""),
        status=None if as_str(code) else as_int(code),
        type=as_code(kind),
    )


def as_code(name: str | None) -> str | None:
    """A provider's code or type, if it is one and no sentence."""
    return name if name is not None and _CODE.fullmatch(name) else None

"""Rejects text that is not JSON, with a message for people, and JSON that some readers cannot read.

Anthropic's create carries all requests of a batch in one document: a line that its parser refuses would fail them all.
All of it takes a time that grows with the text and no faster: a line may be 32 MB of anything.
"""

import codecs
import math
import re
from itertools import accumulate

import msgspec

from batchdrop.protocols.request_checks import LineProblem
from batchdrop.result_line import ErrorCode
from batchdrop.texts import cut

MAX_DEPTH = 500  # Python's own parser stopped at 1,000 for years, and a create nests a request three levels deeper
_PIECE = 1024 * 1024  # a character of a decoded text takes up to four bytes of memory
_TEXT = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_TEXTS = re.compile(_TEXT, re.DOTALL)
# Texts, brackets and small numbers are passed over in one go; what follows them always matches: no byte is seen twice.
_LARGE_NUMBERS = re.compile(
    rb"""
    (?: [^"0-9]++
      | %b
      | [0-9]{1,290}+(?:\.[0-9]++)?+(?:[eE]-[0-9]++|[eE]\+?+[0-9])?+(?![0-9.eE])
    )*+
    (?: (?P<large>[0-9]++(?:\.[0-9]++)?+(?:[eE][+-]?+[0-9]++)?+) | . | \Z)
    """
    % _TEXT,
    re.VERBOSE | re.DOTALL,
)
_LONG_INTEGER = 309  # digits: the largest double has as many
_DIGIT = re.compile(rb"[0-9]")
_DIGITS_TO_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_SHOWN_NUMBER = 23  # bytes: enough to find it by
_NO_NUMBER = re.compile(rb"-?(?:NaN|Infinity)")
_HALF_AT_THE_END = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}.{0,5}\Z", re.DOTALL)
_HALF = "half of a surrogate pair (a character cut in two)"
_PLAINER = {
    "invalid utf-16 surrogate pair": _HALF,
    "unexpected end of hex escape": _HALF,
    "expected '\"'": "object keys must be strings",
}
# Names without quotes, or with, and what separates them; and no single word that JSON has.
_HEADER = re.compile(
    rb"""(?!(?:null|true|false|-?NaN|-?Infinity)\s*\Z)"?[A-Za-z_][\w .-]*+"?(?:[,;\t|]"?[\w .-]*+"?)*+\s*"""
)
_LOOKS_LIKE_A_HEADER = "it looks like a header or plain text: remove the line"
_LONGEST_HEADER = 1_000  # bytes that are looked at
_anything = msgspec.json.Decoder()
_grammar = msgspec.json.Decoder(msgspec.Raw)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def reject_non_utf8(line: bytes) -> None:
    """Check a line of any length in little memory.

    Raises:
        LineProblem: It names the first byte that is not UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(line), _PIECE):
        piece = line[start : start + _PIECE]
        end = start + len(piece)
        try:
            decoder.decode(piece, final=end == len(line))
        except UnicodeDecodeError as error:
            at = end - len(error.object) + error.start  # what it decoded may begin in the piece before
            raise LineProblem(ErrorCode.INVALID_UTF8, f"not UTF-8: byte 0x{line[at]:02x} at byte {at}") from None


def decode_object[T](decoder: msgspec.json.Decoder[T], text: bytes) -> T:
    """Read a JSON object with a decoder of objects.

    Raises:
        LineProblem: It is none: not UTF-8, not JSON, nested too deeply, or another value.
    """
    if not text.isascii():
        reject_non_utf8(text)
    try:
        return decoder.decode(text)
    except RecursionError:
        raise too_deep() from None
    except msgspec.DecodeError:
        reject_malformed_json(text)
    why = f": {_LOOKS_LIKE_A_HEADER}" if text.startswith(b'"') else ""
    raise LineProblem(ErrorCode.NOT_A_REQUEST, f"not a JSON object{why}")


def reject_malformed_json(text: bytes) -> None:
    """Check the grammar alone.

    Raises:
        LineProblem: It is not JSON, or nested too deeply.
    """
    try:
        _grammar.decode(text)
    except RecursionError:
        raise too_deep() from None
    except msgspec.DecodeError as error:
        raise LineProblem(ErrorCode.INVALID_JSON, _describe_parse_error(text, error)) from None


def reject_unportable_json(text: bytes) -> None:
    """Check what the grammar of JSON allows.

    Args:
        text: JSON, by its grammar.

    Raises:
        LineProblem: It is nested deeper than `MAX_DEPTH`, or holds a number that no double holds: 1e400, or 400 digits.
    """
    if _may_be_too_deep(text) and _depth(text) > MAX_DEPTH:
        raise too_deep()
    if _may_hold_a_large_number(text):
        _reject_large_numbers(text)


def reject_unportable_object(text: bytes) -> None:
    """Check a request's body that is not a piece of an input line which was checked.

    Raises:
        LineProblem: It is not one JSON object that every reader takes.
    """
    decode_object(_object, text)
    reject_unportable_json(text)


def too_deep() -> LineProblem:
    return LineProblem(ErrorCode.TOO_DEEP, f"nested too deeply to be read: more than {MAX_DEPTH} levels")


def _describe_parse_error(text: bytes, error: msgspec.DecodeError) -> str:
    """The parser's words, with the byte (from 0); plainer where the mistake is a known one."""
    problem, _, place = str(error).removeprefix("JSON is malformed: ").partition(" (byte ")
    place = place.rstrip(")")
    if not place:
        return f"not JSON: {_HALF if _HALF_AT_THE_END.search(text[-12:]) else 'it ends in the middle'}"
    if text.startswith((b"{'", b"[{'")):
        return "not JSON: it is written as Python prints it, with single quotes: write it with json.dumps"
    if _HEADER.fullmatch(text[:_LONGEST_HEADER]):
        return f"not JSON: {_LOOKS_LIKE_A_HEADER}"
    if problem == "invalid character":
        problem = _describe_character(text, int(place))
    return f"not JSON: {_PLAINER.get(problem, problem)} at byte {place}"


def _describe_character(text: bytes, at: int) -> str:
    if text.startswith(codecs.BOM_UTF8, at):
        return "a byte-order mark, which may stand only where the file begins,"
    if b"" < text[at : at + 1] < b" ":
        return f"a control character that is not escaped (\\u{text[at]:04x})"
    number = _NO_NUMBER.match(text, at)
    return f"{number[0].decode()}, which is not JSON (null is)," if number else "invalid character"


def _may_be_too_deep(text: bytes) -> bool:
    return len(text) > 2 * MAX_DEPTH and text.count(b"[") + text.count(b"{") > MAX_DEPTH


def _depth(text: bytes) -> int:
    brackets = _TEXTS.sub(b"", text).translate(None, _NOT_BRACKETS)
    return max(accumulate(1 if bracket in b"[{" else -1 for bracket in brackets), default=0)


def _may_hold_a_large_number(text: bytes) -> bool:
    if len(text) > _PIECE or _may_hold_a_long_integer(text):  # decoding it would take a multiple of its size
        return True
    try:
        _anything.decode(text)
    except msgspec.ValidationError:  # "Number out of range"
        return True
    except RecursionError:
        raise too_deep() from None
    return False


def _may_hold_a_long_integer(text: bytes) -> bool:
    if not _DIGIT.search(text[::_LONG_INTEGER]):  # of so many digits in a row, one stands there
        return False
    return b"0" * _LONG_INTEGER in text.translate(_DIGITS_TO_ZEROS)


def _reject_large_numbers(text: bytes) -> None:
    for found in _LARGE_NUMBERS.finditer(text):
        if found["large"] and math.isinf(float(found["large"])):
            start, end = found.span("large")
            start -= text[start - 1 : start] == b"-"
            shown = cut(text[start : min(end, start + _PIECE)].decode(), _SHOWN_NUMBER)
            raise LineProblem(
                ErrorCode.INVALID_JSON, f"not JSON for every reader: the number {shown} at byte {start} is too large"
            )

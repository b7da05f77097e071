"""What is no JSON, in words for people; and what is, yet not for every reader of a request or of its result.

Anthropic's create carries all requests of a batch in one document: a line that its parser refuses would fail them all.
"""

import codecs
import math
import re

import msgspec

from batchdrop.protocols.rules import LineProblem
from batchdrop.results import ErrorCode

MAX_DEPTH = 500  # Python's own parser stopped at 1,000 for years, and a create nests a request three levels deeper
_PIECE = 1024 * 1024  # a character of a decoded text takes up to four bytes of memory
_TOKENS = re.compile(
    rb"""
      "[^"\\]*+(?:\\.[^"\\]*+)*+"
    | (?P<open>[\[{])
    | (?P<close>[\]}])
    | (?P<large>-?[0-9]++(?:\.[0-9]++)?[eE]\+?[0-9]{3,})
    """,
    re.VERBOSE | re.DOTALL,
)
_NO_NUMBER = re.compile(rb"-?(?:NaN|Infinity)")
_HALF_AT_THE_END = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}.{0,5}\Z", re.DOTALL)
_SURROGATE_TROUBLE = ("invalid utf-16 surrogate pair", "unexpected end of hex escape")
_HALF = "half of a surrogate pair (a character cut in two)"
_anything = msgspec.json.Decoder()
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def refuse_what_is_not_utf8(line: bytes) -> None:
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


def refuse_what_some_cannot_read(text: bytes) -> None:
    """Check what the grammar of JSON allows.

    Args:
        text: JSON, by its grammar.

    Raises:
        LineProblem: It is nested deeper than `MAX_DEPTH`, or holds a number like 1e400, which no double holds.
    """
    if not _may_be_too_deep(text) and not _may_hold_a_large_number(text):
        return
    depth = 0
    for token in _TOKENS.finditer(text):
        match token.lastgroup:
            case "open":
                depth += 1
                if depth > MAX_DEPTH:
                    raise too_deep()
            case "close":
                depth -= 1
            case "large" if math.isinf(float(token[0])):
                message = (
                    f"not JSON for every reader: the number {_shown(token[0])} at byte {token.start()} is too large"
                )
                raise LineProblem(ErrorCode.INVALID_JSON, message)


def reject_unportable_object(text: bytes) -> None:
    """Check a request's body that is not a piece of an input line which was checked.

    Raises:
        LineProblem: It is not one JSON object that every reader takes.
    """
    if not text.isascii():
        refuse_what_is_not_utf8(text)
    try:
        _object.decode(text)
    except RecursionError:
        raise too_deep() from None
    except msgspec.ValidationError:
        raise LineProblem(ErrorCode.NOT_A_REQUEST, "not a JSON object") from None
    except msgspec.DecodeError as error:
        raise LineProblem(ErrorCode.INVALID_JSON, what_is_wrong(text, error)) from None
    refuse_what_some_cannot_read(text)


def too_deep() -> LineProblem:
    return LineProblem(ErrorCode.TOO_DEEP, f"nested too deeply to be read: more than {MAX_DEPTH} levels")


def what_is_wrong(line: bytes, error: msgspec.DecodeError) -> str:
    """The parser's words, with the byte (from 0); plainer where the mistake is a known one."""
    said, _, place = str(error).removeprefix("JSON is malformed: ").partition(" (byte ")
    if not place:
        half = _HALF_AT_THE_END.search(line[-12:])
        return f"not JSON: {_HALF}" if half else "not JSON: it ends in the middle"
    at = int(place.rstrip(")"))
    if said in _SURROGATE_TROUBLE:
        said = _HALF
    elif said == "invalid character":
        said = _character(line, at)
    return f"not JSON: {said} at byte {at}"


def _character(line: bytes, at: int) -> str:
    if line.startswith(codecs.BOM_UTF8, at):
        return "a byte-order mark, which may stand only where the file begins,"
    if line[at] < ord(" "):
        return f"a control character that is not escaped (\\u{line[at]:04x})"
    number = _NO_NUMBER.match(line, at)
    return f"{number[0].decode()}, which is no JSON number (null is)," if number else "invalid character"


def _may_be_too_deep(text: bytes) -> bool:
    return len(text) > 2 * MAX_DEPTH and text.count(b"[") + text.count(b"{") > MAX_DEPTH


def _may_hold_a_large_number(text: bytes) -> bool:
    if len(text) > _PIECE:  # decoding it would take a multiple of its size
        return True
    try:
        _anything.decode(text)
    except msgspec.ValidationError:  # "Number out of range"
        return True
    except RecursionError:
        raise too_deep() from None
    return False


def _shown(number: bytes) -> str:
    return number.decode() if len(number) <= 20 else f"{number[:20].decode()}…"  # noqa: PLR2004 - enough to find it by

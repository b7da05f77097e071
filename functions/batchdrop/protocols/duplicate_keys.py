"""Keys that stand twice in one object, at any depth of a line: which of them a vendor takes is documented nowhere.

We would check and route by the last one; a vendor may read the first, and answer and charge what nobody asked for.
"""

import re

import msgspec

from batchdrop.protocols.request_checks import LineProblem
from batchdrop.result_line import ErrorCode
from batchdrop.texts import cut

_DECODED_BYTES = 1024 * 1024  # a longer line is scanned: decoded, it would take a multiple of its size
_SHOWN_BYTES = 60
_BLANKS = b" \t\r\n"
_TOKENS = re.compile(
    rb"""
      (?P<open>[\[{])
    | (?P<close>[\]}])
    | "(?P<text>[^"\\]*+(?:\\.[^"\\]*+)*+)"(?P<key>[ \t\r\n]*+:)?
    """,
    re.VERBOSE | re.DOTALL,
)
# ASCII as escapes: written again, a text that begins with a colon behind blanks, quotes or backslashes, each of which
# may be one, would count as a key.
_ASCII_ESCAPE = re.compile(rb"\\u00[0-7]")
_anything = msgspec.json.Decoder()
_string = msgspec.json.Decoder(str)


def reject_duplicate_keys(line: bytes) -> None:
    """Check a line of JSON.

    Raises:
        LineProblem: It names the key, and the byte where it comes again.
    """
    if len(line) > _DECODED_BYTES or not _reads_back(line):
        _scan(line)


def _reads_back(line: bytes) -> bool:
    """Whether the line is written again, from what is read of it, with as many keys: then none was lost in reading."""
    try:
        written = msgspec.json.encode(_anything.decode(line))
    except (msgspec.MsgspecError, OverflowError):  # a number that is sent as it is
        return False
    if written == line:
        return True
    line, written = line.translate(None, _BLANKS), written.translate(None, _BLANKS)
    return written == line or (_ASCII_ESCAPE.search(line) is None and _count_colons(written) == _count_colons(line))


def _count_colons(text: bytes) -> int:
    """Return how many colons follow a quote: those behind keys, and those that begin a text."""
    return text.replace(rb"\\", b"").replace(rb"\"", b"").count(b'":')


def _scan(line: bytes) -> None:
    nested: list[set[bytes]] = []
    for token in _TOKENS.finditer(line):
        match token.lastgroup:
            case "open":
                nested.append(set())
            case "close":
                nested.pop()
            case "key":
                _note(token, nested[-1])


def _note(token: re.Match[bytes], seen: set[bytes]) -> None:
    text = token["text"]
    name = text if b"\\" not in text else _string.decode(b'"%b"' % text).encode()
    if name in seen:
        shown = cut(name.decode(), _SHOWN_BYTES)
        message = f'not JSON for every reader: "{shown}" is there twice, the second time at byte {token.start()}'
        raise LineProblem(ErrorCode.INVALID_JSON, message)
    seen.add(name)

"""Pictures and documents in a request for Claude: rejects those that Anthropic would refuse once the batch has run.

Anthropic takes https addresses, and base64 of four kinds of pictures and of PDF. Nothing is decoded: megabytes of
base64 are looked through once.
"""

import re

import msgspec
from msgspec import Raw

from batchdrop.protocols.request_checks import NULL, LineProblem
from batchdrop.result_line import ErrorCode

IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})  # all that Anthropic takes
_TYPES = {"image": IMAGES, "document": frozenset({"application/pdf"})}  # of base64, by block
_NAMES = {"image": "image/jpeg, image/png, image/gif or image/webp", "document": "application/pdf"}
_HAS_SOURCE = re.compile(rb'"source"')
_DEPTH = 3  # a message's blocks, those of a tool's result in there, and one more
_SPACE = b" \t\r\n"
# Of both alphabets, and how JSON escapes a slash or a line end.
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=\\" + _SPACE


class _Holder(msgspec.Struct, gc=False):
    """A message or a content block."""

    type: str | None = None
    source: Raw = NULL
    content: Raw = NULL


class _Source(msgspec.Struct, gc=False):
    type: str | None = None
    media_type: str | None = None
    data: Raw = NULL
    url: str | None = None


_holders, _source = msgspec.json.Decoder(list[_Holder]), msgspec.json.Decoder(_Source)


def check_sources(messages: Raw) -> None:
    """Refuse what Anthropic takes in no picture or document of these messages, at any depth.

    Raises:
        LineProblem: It names the source, and what it must be.
    """
    if _HAS_SOURCE.search(memoryview(messages)):
        _check_all(messages, "messages", _DEPTH)


def _check_all(content: Raw, where: str, depth: int) -> None:
    try:
        holders = _holders.decode(content)
    except (msgspec.DecodeError, RecursionError):
        return  # the provider's to refuse
    for index, each in enumerate(holders):
        if each.source != NULL:
            check_source(each.source, f"{where}[{index}].source", each.type)
        if depth > 1 and bytes(memoryview(each.content)[:1]) == b"[":
            _check_all(each.content, f"{where}[{index}].content", depth - 1)


def check_source(raw: Raw, where: str, block: str | None) -> None:
    """Refuse the source of a block, of type `image` or `document`, that Anthropic does not take."""
    try:
        source = _source.decode(raw)
    except msgspec.DecodeError:
        return  # the provider's to refuse
    if source.type == "url" and source.url is not None and not source.url[:8].lower() == "https://":
        raise _invalid(f"{where}.url", "must begin with https:// for Claude")
    if source.type != "base64" or block not in _TYPES:
        return
    data = memoryview(source.data)
    if bytes(data[:6]) == b'"data:':
        raise _invalid(f"{where}.data", 'must be the base64 alone, without "data:<type>;base64,"')
    if source.media_type is not None and source.media_type not in _TYPES[block]:
        raise _invalid(f"{where}.media_type", f"must be {_NAMES[block]} for Claude")
    if bytes(data[:1]) == b'"':
        check_base64(bytes(data[1:-1]), f"{where}.data")


def check_base64(data: bytes, where: str) -> None:
    """Refuse base64 that no reader takes: none, with other characters, or cut behind the first character of four."""
    if not data:
        raise _invalid(where, "is empty")
    is_plain = not (b"\\" in data or any(space in data for space in (b" ", b"\t", b"\r", b"\n")))
    if data.translate(None, _BASE64) or (is_plain and len(data.rstrip(b"=")) % 4 == 1):
        raise _invalid(where, "is not base64")


def _invalid(where: str, why: str) -> LineProblem:
    return LineProblem(ErrorCode.INVALID_PARAMETER, f'"{where}" {why}')

"""Pictures, documents and sound inside a request: where they stand, and how large they are. Pure, and linear.

A part of a request holds them in base64: as a data URL (OpenAI's `image_url`, `input_image` and `file_data`), or bare
(its `input_audio`, Anthropic's `source`). They are recognised by their first bytes, as the vendors' servers do.
"""

import re
from binascii import Error, a2b_base64
from collections.abc import Iterator
from enum import Enum, auto

import msgspec
from msgspec import Raw

_HEAD = 64 * 1024  # characters: a JPEG's size stands behind its EXIF data
_PIECE = 256 * 1024  # characters; a multiple of four
_PART = re.compile(
    rb'"(?:url|image_url|data|file_data)"\s*+:\s*+"(?:data:([\w.+\\/-]{0,100}+)[^,"]{0,100}+,)?(?=[A-Za-z0-9+/\\]{16})'
)
_REFERENCE = re.compile(rb'"type"\s*+:\s*+"(?:image_url|input_image|image)"')
_LOW = re.compile(rb'"detail"\s*+:\s*+"low"')
_NEAR = 80  # bytes before and behind a picture in which its `detail` stands
_PAGE = re.compile(rb"/Type\s*+/Page(?![a-zA-Z])")
_PAGE_BYTES = 50_000  # of a PDF whose pages cannot be counted, since they are compressed
_PDF_OVERLAP = 64
_SOUND_BYTES = 8_000  # a second at 64 kbit/s: compressed speech is seldom less
_TEXTS = frozenset({"text", "input_text", "output_text", "refusal", "message", "thinking", "function_call"})
_SHORT = 1_000  # bytes: beyond, reading a request is faster than a search
_NOTHING = Raw(b"null")
_START_OF_FRAME = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_SOUNDS = (b"ID3", b"OggS", b"fLaC", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xf1", b"\xff\xf9")


class _Item(msgspec.Struct, gc=False):
    """A message, or a part of one."""

    type: str = "text"
    content: Raw = _NOTHING


class _Content(msgspec.Struct, gc=False):
    """Where a request may hold what is no text: messages, a list of inputs, the pictures of an edit or a film."""

    messages: list[_Item] = []
    input: Raw = _NOTHING
    images: Raw = _NOTHING
    input_reference: Raw = _NOTHING


_content = msgspec.json.Decoder(_Content)
_items = msgspec.json.Decoder(list[_Item])


class Kind(Enum):
    PICTURE = auto()
    DOCUMENT = auto()
    SOUND = auto()
    VIDEO = auto()


class Part(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A part of a request that is no text.

    Attributes:
        chars: What it takes of the request, in base64; 0 for a picture that is only referred to.
        size: A picture's width and height in pixels; None where they are not known.
        low: Whether a picture is asked for with little detail.
        amount: A document's pages, a sound's seconds.
    """

    kind: Kind
    chars: int = 0
    size: tuple[int, int] | None = None
    low: bool = False
    amount: int = 0


def find_parts(body: bytes) -> Iterator[Part]:
    """The parts of a request that are no text; one of texts alone is read once, and not searched."""
    if not _may_hold_parts(body):
        return
    pictures = at = 0
    while (found := _PART.search(body, at)) is not None:
        end = body.find(b'"', found.end())
        at = end if end >= 0 else len(body)
        part = _part(body, found, at)
        if part is not None:
            pictures += part.kind is Kind.PICTURE
            yield part
    for _ in range(len(_REFERENCE.findall(body)) - pictures):
        yield Part(kind=Kind.PICTURE)


def _may_hold_parts(body: bytes) -> bool:
    if len(body) < _SHORT and b'"type"' not in body and b"_url" not in body:
        return False
    try:
        read = _content.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return False
    is_of_pictures = read.images != _NOTHING or read.input_reference != _NOTHING
    return is_of_pictures or any(_is_mixed(each.content) for each in read.messages) or _is_mixed(read.input)


def _is_mixed(content: Raw, *, depth: int = 2) -> bool:
    """Return whether not all of a list are texts; a list of inputs holds messages, and these hold lists."""
    if not depth or bytes(memoryview(content)[:1]) != b"[":
        return False
    try:
        items = _items.decode(content)
    except (msgspec.DecodeError, RecursionError):
        return False
    return any(each.type not in _TEXTS or _is_mixed(each.content, depth=depth - 1) for each in items)


def _part(body: bytes, found: re.Match[bytes], end: int) -> Part | None:
    start, chars = found.end(), end - found.end()
    head = _decoded(body[start : min(start + _HEAD, end)])
    media_type = (found[1] or b"").replace(b"\\/", b"/")
    match _kind(head, media_type):
        case Kind.PICTURE:
            around = body[max(found.start() - _NEAR, 0) : found.start()].rpartition(b"{")[2]
            around += body[end : end + _NEAR].partition(b"}")[0]
            low = _LOW.search(around) is not None
            return Part(kind=Kind.PICTURE, chars=chars, size=picture_size(head), low=low)
        case Kind.DOCUMENT:
            return Part(kind=Kind.DOCUMENT, chars=chars, amount=_pages(body, start, end))
        case Kind.SOUND:
            return Part(kind=Kind.SOUND, chars=chars, amount=-(-chars * 3 // 4 // _bytes_per_second(head)))
        case Kind.VIDEO:
            return Part(kind=Kind.VIDEO, chars=chars)
        case None:
            return None


def _decoded(text: bytes) -> bytes:
    text = text.replace(b"\\/", b"/")  # as PHP and others escape it
    try:
        return a2b_base64(text[: len(text) // 4 * 4])
    except Error:
        return b""


def _kind(head: bytes, media_type: bytes) -> Kind | None:
    """Recognise it by the first bytes; the declared type counts where they tell nothing."""
    if head.startswith((b"\x89PNG", b"GIF8", b"\xff\xd8\xff")) or head[8:12] == b"WEBP":
        return Kind.PICTURE
    if head.startswith(b"%PDF"):
        return Kind.DOCUMENT
    if head.startswith(_SOUNDS) or head[8:12] == b"WAVE":
        return Kind.SOUND
    declared = {b"image": Kind.PICTURE, b"audio": Kind.SOUND, b"video": Kind.VIDEO}
    return declared.get(media_type.partition(b"/")[0])


def picture_size(head: bytes) -> tuple[int, int] | None:
    """Width and height in pixels, from the first bytes of a PNG, GIF, WebP or JPEG."""
    if head.startswith(b"\x89PNG"):
        size = int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
    elif head.startswith(b"GIF8"):
        size = int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    elif head[8:12] == b"WEBP":
        size = _webp_size(head)
    else:
        size = _jpeg_size(head)
    return size if all(size) else None


def _webp_size(head: bytes) -> tuple[int, int]:
    match head[12:16]:
        case b"VP8 ":
            return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
        case b"VP8L":
            bits = int.from_bytes(head[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    return 0, 0


def _jpeg_size(head: bytes) -> tuple[int, int]:
    at = 2
    while head[at : at + 1] == b"\xff" and at + 9 <= len(head):
        if head[at + 1] in _START_OF_FRAME:
            return int.from_bytes(head[at + 7 : at + 9]), int.from_bytes(head[at + 5 : at + 7])
        at += 2 + int.from_bytes(head[at + 2 : at + 4])
    return 0, 0


def _pages(body: bytes, start: int, end: int) -> int:
    """A PDF's pages; by its size where they are compressed."""
    pages, tail = 0, b""
    for at in range(start, end, _PIECE):
        piece = tail + _decoded(body[at : min(at + _PIECE, end)])
        matches = [found for found in _PAGE.finditer(piece) if found.end() > len(tail)]
        pages += len(matches)
        tail = piece[-_PDF_OVERLAP:]
    return pages or -(-(end - start) * 3 // 4 // _PAGE_BYTES)


def _bytes_per_second(head: bytes) -> int:
    return (int.from_bytes(head[28:32], "little") if head[8:12] == b"WAVE" else 0) or _SOUND_BYTES

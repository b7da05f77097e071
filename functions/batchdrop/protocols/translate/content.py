"""Translates a message's content into Claude's blocks: texts, images, PDFs and text files."""

from base64 import b64decode
from collections.abc import Callable
from typing import Any

from msgspec import Raw

from batchdrop.protocols.claude_images import IMAGES, check_base64, check_source
from batchdrop.protocols.translate.fields import Fields, invalid, is_text, members, objects, text, untranslatable

type Block = dict[str, Any]

_PDF = "application/pdf"
_LONGEST_HEAD = 1_000  # characters of a data URL before its data


def read_content(message: Fields, kinds: tuple[str, ...], own: frozenset[str] = frozenset()) -> list[Block]:
    """The blocks of a message's content. Blank texts say nothing, and Claude takes none: they are left out.

    Args:
        message: Its `content` is taken, and its `cache_control`, which becomes the last block's.
        kinds: OpenAI's types of parts that it may hold.
        own: Anthropic's types of blocks that it may hold; they are passed on.
    """
    where = message.path("content")
    content, cache_control = message.take("content"), message.take("cache_control")
    if content is None:
        return []
    found = [text_block(content, where)] if is_text(content) else _parts(content, where, kinds, own, message)
    blocks = [block for block in found if block is not None]
    if cache_control is not None and blocks:
        blocks[-1] |= {"cache_control": cache_control}
    return blocks


def text_block(raw: Raw, where: str) -> Block | None:
    return {"type": "text", "text": raw} if text(raw, where).strip() else None


def _parts(
    content: Raw, where: str, kinds: tuple[str, ...], own: frozenset[str], message: Fields
) -> list[Block | None]:
    blocks: list[Block | None] = []
    for part in objects(content, where, message.droppable):
        kind = part.text("type")
        if kind in own:
            block = dict(members(part.raw, part.where))
            if "source" in block:
                check_source(block["source"], part.path("source"), kind)
            blocks.append(block)
            continue
        if kind not in kinds:
            raise untranslatable(
                f'"{part.where}", a part of type "{str(kind)[:50]}",', f"here may be {', '.join(kinds)}"
            )
        made, extra = _PARTS[kind](part), part.take_all(_EXTRAS[kind])
        blocks.append(None if made is None else made | extra)
        part.close()
    return blocks


def _text_part(part: Fields) -> Block | None:
    return text_block(part.need("text"), part.path("text"))


def _refusal_part(part: Fields) -> Block | None:
    return text_block(part.need("refusal"), part.path("refusal"))


def _image_part(part: Fields) -> Block:
    image = part.object("image_url")
    where = image.path("url")
    url = text(image.need("url"), where)
    image.close()
    if url[:7].lower() == "http://":
        raise invalid(where, "must begin with https:// for Claude")
    if url[:8].lower() == "https://":
        return {"type": "image", "source": {"type": "url", "url": url}}
    if url[:5].lower() != "data:":
        raise invalid(where, 'must begin with https://, or be "data:<type>;base64,<data>", for Claude')
    kind, data = _data_url(url, where)
    if kind not in IMAGES:
        raise invalid(where, "must hold a JPEG, PNG, GIF or WebP image for Claude")
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}


def _file_part(part: Fields) -> Block:
    file = part.object("file")
    if file.take("file_id") is not None:
        raise untranslatable(f'"{file.path("file_id")}", a file at OpenAI,', 'write a PDF or a text into "file_data"')
    where = file.path("file_data")
    kind, data = _data_url(text(file.need("file_data"), where), where)
    title = file.text("filename")
    file.close()
    return {"type": "document", "source": _source(kind, data, where)} | ({"title": title} if title else {})


def _source(kind: str, data: str, where: str) -> Block:
    if kind == _PDF:
        return {"type": "base64", "media_type": _PDF, "data": data}
    if not kind.startswith("text/"):
        raise invalid(where, "must hold a PDF or a text for Claude")
    try:
        read = b64decode(data, validate=True).decode()
    except ValueError:
        raise invalid(where, "must hold a text in UTF-8, as base64") from None
    return {"type": "text", "media_type": "text/plain", "data": read}


def _data_url(url: str, where: str) -> tuple[str, str]:
    head, _, data = url.partition(",")
    head = head[:_LONGEST_HEAD].lower()
    if not head.startswith("data:") or not head.endswith(";base64"):
        raise invalid(where, 'must be "data:<type>;base64,<data>"')
    check_base64(data.encode(errors="replace"), where)
    kind = head.removeprefix("data:").partition(";")[0]
    return ("image/jpeg" if kind == "image/jpg" else kind), data


_PARTS: dict[str | None, Callable[[Fields], Block | None]] = {
    "text": _text_part,
    "refusal": _refusal_part,
    "image_url": _image_part,
    "file": _file_part,
}
_CACHED = ("cache_control",)
_EXTRAS: dict[str | None, tuple[str, ...]] = {  # what of Anthropic's own a part may have besides
    "text": (*_CACHED, "citations"),
    "refusal": _CACHED,
    "image_url": _CACHED,
    "file": (*_CACHED, "citations", "context"),
}

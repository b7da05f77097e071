"""What a message holds, as Claude's content blocks: texts, images and PDFs."""

from collections.abc import Callable
from typing import Any

from msgspec import Raw

from batchdrop.protocols.translate.fields import Fields, invalid, is_text, objects, text, untranslatable

type Block = dict[str, Any]

_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})  # all that Anthropic takes
_PDF = "application/pdf"


def read_content(message: Fields, kinds: tuple[str, ...]) -> list[Block]:
    """The blocks of a message's content. Blank texts say nothing, and Claude takes none: they are left out."""
    where = message.path("content")
    content = message.take("content")
    if content is None:
        return []
    found = [text_block(content, where)] if is_text(content) else _parts(content, where, kinds, message)
    return [block for block in found if block is not None]


def text_block(raw: Raw, where: str) -> Block | None:
    return {"type": "text", "text": raw} if text(raw, where).strip() else None


def _parts(content: Raw, where: str, kinds: tuple[str, ...], message: Fields) -> list[Block | None]:
    blocks = []
    for part in objects(content, where, message.droppable):
        kind = part.text("type")
        if kind not in kinds:
            raise untranslatable(
                f'"{part.where}", a part of type "{str(kind)[:50]}",', f"here may be {', '.join(kinds)}"
            )
        blocks.append(_PARTS[kind](part))
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
    if not url.startswith("data:"):
        return {"type": "image", "source": {"type": "url", "url": url}}
    kind, data = _data_url(url, where)
    if kind not in _IMAGES:
        raise invalid(where, "must hold a JPEG, PNG, GIF or WebP image for Claude")
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}


def _file_part(part: Fields) -> Block:
    file = part.object("file")
    if file.take("file_id") is not None:
        raise untranslatable(f'"{file.path("file_id")}", a file at OpenAI,', 'write a PDF into "file_data"')
    where = file.path("file_data")
    kind, data = _data_url(text(file.need("file_data"), where), where)
    if kind != _PDF:
        raise invalid(where, "must hold a PDF for Claude")
    title = file.text("filename")
    file.close()
    source = {"type": "base64", "media_type": _PDF, "data": data}
    return {"type": "document", "source": source} | ({"title": title} if title else {})


def _data_url(url: str, where: str) -> tuple[str, str]:
    head, _, data = url.partition(",")
    if not head.startswith("data:") or not head.endswith(";base64"):
        raise invalid(where, 'must be "data:<type>;base64,<data>"')
    kind = head.removeprefix("data:").partition(";")[0].lower()
    return ("image/jpeg" if kind == "image/jpg" else kind), data


_PARTS: dict[str | None, Callable[[Fields], Block | None]] = {
    "text": _text_part,
    "refusal": _refusal_part,
    "image_url": _image_part,
    "file": _file_part,
}

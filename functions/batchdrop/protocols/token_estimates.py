"""Estimates of prompt tokens: text by its bytes; pictures, documents and sound by the vendors' published rules. Pure.

They are on the safe side, and admission corrects them by what comes back.
"""

import math
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import NamedTuple

import msgspec

from batchdrop.protocols.media import Kind, Part, find_parts

_BYTES_OF_TWO_TOKENS = 7  # of text
_PAGE_TOKENS = 3_000  # of a PDF's text (Anthropic: 1,500 to 3,000 a page); its picture comes on top, with both vendors
_SOUND_TOKENS = 10  # a second (OpenAI: one for each 100 ms)
_VIDEO_BYTES = 1_000  # to a token; no vendor of batches takes video, other servers' rules differ
_CLAUDE_PIXELS = 750  # to a token (Anthropic's page on vision)
_CLAUDE_MOST = 4_784  # of one picture: 1,600 for most models, this for those of high resolution
_LOW_PATCHES = 256  # a picture of little detail is one of 512 by 512 pixels
_MODELS = 1_000  # whose rules are remembered


class Media(NamedTuple):
    """The media of a request: their bytes in it, and their estimated tokens."""

    bytes: int
    tokens: int


NO_MEDIA = Media(0, 0)


class _Tiles(msgspec.Struct, frozen=True):
    """A picture is made to fit 2,048 pixels, its short side 768; it costs `base`, and `tile` for each 512 by 512."""

    base: int
    tile: int

    def tokens(self, size: tuple[int, int] | None, *, low: bool) -> int:
        if low:
            return self.base
        short, long = sorted(size or (768, 2048))
        scale = min(1, 2048 / long, 768 / short)
        return self.base + self.tile * math.ceil(short * scale / 512) * math.ceil(long * scale / 512)


class _Patches(msgspec.Struct, frozen=True):
    """A picture costs `factor` for each 32 by 32 pixels, up to `most` of these."""

    most: int
    factor: float

    def tokens(self, size: tuple[int, int] | None, *, low: bool) -> int:
        patches = self.most if size is None else math.ceil(size[0] / 32) * math.ceil(size[1] / 32)
        return math.ceil(min(patches, _LOW_PATCHES if low else self.most) * self.factor)


# OpenAI's page on images and vision, as of 2026; the first pattern that fits.
_USUAL = _Tiles(85, 170)
_PICTURES: tuple[tuple[str, _Tiles | _Patches], ...] = (
    ("gpt-4o-mini*", _Tiles(2833, 5667)),
    ("gpt-4.1-mini*", _Patches(1_536, 1.62)),
    ("gpt-4.1-nano*", _Patches(1_536, 2.46)),
    ("gpt-5-mini*", _Patches(1_536, 1.62)),
    ("gpt-5-nano*", _Patches(1_536, 2.46)),
    ("o4-mini*", _Patches(1_536, 1.72)),
    ("gpt-5.[4-9]*", _Patches(2_500, 1.2)),
    ("gpt-[6-9]*", _Patches(2_500, 1.2)),
    ("gpt-5*", _Tiles(70, 140)),
    ("o[13]*", _Tiles(75, 150)),
    ("computer-use-preview*", _Tiles(65, 129)),
)


def tokens_of(size: int) -> int:
    """The estimated prompt tokens of so many bytes of text."""
    return -(-2 * size // _BYTES_OF_TWO_TOKENS)


def tokens_of_each(sizes: Iterable[int]) -> list[int]:
    """The same of several texts."""
    return [-(-2 * size // _BYTES_OF_TWO_TOKENS) for size in sizes]  # a call for each would take twice as long


def measure_media(body: bytes, model: str | None) -> Media:
    """Measure the media of a request. `model` is OpenAI's, or another server's of its protocol; None for Claude."""
    size = tokens = 0
    for part in find_parts(body):
        size += part.chars
        tokens += _tokens(part, model)
    return Media(size, tokens) if tokens else NO_MEDIA


def measure_kinds(body: bytes, model: str | None) -> Iterator[tuple[Kind, int]]:
    """Each part of a request that is no text: its kind, and the tokens that it is taken for."""
    for part in find_parts(body):
        yield part.kind, _tokens(part, model)


def _tokens(part: Part, model: str | None) -> int:
    match part.kind:
        case Kind.PICTURE:
            return _picture(part, model)
        case Kind.DOCUMENT:
            return part.amount * (_PAGE_TOKENS + _picture(part, model))
        case Kind.SOUND:
            return part.amount * _SOUND_TOKENS
        case Kind.VIDEO:
            return -(-part.chars * 3 // 4 // _VIDEO_BYTES)


def _picture(part: Part, model: str | None) -> int:
    if model is not None:
        return _rule(model).tokens(part.size, low=part.low)
    if part.size is None:
        return _CLAUDE_MOST
    return min(-(-part.size[0] * part.size[1] // _CLAUDE_PIXELS), _CLAUDE_MOST)


def counts_alike(model: str, other: str) -> bool:
    """Return whether two models of a provider take the same picture for as many tokens. Claude's all do."""
    return _rule(model) == _rule(other)


@lru_cache(_MODELS)
def _rule(model: str) -> _Tiles | _Patches:
    return next((rule for pattern, rule in _PICTURES if fnmatchcase(model, pattern)), _USUAL)

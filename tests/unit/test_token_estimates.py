"""Prompt tokens before anything is known of how they count: a picture in base64 is a picture, not so much text."""

import json
import struct
import time
import zlib
from base64 import b64encode
from typing import Any

import pytest
from batchdrop.batches.packing import Group, Packer
from batchdrop.protocols.media import picture_size
from batchdrop.protocols.token_estimates import NO_MEDIA, Media, measure_media, tokens_of
from batchdrop.providers.config import Providers
from hypothesis import given
from hypothesis import strategies as st

FILLING = bytes(range(256)) * 3_000  # 768 kB


def png(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + crc + FILLING


def jpeg(width: int, height: int, *, exif: int = 30_000) -> bytes:
    app = b"\xff\xe1" + struct.pack(">H", exif + 2) + bytes(exif)
    tables = b"\xff\xdb" + struct.pack(">H", 67) + bytes(65) + b"\xff\xc4" + struct.pack(">H", 5) + bytes(3)
    frame = b"\xff\xc2" + struct.pack(">HBHH", 17, 8, height, width) + bytes(10)
    return b"\xff\xd8" + app + tables + frame + FILLING


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + FILLING


def webp(width: int, height: int, kind: bytes) -> bytes:
    sizes = {
        b"VP8 ": bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", width, height),
        b"VP8L": b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14),
        b"VP8X": bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"),
    }
    return b"RIFF\0\0\0\0WEBP" + kind + b"\0\0\0\0" + sizes[kind] + FILLING


def pdf(pages: int) -> bytes:
    page = b"1 0 obj\n<< /Type /Page /Parent 2 0 R >>\nendobj\n" + bytes(20_000)
    return b"%PDF-1.7\n2 0 obj\n<</Type/Pages /Count 9>>\n" + page * pages


def wav(seconds: int) -> bytes:
    rate = 32_000
    return b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + struct.pack("<HHIIHH", 1, 1, 16_000, rate, 2, 16) + bytes(seconds * rate)


def base64(data: bytes) -> str:
    return b64encode(data).decode()


def url(data: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64(data)}"


def chat_image(data: bytes, **more: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url(data)} | more}


def body(*parts: dict[str, Any], **more: object) -> bytes:
    content = [{"type": "text", "text": "What is it?"}, *parts]
    return json.dumps({"model": "x", "messages": [{"role": "user", "content": content}]} | more).encode()


PICTURE = png(1024, 1024)
TEXT = 400  # bytes of a body here that are text, at most
# Part, model, tokens beside the text. The numbers of OpenAI's pictures are its documentation's own examples.
PARTS: dict[str, tuple[dict[str, Any], str | None, int]] = {
    "chat, 1,024 by 1,024": (chat_image(PICTURE), "gpt-4o", 765),
    "chat, 2,048 by 4,096": (chat_image(jpeg(2_048, 4_096)), "gpt-4o-2024-11-20", 1_105),
    "chat, little detail": (chat_image(jpeg(4_096, 8_192), detail="low"), "gpt-4.1", 85),
    "chat, its detail before": (
        {"type": "image_url", "image_url": {"detail": "low", "url": url(PICTURE)}},
        "gpt-4o",
        85,
    ),
    "responses": ({"type": "input_image", "image_url": url(PICTURE), "detail": "low"}, "gpt-5", 70),
    "a GIF": (chat_image(gif(100, 100)), "o1", 225),
    "WebP, lossy": (chat_image(webp(1_024, 1_024, b"VP8 ")), "gpt-4o", 765),
    "WebP, lossless": (chat_image(webp(1_024, 1_024, b"VP8L")), "gpt-4o", 765),
    "WebP, extended": (chat_image(webp(1_024, 1_024, b"VP8X")), "gpt-4o", 765),
    "by patches": (chat_image(PICTURE), "gpt-4.1-mini", 1_659),
    "by patches, as many as are taken": (chat_image(png(5_000, 5_000)), "o4-mini", 2_642),
    "by patches, little detail": (chat_image(png(5_000, 5_000), detail="low"), "gpt-5-nano", 630),
    "a small model's": (chat_image(PICTURE), "gpt-4o-mini", 25_501),
    "another server's": (chat_image(PICTURE), "llava-1.6", 765),
    "of no known size": ({"type": "image_url", "image_url": {"url": url(FILLING, "image/avif")}}, "gpt-4o", 1_445),
    "by its address": ({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}, "gpt-4o", 1_445),
    "by its file": ({"type": "input_image", "file_id": "file-1"}, "gpt-4o", 1_445),
    "Claude": (
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": base64(PICTURE)}},
        None,
        1_399,
    ),
    "Claude, large": (
        {"type": "image", "source": {"data": base64(jpeg(8_000, 8_000)), "type": "base64"}},
        None,
        4_784,
    ),
    "Claude, a document": (
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": base64(pdf(3))}},
        None,
        3 * (3_000 + 4_784),
    ),
    "chat, a document": (
        {"type": "file", "file": {"filename": "a.pdf", "file_data": url(pdf(30), "application/pdf")}},
        "gpt-4o",
        30 * (3_000 + 1_445),
    ),
    "responses, a document without its address": (
        {"type": "input_file", "filename": "a.pdf", "file_data": base64(pdf(2))},
        "gpt-4o",
        2 * (3_000 + 1_445),
    ),
    "a document whose pages are compressed": (
        {"type": "input_file", "file_data": url(b"%PDF-1.7\n" + FILLING, "application/pdf")},
        "gpt-4o",
        16 * (3_000 + 1_445),
    ),
    "sound": ({"type": "input_audio", "input_audio": {"data": base64(wav(60)), "format": "wav"}}, "gpt-audio", 610),
    "compressed sound": (
        {"type": "input_audio", "input_audio": {"data": base64(b"ID3" + bytes(79_997)), "format": "mp3"}},
        "gpt-audio",
        110,
    ),
    "a film, on servers that take it": (
        {"type": "video_url", "video_url": {"url": url(FILLING, "video/mp4")}},
        "qwen-vl",
        768,
    ),
}


@pytest.mark.parametrize("escaped", [False, True], ids=["plain", "with \\/"])
@pytest.mark.parametrize("name", PARTS)
def test_what_is_no_text_is_estimated_by_its_kind(name: str, escaped: bool) -> None:  # noqa: FBT001 - parametrised
    part, model, tokens = PARTS[name]
    line = body(part)
    if escaped:
        line = line.replace(b"/", b"\\/")
    media = measure_media(line, model)
    assert tokens <= media.tokens <= tokens * (1.1 if escaped else 1)
    assert len(line) - media.bytes < TEXT


def test_pictures_of_one_request_add_up() -> None:
    line = body(chat_image(PICTURE), chat_image(PICTURE, detail="low"), chat_image(jpeg(1_024, 1_024)))
    assert measure_media(line, "gpt-4o").tokens == 765 + 85 + 765


@pytest.mark.parametrize(
    "text",
    [
        body(),
        body({"type": "text", "text": "see data:image/png;base64," + base64(PICTURE)}),
        body({"type": "text", "text": url(PICTURE)}),
        body({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x" * 5_000}}),
        body(encoding_format="base64", input="image", data="of an image, in base64: iVBORw0KGgo"),
        b'{"url": "data:image/png;base64,iVBORw0KGgoAAAAN',
    ],
    ids=lambda text: repr(text)[-20:],
)
def test_text_is_text_whatever_it_speaks_of(text: bytes) -> None:
    media = measure_media(text, "gpt-4o")
    assert media == NO_MEDIA or media.bytes < TEXT


def test_a_thousand_pictures_of_a_megabyte_fill_batches_by_their_bytes_not_by_tokens_of_text(
    providers: Providers,
) -> None:
    packer, group = Packer(providers), Group(provider="openai", endpoint="/v1/chat/completions", model="gpt-4o")
    line = body(chat_image(PICTURE))
    media = measure_media(line, "gpt-4o")
    bins = [packer.fit(group, len(line), 0, media)[0] for _ in range(1_000)]
    fit = providers["openai"].limits.bytes_per_batch // len(line)
    assert (bins[-1].number, bins[0].tokens // bins[0].requests) == (
        1_000 // fit,
        765 + tokens_of(len(line) - media.bytes + 120),  # and the envelope
    )


@given(st.binary(max_size=200))
def test_no_header_stops_an_estimate(header: bytes) -> None:
    for begin in (b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP", b"RIFF\0\0\0\0WAVE", b"%PDF", b""):
        part = {"type": "image_url", "image_url": {"url": url(begin + header, "image/x")}}
        assert measure_media(body(part), "gpt-4o").tokens >= 0
        assert picture_size(begin + header) != (0, 0)


def test_an_estimate_takes_time_by_the_length_alone() -> None:
    for line in (
        b'"data":"' * 400_000 + b"base64",
        b'"url":"data:' * 300_000 + b"base64",
        b'{"url":"data:image/jpeg;base64,' + base64(b"\xff\xd8" + b"\xff\xe0\x00\x02" * 600_000).encode() + b'"}',
    ):
        began = time.perf_counter()
        measure_media(line, "gpt-4o")
        assert time.perf_counter() - began < 5  # seconds, on a busy machine; a square would take hours


def in_a_tool_result(part: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "t", "content": [part]}


PLACES: dict[str, dict[str, Any]] = {
    "a tool's result": {"messages": [{"role": "user", "content": [in_a_tool_result(chat_image(PICTURE))]}]},
    "a list of inputs": {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": url(PICTURE)}]}]},
    "an input": {"input": [chat_image(PICTURE)]},
    "an edit": {"prompt": "x", "images": [{"image_url": url(PICTURE)}]},
    "a film": {"prompt": "x", "input_reference": {"image_url": url(PICTURE)}},
}


@pytest.mark.parametrize("place", PLACES)
def test_a_picture_is_found_wherever_a_request_may_hold_one(place: str) -> None:
    assert measure_media(json.dumps(PLACES[place]).encode(), "gpt-4o").tokens == 765


def test_a_request_without_media_costs_a_look_only() -> None:
    assert measure_media(body(), "gpt-4o") is NO_MEDIA
    assert Media(0, 0) == NO_MEDIA

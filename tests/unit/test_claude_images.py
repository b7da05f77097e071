"""Pictures and documents that Anthropic is sure to refuse are refused by their line, in Claude's form and in chat's."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from batchdrop.inputs.request_lines import LineError, LineReader, Request
from batchdrop.providers.config import load_providers

from local_cloud import PROVIDERS_FILE

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
MODEL = {"model": "claude-haiku-4-5", "max_tokens": 5}
READER = LineReader(load_providers(PROVIDERS_FILE))


def read(line: dict[str, Any]) -> str | None:
    """Why a line is refused; None where it is sent."""
    found = READER.read(json.dumps(line).encode())
    if isinstance(found, Request):
        return None
    assert isinstance(found, LineError)
    assert found.code == "invalid_parameter"
    return found.message


def chat(part: dict[str, Any]) -> dict[str, Any]:
    return {"url": "/v1/chat/completions", "body": MODEL | {"messages": [{"role": "user", "content": [part]}]}}


def native(block: dict[str, Any]) -> dict[str, Any]:
    return {"params": MODEL | {"messages": [{"role": "user", "content": [block]}]}}


URL = '"messages[0].content[0].image_url.url"'
NO_URL = f'{URL} must begin with https://, or be "data:<type>;base64,<data>", for Claude'


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://example.org/a.png", None),
        ("HTTPS://example.org/a.png", None),
        (f"data:image/png;base64,{PNG}", None),
        (f"DATA:image/png;base64,{PNG}", None),
        (f"data:image/jpg;base64,{PNG}", None),  # sent as image/jpeg
        ("http://example.org/a.png", f"{URL} must begin with https:// for Claude"),
        ("/home/me/a.png", NO_URL),
        ("file:///home/me/a.png", NO_URL),
        ("", NO_URL),
        (PNG, NO_URL),
        ("data:image/png;base64,", f"{URL} is empty"),
        ("data:image/png;base64,!!!notbase64", f"{URL} is not base64"),
        ("data:image/png;base64,QUJDR", f"{URL} is not base64"),
        ("data:image/png;base64,QUJ\u00e9", f"{URL} is not base64"),
        ("data:image/png,QUJD", f'{URL} must be "data:<type>;base64,<data>"'),
        (f"data:image/bmp;base64,{PNG}", f"{URL} must hold a JPEG, PNG, GIF or WebP image for Claude"),
    ],
)
def test_a_picture_of_a_chat_line_that_claude_cannot_take_is_refused(url: str, why: str | None) -> None:
    assert read(chat({"type": "image_url", "image_url": {"url": url}})) == why


SOURCE = "messages[0].content[0].source"


@pytest.mark.parametrize("form", [native, chat])
@pytest.mark.parametrize(
    ("kind", "source", "why"),
    [
        ("image", {"type": "base64", "media_type": "image/webp", "data": PNG}, None),
        ("image", {"type": "url", "url": "https://example.org/a.png"}, None),
        ("image", {"type": "file", "file_id": "file_1"}, None),
        ("document", {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}, None),
        ("document", {"type": "text", "media_type": "text/plain", "data": "not base64!"}, None),
        (
            "image",
            {"type": "base64", "media_type": "image/png", "data": f"data:image/png;base64,{PNG}"},
            f'"{SOURCE}.data" must be the base64 alone, without "data:<type>;base64,"',
        ),
        (
            "image",
            {"type": "base64", "media_type": "image/jpg", "data": PNG},
            f'"{SOURCE}.media_type" must be image/jpeg, image/png, image/gif or image/webp for Claude',
        ),
        (
            "document",
            {"type": "base64", "media_type": "image/png", "data": PNG},
            f'"{SOURCE}.media_type" must be application/pdf for Claude',
        ),
        ("image", {"type": "base64", "media_type": "image/png", "data": ""}, f'"{SOURCE}.data" is empty'),
        ("image", {"type": "base64", "media_type": "image/png", "data": "a.png?"}, f'"{SOURCE}.data" is not base64'),
        ("image", {"type": "url", "url": "/home/me/a.png"}, f'"{SOURCE}.url" must begin with https:// for Claude'),
        ("image", {"type": "url", "url": "http://a.png"}, f'"{SOURCE}.url" must begin with https:// for Claude'),
    ],
)
def test_a_block_of_claudes_own_that_it_cannot_take_is_refused(
    form: Callable[[dict[str, Any]], dict[str, Any]],
    kind: str,
    source: dict[str, Any],
    why: str | None,
) -> None:
    assert read(form({"type": kind, "source": source})) == why


def test_a_picture_in_a_tools_result_is_looked_at() -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ""}}
    block = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "a"}, picture]}
    assert read(native(block)) == '"messages[0].content[0].content[1].source.data" is empty'


@pytest.mark.parametrize("data", ["QUJD\nQUJD", "QUI", "Q-_D", "QUJD ", "QU==", PNG * 10])
def test_base64_that_some_reader_takes_is_the_providers_to_judge(data: str) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": data}
    assert read(native({"type": "image", "source": source})) is None
    assert read(chat({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}})) is None


def test_a_slash_that_is_escaped_is_base64() -> None:
    source = b'{"type":"base64","media_type":"image\\/png","data":"QUJD\\/w=="}'
    line = json.dumps(native({"type": "image", "source": 1})).encode().replace(b"1}", source + b"}", 1)
    assert isinstance(READER.read(line), Request)


@pytest.mark.parametrize("source", [None, 1, "a", [], {"type": 1}, {"type": "base64", "media_type": 5}])
def test_what_is_no_source_at_all_is_the_providers_to_refuse(source: object) -> None:
    assert read(native({"type": "image", "source": source})) is None

"""The files that are measured: lines of chats, in the native form of each provider."""

from collections.abc import Iterator
from pathlib import Path

WORDS = (
    "the answer to every question that was ever asked lies in a bucket, line by line, in the order of the questions "
)
CHAT = 360  # bytes of a line of chat: 100,000 are 36 MB
_FORMS = {
    "openai": (
        b'{"custom_id":"r-%08d","method":"POST","url":"/v1/chat/completions","body":{"model":"gpt-4o-mini","messages":'
        b'[{"role":"system","content":"You answer in one sentence."},{"role":"user","content":"%08d %b"}]}}\n'
    ),
    "anthropic": (
        b'{"custom_id":"r-%08d","params":{"model":"claude-haiku-4-5","max_tokens":64,"system":'
        b'"You answer in one sentence.","messages":[{"role":"user","content":"%08d %b"}]}}\n'
    ),
}


def chat_lines(count: int, *providers: str, size: int = CHAT) -> Iterator[bytes]:
    """Lines of exactly `size` bytes, no two the same; the providers take turns."""
    forms = [_FORMS[name] for name in providers]
    texts = [(WORDS * (size // len(WORDS) + 1))[: size - len(form % (0, 0, b""))].encode() for form in forms]
    for number in range(count):
        turn = number % len(forms)
        yield forms[turn] % (number, number, texts[turn])


def write_chats(path: Path, count: int, *providers: str, size: int = CHAT) -> Path:
    with path.open("wb", buffering=1024 * 1024) as file:
        file.writelines(chat_lines(count, *providers, size=size))
    return path

"""Finds what Anthropic's prompt cache can keep of the requests of a batch, and marks it. Pure.

A prompt is tools, then system, then messages, each in blocks; a marker on a block asks the provider to keep all up to
it. The longest prefix that a model's requests have in common is marked at its last block that may have a marker:
https://platform.claude.com/docs/en/build-with-claude/prompt-caching, as of 2026-11-27.
"""

from collections.abc import Iterator
from contextlib import suppress
from itertools import takewhile
from typing import Literal, NamedTuple

import msgspec
from msgspec import UNSET, Raw, UnsetType

from batchdrop.protocols.claude_models import short_name
from batchdrop.protocols.token_estimates import tokens_of

MARKER = Raw(b'{"type":"ephemeral","ttl":"1h"}')
MOST_ADDED = 90  # bytes: the marker with its name, and what makes a block of a text
_OWN_MARKER = b'"cache_control"'
_MOST_BYTES, _MOST_MODELS = 4 * 1024 * 1024, 8  # of prefixes in memory: a million tokens, of each of some models
_MOST_BLOCKS = 10_000  # of a request: each takes some hundred bytes, however small it is
_LEAST_REQUESTS = 3  # writing for an hour costs a token more, reading saves 0.9 of one: below, it cannot pay
# Tokens that a prefix has at least ("Cache limitations"). A shorter one is sent as if it had no marker, at no price: so
# a model that is not listed takes the least that any has.
LEAST_TOKENS = {
    **dict.fromkeys(("opus-4-5", "opus-4-6", "haiku-4-5"), 4096),
    **dict.fromkeys(("haiku-3", "haiku-3-5", "opus-4-7", "mythos-preview"), 2048),
    **dict.fromkeys(("sonnet-3-7", "sonnet-4", "sonnet-4-0", "opus-4", "opus-4-0", "opus-4-1"), 1024),
    **dict.fromkeys(("sonnet-4-5", "sonnet-4-6", "sonnet-5", "opus-4-8"), 1024),
}
_LEAST_OF_ANY = 512
_MARKED = frozenset({"text", "image", "document", "tool_use", "tool_result"})

type _Where = Literal["tools", "system", "messages"]


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    role: str
    content: Raw


class _Body(msgspec.Struct):
    model: str
    tools: list[Raw] | UnsetType = UNSET
    system: Raw | UnsetType = UNSET
    messages: list[Raw] = []


class _AnyBlock(msgspec.Struct, gc=False):
    """Nothing of a block, so that very many can be counted."""


class _CountedMessage(msgspec.Struct, gc=False):
    content: str | list[_AnyBlock]


class _Counted(msgspec.Struct):
    tools: list[_AnyBlock] | None = None
    system: str | list[_AnyBlock] | None = None
    messages: list[_CountedMessage] = []


class _Part(msgspec.Struct):
    type: str = "custom"
    text: str | None = None
    input_schema: Raw | UnsetType = UNSET
    defer_loading: bool = False


class Block(NamedTuple):
    """A block of a prompt. `at` is its place among tools or blocks of system, or its message's; `part` its own there.

    Where a text stands for a list of blocks, `part` is None.
    """

    where: _Where
    at: int
    part: int | None
    role: str
    text: bytes


_body = msgspec.json.Decoder(_Body)
_counted = msgspec.json.Decoder(_Counted)
_message = msgspec.json.Decoder(_Message)
_parts = msgspec.json.Decoder(list[Raw])
_part = msgspec.json.Decoder(_Part)
_string = msgspec.json.Decoder(str)
_fields = msgspec.json.Decoder(dict[str, Raw])
_encode = msgspec.json.encode


class CommonPrefixes:
    """Reads the requests of a batch, one by one, for what those to each model have in common."""

    def __init__(self) -> None:
        self._prefixes: dict[str, list[Block]] = {}
        self._counts: dict[str, int] = {}

    def read(self, body: bytes) -> None:
        """Read a request's body."""
        read = _read(body)
        if read is None:
            return
        known = self._prefixes.get(read.model)
        if known is None:
            if len(self._prefixes) == _MOST_MODELS:
                return
            self._prefixes[read.model], self._counts[read.model] = list(_within(_blocks(read), _MOST_BYTES)), 1
            return
        self._counts[read.model] += 1
        if known:
            same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(known, _blocks(read), strict=False)))
            del known[same:]

    def marks(self) -> dict[str, Block]:
        """The block to be marked, by model; none where it would not be kept."""
        found = {}
        for model, prefix in self._prefixes.items():
            while prefix and not _may_be_marked(prefix[-1]):
                prefix.pop()
            tokens = tokens_of(sum(len(block.text) for block in prefix))
            if self._counts[model] >= _LEAST_REQUESTS and tokens >= LEAST_TOKENS.get(short_name(model), _LEAST_OF_ANY):
                found[model] = prefix[-1]
        return found


def marked(body: bytes, marks: dict[str, Block]) -> bytes:
    """A request with a marker on its model's block; as it is, where it has none, or a marker of its own."""
    read = _read(body)
    block = None if read is None else marks.get(read.model)
    if block is None:
        return body
    fields = _fields.decode(body)
    fields[block.where] = _marked_field(fields[block.where], block)
    return _encode(fields)


def _read(body: bytes) -> _Body | None:
    """A request that may be marked: not one that has a marker of its own, or takes much memory in blocks."""
    if len(body) > _MOST_BYTES or _OWN_MARKER in body:
        return None
    try:
        return None if _has_too_many_blocks(body) else _body.decode(body)
    except (msgspec.DecodeError, RecursionError):  # the provider says what is wrong with it
        return None


def _has_too_many_blocks(body: bytes) -> bool:
    if body.count(b",") < _MOST_BLOCKS:  # one stands between two blocks
        return False
    found = _counted.decode(body)
    lists = [found.tools, found.system, found.messages, *(each.content for each in found.messages)]
    return sum(len(each) for each in lists if isinstance(each, list)) > _MOST_BLOCKS


def _marked_field(value: Raw, block: Block) -> Raw:
    if block.where != "messages":
        return _marked_list(value, block.part)
    messages = _parts.decode(value)
    message = _fields.decode(messages[block.at])
    message["content"] = _marked_list(message["content"], block.part)
    messages[block.at] = Raw(_encode(message))
    return Raw(_encode(messages))


def _marked_list(value: Raw, part: int | None) -> Raw:
    """A list of blocks with a marker on one; a text becomes the one block that it stands for."""
    if part is None:
        return Raw(_encode([{"type": "text", "text": value, "cache_control": MARKER}]))
    parts = _parts.decode(value)
    parts[part] = Raw(_encode(_fields.decode(parts[part]) | {"cache_control": MARKER}))
    return Raw(_encode(parts))


def _blocks(read: _Body) -> Iterator[Block]:
    """The blocks of a prompt in their order; they end where something is not known to be one."""
    for at, tool in enumerate(read.tools or ()):
        yield Block("tools", at, at, "", bytes(tool))
    with suppress(msgspec.DecodeError):
        if read.system is not UNSET:
            yield from _blocks_of("system", 0, "", read.system)
        for at, each in enumerate(read.messages):
            message = _message.decode(each)
            yield from _blocks_of("messages", at, message.role, message.content)


def _blocks_of(where: _Where, at: int, role: str, value: Raw) -> Iterator[Block]:
    if bytes(memoryview(value)[:1]) == b'"':
        yield Block(where, at, None, role, bytes(value))
        return
    for part, each in enumerate(_parts.decode(value)):
        yield Block(where, at, part, role, bytes(each))


def _within(blocks: Iterator[Block], most: int) -> Iterator[Block]:
    for block in blocks:
        most -= len(block.text)
        if most < 0:
            return
        yield block


def _may_be_marked(block: Block) -> bool:
    """Return whether the provider takes a marker there: not in what is empty, thought, or loaded later."""
    if block.part is None:
        return bool(_string.decode(block.text).strip())
    try:
        part = _part.decode(block.text)
    except msgspec.DecodeError:
        return False
    if block.where == "tools":
        return part.input_schema is not UNSET and not part.defer_loading
    return part.type in _MARKED and (part.type != "text" or bool((part.text or "").strip()))

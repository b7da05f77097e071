"""What the requests of a file come to: tokens as far as they can be told before anything is sent.

Counts of parts of a file add up to those of the file. Pure, and of constant size for each provider, model and endpoint.
"""

import re
from collections import Counter
from typing import Literal, NamedTuple

import msgspec

from batchdrop.inputs.request_lines import Request
from batchdrop.protocols import anthropic, openai
from batchdrop.protocols.output_limits import output_limit
from batchdrop.protocols.token_estimates import Media, measure_kinds, tokens_of

type Route = tuple[str, str, str]  # provider, model as written, endpoint

# Input tokens beyond which a request may cost more per token: the lowest such number in both vendors' prices (Claude
# Haiku 5.5). A test holds it to the price list.
LONG_TOKENS = 100_000
_LEAST_SHARE = 4  # the ledgers' bound, too: no estimate was ever found to be more than four times too high
_HOUR = re.compile(rb'"ttl"\s*+:\s*+"1h"')
# An unescaped quote stands at both ends, so that none of these is found inside a prompt.
_EARLIER = (b'"previous_response_id"', b'"conversation"')
_STORED_PROMPT = re.compile(rb'"prompt"\s*+:\s*+\{\s*+"(?:id|version|variables)"')
_FILES = (b'"file_id"', b'"file_url"')
_URL_DOCUMENT = (b'"document"', b'"url"')
_SERVER_TOOLS = (b"search", b"code_", b"web_fetch", b"mcp")
_SERVER_TOOL = re.compile(
    rb'"type"\s*+:\s*+"(?:web_search|file_search|web_fetch|code_interpreter|code_execution|mcp)\w*+"'
)


type CacheWrites = Literal["none", "minutes", "hour"]  # what a request may write to a cache, which some charge for


class LoadKind(NamedTuple):
    """What a price depends on beside the model."""

    is_long: bool
    cache_writes: CacheWrites


_KINDS = {
    (is_long, writes): LoadKind(is_long, writes) for is_long in (False, True) for writes in ("none", "minutes", "hour")
}


class Load(msgspec.Struct, kw_only=True):
    """Sums over requests: the estimated input tokens, and the most output tokens that they allow."""

    input_tokens: int = 0
    output_tokens: int = 0


class TokenCounts(msgspec.Struct, kw_only=True):
    """The requests for one provider, model and endpoint.

    Attributes:
        requests: All of them.
        loads: Their tokens at most, by what a price depends on.
        input_least: Their input tokens at least.
        unlimited: Requests that name no limit of output tokens.
        unseen: Requests with input that the file does not hold: files by id or address, earlier responses, stored
            prompts, what a server's own tools find.
        parts: How many pictures, documents, sounds and videos there are.
        part_tokens: The tokens that they are taken for.
    """

    requests: int = 0
    loads: dict[LoadKind, Load] = msgspec.field(default_factory=dict)
    input_least: int = 0
    unlimited: int = 0
    unseen: int = 0
    parts: Counter[str] = msgspec.field(default_factory=Counter)
    part_tokens: Counter[str] = msgspec.field(default_factory=Counter)

    def count(self, request: Request, media: Media, model: str | None) -> None:
        """Add a request.

        Args:
            request: As it is sent.
            media: What of it is no text.
            model: Whose rules count pictures; None for Claude.
        """
        body = bytes(request.body)
        endpoint = anthropic.ENDPOINT if model is None else request.endpoint
        limit = output_limit(request.body, endpoint)
        tokens = tokens_of(len(body) - media.bytes) + media.tokens
        self.requests += 1
        self.input_least += tokens // _LEAST_SHARE
        self._add(_KINDS[tokens > LONG_TOKENS, _cache_writes(body, endpoint)], tokens, limit or 0)
        self.unlimited += limit is None
        self.unseen += _is_unseen(body, endpoint)
        if media.tokens:
            for kind, tokens in measure_kinds(body, model):
                self.parts[kind.name.lower()] += 1
                self.part_tokens[kind.name.lower()] += tokens

    def add(self, other: "TokenCounts") -> None:
        """Add what was counted in another part of the file."""
        self.requests += other.requests
        self.input_least += other.input_least
        self.unlimited += other.unlimited
        self.unseen += other.unseen
        self.parts.update(other.parts)
        self.part_tokens.update(other.part_tokens)
        for kind, load in other.loads.items():
            self._add(kind, load.input_tokens, load.output_tokens)

    @property
    def input_most(self) -> int:
        """The estimated input tokens; on the safe side for text."""
        return sum(load.input_tokens for load in self.loads.values())

    @property
    def output_most(self) -> int | None:
        """The most output tokens; None where a request names no limit."""
        return None if self.unlimited else sum(load.output_tokens for load in self.loads.values())

    def _add(self, kind: LoadKind, input_tokens: int, output_tokens: int) -> None:
        load = self.loads.get(kind)
        if load is None:
            load = self.loads[kind] = Load()
        load.input_tokens += input_tokens
        load.output_tokens += output_tokens


def _cache_writes(body: bytes, endpoint: str) -> CacheWrites:
    """OpenAI's servers cache by themselves, Anthropic's where a request asks for it."""
    if endpoint != anthropic.ENDPOINT:
        return "minutes"
    if body.find(b'"cache_control"') < 0:  # `in` takes three times as long: it first asks whether this is a number
        return "none"
    return "hour" if _HOUR.search(body) else "minutes"


def _is_unseen(body: bytes, endpoint: str) -> bool:
    if endpoint == openai.RESPONSES and (any(word in body for word in _EARLIER) or _STORED_PROMPT.search(body)):
        return True
    if body.find(b'"type"') < 0:  # each part that is no text has one, and each tool
        return False
    if any(word in body for word in _FILES) or all(word in body for word in _URL_DOCUMENT):
        return True
    return any(word in body for word in _SERVER_TOOLS) and _SERVER_TOOL.search(body) is not None

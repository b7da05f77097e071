"""Counts the tokens of a file's requests, as far as they can be known before anything is sent.

Counts of parts of a file add up to those of the file. Pure, and of constant size for each provider, model and endpoint.
"""

import re
from typing import Literal

import msgspec

from batchdrop.inputs.request_lines import Request
from batchdrop.protocols import anthropic, openai
from batchdrop.protocols.output_limits import output_limit
from batchdrop.protocols.token_estimates import Media, measure_kinds, tokens_of, tokens_of_each

type Route = tuple[str, str, str]  # provider, model as written, endpoint

# Input tokens beyond which a request may cost more per token: the lowest such number in both vendors' prices (Claude
# Haiku 5.5). A test holds it to the price list.
LONG_TOKENS = 100_000
LEAST_SHARE = 4  # the ledgers' bound, too: no estimate was ever found to be more than four times too high
_HOUR = re.compile(rb'"ttl"\s*+:\s*+"1h"')
# Words first, then a pattern: a word is found several times faster. An unescaped quote stands at both ends, and a colon
# behind, so that none of these is found inside a prompt.
_CACHE = b'"cache_control"'
_CACHE_NAMED = re.compile(rb'"cache_control"\s*+:')
_EARLIER = (b'"previous_response_id"', b'"conversation"', b'"prompt"')
_EARLIER_NAMED = re.compile(
    rb'"(?:previous_response_id|conversation)"\s*+:|"prompt"\s*+:\s*+\{\s*+"(?:id|version|variables)"'
)
_FILES = (b'"file_id"', b'"file_url"')
_FILE_NAMED = re.compile(rb'"file_(?:id|url)"\s*+:')
_DOCUMENT, _BY_URL = re.compile(rb'"type"\s*+:\s*+"document"'), re.compile(rb'"type"\s*+:\s*+"url"')
_SERVER_TOOL = re.compile(
    rb'"type"\s*+:\s*+"(?:web_search|file_search|web_fetch|code_interpreter|code_execution|mcp)\w*+"'
)


type CacheWrites = Literal["none", "minutes", "hour"]  # what a request may write to a cache, which some charge for


# What a price depends on beside the model: whether a request's input is long, and what it may write to a cache.
type LoadKind = Literal["short-none", "short-minutes", "short-hour", "long-none", "long-minutes", "long-hour"]
_SHORT: dict[CacheWrites, LoadKind] = {"none": "short-none", "minutes": "short-minutes", "hour": "short-hour"}
_LONG: dict[CacheWrites, LoadKind] = {"none": "long-none", "minutes": "long-minutes", "hour": "long-hour"}


class Load(msgspec.Struct, kw_only=True):
    """Sums over requests: the estimated input tokens, and the most output tokens that they allow."""

    input_tokens: int = 0
    output_tokens: int = 0


class TokenCounts(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The requests for one provider, model and endpoint. As JSON it stands in the plan of a split.

    Attributes:
        requests: All of them.
        loads: Their tokens at most, by what a price depends on.
        longest_output: The most output tokens that one of them allows; 0 where none says.
        unlimited: Requests that name no limit of output tokens.
        unseen: Requests with input that the file does not hold: files by id or address, earlier responses, stored
            prompts, what a server's own tools find.
        parts: How many pictures, documents, sounds and videos there are.
        part_tokens: The tokens that they are taken for.
    """

    requests: int = 0
    loads: dict[LoadKind, Load] = msgspec.field(default_factory=dict)
    longest_output: int = 0
    unlimited: int = 0
    unseen: int = 0
    parts: dict[str, int] = msgspec.field(default_factory=dict)
    part_tokens: dict[str, int] = msgspec.field(default_factory=dict)

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
        self.longest_output = max(self.longest_output, limit or 0)
        self._add((_SHORT if tokens <= LONG_TOKENS else _LONG)[_cache_writes(body, endpoint)], tokens, limit or 0)
        self.unlimited += limit is None
        self.unseen += _is_unseen(body, endpoint)
        if media.tokens:
            for kind, tokens in measure_kinds(body, model):
                _raise(self.parts, kind.name.lower(), 1)
                _raise(self.part_tokens, kind.name.lower(), tokens)

    def count_texts(self, sizes: list[int], limit: int | None, endpoint: str) -> None:
        """Add requests of texts alone, as if each was counted.

        Args:
            sizes: The bytes of their bodies, in which nothing else bears on what they cost.
            limit: The most output tokens of each; None where they name none.
            endpoint: Where they are sent.
        """
        tokens = tokens_of_each(sizes)
        writes: CacheWrites = "none" if endpoint == anthropic.ENDPOINT else "minutes"
        long = [each for each in tokens if each > LONG_TOKENS] if max(tokens) > LONG_TOKENS else []
        short = len(tokens) - len(long)
        self.requests += len(tokens)
        self.longest_output = max(self.longest_output, limit or 0)
        self.unlimited += len(tokens) if limit is None else 0
        if short:
            self._add(_SHORT[writes], sum(tokens) - sum(long), short * (limit or 0))
        if long:
            self._add(_LONG[writes], sum(long), len(long) * (limit or 0))

    def add(self, other: "TokenCounts") -> None:
        """Add what was counted in another part of the file."""
        self.requests += other.requests
        self.longest_output = max(self.longest_output, other.longest_output)
        self.unlimited += other.unlimited
        self.unseen += other.unseen
        for kind in other.parts:
            _raise(self.parts, kind, other.parts[kind])
            _raise(self.part_tokens, kind, other.part_tokens[kind])
        for kind, load in other.loads.items():
            self._add(kind, load.input_tokens, load.output_tokens)

    def kept_for_an_hour(self) -> "TokenCounts":
        """The same, if each of the requests may write its input to a cache for an hour."""
        kept = TokenCounts()
        kept.add(self)
        kept.loads = {}
        for kind, load in self.loads.items():
            kept._add("long-hour" if kind.startswith("long-") else "short-hour", load.input_tokens, load.output_tokens)
        return kept

    @property
    def input_least(self) -> int:
        """The input tokens at least."""
        return self.input_most // LEAST_SHARE

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


def _raise(counts: dict[str, int], name: str, number: int) -> None:
    counts[name] = counts.get(name, 0) + number


def may_cost_more(text: bytes) -> bool:
    """Return whether a part of a request may bear on its cost by more than its length: False only where it does not."""
    words = (_CACHE, *_EARLIER, *_FILES, b'"document"')
    return bool(text) and (_holds_any(text, words) or _SERVER_TOOL.search(text) is not None)


def _cache_writes(body: bytes, endpoint: str) -> CacheWrites:
    """OpenAI's servers cache by themselves, Anthropic's where a request asks for it."""
    if endpoint != anthropic.ENDPOINT:
        return "minutes"
    # `in` takes three times as long as `find`: it first asks whether this is a number.
    if body.find(_CACHE) < 0 or _CACHE_NAMED.search(body) is None:
        return "none"
    return "hour" if _HOUR.search(body) else "minutes"


def _is_unseen(body: bytes, endpoint: str) -> bool:
    if endpoint == openai.RESPONSES and _holds_any(body, _EARLIER) and _EARLIER_NAMED.search(body):
        return True
    if body.find(b'"type"') < 0:  # each part that is no text has one, and each tool
        return False
    if _holds_any(body, _FILES) and _FILE_NAMED.search(body):
        return True
    if body.find(b'"document"') >= 0 and _DOCUMENT.search(body) and _BY_URL.search(body):
        return True
    return _SERVER_TOOL.search(body) is not None


def _holds_any(body: bytes, words: tuple[bytes, ...]) -> bool:
    for word in words:  # noqa: SIM110 - for every line, and a generator takes as long as the search
        if body.find(word) >= 0:
            return True
    return False

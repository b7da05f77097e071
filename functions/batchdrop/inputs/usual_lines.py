"""Reads blocks of usual lines at once: what `LineReader` would read of each line, or nothing at all.

A usual line is written as both vendors' guides show it: an envelope of strings around a body of texts and plain
parameters, with nothing in it that is refused, left out, rewritten or looked at more closely. One call reads a block's
envelopes, and one its bodies. Whatever is not known to be usual makes the whole block unusual: `LineReader` decides.
Pure.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec
from aws_lambda_powertools import Logger
from msgspec import UNSET, Raw, UnsetType

from batchdrop.inputs.request_lines import Request
from batchdrop.protocols import anthropic, openai
from batchdrop.protocols.claude_models import rules_of
from batchdrop.protocols.json_text import reject_unportable_json
from batchdrop.protocols.request_checks import LineProblem
from batchdrop.providers.config import ProviderConfig, Providers
from batchdrop.records import Protocol

logger = Logger(child=True)

_ROUTES = 1_000  # that are remembered: a file may name any number of models, and memory stays constant
_CARRIAGE_RETURN, _OPENS, _CLOSES = b"\r{}"
# Of ASCII: decoded and encoded again, it may hold another number of colons, or spell a name in another way.
_ASCII_ESCAPE = re.compile(rb"\\u00[0-7]")
_TEXTS_AT = frozenset({openai.CHAT, anthropic.ENDPOINT})  # the endpoints whose requests hold messages
_INPUT_AT = frozenset({openai.EMBEDDINGS, openai.RESPONSES})  # those that hold an input
_NO_BODY = Raw()

type _Whole = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
type _Count = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
type _Object = dict[str, Any]
type _Key = tuple[str | UnsetType, str | UnsetType, str]  # url, method, model


class _Envelope(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    custom_id: Raw
    url: str | UnsetType = UNSET
    method: Literal["POST"] | UnsetType = UNSET
    body: Raw = _NO_BODY
    params: Raw = _NO_BODY


class _Part(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    type: Literal["text"]
    text: str


class _Message(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    role: str
    content: str | Annotated[list[_Part], msgspec.Meta(min_length=1)]
    name: str | UnsetType = UNSET


# No field may be null, or hold what is read of a line more closely than it is here.
class _Chat(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A body of messages, for either vendor."""

    model: str
    messages: Annotated[list[_Message], msgspec.Meta(min_length=1)]
    max_tokens: _Count | UnsetType = UNSET
    max_completion_tokens: _Count | UnsetType = UNSET
    temperature: float | UnsetType = UNSET
    top_p: float | UnsetType = UNSET
    system: str | UnsetType = UNSET
    seed: _Whole | UnsetType = UNSET
    n: _Whole | UnsetType = UNSET
    stop: str | list[str] | UnsetType = UNSET
    stop_sequences: list[str] | UnsetType = UNSET
    presence_penalty: float | UnsetType = UNSET
    frequency_penalty: float | UnsetType = UNSET
    logprobs: bool | UnsetType = UNSET
    top_logprobs: _Whole | UnsetType = UNSET
    reasoning_effort: str | UnsetType = UNSET
    verbosity: str | UnsetType = UNSET
    user: str | UnsetType = UNSET
    metadata: dict[str, str] | UnsetType = UNSET
    store: bool | UnsetType = UNSET
    service_tier: str | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType = UNSET


class _NestedChat(_Chat, gc=False, forbid_unknown_fields=True):
    """The same with objects, whose depth and numbers nothing limits."""

    response_format: _Object | UnsetType = UNSET
    tools: list[_Object] | UnsetType = UNSET
    tool_choice: str | _Object | UnsetType = UNSET


class _Input(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A body of one text."""

    model: str
    input: str
    dimensions: _Whole | UnsetType = UNSET
    encoding_format: str | UnsetType = UNSET
    user: str | UnsetType = UNSET
    instructions: str | UnsetType = UNSET
    max_output_tokens: _Count | UnsetType = UNSET
    temperature: float | UnsetType = UNSET
    top_p: float | UnsetType = UNSET
    metadata: dict[str, str] | UnsetType = UNSET
    store: bool | UnsetType = UNSET
    service_tier: str | UnsetType = UNSET


_decode_envelopes = msgspec.json.Decoder(_Envelope).decode_lines
_decode_texts = msgspec.json.Decoder(list[str]).decode
_NESTED_CHATS: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_NestedChat)
_KINDS: tuple[msgspec.json.Decoder[Any], ...] = (
    msgspec.json.Decoder(_Chat),
    msgspec.json.Decoder(_Input),
    _NESTED_CHATS,
)
_encode_lines = msgspec.json.Encoder().encode_lines


class UsualLines(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The lines of a block, each with what `LineReader` would say of it.

    Attributes:
        lengths: Without the line feeds.
        custom_ids: As they are written.
        bodies: As they are written, and sent.
        kinds: For each line its place in `routes`.
        routes: Requests that went where these go: provider, endpoint and model are as theirs.
    """

    lengths: list[int]
    custom_ids: list[Raw]
    bodies: list[bytes]
    kinds: list[int]
    routes: list[Request]


class _Route(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where a request went that `LineReader` read, and what the checks of others for the same model depend on."""

    request: Request
    is_claude: bool
    takes_temperature: bool
    takes_prefill: bool


class UsualReader:
    """Reads blocks of lines for routes that `LineReader` found before.

    Args:
        providers: Where models go.
        api_version: The Anthropic API version that the job's batches use; None for the provider's own.
    """

    def __init__(self, providers: Providers, *, api_version: str | None = None) -> None:
        self._providers, self._api_version = providers, api_version
        self._routes: dict[tuple[str, str], _Route] = {}
        self._failures: set[str] = set()
        self._kinds = list(_KINDS)  # the one that fitted last comes first

    def learn(self, request: Request) -> None:
        """Remember where a line went, so that others like it may be read in blocks."""
        key = (request.endpoint, request.model)
        if key not in self._routes and len(self._routes) < _ROUTES:
            route = self._route_of(request, self._providers[request.provider])
            if route is not None:
                self._routes[key] = route

    def read(self, block: bytes) -> UsualLines | None:
        """Read whole lines, each with its line feed; None if one of them is not known to be usual."""
        try:
            return self._read(block)
        except (ValueError, OverflowError, RecursionError):  # msgspec's errors are ValueErrors
            return None
        except Exception as error:  # noqa: BLE001 - a mistake of ours that only this block finds
            self._log_once(error)
            return None

    def _log_once(self, error: Exception) -> None:
        kind = type(error).__name__
        if kind not in self._failures:  # as in `LineReader`
            self._failures.add(kind)
            logger.error("block not understood", error=kind)

    def _route_of(self, request: Request, provider: ProviderConfig) -> _Route | None:
        """A route whose requests are sent as they are written; None for others."""
        is_claude = provider.protocol is Protocol.ANTHROPIC
        is_as_written = request.model == request.wire_model and not provider.escape_line_separators
        if not is_as_written or request.endpoint not in ({anthropic.ENDPOINT} if is_claude else _TEXTS_AT | _INPUT_AT):
            return None
        rules = rules_of(request.wire_model, provider.claude_models)
        api_version = self._api_version or provider.api_version or anthropic.DEFAULT_VERSION
        return _Route(
            request=request,
            is_claude=is_claude,
            takes_temperature=rules.sampling != "default" and _takes_sampling(api_version),
            takes_prefill=rules.prefill,
        )

    def _read(self, block: bytes) -> UsualLines | None:
        lengths = _lengths(block)
        if lengths is None or (b"\\" in block and b"\\u00" in block and _ASCII_ESCAPE.search(block)):
            return None
        envelopes = _decode_envelopes(block)
        bodies = [bytes(each.params if each.url is UNSET else each.body) for each in envelopes]
        text = b"\n".join(bodies)
        if len(envelopes) != len(lengths) or b"\r" in text:
            return None
        read = self._decode_bodies(text)
        keys: list[_Key] = [(each.url, each.method, body.model) for each, body in zip(envelopes, read, strict=True)]
        counts = Counter(keys)
        routes = self._find_routes(counts, read[0])
        custom_ids = [each.custom_id for each in envelopes]
        if routes is None or block.count(b":") != _count_names(counts) + _count_colons(custom_ids, read):
            return None  # a name that is written twice in one object is read once
        places = {key: place for place, key in enumerate(counts)}
        kinds = [places[key] for key in keys]
        if not _suit_claude(read, kinds, routes):
            return None
        requests = [each.request for each in routes]
        return UsualLines(lengths=lengths, custom_ids=custom_ids, bodies=bodies, kinds=kinds, routes=requests)

    def _decode_bodies(self, text: bytes) -> list[Any]:
        """Read bodies, one a line.

        Raises:
            msgspec.ValidationError: They are not all of one usual kind.
        """
        for kind in self._kinds:
            try:
                read: list[Any] = kind.decode_lines(text)
            except msgspec.ValidationError:
                continue
            if kind is not self._kinds[0]:
                self._kinds.remove(kind)
                self._kinds.insert(0, kind)
            if kind is _NESTED_CHATS:
                _refuse_unportable(read, text)
            return read
        raise msgspec.ValidationError

    def _find_routes(self, keys: Iterable[_Key], first: _Chat | _Input) -> list[_Route] | None:
        endpoints = _INPUT_AT if isinstance(first, _Input) else _TEXTS_AT
        routes = []
        for url, _, model in keys:
            endpoint = anthropic.ENDPOINT if url is UNSET else url
            route = self._routes.get((endpoint, model))
            if route is None or endpoint not in endpoints:
                return None
            routes.append(route)
        return routes


def _takes_sampling(api_version: str) -> bool:
    try:
        anthropic.refuse_sampling("temperature", api_version)
    except LineProblem:
        return False
    return True


def _lengths(block: bytes) -> list[int] | None:
    """The length of each line; None if one of them does not begin and end as an object does.

    A line feed between `}` and `{` stands between two values, since within one there would be a comma.
    """
    lengths, start, find = [], 0, block.find
    while (end := find(b"\n", start)) >= 0:
        last = block[end - 1]
        if last == _CARRIAGE_RETURN:
            last = block[end - 2]
        if block[start] != _OPENS or last != _CLOSES:
            return None
        lengths.append(end - start)
        start = end + 1
    return lengths


def _count_names(counts: Mapping[_Key, int]) -> int:
    """How many names envelopes have: custom_id, body or params, and what is there of url and method."""
    return sum(count * (2 + (url is not UNSET) + (method is not UNSET)) for (url, method, _), count in counts.items())


def _count_colons(custom_ids: list[Raw], bodies: list[Any]) -> int:
    """The colons in custom_ids and bodies, each name of an object once.

    Raises:
        msgspec.ValidationError: The custom_ids are not all strings.
    """
    ids = b"[%b]" % b",".join(custom_ids)
    _decode_texts(ids)
    return ids.count(b":") + _encode_lines(bodies).count(b":")


def _refuse_unportable(read: list[_NestedChat], text: bytes) -> None:
    """Check the bodies that hold objects.

    Raises:
        ValueError: One of them may be nested too deeply, or hold a number that is too large.
    """
    for body, its_text in zip(read, text.split(b"\n"), strict=True):
        if not (body.response_format is body.tools is body.tool_choice is UNSET):
            try:
                reject_unportable_json(b"[%b]" % its_text)  # within a line a body is a level deeper
            except LineProblem as problem:
                raise ValueError from problem


def _suit_claude(read: list[Any], kinds: list[int], routes: list[_Route]) -> bool:
    """Whether those of the requests that go to Claude pass its checks without a closer look."""
    claude = [route for route in routes if route.is_claude]
    if not claude:
        return True
    bodies = read
    if len(claude) < len(routes):
        are_claude = [route.is_claude for route in routes]
        bodies = [body for body, kind in zip(read, kinds, strict=True) if are_claude[kind]]
    takes_temperature = all(route.takes_temperature for route in claude)
    takes_prefill = all(route.takes_prefill for route in claude)
    if isinstance(read[0], _NestedChat) and any(not (body.tools is body.tool_choice is UNSET) for body in bodies):
        return False
    others = [
        body
        for body in bodies
        if body.max_tokens is UNSET
        or body.top_p is not UNSET
        or not (takes_temperature or body.temperature is UNSET)
        or not (takes_prefill or body.messages[-1].role != "assistant")
    ]
    return not others

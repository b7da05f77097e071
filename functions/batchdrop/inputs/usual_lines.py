"""Reads blocks of usual lines at once: what `LineReader` would read of each line, or nothing at all.

A usual line is written as both vendors' guides show it: an envelope of strings around a body of texts and plain
parameters, with nothing in it that is refused, left out, rewritten or looked at more closely. One call reads a block's
envelopes, and one its bodies. Whatever is not known to be usual makes the whole block unusual: `LineReader` decides.
Pure.
"""

import re
from collections import Counter
from collections.abc import Collection
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
type _Key = tuple[str | UnsetType, Literal["POST"] | UnsetType, bool, bool, str]


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


type _Body = _Chat | _Input

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

    `lengths` are without the line feeds, `requests` stand for the route of each line: provider, model and endpoint are
    its own, custom_id and body another line's.
    """

    lengths: list[int]
    custom_ids: list[Raw]
    bodies: list[bytes]
    requests: list[Request]


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
            logger.error("block not understood", error=type(error).__name__)
            return None

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
        bodies = [bytes(each.body if each.params is _NO_BODY else each.params) for each in envelopes]
        text = b"\n".join(bodies)
        if len(envelopes) != len(lengths) or b"\r" in text:
            return None
        read = self._decode_bodies(text)
        keys = [
            (each.url, each.method, each.body is _NO_BODY, each.params is _NO_BODY, body.model)
            for each, body in zip(envelopes, read, strict=True)
        ]
        counts = Counter(keys)
        routes = self._find_routes(counts, read[0])
        custom_ids = [each.custom_id for each in envelopes]
        names = sum(_names_in(key) * count for key, count in counts.items())
        colons = names + _count_colons(custom_ids) + _encode_lines(read).count(b":")
        # A name that is written twice in one object is read once.
        if routes is None or block.count(b":") != colons or not _suits_claude(read, keys, routes):
            return None
        requests = [routes[key].request for key in keys]
        return UsualLines(lengths=lengths, custom_ids=custom_ids, bodies=bodies, requests=requests)

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

    def _find_routes(self, keys: Collection[_Key], first: _Body) -> dict[_Key, _Route] | None:
        endpoints = _INPUT_AT if isinstance(first, _Input) else _TEXTS_AT
        routes = {}
        for key in keys:
            url, method, has_no_body, has_no_params, model = key
            has_url = url is not UNSET
            endpoint = url if has_url else anthropic.ENDPOINT
            route = self._routes.get((endpoint, model))
            is_whole = has_url is has_no_params and has_url is not has_no_body
            if route is None or endpoint not in endpoints or not is_whole:
                return None
            routes[key] = route
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


def _names_in(key: _Key) -> int:
    """How many names an envelope has: custom_id, and body or params, and these two."""
    url, method, *_ = key
    return 2 + (url is not UNSET) + (method is not UNSET)


def _count_colons(custom_ids: list[Raw]) -> int:
    """The colons in custom_ids.

    Raises:
        msgspec.ValidationError: They are not all strings.
    """
    text = b"[%b]" % b",".join(custom_ids)
    _decode_texts(text)
    return text.count(b":")


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


def _suits_claude(read: list[Any], keys: list[_Key], routes: dict[_Key, _Route]) -> bool:
    """Whether those of the requests that go to Claude are such as its checks pass without a closer look."""
    if not any(route.is_claude for route in routes.values()):
        return True
    for body, key in zip(read, keys, strict=True):
        route = routes[key]
        if route.is_claude and not _suits(body, route):
            return False
    return True


def _suits(body: _Chat, route: _Route) -> bool:
    if body.max_tokens is UNSET or body.top_p is not UNSET:
        return False
    if isinstance(body, _NestedChat) and not (body.tools is body.tool_choice is UNSET):
        return False
    has_room = route.takes_temperature or body.temperature is UNSET
    return has_room and (route.takes_prefill or body.messages[-1].role != "assistant")

"""Reads blocks of usual lines at once: what `LineReader` would read of each line, or nothing at all.

A usual line is written as both vendors' guides show it: an envelope of strings around a body of texts and plain
parameters, with nothing in it that is refused, left out, rewritten or looked at more closely. One call reads a block.
Whatever is not known to be usual makes the whole block unusual: `LineReader` decides.
Pure.
"""

import re
from collections.abc import Iterable
from io import BytesIO
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
from aws_lambda_powertools import Logger
from msgspec import UNSET, Raw, UnsetType

from batchdrop.inputs.request_lines import Request
from batchdrop.inputs.sent_bodies import OutputFormats
from batchdrop.inputs.token_counts import may_cost_more
from batchdrop.inputs.usual_bodies import Chat, Envelope, Input, NestedChat
from batchdrop.protocols import anthropic, openai
from batchdrop.protocols.claude_models import rules_of
from batchdrop.protocols.json_text import reject_unportable_json
from batchdrop.protocols.output_limits import Limits, limit_of
from batchdrop.protocols.request_checks import LineProblem
from batchdrop.providers.config import ProviderConfig, Providers
from batchdrop.records import Protocol

logger = Logger(child=True)

_ROUTES = 1_000  # that are remembered: a file may name any number of models, and memory stays constant
_OPENS, _CLOSES = set(b"{"), set(b"}")
_first, _last = itemgetter(0), itemgetter(-2)  # of a line with its line feed
_ASCII_ESCAPE = re.compile(rb"\\u00[0-7]")
_TEXTS_AT = frozenset({openai.CHAT, anthropic.ENDPOINT})  # the endpoints whose requests hold messages
_INPUT_AT = frozenset({openai.EMBEDDINGS, openai.RESPONSES})  # those that hold an input

# url, model; and what limits the output: max_tokens (or max_output_tokens), max_completion_tokens, n
type _Limit = int | UnsetType
type _Key = tuple[str | UnsetType, str, _Limit, _Limit, _Limit]

_decode_texts = msgspec.json.Decoder(list[str]).decode
_NESTED_CHATS: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Envelope[NestedChat])
_KINDS: tuple[msgspec.json.Decoder[Any], ...] = (
    msgspec.json.Decoder(Envelope[Chat]),
    msgspec.json.Decoder(Envelope[Input]),
    _NESTED_CHATS,
)
_encoder = msgspec.json.Encoder()


class UsualLines(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The lines of a block, each with what `LineReader` would say of it.

    Attributes:
        lengths: Without the line feeds.
        custom_ids: As they are written.
        bodies: As they are written, and sent.
        kinds: For each line its place in `routes`.
        routes: Requests that went where these go: provider, endpoint and model are as theirs.
        output_limits: For each of these the most output tokens of its lines; None where they name no limit.
        is_plain: Whether no more than their lengths and limits bears on what they cost.
        rows: For each line the columns that a template keeps; None without one.
    """

    lengths: list[int]
    custom_ids: list[Raw]
    bodies: list[bytes]
    kinds: list[int]
    routes: list[Request]
    output_limits: list[int | None]
    is_plain: bool
    rows: list[Raw] | None = None


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
        output_formats: Of the job's output schema; None without one.
    """

    def __init__(
        self, providers: Providers, *, api_version: str | None = None, output_formats: OutputFormats | None = None
    ) -> None:
        self._providers, self._api_version, self._formats = providers, api_version, output_formats
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
            usual = self._read(block)
            return usual if usual is None or self._formats is None else _asking(usual, block, self._formats)
        except (ValueError, OverflowError, RecursionError, LineProblem):  # msgspec's errors are ValueErrors
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
        if has_ascii_escape(block):
            return None
        lines = _cut(block)
        envelopes = self._decode(block)
        if lines is None or len(envelopes) != len(lines.lengths) or not _have_one_body(envelopes):
            return None
        read = [each.params if each.url is UNSET else each.body for each in envelopes]
        custom_ids = [each.custom_id for each in envelopes]
        if not _are_texts(custom_ids) or block.count(b":") != _encoder.encode_lines(envelopes).count(b":"):
            return None  # a name that is written twice in one object is read once
        if isinstance(read[0], NestedChat):
            _refuse_unportable(read, lines.bodies)
        places: dict[_Key, int] = {}
        kinds = [places.setdefault(key, len(places)) for key in _keys(envelopes, read)]
        routes = self._find_routes(places, read[0])
        if routes is None or not _suit_claude(read, kinds, routes):
            return None
        requests = [each.request for each in routes]
        return UsualLines(
            lengths=lines.lengths,
            custom_ids=custom_ids,
            bodies=lines.bodies,
            kinds=kinds,
            routes=requests,
            output_limits=[_limit(key, its.endpoint) for key, its in zip(places, requests, strict=True)],
            is_plain=not may_cost_more(_objects(read)),
        )

    def _decode(self, block: bytes) -> list[Any]:
        """Read envelopes, one a line.

        Raises:
            msgspec.ValidationError: Their bodies are not all of one usual kind.
        """
        for kind in self._kinds:
            try:
                read: list[Any] = kind.decode_lines(block)
            except msgspec.ValidationError:
                continue
            if kind is not self._kinds[0]:
                self._kinds.remove(kind)
                self._kinds.insert(0, kind)
            return read
        raise msgspec.ValidationError

    def _find_routes(self, keys: Iterable[_Key], first: Chat | Input) -> list[_Route] | None:
        endpoints = _INPUT_AT if isinstance(first, Input) else _TEXTS_AT
        routes = []
        for url, model, *_ in keys:
            endpoint = anthropic.ENDPOINT if url is UNSET else url
            route = self._routes.get((endpoint, model))
            if route is None or endpoint not in endpoints:
                return None
            routes.append(route)
        return routes


def _asking(usual: UsualLines, block: bytes, formats: OutputFormats) -> UsualLines | None:
    """The lines with bodies that ask for the job's output schema; None where one may state a form of its own.

    Raises:
        LineProblem: The schema cannot be said to Claude.
    """
    if b'"response_format"' in block:  # of what states one, only this is usual
        return None
    endings = [formats.ending(each.endpoint, is_claude=each.endpoint == anthropic.ENDPOINT) for each in usual.routes]
    if not any(endings):
        return usual
    both = zip(usual.bodies, usual.kinds, strict=True)
    return msgspec.structs.replace(
        usual,
        bodies=[body if (ending := endings[kind]) is None else body[:-1] + ending for body, kind in both],
        routes=[
            msgspec.structs.replace(each, has_schema=ending is not None)
            for each, ending in zip(usual.routes, endings, strict=True)
        ],
        is_plain=usual.is_plain and not may_cost_more(b"".join(filter(None, endings))),
    )


def _takes_sampling(api_version: str) -> bool:
    try:
        anthropic.refuse_sampling("temperature", api_version)
    except LineProblem:
        return False
    return True


class _Lines(NamedTuple):
    lengths: list[int]
    bodies: list[bytes]


def has_ascii_escape(block: bytes) -> bool:
    """Return whether ASCII may be escaped in it: decoded, it may hold more colons, or spell a name in another way."""
    return b"\\" in block and b"\\u00" in block and _ASCII_ESCAPE.search(block) is not None


def cut_objects(block: bytes) -> tuple[list[int], list[bytes]] | None:
    """The length of each line of a block, and the lines with plain line ends; None if one is not cut as an object is.

    A line feed between `}` and `{` stands between two values, since within one there would be a comma.
    """
    lines = BytesIO(block).readlines()
    lengths = [len(line) - 1 for line in lines]
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n")
        lines = BytesIO(block).readlines()
    if set(map(_first, lines)) != _OPENS or set(map(_last, lines)) != _CLOSES or b"\r" in block:
        return None
    return lengths, lines


def _cut(block: bytes) -> _Lines | None:
    """The lines of a block, and what of each is its body; None if one does not begin and end as an object does.

    Of an envelope's values only the body has braces, as long as `_are_texts` finds none in the custom_ids: it lies from
    the second brace to the last but one.
    """
    found = cut_objects(block)
    if found is None:
        return None
    lengths, lines = found
    return _Lines(lengths, [line[line.find(b"{", 1) : line.rfind(b"}", 0, -2) + 1] for line in lines])


def _have_one_body(envelopes: list[Envelope[Any]]) -> bool:
    """Return whether each has the body of its form: OpenAI's, which has a url, or Anthropic's."""
    return all(
        [  # noqa: C419 - a generator takes twice as long
            (each.url is UNSET) is (each.body is UNSET) is not (each.params is UNSET) for each in envelopes
        ]
    )


def _are_texts(custom_ids: list[Raw]) -> bool:
    """Return whether custom_ids are strings without braces.

    Raises:
        msgspec.ValidationError: They are not all strings.
    """
    ids = b"[%b]" % b",".join(custom_ids)
    _decode_texts(ids)
    return b"{" not in ids and b"}" not in ids


def _keys(envelopes: list[Envelope[Any]], bodies: list[Any]) -> list[_Key]:
    both = zip(envelopes, bodies, strict=True)
    if isinstance(bodies[0], Input):
        return [(each.url, body.model, body.max_output_tokens, UNSET, UNSET) for each, body in both]
    return [(each.url, body.model, body.max_tokens, body.max_completion_tokens, body.n) for each, body in both]


def _limit(key: _Key, endpoint: str) -> int | None:
    first, completion, answers = (None if value is UNSET else value for value in key[2:])
    limits = Limits(max_tokens=first, max_completion_tokens=completion, max_output_tokens=first, n=answers)
    return limit_of(limits, endpoint)


def _objects(bodies: list[Any]) -> bytes:
    """The objects of bodies: all of them that may hold more than texts and numbers."""
    objects = [body.metadata for body in bodies]
    if isinstance(bodies[0], NestedChat):
        objects += [each for body in bodies for each in (body.response_format, body.tools, body.tool_choice)]
    found = [each for each in objects if each is not UNSET]
    return _encoder.encode(found) if found else b""


def _refuse_unportable(read: list[NestedChat], texts: list[bytes]) -> None:
    """Check the bodies that hold objects.

    Raises:
        ValueError: One of them may be nested too deeply, or hold a number that is too large.
    """
    for body, its_text in zip(read, texts, strict=True):
        if not (body.response_format is body.tools is body.tool_choice is UNSET):
            try:
                reject_unportable_json(b"[%b]" % its_text)  # within a line a body is a level deeper
            except LineProblem as problem:
                raise ValueError from problem


def _suit_claude(read: list[Any], kinds: list[int], routes: list[_Route]) -> bool:
    """Return whether those of the requests that go to Claude pass its checks without a closer look."""
    claude = [route for route in routes if route.is_claude]
    if not claude:
        return True
    bodies = read
    if len(claude) < len(routes):
        are_claude = [route.is_claude for route in routes]
        bodies = [body for body, kind in zip(read, kinds, strict=True) if are_claude[kind]]
    takes_temperature = all(route.takes_temperature for route in claude)
    takes_prefill = all(route.takes_prefill for route in claude)
    if isinstance(read[0], NestedChat) and any(not (body.tools is body.tool_choice is UNSET) for body in bodies):
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

"""Reads one input line: which of the three forms it has, and which provider and endpoint it goes to.

Pure: bytes in, a `Request` or a `LineError` out. Bodies are never re-written, except that a provider's prefix is taken
off the model, parameters that are null and a bare body's `custom_id` are left out, and a chat completion for Claude is
translated.
"""

from collections.abc import Collection
from typing import Literal

import msgspec
from aws_lambda_powertools import Logger
from msgspec import UNSET, Raw, UnsetType

from batchdrop.inputs.route_problems import provider_not_allowed, unknown_model
from batchdrop.inputs.sent_bodies import OutputFormats, as_sent, left_out
from batchdrop.protocols import anthropic, openai
from batchdrop.protocols.claude_models import ModelRules, rules_of
from batchdrop.protocols.duplicate_keys import reject_duplicate_keys
from batchdrop.protocols.json_text import decode_object, reject_unportable_json, reject_unportable_object
from batchdrop.protocols.request_checks import NULL, Body, LineProblem, read_body, unset_nulls
from batchdrop.protocols.translate.request import to_messages
from batchdrop.providers.config import ProviderConfig, Providers, endpoints_of
from batchdrop.records import Protocol
from batchdrop.result_line import ErrorCode

logger = Logger(child=True)

MAX_LINE_BYTES = 32 * 1024 * 1024  # a step holds one line in memory, and its copies; Anthropic takes 32 MB a request
_ROUTE_CACHE_SIZE = 1_000  # routes: a file may name any number of models, and memory stays constant
_MAX_MODEL_BYTES = 256  # it is part of keys in the table, which are 1,024 bytes long at most


type _Form = Literal["body", "params", "bare"]  # by what holds the request
_COLUMNS = ("method", "url", "body", "params", "model")  # of a frame with lines of all forms: null where there is none
_NAMES: dict[_Form, str] = {"body": '"body"', "params": '"params"', "bare": "the line"}


class Request(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A line that can be sent. `model` is as written, `wire_model` without the provider's prefix.

    `inputs` counts the texts of an embeddings request, since OpenAI limits them per batch; 0 for others. `row` holds
    the columns that a template keeps; null without one. `has_schema` says that it asks for the job's output schema.
    """

    provider: str
    endpoint: str
    model: str
    wire_model: str
    custom_id: Raw
    body: Raw
    inputs: int
    row: Raw = NULL
    has_schema: bool = False


class LineError(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A line that cannot be sent, and why, in words that begin with the line's number where it is known."""

    code: ErrorCode
    message: str
    custom_id: Raw = NULL
    provider: str | None = None
    model: str | None = None
    endpoint: str | None = None
    row: Raw = NULL


class _Envelope(msgspec.Struct, gc=False):
    custom_id: Raw = NULL
    method: Raw | UnsetType = UNSET
    url: Raw | UnsetType = UNSET
    body: Raw | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    model: Raw | UnsetType = UNSET


class _ResolvedRoute(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where the lines of a form, a url and a model go; `endpoint` is None where only the body tells it."""

    provider: ProviderConfig
    model: str
    wire_model: str
    endpoint: str | None
    endpoints: tuple[str, ...]  # configured for the model; none where its name is to tell
    is_claude: bool
    api_version: str
    betas: Collection[str]
    rules: ModelRules

    def known(self, endpoint: str | None) -> dict[str, str]:
        """Return the route of an error's line, for its error."""
        route = {"provider": self.provider.name, "model": self.model}
        return route if endpoint is None else route | {"endpoint": endpoint}


_envelope = msgspec.json.Decoder(_Envelope)
_string = msgspec.json.Decoder(str)


def is_blank(line: bytes) -> bool:
    return not line or line.isspace()


def is_translated(protocol: Protocol, endpoint: str) -> bool:
    """Return whether a line for this endpoint travels as another request than the one it holds."""
    return protocol is Protocol.ANTHROPIC and endpoint != anthropic.ENDPOINT


class LineReader:
    """Reads lines under a job's settings. What a form, a url and a model mean is found out once, and remembered.

    Args:
        providers: Where models go.
        api_version: The Anthropic API version that the job's batches use; None for the provider's own.
        betas: Anthropic's, of the job's batches; none for the provider's own.
        drop_params: What a translation may leave out.
        allowed_providers: Where lines may go; None for anywhere.
        output_formats: Of the job's output schema; None without one.
    """

    def __init__(  # noqa: PLR0913 - what a job says of its lines
        self,
        providers: Providers,
        *,
        api_version: str | None = None,
        betas: Collection[str] = (),
        drop_params: Collection[str] = (),
        allowed_providers: Collection[str] | None = None,
        output_formats: OutputFormats | None = None,
    ) -> None:
        self._providers, self._allowed, self._formats = providers, allowed_providers, output_formats
        self._api_version, self._betas, self._drop_params = api_version, betas, drop_params
        self._routes: dict[tuple[_Form, bytes, bytes], _ResolvedRoute] = {}
        self._failures: set[str] = set()

    def read(self, line: bytes) -> Request | LineError:
        """Read one line, without its line end; one over `MAX_LINE_BYTES` is refused where lines are cut.

        Whatever goes wrong is this line's error: it must not stop the others.
        """
        try:
            return self._read_or_refuse(line)
        except Exception as error:  # noqa: BLE001 - a mistake of ours that only this line finds
            return self.failed_at(error)

    def _read_or_refuse(self, line: bytes) -> Request | LineError:
        custom_id = NULL
        try:
            envelope = decode_object(_envelope, line)
            custom_id = envelope.custom_id
            reject_unportable_json(line)
            reject_duplicate_keys(line)
            return self._read(line, envelope)
        except LineProblem as problem:
            readable = _readable(custom_id)
            return LineError(code=problem.code, message=problem.message, custom_id=readable, **problem.route)  # type: ignore[arg-type]  # a route names no row

    def failed_at(self, error: Exception) -> LineError:
        """Return the error of a line at which batchdrop itself failed."""
        kind = type(error).__name__
        if kind not in self._failures:  # its words may quote the line, and many lines may fail alike
            self._failures.add(kind)
            logger.error("line not understood", error=kind)
        message = f"batchdrop failed to read it ({kind}), and did not send it: report this with the line"
        return LineError(code=ErrorCode.UNREADABLE_LINE, message=message)

    def _read(self, line: bytes, envelope: _Envelope) -> Request:
        may_hold_nulls = b"null" in line
        if may_hold_nulls:
            unset_nulls(envelope, _COLUMNS)
        form, url, raw = _split_envelope(line, envelope)
        body = _body(raw, form, may_hold_nulls=may_hold_nulls)
        route = self._route(form, url, body)
        endpoint, inputs = route.endpoint, 0
        try:
            endpoint = endpoint or _bare_endpoint(route, raw, body)
            raw, body, has_schema = self._with_schema(raw, body, endpoint, route)
            if route.is_claude and endpoint != anthropic.ENDPOINT:
                raw = self._translated(raw, route)
            else:
                inputs = _check(route, endpoint, body)
                has_id = form == "bare" and envelope.custom_id is not NULL
                left = left_out(raw, has_id=has_id) if may_hold_nulls or has_id else ()
                raw = as_sent(raw, left, model=route.model, wire_model=route.wire_model)
        except LineProblem as problem:
            problem.route = route.known(endpoint)
            raise
        return Request(
            provider=route.provider.name,
            endpoint=endpoint,
            model=route.model,
            wire_model=route.wire_model,
            custom_id=envelope.custom_id,
            body=raw,
            inputs=inputs,
            has_schema=has_schema,
        )

    def _with_schema(self, raw: Raw, body: Body, endpoint: str, route: _ResolvedRoute) -> tuple[Raw, Body, bool]:
        """A request that asks for the job's output schema, and whether it does."""
        if self._formats is None:
            return raw, body, False
        raw, has_schema = self._formats.add(raw, endpoint, is_claude=route.is_claude)
        read = read_body(raw)
        unset_nulls(read)
        return raw, read, has_schema

    def _translated(self, raw: Raw, route: _ResolvedRoute) -> Raw:
        sent = to_messages(
            raw,
            model=route.wire_model,
            api_version=route.api_version,
            rules=route.rules,
            drop_params=self._drop_params,
        )
        reject_unportable_object(bytes(sent))  # what strings of the line held may be nested, too
        _check(route, anthropic.ENDPOINT, read_body(sent))
        return sent

    def _find(self, form: _Form, url: bytes, body: Body) -> _ResolvedRoute:
        address = _text(Raw(url), "url") if form == "body" else ""
        model = _model_of(body, form)
        provider, wire_model = self._providers.route(model)
        if provider is None:
            raise unknown_model(model, self._providers)
        route = {"provider": provider.name, "model": model}
        if self._allowed is not None and provider.name not in self._allowed:
            raise provider_not_allowed(self._allowed, route)
        if not wire_model:
            raise LineProblem(ErrorCode.NO_MODEL, f'no model after "{model}"', route)
        try:
            endpoint = _endpoint(form, address, provider)
        except LineProblem as problem:
            problem.route = route
            raise
        return _ResolvedRoute(
            provider=provider,
            model=model,
            wire_model=wire_model,
            endpoint=endpoint,
            endpoints=endpoints_of(wire_model, provider),
            is_claude=provider.protocol is Protocol.ANTHROPIC,
            api_version=self._api_version or provider.api_version or anthropic.DEFAULT_VERSION,
            betas=self._betas or provider.betas,
            rules=rules_of(wire_model, provider.claude_models),
        )

    def _route(self, form: _Form, url: bytes, body: Body) -> _ResolvedRoute:
        key = form, url, b"" if body.model is UNSET else bytes(body.model)
        route = self._routes.get(key)
        if route is None:
            if len(self._routes) == _ROUTE_CACHE_SIZE:
                self._routes.clear()
            route = self._routes[key] = self._find(form, url, body)
        return route


def _bare_endpoint(route: _ResolvedRoute, raw: Raw, body: Body) -> str:
    if route.is_claude:
        return anthropic.bare_endpoint(raw)
    return openai.bare_endpoint(body, route.wire_model, route.endpoints)


def _readable(custom_id: Raw) -> Raw:
    """The custom_id as it was written; null where a reader of the results would stumble over it."""
    try:
        reject_unportable_json(bytes(custom_id))
    except LineProblem:
        return NULL
    return custom_id


def _split_envelope(line: bytes, envelope: _Envelope) -> tuple[_Form, bytes, Raw]:
    """The form, the url as the first form has it, and the body."""
    if envelope.params is not UNSET:
        if envelope.body is not UNSET or envelope.url is not UNSET:
            raise LineProblem(ErrorCode.NOT_A_REQUEST, 'has both "params" (Anthropic\'s form) and "body" or "url"')
        return "params", b"", envelope.params
    if envelope.body is not UNSET or envelope.url is not UNSET:
        if envelope.body is UNSET:
            raise LineProblem(ErrorCode.MISSING_PARAMETER, '"url" without "body"')
        if envelope.url is UNSET:
            raise LineProblem(ErrorCode.MISSING_PARAMETER, '"body" without "url"')
        if envelope.method is not UNSET and bytes(envelope.method) != b'"POST"':
            raise LineProblem(ErrorCode.INVALID_PARAMETER, '"method" must be "POST"')
        return "body", bytes(envelope.url), envelope.body
    if envelope.model is UNSET:
        raise LineProblem(
            ErrorCode.NO_MODEL,
            'no "model": a line is {"custom_id", "method", "url", "body"}, {"custom_id", "params"} or a bare body',
        )
    return "bare", b"", Raw(line)


def _body(raw: Raw, form: _Form, *, may_hold_nulls: bool) -> Body:
    try:
        body = read_body(raw)
        if may_hold_nulls:
            unset_nulls(body)
        return body  # noqa: TRY300 - what is read is returned where it is read
    except msgspec.DecodeError:
        is_text = bytes(memoryview(raw)[:1]) == b'"'
        why = "is a string: write the object itself, not its JSON as a text" if is_text else "is not a JSON object"
        raise LineProblem(ErrorCode.NOT_A_REQUEST, f"{_NAMES[form]} {why}") from None


def _text(raw: Raw, name: str) -> str:
    try:
        return _string.decode(raw)
    except msgspec.DecodeError:
        raise LineProblem(ErrorCode.INVALID_PARAMETER, f'"{name}" is not a string') from None


def _model_of(body: Body, form: _Form) -> str:
    if body.model is UNSET:
        raise LineProblem(ErrorCode.NO_MODEL, f'{_NAMES[form]} has no "model"')
    text = _text(body.model, "model")
    if not text:
        raise LineProblem(ErrorCode.NO_MODEL, f'{_NAMES[form]} has an empty "model"')
    size = len(text.encode(errors="replace"))
    if size > _MAX_MODEL_BYTES:
        raise LineProblem(
            ErrorCode.INVALID_PARAMETER, f'"model" is {size:,} bytes long; at most {_MAX_MODEL_BYTES} are accepted'
        )
    return text


def _endpoint(form: _Form, url: str, provider: ProviderConfig) -> str | None:
    """The endpoint, as far as it is known without the body."""
    is_claude = provider.protocol is Protocol.ANTHROPIC
    if form == "bare":
        return None
    if form == "body":
        return anthropic.endpoint(url) if is_claude else openai.endpoint(url)
    if not is_claude:
        raise LineProblem(
            ErrorCode.NOT_A_REQUEST, f'"params" is Anthropic\'s form, but this model goes to {provider.name}'
        )
    return anthropic.ENDPOINT


def _check(route: _ResolvedRoute, endpoint: str, body: Body) -> int:
    if route.is_claude:
        anthropic.check_body(body, api_version=route.api_version, betas=route.betas, rules=route.rules)
        return 0
    openai.refuse_wrong_endpoint(endpoint, route.wire_model, route.endpoints)
    return openai.check_body(body, endpoint)

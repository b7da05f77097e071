"""What one input line asks for: which of the three forms it has, which provider and endpoint it goes to.

Pure: bytes in, a `Request` or a `LineError` out. Bodies are never re-written, except that a provider's prefix is taken
off the model, a bare body's `custom_id` is taken out, and a chat completion for Claude is translated.
"""

from collections.abc import Collection
from enum import StrEnum

import msgspec
from msgspec import UNSET, Raw, UnsetType

from batchdrop.json_text import refuse_what_is_not_utf8, refuse_what_some_cannot_read, too_deep, what_is_wrong
from batchdrop.protocols import anthropic, openai
from batchdrop.protocols.rules import LineProblem
from batchdrop.protocols.translate.request import to_messages
from batchdrop.providers.config import Protocol, ProviderConfig, Providers
from batchdrop.results import ErrorCode

MAX_LINE_BYTES = 32 * 1024 * 1024  # a step holds one line in memory, and its copies; Anthropic takes 32 MB a request
_NULL = Raw(b"null")
_MAX_MODEL = 256  # it is part of keys in the table


class Form(StrEnum):
    OPENAI = "openai"  # {"custom_id", "method", "url", "body"}
    ANTHROPIC = "anthropic"  # {"custom_id", "params"}
    BARE = "bare"  # {"model", ...}


class Request(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A line that can be sent. `model` is as written, `wire_model` without the provider's prefix.

    `inputs` counts the texts of an embeddings request, since OpenAI limits them per batch; 0 for others.
    """

    provider: str
    endpoint: str
    model: str
    wire_model: str
    custom_id: Raw
    body: Raw
    inputs: int


class LineError(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A line that cannot be sent, and why, in words that begin with the line's number where it is known."""

    code: ErrorCode
    message: str
    custom_id: Raw = _NULL
    provider: str | None = None
    model: str | None = None
    endpoint: str | None = None


class _Job(msgspec.Struct, frozen=True, gc=False):
    """What a job's settings say of its lines."""

    api_version: str | None
    betas: Collection[str]
    drop_params: Collection[str]

    def version_at(self, provider: ProviderConfig) -> str:
        return self.api_version or provider.api_version or anthropic.DEFAULT_VERSION


class _Envelope(msgspec.Struct, gc=False):
    custom_id: Raw = _NULL
    method: Raw | UnsetType = UNSET
    url: Raw | UnsetType = UNSET
    body: Raw | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    model: Raw | UnsetType = UNSET


class _Model(msgspec.Struct, gc=False):
    model: Raw | UnsetType = UNSET


_envelope = msgspec.json.Decoder(_Envelope)
_model = msgspec.json.Decoder(_Model)
_string = msgspec.json.Decoder(str)
_object = msgspec.json.Decoder(dict[str, Raw])


def is_blank(line: bytes) -> bool:
    return not line or line.isspace()


def is_translated(protocol: Protocol, endpoint: str) -> bool:
    """Whether a line for this endpoint travels as another request than the one it holds."""
    return protocol is Protocol.ANTHROPIC and endpoint != anthropic.ENDPOINT


def read_line(
    line: bytes,
    providers: Providers,
    *,
    api_version: str | None = None,
    betas: Collection[str] = (),
    drop_params: Collection[str] = (),
) -> Request | LineError:
    """Read one line, without its line end.

    Args:
        line: At most `MAX_LINE_BYTES`; longer ones are refused where lines are cut.
        providers: Where models go.
        api_version: The Anthropic API version that this job's batches use; None for the provider's own.
        betas: Anthropic's, of this job's batches; none for the provider's own.
        drop_params: What a translation may leave out.
    """
    try:
        envelope = _decode(line)
    except LineProblem as problem:
        return LineError(code=problem.code, message=problem.message)
    try:
        refuse_what_some_cannot_read(line)
        return _read(line, envelope, providers, _Job(api_version, betas, drop_params))
    except LineProblem as problem:
        custom_id = _readable(envelope.custom_id)
        return LineError(code=problem.code, message=problem.message, custom_id=custom_id, **problem.route)


def _readable(custom_id: Raw) -> Raw:
    """The custom_id as it was written; null where a reader of the results would stumble over it."""
    try:
        refuse_what_some_cannot_read(bytes(custom_id))
    except LineProblem:
        return _NULL
    return custom_id


def _decode(line: bytes) -> _Envelope:
    if not line.isascii():
        refuse_what_is_not_utf8(line)
    try:
        return _envelope.decode(line)
    except RecursionError:
        raise too_deep() from None
    except msgspec.ValidationError:
        raise LineProblem(ErrorCode.NOT_A_REQUEST, "not a JSON object") from None
    except msgspec.DecodeError as error:
        raise LineProblem(ErrorCode.INVALID_JSON, what_is_wrong(line, error)) from None


def _read(line: bytes, envelope: _Envelope, providers: Providers, job: _Job) -> Request:
    form, url, body = _open(line, envelope)
    model = _model_of(body, form)
    provider, wire_model = providers.route(model)
    if provider is None:
        raise _unknown(model, providers)
    if not wire_model:
        raise LineProblem(ErrorCode.NO_MODEL, f'no model after "{model}"', {"provider": provider.name, "model": model})
    problem_route = {"provider": provider.name, "model": model}
    try:
        endpoint = _endpoint(form, url, body, provider, wire_model)
        problem_route["endpoint"] = endpoint
        if is_translated(provider.protocol, endpoint):
            version = job.version_at(provider)
            inputs, body = 0, to_messages(body, model=wire_model, api_version=version, drop_params=job.drop_params)
        else:
            inputs = _check(provider, endpoint, body, wire_model, job)
            if wire_model != model or (form is Form.BARE and envelope.custom_id is not _NULL):
                body = _rewritten(body, wire_model, bare=form is Form.BARE)
    except LineProblem as problem:
        problem.route = problem_route
        raise
    return Request(
        provider=provider.name,
        endpoint=endpoint,
        model=model,
        wire_model=wire_model,
        custom_id=envelope.custom_id,
        body=body,
        inputs=inputs,
    )


def _open(line: bytes, envelope: _Envelope) -> tuple[Form, str | None, Raw]:
    """The form, the url of the first form, and the body."""
    if envelope.params is not UNSET:
        if envelope.body is not UNSET or envelope.url is not UNSET:
            raise LineProblem(ErrorCode.NOT_A_REQUEST, 'has both "params" (Anthropic\'s form) and "body" or "url"')
        return Form.ANTHROPIC, None, envelope.params
    if envelope.body is not UNSET or envelope.url is not UNSET:
        if envelope.body is UNSET:
            raise LineProblem(ErrorCode.MISSING_PARAMETER, '"url" without "body"')
        if envelope.url is UNSET:
            raise LineProblem(ErrorCode.MISSING_PARAMETER, '"body" without "url"')
        if envelope.method is not UNSET and bytes(envelope.method) != b'"POST"':
            raise LineProblem(ErrorCode.INVALID_PARAMETER, '"method" must be "POST"')
        return Form.OPENAI, _text(envelope.url, "url"), envelope.body
    if envelope.model is UNSET:
        raise LineProblem(
            ErrorCode.NO_MODEL,
            'no "model": a line is {"custom_id", "method", "url", "body"}, {"custom_id", "params"} or a bare body',
        )
    return Form.BARE, None, Raw(line)


def _text(raw: Raw, name: str) -> str:
    try:
        return _string.decode(raw)
    except msgspec.DecodeError:
        raise LineProblem(ErrorCode.INVALID_PARAMETER, f'"{name}" is not a string') from None


def _model_of(body: Raw, form: Form) -> str:
    name = {Form.OPENAI: '"body"', Form.ANTHROPIC: '"params"', Form.BARE: "the line"}[form]
    try:
        model = _model.decode(body).model
    except msgspec.DecodeError:
        raise LineProblem(ErrorCode.NOT_A_REQUEST, f"{name} is not a JSON object") from None
    if model is UNSET:
        raise LineProblem(ErrorCode.NO_MODEL, f'{name} has no "model"')
    text = _text(model, "model")
    if not text:
        raise LineProblem(ErrorCode.NO_MODEL, f'{name} has an empty "model"')
    if len(text) > _MAX_MODEL:
        raise LineProblem(ErrorCode.INVALID_PARAMETER, f'"model" is {len(text):,} characters long')
    return text


def _unknown(model: str, providers: Providers) -> LineProblem:
    shown = model if len(model) <= 100 else model[:100] + "…"  # noqa: PLR2004 - enough to recognise it by
    prefix, slash, _ = model.partition("/")
    known = ", ".join(providers)
    if slash:
        text = f'model "{shown}": no provider is named "{prefix[:50]}" and no pattern fits; configured: {known}'
        return LineProblem(ErrorCode.UNKNOWN_PROVIDER, text, route={"model": model})
    text = f'model "{shown}" fits no provider\'s patterns; write "<provider>/{shown}" (configured: {known})'
    return LineProblem(ErrorCode.UNKNOWN_MODEL, text, route={"model": model})


def _endpoint(form: Form, url: str | None, body: Raw, provider: ProviderConfig, model: str) -> str:
    is_claude = provider.protocol is Protocol.ANTHROPIC
    if form is Form.ANTHROPIC:
        if not is_claude:
            raise LineProblem(
                ErrorCode.NOT_A_REQUEST, f'"params" is Anthropic\'s form, but this model goes to {provider.name}'
            )
        return anthropic.ENDPOINT
    if form is Form.OPENAI:
        assert url is not None  # noqa: S101 - `_open` gives this form its url
        return anthropic.endpoint(url) if is_claude else openai.endpoint(url)
    return anthropic.bare_endpoint(body) if is_claude else openai.bare_endpoint(body, model)


def _check(provider: ProviderConfig, endpoint: str, body: Raw, model: str, job: _Job) -> int:
    if provider.protocol is Protocol.ANTHROPIC:
        anthropic.check(body, api_version=job.version_at(provider), betas=job.betas or provider.betas)
        return 0
    openai.refuse_wrong_endpoint(endpoint, model)
    return openai.check(body, endpoint)


def _rewritten(body: Raw, wire_model: str, *, bare: bool) -> Raw:
    fields = _object.decode(body)
    fields["model"] = Raw(msgspec.json.encode(wire_model))
    if bare:
        fields.pop("custom_id", None)
    return Raw(msgspec.json.encode(fields))

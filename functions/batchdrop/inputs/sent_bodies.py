"""Makes the body that is sent: without left-out parameters, with a job's output schema. Pure."""

from collections.abc import Collection
from functools import cache
from typing import NamedTuple

import msgspec
from msgspec import Raw

from batchdrop.protocols import anthropic, openai
from batchdrop.protocols.output_schemas import OutputSchema
from batchdrop.protocols.request_checks import NULL

_object = msgspec.json.Decoder(dict[str, Raw])


class _Inner(msgspec.Struct, gc=False):
    format: Raw = NULL


class _Own(msgspec.Struct, gc=False):
    """Where a body states the form of its answer."""

    response_format: Raw = NULL
    output_format: Raw = NULL
    text: _Inner | None = None
    output_config: _Inner | None = None


_own = msgspec.json.Decoder(_Own)


class _Format(NamedTuple):
    """A parameter, or what stands in one under `format`."""

    name: str
    is_inner: bool
    value: bytes

    def ending(self) -> bytes:
        """Return the end of a body that has no such parameter."""
        return b',"%b":%b}' % (self.name.encode(), b'{"format":%b}' % self.value if self.is_inner else self.value)


class OutputFormats:
    """How each endpoint is asked for answers that fit a job's schema."""

    def __init__(self, schema: OutputSchema) -> None:
        self._schema = schema
        self._format = cache(self._new_format)

    def add(self, body: Raw, endpoint: str, *, is_claude: bool) -> tuple[Raw, bool]:
        """A body that asks for the schema, and whether it does: one that states a form of its own stays as it is.

        Raises:
            LineProblem: The schema cannot be said to Claude.
        """
        if endpoint not in _ENDPOINTS or _states_own(body):
            return body, False
        asked, fields = self._format(endpoint, is_claude), _object.decode(body)
        if asked.name not in fields:
            return Raw(bytes(body).rstrip()[:-1] + asked.ending()), True
        inner = _object.decode(fields[asked.name]) if asked.is_inner and fields[asked.name] != NULL else {}
        inner["format"] = Raw(asked.value)
        fields[asked.name] = Raw(msgspec.json.encode(inner) if asked.is_inner else asked.value)
        return Raw(msgspec.json.encode(fields)), True

    def ending(self, endpoint: str, *, is_claude: bool) -> bytes | None:
        """Return the text that replaces a body's last brace, if the body sets no format; None where it stays.

        Raises:
            LineProblem: The schema cannot be said to Claude.
        """
        return self._format(endpoint, is_claude).ending() if endpoint in _ENDPOINTS else None

    def _new_format(self, endpoint: str, is_claude: bool) -> _Format:  # noqa: FBT001 - `cache` passes it by its place
        if endpoint == anthropic.ENDPOINT:
            return _Format("output_config", is_inner=True, value=self._schema.messages_format())
        if endpoint == openai.RESPONSES:
            return _Format("text", is_inner=True, value=self._schema.text_format)
        chat = self._schema.chat_format_for_claude() if is_claude else self._schema.response_format
        return _Format("response_format", is_inner=False, value=chat)


_ENDPOINTS = frozenset({openai.CHAT, openai.RESPONSES, anthropic.ENDPOINT})  # those with structured output


def _states_own(body: Raw) -> bool:
    """Return whether a body states a form of its own, or something in its place that others will refuse."""
    try:
        own = _own.decode(body)
    except msgspec.DecodeError:
        return True
    inner = [each.format for each in (own.text, own.output_config) if each is not None]
    return any(each != NULL for each in (own.response_format, own.output_format, *inner))


def left_out(body: Raw, *, has_id: bool) -> list[str]:
    """Return the parameters that are not sent: null ones, and the custom_id that a bare line holds."""
    fields = _object.decode(body)
    return [name for name, value in fields.items() if value == NULL or (has_id and name == "custom_id")]


def as_sent(body: Raw, names: Collection[str], *, model: str, wire_model: str) -> Raw:
    """The body without a provider's prefix of its model and some parameters; every other value keeps its bytes."""
    if wire_model == model and not names:
        return body
    fields = _object.decode(body)
    fields["model"] = Raw(msgspec.json.encode(wire_model))
    return Raw(msgspec.json.encode({name: value for name, value in fields.items() if name not in names}))

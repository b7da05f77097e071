"""Reads many result rows at once where all are answers as their vendor writes them, one per line.

What is taken here is only what `read_outcome` and `read_answer` take for the same; for anything else None is returned,
and the caller reads row by row.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple, Protocol

import msgspec
from msgspec import Raw

from batchdrop.manifest import Usage
from batchdrop.protocols.anthropic_results import MessageUsage, written_for_an_hour
from batchdrop.protocols.lenient_json import NULL
from batchdrop.protocols.openai_results import Choice, Incomplete, TokenUsage

_OPENING, _CLOSING = frozenset(b"{"), frozenset(b"}")
_Success = Annotated[int, msgspec.Meta(ge=200, le=299)]


class UsualResponse(msgspec.Struct, gc=False):
    """A `Response` that is written as one and costs less to make."""

    status_code: _Success
    request_id: str | None = None
    body: Raw = NULL


class UsualAnswers(NamedTuple):
    """Answers in the order of their rows; `usages` are for the same reader's `sum_usage`."""

    ids: Sequence[str | None]
    responses: Sequence[UsualResponse]
    finish_reasons: Sequence[str | None]
    usages: Sequence[Any]


class NamedRows(NamedTuple):
    """The custom_ids of rows, in their order; and which of the rows, counted from 0, may be no answer."""

    custom_ids: list[str]
    doubtful: list[int]


class UsualReader(Protocol):
    """Reads rows that are joined by line feeds, which are at `ends`.

    Returns None unless each line is one row, and each row a usual one.
    """

    def names(self, text: bytes, ends: list[int]) -> NamedRows | None: ...

    def answers(self, text: bytes, ends: list[int]) -> UsualAnswers | None: ...

    def sum_usage(self, usages: Sequence[Any]) -> Usage: ...


def line_ends(text: bytes) -> list[int]:
    """Return where the line feeds are."""
    ends, find = [], text.find  # a third of what a pattern takes, and a tenth of a split
    end = find(b"\n")
    while end >= 0:
        ends.append(end)
        end = find(b"\n", end + 1)
    return ends


def _decode_rows[T](decoder: msgspec.json.Decoder[T], text: bytes, ends: list[int]) -> list[T] | None:
    """The rows of a text whose line feeds are there, if each line is one row.

    Between a `}` and a `{` JSON has a comma, unless one value ends there and the next begins: where all line feeds are
    of that kind, none lies within a row, and as many rows as lines are one on each.
    """
    if not (text.startswith(b"{") and text.endswith(b"}")) or b"\r" in text:
        return None
    if not ({text[end - 1] for end in ends} <= _CLOSING and {text[end + 1] for end in ends} <= _OPENING):
        return None
    try:
        text.isascii() or text.decode()
        found = decoder.decode_lines(text)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return None
    return found if len(found) == len(ends) + 1 else None


def _decode_bodies[T](decoder: msgspec.json.Decoder[T], bodies: list[Raw]) -> list[T] | None:
    """Return the bodies of decoded rows, each one value without line ends."""
    try:
        return decoder.decode_lines(b"\n".join(bodies))
    except (ValueError, RecursionError):
        return None


# OpenAI's. A body that names its `object` is none that says nothing.


class _NamedBody(msgspec.Struct, gc=False):
    object: str = ""
    error: Any = None


class _NamedResponse(msgspec.Struct, gc=False):
    body: _NamedBody
    status_code: int = 0


class _NamedLine(msgspec.Struct, gc=False):
    custom_id: str
    response: _NamedResponse | None = None
    error: Any = None


class _Line(msgspec.Struct, gc=False):
    custom_id: str
    response: UsualResponse
    id: str | None = None
    error: None = None


class _Body(msgspec.Struct, gc=False):
    object: str
    error: None = None
    usage: TokenUsage | None = None
    choices: list[Choice] | None = None
    status: str | None = None
    incomplete_details: Incomplete | None = None


class OpenAIRows:
    """Reads rows of OpenAI's output files."""

    _named_lines = msgspec.json.Decoder(_NamedLine)
    _lines = msgspec.json.Decoder(_Line)
    _bodies = msgspec.json.Decoder(_Body)

    def names(self, text: bytes, ends: list[int]) -> NamedRows | None:
        lines = _decode_rows(self._named_lines, text, ends)
        if lines is None:
            return None
        doubtful = [
            at
            for at, line in enumerate(lines)
            if (read := line.response) is None
            or line.error is not None
            or not 200 <= read.status_code < 300  # noqa: PLR2004 - HTTP's success
            or not read.body.object
            or read.body.error is not None
        ]
        return NamedRows([line.custom_id for line in lines], doubtful)

    def answers(self, text: bytes, ends: list[int]) -> UsualAnswers | None:
        lines = _decode_rows(self._lines, text, ends)
        if lines is None:
            return None
        responses = [line.response for line in lines]
        bodies = _decode_bodies(self._bodies, [each.body for each in responses])
        if bodies is None:
            return None
        finish_reasons = [body.choices[0].finish_reason if body.choices else self._ended_as(body) for body in bodies]
        return UsualAnswers([line.id for line in lines], responses, finish_reasons, [body.usage for body in bodies])

    def sum_usage(self, usages: Sequence[TokenUsage | None]) -> Usage:
        known = [usage for usage in usages if usage is not None]
        inputs = [details for each in known if (details := each.prompt_tokens_details or each.input_tokens_details)]
        outputs = [said for each in known if (said := each.completion_tokens_details or each.output_tokens_details)]
        return Usage(
            input_tokens=sum([each.prompt_tokens or each.input_tokens or 0 for each in known]),
            cached_input_tokens=sum([each.cached_tokens or 0 for each in inputs]),
            cache_write_tokens=sum([each.cache_write_tokens or 0 for each in inputs]),
            output_tokens=sum([each.completion_tokens or each.output_tokens or 0 for each in known]),
            reasoning_tokens=sum([each.reasoning_tokens or 0 for each in outputs]),
        )

    def _ended_as(self, body: _Body) -> str | None:
        return (body.incomplete_details and body.incomplete_details.reason) or body.status


# Anthropic's. A message that names its `type` is none that says nothing.


class _NamedMessage(msgspec.Struct, gc=False):
    type: str = ""


class _NamedResult(msgspec.Struct, gc=False):
    type: str
    message: _NamedMessage | None = None


class _NamedRow(msgspec.Struct, gc=False):
    custom_id: str
    result: _NamedResult


class _Result(msgspec.Struct, gc=False):
    type: Literal["succeeded"]
    message: Raw


class _Row(msgspec.Struct, gc=False):
    custom_id: str
    result: _Result


class _Message(msgspec.Struct, gc=False):
    type: str
    usage: MessageUsage | None = None
    stop_reason: str | None = None


class AnthropicRows:
    """Reads rows of Anthropic's results."""

    _named_rows = msgspec.json.Decoder(_NamedRow)
    _rows = msgspec.json.Decoder(_Row)
    _messages = msgspec.json.Decoder(_Message)

    def names(self, text: bytes, ends: list[int]) -> NamedRows | None:
        found = _decode_rows(self._named_rows, text, ends)
        if found is None:
            return None
        doubtful = [
            at
            for at, row in enumerate(found)
            if row.result.type != "succeeded" or row.result.message is None or not row.result.message.type
        ]
        return NamedRows([row.custom_id for row in found], doubtful)

    def answers(self, text: bytes, ends: list[int]) -> UsualAnswers | None:
        found = _decode_rows(self._rows, text, ends)
        if found is None:
            return None
        bodies = [row.result.message for row in found]
        messages = _decode_bodies(self._messages, bodies)
        if messages is None:
            return None
        responses = [UsualResponse(200, None, body) for body in bodies]
        finish_reasons = [message.stop_reason for message in messages]
        return UsualAnswers([None] * len(bodies), responses, finish_reasons, [message.usage for message in messages])

    def sum_usage(self, usages: Sequence[MessageUsage | None]) -> Usage:
        known = [usage for usage in usages if usage is not None]
        cached = sum([each.cache_read_input_tokens or 0 for each in known])
        written = sum([each.cache_creation_input_tokens or 0 for each in known])
        thinking = [each.output_tokens_details for each in known if each.output_tokens_details]
        return Usage(
            input_tokens=sum([each.input_tokens or 0 for each in known]) + cached + written,
            cached_input_tokens=cached,
            cache_write_tokens=written,
            cache_write_1h_tokens=sum([written_for_an_hour(each) for each in known]) if written else 0,
            output_tokens=sum([each.output_tokens or 0 for each in known]),
            reasoning_tokens=sum([each.thinking_tokens or 0 for each in thinking]),
        )

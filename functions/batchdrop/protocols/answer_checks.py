"""Holds answers against a job's output schema. Pure."""

from collections.abc import Iterator
from enum import Enum, auto
from itertools import islice
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from batchdrop.protocols.answer_texts import answer_in, words_in
from batchdrop.protocols.output_schemas import compile_schema, pointer, read_schema
from batchdrop.texts import cut

CUT_OFF = frozenset({"length", "max_tokens", "max_output_tokens", "model_context_window_exceeded"})
# A refusal is none of the schema's business, and neither is a call of a tool, or a turn that the caller goes on with.
_UNCHECKED = frozenset({"refusal", "content_filter", "tool_calls", "function_call", "tool_use", "pause_turn"})
_MOST_ERRORS, _MOST_PLACES = 100, 10  # that are looked for in one answer, and named
_LONGEST_PROBLEM = 300  # bytes


class Fit(Enum):
    FITS = auto()
    MISFIT = auto()
    CUT_OFF = auto()  # it does not fit, and would be cut off again


class Misfit(NamedTuple):
    """The problems of an answer.

    Attributes:
        text: What it says.
        places: Where in the schema stands what it does not fit; none where it is not JSON. Nothing of it is in them.
        problems: The same in words that quote it.
    """

    text: str
    places: list[str]
    problems: list[str]


class AnswerCheck:
    """A job's output schema, ready to hold answers against it.

    Args:
        schema: As JSON.

    Attributes:
        schema: As a value.
    """

    def __init__(self, schema: bytes) -> None:
        self.schema = read_schema(schema)
        self._validator = compile_schema(self.schema)

    def verdict(self, endpoint: str, body: Raw) -> Fit:
        """Return the verdict on an answer.

        Args:
            endpoint: What its request was sent to.
            body: The provider's.
        """
        words = words_in(endpoint, body)
        if words.text and not words.refusal and self.read(words.text) is not None:
            return Fit.FITS
        reason = answer_in(endpoint, body).finish_reason
        if words.refusal or reason in _UNCHECKED or words.has_calls:
            return Fit.FITS
        return Fit.CUT_OFF if reason in CUT_OFF else Fit.MISFIT

    def misfit(self, endpoint: str, body: Raw) -> Misfit:
        """Return the problems of an answer that does not fit."""
        text = words_in(endpoint, body).text
        try:
            found = list(self._errors(msgspec.json.decode(text)))
        except (ValueError, RecursionError):
            found = []
        places = list(dict.fromkeys(pointer(each.schema_path) for each in found))
        problems = [f"{pointer(each.instance_path)}: {cut(each.message, _LONGEST_PROBLEM)}" for each in found]
        return Misfit(text, places[:_MOST_PLACES], problems[:_MOST_PLACES] or ["It is not JSON."])

    def _errors(self, value: Any) -> Iterator[Any]:  # noqa: ANN401 - any JSON value
        return islice(self._validator.iter_errors(value), _MOST_ERRORS)

    def read(self, text: str) -> dict[str, Any] | None:
        """An answer's text as the object that it is; None where it does not fit."""
        try:
            value: dict[str, Any] = msgspec.json.decode(text)
            return value if self._validator.is_valid(value) else None
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
            return None

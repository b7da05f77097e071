"""Result lines as the command reads them."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from batchdrop.protocols.answer_texts import answer_in, text_in
from batchdrop.protocols.outcome import Answer
from msgspec import Raw

# Chat and completions; messages; responses, whose status stands for a reason that is not given.
_CUT = frozenset({"length", "max_tokens", "max_output_tokens", "incomplete"})


class _Response(msgspec.Struct):
    body: Raw


class _Error(msgspec.Struct):
    code: str
    message: str
    retryable: bool = True
    provider_message: str = ""


class Line(msgspec.Struct):
    """A result line, as far as it is read here."""

    line: int
    custom_id: Raw
    model: str | None
    provider: str | None
    endpoint: str | None
    response: _Response | None
    error: _Error | None
    shared_with: int | None = None


_line = msgspec.json.Decoder(Line)


def read_lines(paths: Iterable[Path]) -> Iterator[Line]:
    """The result lines of files, one at a time."""
    for path in paths:
        with path.open("rb") as file:  # binary lines end at \n and nowhere else
            for line in file:
                yield read_line(line)


def read_line(line: bytes) -> Line:
    return _line.decode(line)


def name_in(message: str, line: int) -> str | None:
    """Return an error's name of its line, `Line` or `Row`, where its message begins with the number; else None."""
    return next((name for name in ("Line", "Row") if message.startswith(f"{name} {line}: ")), None)


def text_of(line: Line) -> str:
    """The answer's text: its parts joined; empty for what is none, such as an embedding or a tool call."""
    return "" if line.response is None or line.error is not None else text_in(line.endpoint, line.response.body)


def is_cut(line: Line) -> bool:
    """Return whether an answer ends where its limit of tokens was reached."""
    answer = _answer_of(line)
    return answer is not None and answer.finish_reason in _CUT


def _answer_of(line: Line) -> Answer | None:
    if line.response is None or line.error is not None:
        return None
    return answer_in(line.endpoint, line.response.body)

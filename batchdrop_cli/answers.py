"""Result lines as the command reads them, and the results as a CSV file."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
from batchdrop.manifest import Usage
from batchdrop.protocols.answer_texts import answer_in, text_in
from batchdrop.protocols.outcome import Answer
from msgspec import Raw

COLUMNS = ("line", "custom_id", "model", "text", "error_code", "error_message", "input_tokens", "output_tokens")
# Chat and completions; messages; responses, whose status stands for a reason that is not told.
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
_string = msgspec.json.Decoder(str)


def read_lines(paths: Iterable[Path]) -> Iterator[Line]:
    """The result lines of files, one at a time."""
    for path in paths:
        with path.open("rb") as file:  # binary lines end at \n and nowhere else
            for line in file:
                yield read_line(line)


def read_line(line: bytes) -> Line:
    return _line.decode(line)


def text_of(line: Line) -> str:
    """The answer's text: its parts joined; empty for what is none, such as an embedding or a tool call."""
    return "" if line.response is None or line.error is not None else text_in(line.endpoint, line.response.body)


def usage_of(line: Line) -> Usage | None:
    """The tokens of an answer; None where there is no answer, and none where it is counted in another line."""
    answer = _answer_of(line)
    return None if answer is None else answer.usage if line.shared_with is None else Usage()


def is_cut(line: Line) -> bool:
    """Whether an answer ends where its limit of tokens was reached."""
    answer = _answer_of(line)
    return answer is not None and answer.finish_reason in _CUT


def _answer_of(line: Line) -> Answer | None:
    if line.response is None or line.error is not None:
        return None
    return answer_in(line.endpoint, line.response.body)


def plain_id(custom_id: Raw) -> str:
    """A string as it is, any other JSON value as JSON, and nothing for null."""
    text = bytes(custom_id)
    if text.startswith(b'"'):
        return _string.decode(text)
    return "" if text == b"null" else text.decode()


def write_csv(paths: Sequence[Path], target: Path) -> None:
    """The results as a table, one row a line, in constant memory."""
    with target.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        table.writerows(_row(line) for line in read_lines(paths))


def _row(line: Line) -> tuple[object, ...]:
    usage = usage_of(line)
    return (
        line.line,
        plain_id(line.custom_id),
        line.model or "",
        text_of(line),
        line.error.code if line.error else "",
        line.error.message if line.error else "",
        usage.input_tokens if usage else "",
        usage.output_tokens if usage else "",
    )

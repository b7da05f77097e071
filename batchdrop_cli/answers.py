"""What an answer's body says in plain text, whichever endpoint gave it, and the results as a CSV file."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
from batchdrop.manifest import Usage
from batchdrop.protocols import anthropic, anthropic_results, openai, openai_results
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


class _Part(msgspec.Struct):
    type: str | None = None
    text: str | None = None


class _Message(msgspec.Struct):
    content: str | list[_Part] | None = None


class _Choice(msgspec.Struct):
    message: _Message | None = None
    text: str | None = None


class _Output(msgspec.Struct):
    content: list[_Part] | None = None


class _Body(msgspec.Struct):
    choices: list[_Choice] | None = None
    output: list[_Output] | None = None
    content: list[_Part] | None = None


_line = msgspec.json.Decoder(Line)
_body = msgspec.json.Decoder(_Body)
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


def text_in(endpoint: str | None, body: Raw) -> str:
    """The same of an answer's body."""
    read = _TEXTS.get(endpoint or "")
    try:
        return "" if read is None else read(_body.decode(body))
    except msgspec.DecodeError:
        return ""


def usage_of(line: Line) -> Usage | None:
    """The tokens of an answer; None where there is no answer."""
    answer = _answer_of(line)
    return None if answer is None else answer.usage


def is_cut(line: Line) -> bool:
    """Whether an answer ends where its limit of tokens was reached."""
    answer = _answer_of(line)
    return answer is not None and answer.finish_reason in _CUT


def _answer_of(line: Line) -> Answer | None:
    if line.response is None or line.error is not None:
        return None
    return answer_in(line.endpoint, line.response.body)


def answer_in(endpoint: str | None, body: Raw) -> Answer:
    """The tokens of an answer's body, and why it ended."""
    read = anthropic_results.read_answer if endpoint == anthropic.ENDPOINT else openai_results.read_answer
    return read(body)


def _joined(parts: Iterable[_Part], kind: str) -> str:
    return "".join(part.text or "" for part in parts if part.type == kind)


def _of_chat(body: _Body) -> str:
    if not body.choices or body.choices[0].message is None:
        return ""
    content = body.choices[0].message.content
    return _joined(content, "text") if isinstance(content, list) else content or ""


def _of_completion(body: _Body) -> str:
    return (body.choices[0].text or "") if body.choices else ""


def _of_responses(body: _Body) -> str:
    return "".join(_joined(each.content or (), "output_text") for each in body.output or ())


def _of_messages(body: _Body) -> str:
    return _joined(body.content or (), "text")


_TEXTS: dict[str, Callable[[_Body], str]] = {
    openai.CHAT: _of_chat,
    openai.COMPLETIONS: _of_completion,
    openai.RESPONSES: _of_responses,
    anthropic.ENDPOINT: _of_messages,
}


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

"""What an answer's body says in plain text, whichever endpoint gave it. Pure."""

from collections.abc import Callable, Iterable

import msgspec
from msgspec import UNSET, Raw, UnsetType

from batchdrop.protocols import anthropic, anthropic_results, openai, openai_results
from batchdrop.protocols.outcome import Answer


class _Part(msgspec.Struct):
    type: str | None = None
    text: str | None = None
    refusal: str | None = None


class _Message(msgspec.Struct):
    content: str | list[_Part] | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Message | None = None
    text: str | None = None


class _Output(msgspec.Struct):
    content: list[_Part] | None = None


class _Embedding(msgspec.Struct):
    embedding: Raw | UnsetType = UNSET


class _Body(msgspec.Struct):
    choices: list[_Choice] | None = None
    output: list[_Output] | None = None
    content: list[_Part] | None = None
    data: list[_Embedding] | None = None


_body = msgspec.json.Decoder(_Body)


def text_in(endpoint: str | None, body: Raw) -> str:
    """An answer's text: its parts joined; empty for what is none, such as an embedding or a tool call."""
    read, found = _TEXTS.get(endpoint or ""), _read(body)
    return "" if read is None or found is None else read(found)


def refusal_in(body: Raw) -> str:
    """The words in which OpenAI's model refused to answer; empty where it did not."""
    found = _read(body)
    if found is None:
        return ""
    words = [each.message.refusal for each in found.choices or () if each.message is not None]
    words += [part.refusal for each in found.output or () for part in each.content or ()]
    return "".join(filter(None, words))


def embedding_in(body: Raw) -> Raw | None:
    """The first embedding of an answer, as the provider wrote it; None where there is none."""
    found = _read(body)
    first = found.data[0].embedding if found is not None and found.data else UNSET
    return None if first is UNSET else first


def answer_in(endpoint: str | None, body: Raw) -> Answer:
    """The usage and the finish reason of an answer."""
    read = anthropic_results.read_answer if endpoint == anthropic.ENDPOINT else openai_results.read_answer
    return read(body)


def _read(body: Raw) -> _Body | None:
    try:
        return _body.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None


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

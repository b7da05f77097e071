"""Reads the plain text of an answer's body, whichever endpoint gave it. Pure."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain

import msgspec
from msgspec import UNSET, Raw, UnsetType

from batchdrop.protocols import anthropic, anthropic_results, openai, openai_results
from batchdrop.protocols.outcome import Answer

_CALLS = ("tool_use", "function_call", "custom_tool_call")  # how a part is called that the caller answers


class _Part(msgspec.Struct):
    type: str | None = None
    text: str | None = None
    refusal: str | None = None


class _Message(msgspec.Struct):
    content: str | list[_Part] | None = None
    refusal: str | None = None
    tool_calls: list[Raw] | None = None


class _Choice(msgspec.Struct):
    message: _Message | None = None
    text: str | None = None


class _Output(msgspec.Struct):
    type: str | None = None
    content: list[_Part] | None = None


class _Embedding(msgspec.Struct):
    embedding: Raw | UnsetType = UNSET


class _Body(msgspec.Struct):
    choices: list[_Choice] | None = None
    output: list[Raw] | None = None
    content: list[_Part] | None = None
    data: list[_Embedding] | None = None


_body = msgspec.json.Decoder(_Body)
_output = msgspec.json.Decoder(_Output)


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """The plain text of an answer's body.

    Attributes:
        text: Its parts joined; empty for what is none, such as an embedding or a tool call.
        refusal: In which words OpenAI's model refused; empty where it did not.
        embedding: The first one, as the provider wrote it; None where there is none.
        has_calls: Whether it calls tools.
    """

    text: str = ""
    refusal: str = ""
    embedding: Raw | None = None
    has_calls: bool = False


_NOTHING = Words()


def words_in(endpoint: str | None, body: Raw) -> Words:
    try:
        found = _body.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return _NOTHING
    read = _TEXTS.get(endpoint or "")
    first = found.data[0].embedding if found.data else UNSET
    return Words(
        text="" if read is None else read(found),
        refusal=_refusal(found),
        embedding=None if first is UNSET else first,
        has_calls=_has_calls(found),
    )


def text_in(endpoint: str | None, body: Raw) -> str:
    """The answer's text, or in which words it was refused."""
    words = words_in(endpoint, body)
    return words.text or words.refusal


def answer_in(endpoint: str | None, body: Raw) -> Answer:
    """The usage and the finish reason of an answer."""
    read = anthropic_results.read_answer if endpoint == anthropic.ENDPOINT else openai_results.read_answer
    return read(body)


def _refusal(body: _Body) -> str:
    words = [each.message.refusal for each in (body.choices or ())[:1] if each.message is not None]
    words += [part.refusal for part in _parts(body)]
    return "".join(filter(None, words))


def _has_calls(body: _Body) -> bool:
    if body.choices:
        return body.choices[0].message is not None and bool(body.choices[0].message.tool_calls)
    kinds = [part.type for part in body.content or ()] + [item.type for item in _items(body)]
    return any(kind is not None and kind.endswith(_CALLS) for kind in kinds)


def _items(body: _Body) -> Iterator[_Output]:
    """Yield the items of a response's output; a malformed one does not hide another's text."""
    for item in body.output or ():
        with suppress(msgspec.ValidationError):
            yield _output.decode(item)


def _parts(body: _Body) -> Iterator[_Part]:
    return chain.from_iterable(item.content or () for item in _items(body))


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
    return _joined(_parts(body), "output_text")


def _of_messages(body: _Body) -> str:
    return _joined(body.content or (), "text")


_TEXTS: dict[str, Callable[[_Body], str]] = {
    openai.CHAT: _of_chat,
    openai.COMPLETIONS: _of_completion,
    openai.RESPONSES: _of_responses,
    anthropic.ENDPOINT: _of_messages,
}

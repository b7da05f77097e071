"""One JSON object of a request, read key by key: what nobody asked for is refused by its name.

Values stay as they were written (`Raw`), so that what is passed on keeps its bytes. null is the same as absent.
"""

import re
from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Raw

from batchdrop.protocols.request_checks import LineProblem
from batchdrop.result_line import ErrorCode
from batchdrop.texts import cut

# What a request may say although Anthropic has no such parameter: it asks for what happens anyway. An empty value does
# only where OpenAI's document has a list or a map of any names; elsewhere it may switch something on.
_HAPPENS_ANYWAY = {
    "logit_bias": {b"{}"},
    "stream_options": {b"{}"},  # for streams only
    "messages.annotations": {b"[]"},
    "n": {b"1"},
    "store": {b"false"},
    "logprobs": {b"false"},
    "frequency_penalty": {b"0", b"0.0"},
    "presence_penalty": {b"0", b"0.0"},
    "modalities": {b'["text"]'},
    "verbosity": {b'"medium"'},
    "messages.content.image_url.detail": {b'"auto"'},
}
_OTHERWISE = {  # what has an equal that has to be asked for in Anthropic's words
    "web_search_options": 'list Claude\'s own tool in "tools", {"type": "web_search_20250305", "name": "web_search"}',
}
_SHORT = 64  # bytes
_LONGEST_PATH = 300  # bytes: a path stands twice in a message, beside what to do
_INDEX = re.compile(r"\[\d+\]")

_object = msgspec.json.Decoder(dict[str, Raw])
_array = msgspec.json.Decoder(list[Raw])
_string = msgspec.json.Decoder(str)
_boolean = msgspec.json.Decoder(bool)
_number = msgspec.json.Decoder(int | float)


def invalid(where: str, why: str) -> LineProblem:
    return LineProblem(ErrorCode.INVALID_PARAMETER, f'"{where}" {why}')


def untranslatable(what: str, remedy: str) -> LineProblem:
    return LineProblem(ErrorCode.UNTRANSLATABLE, f"{what} has no equal in Anthropic's Messages API: {remedy}")


class Fields:
    """The keys of one object that nobody has taken yet.

    Args:
        raw: The object.
        where: Its path in the body, such as `messages[3].content[0]`; empty for the body itself.
        droppable: Paths without indices (`seed`, `messages.name`) that may be left out where they have no equal.

    Raises:
        LineProblem: It is no object. So do all methods if a value is not what it must be.
    """

    def __init__(self, raw: Raw, where: str, droppable: frozenset[str]) -> None:
        self.raw, self.where, self.droppable = raw, where, droppable
        try:
            read = _object.decode(raw)
        except msgspec.DecodeError:
            raise invalid(where or "body", "is not an object") from None
        self._left = {name: value for name, value in read.items() if bytes(memoryview(value)[:4]) != b"null"}

    def path(self, name: str) -> str:
        return cut(f"{self.where}.{name}" if self.where else name, _LONGEST_PATH)

    def take(self, name: str) -> Raw | None:
        return self._left.pop(name, None)

    def need(self, name: str) -> Raw:
        value = self.take(name)
        if value is None:
            raise LineProblem(ErrorCode.MISSING_PARAMETER, f'"{self.path(name)}" is missing')
        return value

    def take_all(self, names: Iterable[str]) -> dict[str, Raw]:
        """Return those of these keys that are there."""
        return {name: value for name in names if (value := self.take(name)) is not None}

    def text(self, name: str) -> str | None:
        value = self.take(name)
        return None if value is None else text(value, self.path(name))

    def flag(self, name: str) -> bool | None:
        value = self.take(name)
        return None if value is None else flag(value, self.path(name))

    def object(self, name: str) -> "Fields":
        return Fields(self.need(name), self.path(name), self.droppable)

    def objects(self, name: str) -> Iterator["Fields"]:
        return objects(self.need(name), self.path(name), self.droppable)

    def close(self) -> None:
        """Refuse what is left: a translation cannot pass on what it does not know."""
        for name, value in self._left.items():
            plain = _INDEX.sub("", self.path(name))
            happens = _HAPPENS_ANYWAY.get(plain, ())
            if plain not in self.droppable and _compact(value) not in happens:
                raise self._untranslatable(name, plain)

    def _untranslatable(self, name: str, plain: str) -> LineProblem:
        if (remedy := _OTHERWISE.get(plain)) is not None:
            return LineProblem(ErrorCode.UNTRANSLATABLE, f'"{self.path(name)}" is not translated: {remedy}')
        return untranslatable(f'"{self.path(name)}"', f'leave it out, or list "{plain}" in drop_params')


def _compact(raw: Raw) -> bytes:
    """A short value without its spaces; a long one is not copied, for it may be many megabytes."""
    return msgspec.json.format(bytes(raw), indent=-1) if len(memoryview(raw)) <= _SHORT else b""


def is_text(raw: Raw) -> bool:
    return bytes(memoryview(raw)[:1]) == b'"'


def objects(raw: Raw, where: str, droppable: frozenset[str]) -> Iterator[Fields]:
    """The objects of an array."""
    for index, each in enumerate(array(raw, where)):
        yield Fields(each, f"{where}[{index}]", droppable)


def text(raw: Raw, where: str) -> str:
    try:
        return _string.decode(raw)
    except msgspec.DecodeError:
        raise invalid(where, "is not a string") from None


def flag(raw: Raw, where: str) -> bool:
    try:
        return _boolean.decode(raw)
    except msgspec.DecodeError:
        raise invalid(where, "is neither true nor false") from None


def number(raw: Raw, where: str, *, low: float, high: float) -> float:
    try:
        value: float = _number.decode(raw)
    except msgspec.DecodeError:
        raise invalid(where, "is not a number") from None
    if not low <= value <= high:
        raise invalid(where, f"must be from {low:g} to {high:g} for Claude")
    return value


def array(raw: Raw, where: str) -> list[Raw]:
    try:
        return _array.decode(raw)
    except msgspec.DecodeError:
        raise invalid(where, "is not an array") from None


def members(raw: Raw, where: str) -> dict[str, Raw]:
    """The members of an object that is passed on as a whole."""
    try:
        return _object.decode(raw)
    except msgspec.DecodeError:
        raise invalid(where, "is not an object") from None

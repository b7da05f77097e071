"""Any bytes as a line: it is a request or has an error, in a time that grows with its length, and stops no other."""

import itertools
import json
import math
import time
from collections.abc import Callable

import pytest
from batchdrop.inputs.request_lines import LineError, LineReader, Request
from batchdrop.providers.config import ProviderConfig, Providers
from faking.cloud import TOML, simulated_providers
from hypothesis import given
from hypothesis import strategies as st

READER = LineReader(simulated_providers(TOML.read_text(encoding="utf-8")))
NOT_JSON = {"invalid_json", "invalid_utf8", "too_deep"}
JSON = [bytes([each]) for each in b'{}[]":,\\0-.eutnfN']  # what it is made of
# The bytes of a byte-order mark and of a surrogate, a control character, a blank; and the marks as one.
ALPHABET = [*JSON, *(bytes([each]) for each in b"\xef\xbb\xbf\xed\xa0\x01 "), b"\xef\xbb\xbf", b"\xed\xa0\x80"]
CHAT = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Gr\xc3\xbc\xc3\x9fe, \\u00e9\\ud83d\\ude00"}]}'
CLAUDE = (
    b'{"model":"claude-haiku-4-5","max_tokens":7,"temperature":-0.5E-1,"stop":["a"],"messages":[{"role":"assistant",'
    b'"content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\\"a\\": [1, 2]}"'
    b'}}]},{"role":"tool","tool_call_id":"c","content":"4"}]}'
)
REAL = [
    CHAT,
    b'{"custom_id":"r-1","method":"POST","url":"/v1/chat/completions","body":' + CHAT + b"}",
    b'{"custom_id":12e0,"params":{"model":"claude-haiku-4-5","max_tokens":5,"messages":[{"role":"user","content":"Hi"}]}}',
    b'{"custom_id":null,"method":"POST","url":"/v1/chat/completions","body":' + CLAUDE + b"}",
    b'{"model":"text-embedding-3-small","input":["a",[1,2]],"dimensions":256}',
    b"name",
    b'{"a": NaN, "b": [-Infinity, null]}',
]


class UnportableError(Exception):
    """It is JSON, and not everybody can read it."""


def reject(text: str) -> None:
    raise ValueError(text)


def finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise UnportableError
    return number


def without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) < len(pairs):
        raise UnportableError
    return dict(pairs)


parse = json.JSONDecoder(
    object_pairs_hook=without_duplicates, parse_constant=reject, parse_float=finite, parse_int=finite
).decode


def is_json(line: bytes) -> bool:
    """What Python says, less what the line reader refuses on purpose: large numbers, half surrogates, keys twice.

    Raises:
        UnportableError: It is refused on purpose.
    """
    try:
        value = parse(line.decode())
    except ValueError:
        return False
    except RecursionError:
        raise UnportableError from None
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise UnportableError from None
    return True


def check(reader: LineReader, line: bytes) -> None:
    found = reader.read(line)
    code = "" if isinstance(found, Request) else found.code
    assert code != "unreadable_line", (line, found)
    try:
        assert is_json(line) is (code not in NOT_JSON), line
    except UnportableError:
        assert code, line


def test_every_line_of_up_to_four_bytes_is_json_or_it_is_that_lines_error() -> None:
    lines = [itertools.product(ALPHABET, repeat=length) for length in range(1, 4)]
    for line in map(b"".join, itertools.chain(*lines, itertools.product(JSON, repeat=4))):
        check(READER, line)


@given(st.binary(max_size=60))
def test_any_bytes_are_json_or_that_lines_error(line: bytes) -> None:
    check(READER, line)


@given(st.lists(st.sampled_from([*ALPHABET, b'"a"', b"true", b"null", b"NaN", b"\\u", b"\\ud83d", b"1e999", b"model"])))
def test_any_pieces_of_json_are_json_or_that_lines_error(pieces: list[bytes]) -> None:
    check(READER, b"".join(pieces))


@given(st.sampled_from(REAL), st.data())
def test_a_mutilated_line_is_json_or_that_lines_error(line: bytes, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(line)))
        end = data.draw(st.integers(start, min(len(line), start + 30)))
        line = line[:start] + data.draw(st.binary(max_size=4) | st.just(line[start:end] * 2)) + line[end:]
    check(READER, line)


HEADER = "it looks like a header or plain text: remove the line"
PYTHONS = "not JSON: it is written as Python prints it, with single quotes: write it with json.dumps"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"name", f"not JSON: {HEADER}"),
        (b"custom_id,method,url,body\r", f"not JSON: {HEADER}"),
        (b'"custom_id";"my prompt"', f"not JSON: {HEADER}"),
        (b"nullable", f"not JSON: {HEADER}"),
        (b'"name"', f"not a JSON object: {HEADER}"),
        (b"{'custom_id': 'a', 'body': None}", PYTHONS),
        (b"null", "not a JSON object"),
        (b"truE", f"not JSON: {HEADER}"),
        (b"name = {", "not JSON: invalid character at byte 1"),
        (b"a" * 5_000, f"not JSON: {HEADER}"),
    ],
)
def test_a_line_as_people_leave_it_by_mistake_is_called_so(line: bytes, message: str, providers: Providers) -> None:
    found = LineReader(providers).read(line)
    assert isinstance(found, LineError)
    assert found.message == message


@pytest.mark.parametrize("form", [b'{"url":"/v1/chat/completions","body":%b}', b'{"params":%b}'])
def test_a_body_that_is_json_in_a_string_is_called_so(form: bytes, providers: Providers) -> None:
    found = LineReader(providers).read(form % b'"{\\"model\\": \\"gpt-4o\\"}"')
    assert isinstance(found, LineError)
    assert found.message.endswith("is a string: write the object itself, not its JSON as a text")


@pytest.mark.parametrize("line", [b"name", b"text", b"test", b"first", b"note", b"nul\x01", b"[t", b'{"a":fals"}'])
def test_a_word_that_begins_as_true_false_or_null_is_that_lines_error(line: bytes, providers: Providers) -> None:
    found = LineReader(providers).read(line)
    assert isinstance(found, LineError)
    assert found.code == "invalid_json"


class BrokenProviders(Providers):
    """Fails for some models, as a mistake of ours would."""

    def route(self, model: str) -> tuple[ProviderConfig | None, str]:
        match model:
            case "index":
                raise IndexError("what the line says")
            case "memory":
                raise MemoryError
            case "recursion":
                raise RecursionError
        return super().route(model)


def test_a_mistake_of_ours_is_the_error_of_the_line_that_finds_it(providers: Providers) -> None:
    reader = LineReader(BrokenProviders(dict(providers)))
    for model, kind in {"index": "IndexError", "memory": "MemoryError", "recursion": "RecursionError"}.items():
        found = reader.read(CHAT.replace(b"gpt-4o-mini", model.encode()))
        message = f"batchdrop failed to read it ({kind}), and did not send it: report this with the line"
        assert found == LineError(code="unreadable_line", message=message)
    assert isinstance(reader.read(CHAT), Request)


# Time and size

LONG = 200_000  # a time that grows with the square of this is minutes
BODY = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":%b}]%b}'


def for_claude(body: bytes) -> bytes:
    """The same request, to be translated."""
    body = body.replace(b'"model":"gpt-4o-mini"', b'"model":"claude-haiku-4-5","max_tokens":5')
    return b'{"method":"POST","url":"/v1/chat/completions","body":' + body + b"}"


SHAPES: dict[str, Callable[[bytes], bytes]] = {
    "the line": lambda value: value,
    "a custom_id": lambda value: b'{"custom_id":' + value + b',"method":"POST","url":"/v1/chat/completions","body":{}}',
    "a url": lambda value: b'{"method":"POST","url":' + value + b',"body":' + BODY % (b'"Hi"', b"") + b"}",
    "a model": lambda value: b'{"model":' + value + b',"messages":[1]}',
    "a parameter": lambda value: BODY % (b'"Hi"', b',"seed":' + value),
    "a content": lambda value: BODY % (value, b""),
    "a content for Claude": lambda value: for_claude(BODY % (value, b"")),
    "a parameter for Claude": lambda value: for_claude(BODY % (b'"Hi"', b',"metadata":' + value)),
    "a schema for Claude": lambda value: for_claude(
        BODY % (b'"Hi"', b',"tools":[{"type":"function","function":{"name":"f","parameters":%b}}]' % value)
    ),
    "the arguments of a call for Claude": lambda value: for_claude(
        BODY % (b'"Hi","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":%b}}]' % value, b"")
    ).replace(b'"user"', b'"assistant"'),
}
VALUES = {
    "digits": b"9" * LONG,
    "digits of a fraction": b"0." + b"1" * LONG,
    "digits of an exponent": b"1e" + b"0" * LONG,
    "digits in a text": b'"' + b"9" * LONG + b'"',
    "quotes": b'"' + b'\\"' * LONG + b'"',
    "backslashes": b'"' + b"\\\\" * LONG + b'"',
    "raw backslashes": b"\\" * LONG,
    "raw quotes": b'"' * LONG,
    "brackets": b"[" * LONG,
    "closed brackets": b"[" + b"[]," * LONG + b"1]",
    "braces": b"]}" * LONG,
    "blanks": b" " * LONG + b"1" + b" " * LONG,
    "numbers": b"[" + b"1e10," * LONG + b"1]",
    "names": b"{" + b",".join(b'"%d":1' % number for number in range(LONG // 4)) + b"}",
    "a name": b'{"' + b"k" * LONG + b'":1}',
    "minus signs": b"-" * LONG,
    "a surrogate's half": b'"' + b"\\ud83d" * LONG + b'"',
    "not UTF-8": b"\xff" * LONG,
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("value", VALUES)
def test_no_line_takes_long_and_no_message_is_large(shape: str, value: str) -> None:
    line = SHAPES[shape](VALUES[value])
    started = time.process_time()
    found = READER.read(line)
    assert time.process_time() - started < 2
    assert isinstance(found, Request) or len(found.message.encode()) <= 1_000


def test_a_parameter_with_a_long_name_is_named_by_its_beginning_and_the_remedy_is_told() -> None:
    found = READER.read(SHAPES["a content for Claude"](b'"Hi","' + b"k" * 300_000 + b'":1'))
    assert isinstance(found, LineError)
    assert found.message.startswith('"messages[0].kkkk')
    assert found.message.endswith(" in drop_params")
    assert len(found.message) < 1_000

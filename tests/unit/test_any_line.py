"""Any bytes as a line: it is a request or has an error, in a time that grows with its length, and stops no other."""

import itertools
import json
import math

import pytest
from batchdrop.lines import LineError, LineReader, Request
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


def is_json(line: bytes) -> bool:
    """What Python says, less what the line reader refuses on purpose: numbers that no double holds, half surrogates.

    Raises:
        UnportableError: It is refused on purpose.
    """
    try:
        value = json.loads(line.decode(), parse_constant=reject, parse_float=finite, parse_int=finite)
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


@pytest.mark.parametrize("line", [b"name", b"text", b"test", b"first", b"note", b"nul\x01", b"[t", b'{"a":fals"}'])
def test_a_word_that_begins_as_true_false_or_null_is_that_lines_error(line: bytes, providers: Providers) -> None:
    found = LineReader(providers).read(line)
    assert isinstance(found, LineError)
    assert found.code == "invalid_json"


def test_a_column_named_name_is_told_where_it_is_no_json(providers: Providers) -> None:
    found = LineReader(providers).read(b"name")
    assert found == LineError(code="invalid_json", message="not JSON: invalid character at byte 1")


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

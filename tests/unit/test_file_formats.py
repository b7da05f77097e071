"""What a file is that is no JSONL: one sentence for all of it, and never for a file of which one line is broken."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from batchdrop.errors import Unprocessable
from batchdrop.inputs.file_formats import reject_non_jsonl
from hypothesis import given
from hypothesis import strategies as st

REQUEST: dict[str, Any] = {
    "custom_id": "m-1",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {"model": "gpt-4o", "messages": [{"role": "user", "content": "a {harmless} [sentence], <b>"}]},
}
LINE = json.dumps(REQUEST).encode() + b"\n"
PRETTY = json.dumps(REQUEST, indent=2).encode() + b"\n"
LONG = json.dumps(REQUEST | {"body": {"messages": ["x" * 50] * 5_000}}, indent=1).encode()  # beyond what is looked at


def reason(body: bytes, size: int = 1024 * 1024) -> str | None:
    """Why a file is refused; None where its lines are read. Whatever is read is what was given."""
    try:
        read = b"".join(reject_non_jsonl(_pieces(body, size)))
    except Unprocessable as error:
        return str(error)
    assert read == body
    return None


def _pieces(body: bytes, size: int) -> Iterator[bytes]:
    file = io.BytesIO(body)
    return iter(lambda: file.read(size), b"")


SPREAD = (
    "The file's objects are spread over several lines (pretty-printed): write each object on one line, for example "
    "with `jq -c . FILE`, and upload it again."
)
COMMAS = "The file's lines end in commas: write one object per line, with nothing between them, and upload it again."
RETURNS = (
    "The file's lines end in a carriage return alone: end each in a line feed, for example with `tr '\\r' '\\n'`, "
    "and upload it again."
)
HTML = (
    "The file looks like HTML or XML, not like JSONL: save the data itself, not the page that shows it, "
    "and upload it again."
)
CSV = "The file looks like CSV, not like JSONL: export its rows as JSONL, and upload it again."
TEXT = (
    "The file is text, not JSON lines: write each request as one JSON object on a line of its own, and upload it again."
)
UTF_16 = "The file looks like UTF-16, not like JSONL: save it as UTF-8, and upload it again."
OTHER_KINDS = {
    "objects over several lines": (PRETTY * 3, SPREAD),
    "one object over several lines": (PRETTY, SPREAD),
    "one object over several lines, with no line end": (PRETTY.rstrip(), SPREAD),
    "objects over several lines, behind a mark and blank lines": (b"\xef\xbb\xbf\n\n" + PRETTY * 3, SPREAD),
    "objects over several lines, with CRLF": (PRETTY.replace(b"\n", b"\r\n") * 2, SPREAD),
    "objects over several lines and commas": (PRETTY.rstrip() + b",\n" + PRETTY, SPREAD),
    "an object of many lines that is longer than what is looked at": (LONG + b"\n" + PRETTY, SPREAD),
    "objects over several lines that are broken": (PRETTY.replace(b'"POST"', b"POST") * 2, SPREAD),
    "objects with line ends in their strings": (b'{"model": "gpt-4o", "input": "a\nb"}\n' * 2, SPREAD),
    "an object a line, and a comma": ((LINE.rstrip() + b",\n") * 3 + LINE, COMMAS),
    "lines that end in CR": (LINE.replace(b"\n", b"\r") * 3, RETURNS),
    "lines that end in CR, the last one in LF": (LINE.replace(b"\n", b"\r") * 2 + LINE, RETURNS),
    "lines that end in CR, many of them": (LINE.replace(b"\n", b"\r") * 2_000, RETURNS),
    "a web page": (b"<!DOCTYPE html>\n<html>\n<body>\n</body>\n</html>\n", HTML),
    "a web page in one line behind a blank one": (b"\n <html><body>403</body></html>", HTML),
    "an error of S3": (b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code></Error>', HTML),
    "a CSV": (b"custom_id,prompt\na,hello\nb,bye\n", CSV),
    "a CSV with quotes, line ends and JSON in its cells": (
        b'"id","body"\r\n1,"a ""b""\r\nc"\r\n2,"{""a"":1}"\r\n',
        CSV,
    ),
    "a CSV with semicolons": (b"id;prompt\n1;x\n", CSV),
    "a CSV with tabs": (b"id\tprompt\n1\thello, you\n", CSV),
    "a CSV behind a mark": (b"\xef\xbb\xbfcustom_id,prompt\na,hello\n", CSV),
    "a text": (b"name\nalice\nbob\n", TEXT),
    "a text with blank lines, behind a mark": (b"\xef\xbb\xbf\nWhat is it?\r\n\r\nWho is it?", TEXT),
    "texts in quotes behind a header": (b'prompt\n"What, is this?"\n"And that"\n', TEXT),
    "numbers": (b"1\n2\n", TEXT),
    "a long text": (b"a line of words\n" * 10_000, TEXT),
    "UTF-16 behind a blank line": ("\n" + LINE.decode()).encode("utf-16-le"),
    "UTF-16, big-endian, behind a blank line": ("\r\n" + LINE.decode()).encode("utf-16-be"),
    "UTF-16 that was appended to a blank line": b"\n" + LINE.decode().encode("utf-16"),
    "UTF-16 behind spaces": b"  \n" + (" " + LINE.decode()).encode("utf-16-le"),
}
CASES = {name: case if isinstance(case, tuple) else (case, UTF_16) for name, case in OTHER_KINDS.items()}


@pytest.mark.parametrize("size", [7, 1024 * 1024])
@pytest.mark.parametrize("name", CASES)
def test_a_file_of_another_kind_is_refused_in_one_sentence(name: str, size: int) -> None:
    body, sentence = CASES[name]
    assert reason(body, size) == sentence


BROKEN_FIRST_LINES = [
    b"custom_id,prompt",
    b"<!DOCTYPE html>",
    b"{",
    b'{"custom_id": "x",',
    b'{"custom_id":\n"x"}',  # the first record alone takes two lines
    b'{"a": "b\nc"}',
    LINE.rstrip() + b",",
    LINE.replace(b"\n", b"\r") + b"{}",
    b"x\0y\0",
    b"name",
    b"[",
    b"{}{}",
    b'{\n"a": 1,\n"b": 2\n}',
]


@pytest.mark.parametrize("first", BROKEN_FIRST_LINES, ids=lambda line: repr(line)[:20])
@pytest.mark.parametrize("count", [1, 3, 1_000])
def test_a_file_of_which_the_first_line_alone_is_broken_is_read(first: bytes, count: int) -> None:
    assert reason(first + b"\n" + LINE * count) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n \n",
        b"name\n",
        b"not JSON, at all\n",
        b'{"a": 1}\r\n{"a": 2}\r\n',
        b'{"a":\r1}\r',
        b"{broken\n{broken, too\n",
        b"1,2\n" + LINE,
        LINE + PRETTY,
        LINE + b"<html>\n</html>\n",
        b'{"x": "' + b"y" * 100_000 + b'"}\n' + LINE,
        b"oops" * 30_000 + b"\n" + LINE,
    ],
    ids=lambda body: repr(body)[:20],
)
def test_lines_that_stand_for_themselves_are_read(body: bytes) -> None:
    assert reason(body) is None


@given(st.sampled_from("x<"), st.text('ab,;<{}[]"\\:\r\0 \t', max_size=30), st.integers(min_value=2, max_value=4))
def test_no_line_before_good_ones_makes_the_file_another_kind(begin: str, first: str, count: int) -> None:
    assert reason((begin + first).encode() + b"\n" + LINE * count) is None

"""What reaches a request file: one line of JSON that every reader takes, whichever way its body came."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from batchdrop.batches.packing import Group
from batchdrop.batches.request_files import BatchWriter, one_line, wire_body
from batchdrop.protocols.request_checks import LineProblem
from faking.cloud import Cloud
from hypothesis import given
from hypothesis import strategies as st

GROUPS = {
    "anthropic": Group(provider="anthropic", endpoint="/v1/messages", model=None),
    "openai": Group(provider="openai", endpoint="/v1/chat/completions", model="gpt-4o-mini"),
}
DEEP = b'{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}"
NOT_PORTABLE = {
    "1e400": (b'{"a":1e400}', "invalid_json"),
    "deep": (DEEP, "too_deep"),
    "NaN": (b'{"a":NaN}', "invalid_json"),
    "two": (b'{"a":1}\n{"b":2}', "invalid_json"),
    "closes its envelope": (b'{"a":1}},{"custom_id":"x"', "invalid_json"),
    "no object": (b"[1]", "not_a_request"),
    "cut": (b'{"a":', "invalid_json"),
    "half a character": (b'{"a":"\\ud800"}', "invalid_json"),
    "no UTF-8": (b'{"a":"\xff"}', "invalid_utf8"),
    "empty": (b"", "invalid_json"),
}


@pytest.mark.parametrize("name", NOT_PORTABLE)
def test_a_body_that_some_cannot_read_is_refused_where_it_is_written(name: str) -> None:
    body, code = NOT_PORTABLE[name]
    with pytest.raises(LineProblem) as problem:
        one_line(body)
    assert problem.value.code == code


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from([None, 1, "\t", "\r"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
)
def test_a_body_of_many_lines_becomes_one_and_says_the_same(
    value: Any, indent: Any, line_end: str, is_ascii: Any
) -> None:
    pretty = json.dumps({"a": value}, indent=indent, ensure_ascii=is_ascii).replace("\n", line_end).encode()
    line = one_line(pretty)
    assert len(line.splitlines()) == 1
    assert json.loads(line) == {"a": value}


def test_a_checked_body_is_written_as_it_stands() -> None:
    body = b'{ "a" : [1.0, "\xe2\x80\xa8"] }'
    assert one_line(body, is_checked=True) is body


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("is_checked", [False, True])
def test_each_request_of_a_file_is_one_line(cloud: Cloud, tmp_path: Path, group: str, *, is_checked: bool) -> None:
    writer = BatchWriter("00000-0", "work/job/", tmp_path, cloud.services, split=0)
    bodies = [b'{"a": 1}', b'{\r\n  "a": 2\r\n}', b'{"a":\r3}']
    for place, body in enumerate(bodies):
        writer.add(GROUPS[group], body, 0, place, is_checked=is_checked)
    (batch,) = writer.finish()
    lines = cloud.services.files.get(batch.requests_key).splitlines()
    assert [json.loads(wire_body(line)) for line in lines] == [{"a": 1}, {"a": 2}, {"a": 3}]


@pytest.mark.parametrize("group", GROUPS)
def test_a_refused_body_takes_no_place_in_its_batch(cloud: Cloud, tmp_path: Path, group: str) -> None:
    writer = BatchWriter("00000-0", "work/job/", tmp_path, cloud.services, split=0)
    add: Callable[[bytes, int], None] = lambda body, place: writer.add(GROUPS[group], body, 0, place)  # noqa: E731
    add(b'{"a":1}', 0)
    for body, _ in NOT_PORTABLE.values():
        with pytest.raises(LineProblem):
            add(body, 1)
    add(b'{"a":2}', 2)
    (batch,) = writer.finish()
    lines = cloud.services.files.get(batch.requests_key).splitlines()
    assert (batch.requests, [json.loads(wire_body(line)) for line in lines]) == (2, [{"a": 1}, {"a": 2}])

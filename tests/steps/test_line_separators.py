"""Servers that end a line where Unicode does: by a setting, the characters that do it travel as JSON escapes."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from batchdrop.batches.request_files import escape_line_separators
from faking.cloud import TOML, Cloud
from faking.cloud import cloud as new_cloud
from faking.lines import chat, claude, got, wanted
from hypothesis import given
from hypothesis import strategies as st

BREAKS = "".join(line[-1] for line in "".join(map(chr, range(0x110000))).splitlines(keepends=True)[:-1])
SETTING = 'secret = "batchdrop/{}"', 'secret = "batchdrop/{}"\nescape_line_separators = true'


def providers(*names: str) -> str:
    text = TOML.read_text(encoding="utf-8")
    for name in names:
        text = text.replace(*(each.format(name) for each in SETTING))
    return text


def file_of(lines: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines)


def request_files(cloud: Cloud) -> list[bytes]:
    return [cloud.read(key) for key in cloud.keys("work/") if "/requests-" in key]


@pytest.mark.parametrize("line", [chat, claude])
def test_a_server_that_splits_at_unicodes_line_ends_gets_one_line_per_request(
    line: Callable[..., dict[str, Any]],
) -> None:
    lines = [line(f"{number} {BREAKS} \\{BREAKS[-1]}", number) for number in range(3)]
    with new_cloud(providers("openai", "anthropic")) as cloud:
        job = cloud.drop("input/x.jsonl", file_of(lines)) or ""
        cloud.deliver("plan")
        (sent,) = request_files(cloud)
        assert len(sent.decode().splitlines()) == len(sent.splitlines()) == 3
        cloud.settle()
        assert [got(each) for each in cloud.outcome(job).results] == [wanted(each) for each in lines]


def test_without_the_setting_each_request_travels_byte_for_byte() -> None:
    lines = [chat(BREAKS, 1), claude(BREAKS, 2)]
    with new_cloud(providers("openai")) as cloud:
        cloud.drop("input/x.jsonl", file_of(lines))
        cloud.deliver("plan")
        (ours,) = (each for each in request_files(cloud) if b"params" in each)
        assert json.dumps(lines[1]["params"], ensure_ascii=False).encode() in ours


@given(
    st.recursive(
        st.text(alphabet=BREAKS + '\\"u{}é😀'), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_what_is_escaped_is_the_same_json_on_one_line(body: Any) -> None:
    escaped = escape_line_separators(json.dumps(body, ensure_ascii=False).encode())
    assert json.loads(escaped) == body
    assert len(escaped.decode().splitlines()) == 1
    assert escape_line_separators(escaped) == escaped

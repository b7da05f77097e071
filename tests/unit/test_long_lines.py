"""Lines of many megabytes: read piece by piece, with the same words as short ones."""

import tracemalloc

import pytest
from batchdrop.inputs.request_lines import LineError, LineReader, Request
from batchdrop.jsonl import cut_lines
from faking.cloud import TOML, simulated_providers

PROVIDERS = simulated_providers(TOML.read_text(encoding="utf-8"))
MIB = 1024 * 1024
HEAD = b'{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "'
TAIL = b'"}]}'


@pytest.mark.parametrize("before", range(MIB - len(HEAD) - 4, MIB - len(HEAD) + 1))
def test_a_character_may_lie_anywhere(before: int) -> None:
    line = HEAD + b"x" * before + "𐍈".encode() + TAIL
    assert isinstance(LineReader(PROVIDERS).read(line), Request)


@pytest.mark.parametrize("at", [100, MIB - 1, MIB, MIB + 1, 2 * MIB + 77])
def test_a_byte_that_is_not_utf8_is_named_wherever_it_lies(at: int) -> None:
    line = HEAD.ljust(at, b"x") + b"\xff" + b"x" * MIB + TAIL
    found = LineReader(PROVIDERS).read(line)
    assert isinstance(found, LineError)
    assert found.message == f"not UTF-8: byte 0xff at byte {at}"


def test_a_character_that_is_cut_by_the_end_is_not_utf8() -> None:
    found = LineReader(PROVIDERS).read(HEAD + "é".encode()[:1])
    assert isinstance(found, LineError)
    assert found.message == f"not UTF-8: byte 0xc3 at byte {len(HEAD)}"


def test_a_long_line_is_checked_in_little_memory() -> None:
    line = HEAD + b"x" * (16 * MIB) + "𐍈".encode() + TAIL
    tracemalloc.start()
    assert isinstance(LineReader(PROVIDERS).read(line), Request)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * MIB


def test_what_a_line_was_cut_from_is_released_before_the_line_is_used() -> None:
    tracemalloc.start()
    for line in cut_lines(
        (b"x" * MIB if n % 16 else b"x" * MIB + b"\n" for n in range(1, 17)), offset=0, max_bytes=32 * MIB
    ):
        assert line.length == 16 * MIB
        now, _ = tracemalloc.get_traced_memory()
        assert now < 18 * MIB + MIB
    tracemalloc.stop()

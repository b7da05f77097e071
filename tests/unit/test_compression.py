"""Compressed bytes become lines again, in pieces, or a sentence that says why not."""

import random
import tracemalloc
from collections import deque
from collections.abc import Iterator

import pytest
from backports import zstd
from batchdrop.errors import Unprocessable
from batchdrop.inputs.compression import inflate
from faking.compression import PACK, gzipped
from hypothesis import given
from hypothesis import strategies as st

MIB = 1024 * 1024
SKIPPABLE = (0x184D2A50).to_bytes(4, "little") + (4).to_bytes(4, "little") + b"abcd"
BOTH = pytest.mark.parametrize("kind", ["gz", "zst"])


def inflated(data: bytes, kind: str, *, piece: int = 1_000_000, max_bytes: int = 1_000_000) -> bytes:
    return b"".join(inflate(pieces(data, piece), f"input/x.jsonl.{kind}", max_bytes=max_bytes))


def pieces(data: bytes, piece: int) -> Iterator[bytes]:
    return (data[at : at + piece] for at in range(0, len(data), piece))


@given(st.lists(st.binary(max_size=2_000), min_size=1, max_size=4), st.integers(1, 50), st.sampled_from(["gz", "zst"]))
def test_all_members_and_frames_are_read_on_whatever_pieces_come(parts: list[bytes], piece: int, kind: str) -> None:
    data = b"".join(PACK[kind](part) for part in parts)
    assert inflated(data, kind, piece=piece) == b"".join(parts)


def test_frames_to_be_skipped_and_zeros_after_gzip_are_no_data() -> None:
    assert inflated(SKIPPABLE + zstd.compress(b"a\n") + SKIPPABLE + zstd.compress(b"b\n"), "zst") == b"a\nb\n"
    assert inflated(gzipped(b"a\n") + bytes(512), "gz", piece=100) == b"a\n"


@BOTH
@pytest.mark.parametrize("piece", [1, 7, 1_000_000])
def test_what_is_cut_anywhere_is_refused(kind: str, piece: int) -> None:
    whole = PACK[kind](bytes(range(256)) * 4)
    for end in range(len(whole)):
        with pytest.raises(Unprocessable, match=r"^The file is truncated: the (gzip|zstd) stream ends early\.$"):
            inflated(whole[:end], kind, piece=piece)


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        ("gz", b'{"model":"x"}\n', "The file is not gzip, although its name says so."),
        ("zst", b'{"model":"x"}\n', "The file is not zstd, although its name says so."),
        ("zst", gzipped(b"x"), "The file is not zstd, although its name says so."),
        ("gz", gzipped(b"x") + b"garbage", "The file's gzip data is followed by something else."),
        ("zst", zstd.compress(b"x") + b"garbage", "The file's zstd data is followed by something else."),
        ("gz", gzipped(b"x" * 99)[:-8] + bytes(8), "The file's gzip data is damaged."),
        (
            "zst",
            zstd.compress(b"x" * 99, options={zstd.CompressionParameter.checksum_flag: 1})[:-4] + bytes(4),
            "The file's zstd data is damaged.",
        ),
    ],
)
def test_what_is_no_whole_compressed_file_is_said_in_a_sentence(kind: str, data: bytes, said: str) -> None:
    with pytest.raises(Unprocessable) as refused:
        inflated(data, kind)
    assert str(refused.value) == said


def test_a_window_that_takes_too_much_memory_is_refused() -> None:
    packer = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 28})
    data = packer.compress(b"a\n", packer.FLUSH_BLOCK) + packer.compress(b"b\n", packer.FLUSH_FRAME)
    with pytest.raises(Unprocessable) as refused:
        inflated(data, "zst")
    assert str(refused.value) == "The file was compressed with a window of more than 134,217,728 bytes."


@BOTH
def test_what_becomes_larger_than_one_run_can_do_is_refused(kind: str) -> None:
    assert len(inflated(PACK[kind](b"x" * 1_000_000), kind)) == 1_000_000
    with pytest.raises(Unprocessable, match=r"^The file inflates to more than 1,000,000 bytes, more than one run"):
        inflated(PACK[kind](b"x" * 1_000_001), kind)


@BOTH
def test_a_bomb_is_stopped_in_little_memory(kind: str) -> None:
    bomb = PACK[kind](b"\n" * (200 * MIB)) * 40
    tracemalloc.start()
    with pytest.raises(Unprocessable, match=r"^The file inflates to more than"):
        deque(inflate(pieces(bomb, MIB), f"x.{kind}", max_bytes=300 * MIB), maxlen=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6 * MIB


def test_a_file_that_repeats_a_long_prompt_inflates_whatever_its_ratio() -> None:
    prompt = random.Random(1).randbytes(40_000).hex()  # noqa: S311 - bytes that repeat
    lines = b"".join(f'{{"system":"{prompt}","content":{number}}}\n'.encode() for number in range(1_500))
    packed = zstd.compress(lines)
    assert len(lines) > 1_000 * len(packed)
    assert inflated(packed, "zst", max_bytes=len(lines)) == lines

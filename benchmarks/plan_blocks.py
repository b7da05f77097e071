"""How much blocks of usual lines save plan: the same files planned with them and line by line, in turn, in memory.

`.venv/bin/python benchmarks/plan_blocks.py` prints CPU microseconds for a line; the ratio is what counts.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
from batchdrop.jsonl import Block
from batchdrop.providers.config import load_providers
from batchdrop.records import Job, JobSettings, Split
from batchdrop.states import JobState, SplitState
from batchdrop.steps.plan import PlanWriter
from forms import Form, asked_form
from lines import CHAT, chat_lines

LONG, PIECE = 1_700, 1024 * 1024
ROUNDS, LINES = (1, 200) if asked_form() is Form.SMOKE else (7, 20_000)
PROVIDERS = load_providers(Path(__file__).parents[1] / "providers.toml")
BOTH = ("openai", "anthropic")


class Memory:
    """`Files` over one object; what is put is dropped."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self, _key: str, *, start: int, end: int, version_id: str) -> Iterator[bytes]:  # noqa: ARG002
        for at in range(start, end, PIECE):
            yield self._data[at : min(at + PIECE, end)]

    def put(self, _key: str, body: bytes | Path, **_: str) -> None: ...


class CarefulWriter(PlanWriter):
    """Reads each line alone."""

    def read_block(self, block: Block) -> bytes | None:  # noqa: ARG002 - whatever it holds
        self._may_halve = False
        return None


def seconds(data: bytes, kind: type[PlanWriter]) -> float:
    job = Job(
        job="j",
        state=JobState.PLANNING,
        bucket="b",
        key="input/f.jsonl",
        version_id="v",
        bytes=len(data),
        dropped_at=0,
        settings=JobSettings(),
    )
    split = Split(job="j", state=SplitState.PENDING, index=0, start=0, end=len(data))
    limits = SimpleNamespace(deployment="bench", lines_per_split=10_000_000)
    services: Any = SimpleNamespace(files=Memory(data), providers=PROVIDERS, settings=limits)
    with tempfile.TemporaryDirectory() as folder:
        writer = kind(job, split, services, Path(folder))
        began = time.process_time()
        writer.write()
        return time.process_time() - began


def spaced(line: bytes) -> bytes:
    """With blanks behind commas and colons, as Python's json writes it."""
    return msgspec.json.format(line, indent=0) + b"\n"


def streamed(line: bytes) -> bytes:
    """With a parameter that is looked at more closely."""
    return line.replace(b'"messages"', b'"stream":false,"messages"')


def compare(name: str, lines: Iterable[bytes]) -> None:
    written = list(lines)
    data, count = b"".join(written), len(written)
    careful = blocks = sys.float_info.max
    for _ in range(ROUNDS):
        careful = min(careful, seconds(data, CarefulWriter) / count * 1e6)
        blocks = min(blocks, seconds(data, PlanWriter) / count * 1e6)
    speed = len(data) / count / blocks
    print(f"{name:34}{careful:9.2f}{blocks:9.2f}{careful / blocks:8.1f}{speed:8.0f}", flush=True)


def some(change: Callable[[bytes], bytes], every: int) -> Iterator[bytes]:
    for number, line in enumerate(chat_lines(LINES, *BOTH)):
        yield line if number % every else change(line)


if __name__ == "__main__":
    print(f"{'CPU microseconds a line':34}{'alone':>9}{'blocks':>9}{'ratio':>8}{'MB/s':>8}")
    compare(f"both providers, {CHAT} bytes", chat_lines(LINES, *BOTH))
    compare(f"OpenAI, {CHAT} bytes", chat_lines(LINES, "openai"))
    compare(f"both providers, {LONG:,} bytes", chat_lines(LINES // 3, *BOTH, size=LONG))
    compare("both, with blanks", some(spaced, 1))
    compare("both, one line in 100 unusual", some(streamed, 100))
    compare("both, all unusual", some(streamed, 1))

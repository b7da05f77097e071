"""Rows per second under a template, beside plain request lines, and a table's rewriting; the most memory, resident.

`.venv/bin/python benchmarks/templates.py [rows]`
"""

import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from batchdrop.inputs.request_lines import LineReader, Request
from batchdrop.inputs.split_lines import BLOCK_BYTES
from batchdrop.inputs.tables import to_jsonl
from batchdrop.inputs.templated_lines import TemplatedBlocks, TemplatedReader
from batchdrop.inputs.templates import Rendering, Template
from batchdrop.inputs.usual_lines import UsualReader
from batchdrop.jsonl import Block, cut_blocks
from batchdrop.providers.config import load_providers

PROVIDERS = load_providers(Path(__file__).parents[1] / "providers.toml")
BODY = {"messages": [{"role": "user", "content": "Sentiment of: {{ text }}"}], "max_completion_tokens": 20}
TEMPLATE = Template(model="gpt-4o-mini", body=BODY, id_column="id", keep=("sku",))
TEXT = 'A review, ""quoted"", of some three hundred characters, as reviews are: ' + "it goes on and on. " * 12
_CHUNK = 1024 * 1024


def table(rows: int) -> Iterator[bytes]:
    """A CSV in pieces."""
    yield b"id,sku,text\r\n"
    for first in range(0, rows, 1_000):
        yield "".join(f'{n},sku-{n},"{TEXT}{n}"\r\n' for n in range(first, min(first + 1_000, rows))).encode()


def blocks(pieces: Iterator[bytes]) -> Iterator[Block]:
    for each in cut_blocks(pieces, offset=0, max_bytes=_CHUNK, block_bytes=BLOCK_BYTES):
        if isinstance(each, Block):
            yield each


def measured(what: str, rows: int, run: Callable[[], int]) -> None:
    """Run, and print a row; times are the processor's, which others on the machine do not change."""
    start = time.process_time()
    size = run()
    seconds = time.process_time() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    sys.stdout.write(f"| {what} | {size / seconds / 1e6:.0f} MB/s | {rows / seconds:,.0f} | {memory} MB |\n")


def main(rows: int) -> None:
    rendering = Rendering(TEMPLATE, PROVIDERS)
    usual = UsualReader(PROVIDERS)
    templated = TemplatedBlocks(rendering, usual)
    decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode_lines
    first = TemplatedReader(rendering, LineReader(PROVIDERS)).read(b'{"id":"1","sku":"s","text":"t"}')
    if not isinstance(first, Request):
        raise TypeError(first)
    usual.learn(first)
    lines = b"".join(to_jsonl(table(min(rows, 20_000)), delimiter=","))
    few = [each.bytes for each in blocks(iter([lines[at : at + _CHUNK] for at in range(0, len(lines), _CHUNK)]))]
    requests = [rendering.lines(decode(each)) for each in few]
    times = max(rows // 20_000, 1)
    sys.stdout.write("| what | of its input | rows/s | most memory |\n|---|---|---|---|\n")

    def repeated(read: Callable[[bytes], object], inputs: list[bytes]) -> int:
        for _ in range(times):
            for each in inputs:
                if read(each) is None:
                    raise ValueError(each[:200])
        return times * sum(map(len, inputs))

    many = times * sum(each.count(b"\n") for each in few)
    measured("request lines are read", many, lambda: repeated(usual.read, requests))
    measured("rows become request lines", many, lambda: repeated(lambda each: rendering.lines(decode(each)), few))
    measured("rows become request lines, and are read", many, lambda: repeated(templated.read, few))
    measured("a table becomes rows", rows, lambda: sum(map(len, to_jsonl(table(rows), delimiter=","))))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)

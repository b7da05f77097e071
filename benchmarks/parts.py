"""Where a line's time goes in plan and in collect: each part of reading a block alone, the least of many times.

A profiler makes Python's calls dearer than they are, and C's not: none watches here. Neither the disk nor S3's client
is part of it.
"""

import json
import time
from collections import Counter
from collections.abc import Callable
from itertools import accumulate, chain, repeat
from typing import Any

import msgspec
from batchdrop.inputs import usual_lines
from batchdrop.protocols import usual_rows
from lines import chat_lines
from machine import machine

LINES, TIMES = 370, 400  # a block of plan's, and how often
FORM = b'{"custom_id":"deployment-0123456789abcdef-%d","method":"POST","url":"/v1/chat/completions","body":%b}\n'
ANSWER = {"object": "chat.completion", "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}}
_encode_lines = msgspec.json.Encoder().encode_lines


def least[T](what: str, part: Callable[[], T]) -> T:
    """Print what a part takes for a line; what it gives."""
    seconds = []
    for _ in range(TIMES):
        began = time.perf_counter()
        found = part()
        seconds.append(time.perf_counter() - began)
    print(f"| {what} | {min(seconds) / LINES * 1e6:.2f} |", flush=True)
    return found


def plan() -> None:
    print("\n| plan | microseconds a line |\n|---|---|")
    block = b"".join(chat_lines(LINES, "openai", "anthropic"))
    lengths = least("where lines end", lambda: usual_lines._lengths(block)) or []  # noqa: SLF001 - a part of it
    envelopes = least("envelopes decoded", lambda: usual_lines._decode_envelopes(block))  # noqa: SLF001
    bodies = least(
        "bodies taken out", lambda: [bytes(e.params if e.url is msgspec.UNSET else e.body) for e in envelopes]
    )
    text = b"\n".join(bodies)
    read = least("bodies decoded", lambda: usual_lines._KINDS[0].decode_lines(text))  # noqa: SLF001
    keys = least("routes", lambda: [(e.url, e.method, b.model) for e, b in zip(envelopes, read, strict=True)])
    least("routes counted", lambda: Counter(keys))
    ids = [each.custom_id for each in envelopes]
    least("no name stands twice", lambda: (block.count(b":"), usual_lines._count_colons(ids, read)))  # noqa: SLF001
    least(
        "request lines written",
        lambda: FORM * LINES % tuple(chain.from_iterable(zip(range(LINES), bodies, strict=True))),
    )
    offsets = accumulate(lengths, initial=0)
    rows = [*zip(range(LINES), offsets, lengths, repeat(0), ids, repeat(None), strict=False)]
    least("index rows written", lambda: _encode_lines(rows))


def collect() -> None:
    print("\n| collect | microseconds a line |\n|---|---|")
    reader: Any = usual_rows.OpenAIRows()
    rows = [
        {
            "id": f"r-{at}",
            "custom_id": f"deployment-0123456789abcdef-{at}",
            "response": {"status_code": 200, "body": body},
        }
        for at, body in enumerate([ANSWER | {"id": "x" * 200}] * LINES)
    ]
    text = b"\n".join(json.dumps(each).encode() for each in rows)
    ends = least("where rows end", lambda: usual_rows.line_ends(text))
    least("each line is one row, decoded", lambda: usual_rows._decode_rows(reader._named_lines, text, ends))  # noqa: SLF001
    least("all of it, with what may be no answer", lambda: reader.names(text, ends))


if __name__ == "__main__":
    print(machine())
    plan()
    collect()

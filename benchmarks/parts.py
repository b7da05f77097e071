"""Where a line's time goes in plan, collect and assemble: each part of reading a block alone, the least of many times.

A profiler makes Python's calls dearer than they are, and C's not: none watches here. Neither the disk nor S3's client
is part of it.
"""

import json
import tempfile
import time
from collections.abc import Callable
from itertools import accumulate, chain, repeat
from typing import Any

import msgspec
from batchdrop.batches import split_plan
from batchdrop.batches.packing import Load, load_of
from batchdrop.inputs import usual_lines
from batchdrop.inputs.usual_lines import _are_texts
from batchdrop.outputs.line_spool import Spool
from batchdrop.protocols import usual_rows
from batchdrop.protocols.token_estimates import tokens_of_each
from forms import Form, asked_form
from lines import chat_lines
from machine import machine

LINES = 370  # a block of plan's
TIMES = 1 if asked_form() is Form.SMOKE else 400
FILL = 100  # lines that lie on the disk, for each that is read
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
    lines = least("lines and bodies cut", lambda: usual_lines._cut(block)) or usual_lines._Lines([], [])  # noqa: SLF001 - a part of it
    envelopes = least("envelopes and bodies decoded", lambda: usual_lines._KINDS[0].decode_lines(block))  # noqa: SLF001
    read = [each.params if each.url is msgspec.UNSET else each.body for each in envelopes]
    ids = [each.custom_id for each in envelopes]
    least("one body each, custom_ids are texts", lambda: (usual_lines._have_one_body(envelopes), _are_texts(ids)))  # noqa: SLF001
    least("no name stands twice", lambda: block.count(b":") == _encode_lines(envelopes).count(b":"))
    keys = least("routes", lambda: usual_lines._keys(envelopes, read))  # noqa: SLF001
    places: dict[Any, int] = {}
    least("routes numbered", lambda: [places.setdefault(key, len(places)) for key in keys])
    least("tokens estimated, for the batch and for the quote", lambda: _tokens(lines.bodies))
    least(
        "request lines written",
        lambda: FORM * LINES % tuple(chain.from_iterable(zip(range(LINES), lines.bodies, strict=True))),
    )
    rows = least(
        "index rows",
        lambda: [
            *zip(range(LINES), accumulate(lines.lengths), lines.lengths, repeat(0), ids, repeat(None), strict=False)
        ],
    )
    least("index rows encoded", lambda: _encode_lines(rows))


def _tokens(bodies: list[bytes]) -> tuple[Load, list[int]]:
    sizes = list(map(len, bodies))
    return load_of(sizes, 0), tokens_of_each(sizes)


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


def assemble() -> None:
    print("\n| assemble | microseconds a line |\n|---|---|")
    index = [(at, 360 * at, 359, 0, f"r-{at:08}", None) for at in range(LINES)]
    written, reader = _encode_lines(index), usual_rows.OpenAIRows()
    least("index decoded", lambda: split_plan._index_line.decode_lines(written))  # noqa: SLF001
    texts = [json.dumps(_row(at)).encode() for at in range(LINES)]
    with tempfile.TemporaryFile() as file:
        spool, places = Spool(file, LINES * FILL), [at * FILL for at in range(LINES)]
        lengths = [len(texts[0])] * (LINES * FILL)
        offsets = [at * (lengths[0] + 1) for at in range(LINES * FILL)]
        wanted = zip(range(LINES * FILL), offsets, lengths, strict=True)
        spool.take(lambda _start, end: iter([bytes(end)]), wanted)
        least("answers read from the disk, out of their order", lambda: spool.lines(places, lengths[:LINES]))
    text = b"\n".join(texts)
    ends = least("where answers end", lambda: usual_rows.line_ends(text))
    lines = least("rows decoded", lambda: usual_rows._decode_rows(reader._lines, text, ends)) or []  # noqa: SLF001
    bodies = [each.response.body for each in lines]
    least("their bodies decoded", lambda: usual_rows._decode_bodies(reader._bodies, bodies))  # noqa: SLF001
    results = [
        (each.id, "r-00000000", each.response, None, at, "openai", "gpt-4o-mini", "/v1/chat/completions", "batch_0", 1)
        for at, each in enumerate(lines)
    ]
    least("results encoded", lambda: _encode_lines(results))


def _row(at: int) -> dict[str, Any]:
    response = {"status_code": 200, "request_id": "r", "body": ANSWER | {"id": "x" * 400}}
    return {"id": f"r-{at}", "custom_id": f"deployment-0123456789abcdef-{at:08}", "response": response, "error": None}


if __name__ == "__main__":
    print(machine())
    plan()
    collect()
    assemble()

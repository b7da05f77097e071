"""The results of a batch that has ended: each request looked at once, the lines streamed to disk in shuffled order."""

import json
import mmap
import random
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from provider_simulator import answers, lifecycle, one_request, scan
from provider_simulator.dialects import ROWS
from provider_simulator.errors import RefusedError, anthropic_error, openai_error
from provider_simulator.facts import Batch, Failing, Json, Outcome
from provider_simulator.layouts import lay_out
from provider_simulator.lifecycle import Phase

type End = Literal["succeeded", "errored", "canceled", "expired"]

_encode = msgspec.json.Encoder().encode


class _FailedError(Exception):
    """One request's failure. `status` None: there was no HTTP answer."""

    def __init__(self, status: int | None, error: Json) -> None:
        super().__init__(error.get("message"))
        self.status = status
        self.error = error


class _Tally:
    def __init__(self) -> None:
        self.ends = {"succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
        self.input_tokens = self.output_tokens = self.lost = 0


def produce(batch: Batch, folder: Path) -> Outcome:
    """Write `output`, `errors` (OpenAI only) and `answered` (a byte a request) into the batch's folder."""
    index, source = scan.Index.read(folder), scan.mapped(folder / "input.jsonl")
    tally, answered = _Tally(), bytearray(len(index))
    with (folder / "output").open("wb") as output, (folder / "errors").open("wb") as errors:
        files = (output, errors if batch.provider == "openai" else output)
        _write_results(batch, index, source, files, tally=tally, answered=answered)
        for number in range(batch.shape.foreign):
            _write(output, _foreign_line(batch, f"nobody-{number}"))
        for file in (output, errors):
            if batch.shape.no_newline and file.tell():
                file.truncate(file.seek(file.tell() - 1))
    if batch.shape.layout is not None:
        for name in ("output", "errors"):
            lay_out(folder / name, batch.shape.layout)
    sizes = tuple((folder / name).stat().st_size for name in ("output", "errors"))
    (folder / "answered").write_bytes(answered)
    if isinstance(source, mmap.mmap):
        source.close()
    return Outcome(
        **tally.ends,
        lost=tally.lost,
        input_tokens=tally.input_tokens,
        output_tokens=tally.output_tokens,
        output_bytes=sizes[0],
        error_bytes=sizes[1],
    )


def _write_results(  # noqa: PLR0913 - one pass over all that a batch has
    batch: Batch,
    index: scan.Index,
    source: bytes | mmap.mmap,
    files: tuple[BinaryIO, BinaryIO],
    *,
    tally: _Tally,
    answered: bytearray,
) -> None:
    """Write the answers to the first file, and what is none to the second, in an order of their own."""
    order = list(range(len(index)))
    random.Random(batch.id).shuffle(order)  # noqa: S311 - a shuffle that repeats is what is wanted
    cut = int(lifecycle.answered_share(batch) * len(order) + 1e-9)
    rest: End = "expired" if lifecycle.phase(batch, float("inf")) is Phase.EXPIRED else "canceled"
    line_of = _openai_line if batch.provider == "openai" else _anthropic_line
    for rank, position in enumerate(order):
        if cut - batch.shape.lose - batch.shape.forget <= rank < cut:
            tally.lost += rank >= cut - batch.shape.lose
            continue
        entry = index[position]
        line = source[entry.offset : entry.offset + entry.length]
        end, result = line_of(batch, entry, line, "succeeded" if rank < cut else rest, tally)
        tally.ends[end] += 1
        answered[position] = end == "succeeded"
        _write_as_shaped(files[end != "succeeded"], result, rank, batch)
        if rank < batch.shape.contradict:
            _, other = line_of(batch, entry, line, "expired", tally)
            _write(files[1], other)


def _foreign_line(batch: Batch, custom_id: str) -> Json:
    if batch.provider == "anthropic":
        return {"custom_id": custom_id, "result": {"type": "expired"}}
    return {"id": custom_id, "custom_id": custom_id, "response": None, "error": NOT_ANSWERED["expired"]}


def _write_as_shaped(file: BinaryIO, result: Json, rank: int, batch: Batch) -> None:
    """The answers of the lowest ranks are spoilt."""
    for dialect in batch.shape.rows:
        ROWS[dialect](result)
    start = file.tell()
    _write(file, result)
    if rank < batch.shape.repeat:
        _write(file, result)
    if rank < batch.shape.garble:
        file.truncate(file.seek(start + (file.tell() - start) // 2))
        file.write(b"\n")


def _write(file: BinaryIO, result: Json) -> None:
    try:
        line = _encode(result)
    except (ValueError, OverflowError):  # lone surrogates and integers beyond 64 bits, which come back as they came
        line = json.dumps(result).encode()
    file.write(line)
    file.write(b"\n")


def _answer(batch: Batch, entry: scan.Entry, body: Json, tally: _Tally) -> Json:
    """The provider's answer to one request, paid for.

    Raises:
        _FailedError: the provider refuses this request.
    """
    for failing in batch.shape.failing:
        _fail_as_shaped(batch, failing, entry, body)
    style = batch.shape.style(entry.body_key, entry.request_key)
    try:
        answer = one_request.answer_to(batch.terms, body, created=int(batch.created_at), style=style)
    except RefusedError as refused:
        raise _FailedError(refused.status, refused.error(batch.provider)) from None
    spent = answers.usage_of(answer)
    tally.input_tokens += spent[0]
    tally.output_tokens += spent[1]
    return answer


def _fail_as_shaped(batch: Batch, failing: Failing, entry: scan.Entry, body: Json) -> None:
    if failing.match is not None and failing.match.encode() not in answers.canonical(body):
        return
    if failing.fraction is not None and entry.body_key >= failing.fraction * 2**64:
        return
    message = failing.message or "This request was made to fail."
    if batch.provider == "openai":
        error = openai_error(failing.status, message, kind=failing.type, code=failing.code)
    else:
        error = anthropic_error(failing.status, message, kind=failing.type)
    raise _FailedError(failing.status, error)


def _openai_line(batch: Batch, entry: scan.Entry, line: bytes, end: End, tally: _Tally) -> tuple[End, Json]:
    request = scan.decode(line)
    result: Json = {
        "id": f"batch_req_{entry.request_key:016x}",
        "custom_id": request["custom_id"],
        "response": None,
        "error": None,
    }
    if end != "succeeded":
        result["error"] = NOT_ANSWERED[end]
        return end, result
    request_id = f"req_{entry.request_key:016x}"
    try:
        answer = _answer(batch, entry, request["body"], tally)
    except _FailedError as failed:
        if failed.status is None:
            result["error"] = {"code": failed.error["code"], "message": failed.error["message"]}
        else:
            body = {"error": failed.error}
            result["response"] = {"status_code": failed.status, "request_id": request_id, "body": body}
        return "errored", result
    result["response"] = {"status_code": 200, "request_id": request_id, "body": answer}
    return end, result


NOT_ANSWERED = {
    "expired": {
        "code": "batch_expired",
        "message": "This request was not executed before the completion window expired.",
    },
    "canceled": {
        "code": "batch_cancelled",
        "message": "This request was not executed: the batch was cancelled.",
    },
}


def _anthropic_line(batch: Batch, entry: scan.Entry, line: bytes, end: End, tally: _Tally) -> tuple[End, Json]:
    request = scan.decode(line)
    result: Json = {"type": end}
    if end == "succeeded":
        try:
            result["message"] = _answer(batch, entry, request["params"], tally)
        except _FailedError as failed:
            end = "errored"
            error = {"type": "error", "error": failed.error, "request_id": f"req_{entry.request_key:016x}"}
            result = {"type": end, "error": error}
    return end, {"custom_id": request["custom_id"], "result": result}

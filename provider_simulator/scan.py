"""The first reading of a batch's input: is it valid as a batch, and where does each request lie?

Beside the input it leaves an index of four numbers a request (offset and length of its line, a hash of its body, a hash
of body and `custom_id`), and the `custom_id`s, one JSON string a line.
"""

import hashlib
import json
import mmap
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec

from provider_simulator import answers
from provider_simulator.facts import UNKNOWN_MODEL, Json, Limits, LineError, Scan
from provider_simulator.replies import tokens

MOST_ERRORS = 100
FIELDS = 4  # offset, length, hash of the body, hash of body and custom_id
REQUIRED = ("custom_id", "method", "url", "body")

_decoder = msgspec.json.Decoder()


class Entry(NamedTuple):
    offset: int
    length: int
    body_key: int
    request_key: int


class Index:
    """Where each request of a batch lies, and what tells it from others."""

    def __init__(self, numbers: "array[int]") -> None:
        self.numbers = numbers

    @classmethod
    def read(cls, folder: Path) -> Self:
        path = folder / "index"
        numbers = array("Q")
        numbers.frombytes(path.read_bytes() if path.exists() else b"")
        return cls(numbers)

    def __len__(self) -> int:
        return len(self.numbers) // FIELDS

    def __getitem__(self, position: int) -> Entry:
        return Entry(*self.numbers[position * FIELDS : (position + 1) * FIELDS])


def decode(line: bytes) -> Any:  # noqa: ANN401 - any JSON
    """JSON as strictly as the vendors' own parsers, which take lone surrogates and big integers.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return _decoder.decode(line)
    except ValueError:
        return json.loads(line, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("It is nested too deeply.") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Number (from 1), offset and bytes of every line that is not blank."""
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, offset, line
            offset += len(line)


def scan_openai(source: Path, folder: Path, *, endpoint: str, limits: Limits) -> Scan:
    """Read an uploaded file as OpenAI validates it; one wrong line fails the whole batch."""
    reading = _Reading(endpoint)
    with _IndexWriter(folder) as index:
        for number, offset, line in lines(source):
            request = reading.take(number, line)
            if request is not None:
                index.add(offset, len(line), request["custom_id"], request["body"])
    errors = [*_size_errors(source, reading, limits), *reading.errors][:MOST_ERRORS]
    return Scan(total=reading.total, input_tokens=reading.tokens, model=reading.model, errors=tuple(errors))


def scan_anthropic(source: Path, folder: Path) -> Scan:
    """Read what a create has left; as a batch it was valid when it was created."""
    total = input_tokens = 0
    with _IndexWriter(folder) as index:
        for _, offset, line in lines(source):
            request = decode(line)
            index.add(offset, len(line), request["custom_id"], request["params"])
            total += 1
            input_tokens += tokens(len(line))
    return Scan(total=total, input_tokens=input_tokens, model=None)


class _IndexWriter:
    def __init__(self, folder: Path) -> None:
        self._numbers = array("Q")
        self._index = folder / "index"
        self._names = (folder / "custom_ids").open("wb")

    def __enter__(self) -> Self:
        return self

    def add(self, offset: int, length: int, custom_id: str, body: Json) -> None:
        name = json.dumps(custom_id).encode()
        sha = answers.digest(body)
        key = hashlib.blake2b(name + sha, digest_size=8).digest()
        self._numbers.extend((offset, length, int.from_bytes(sha[:8]), int.from_bytes(key)))
        self._names.write(name + b"\n")

    def __exit__(self, *_: object) -> None:
        self._names.close()
        self._index.write_bytes(self._numbers.tobytes())


class _Reading:
    """The state between two lines."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.total = self.tokens = self.inputs = 0
        self.model: str | None = None
        self.errors: list[LineError] = []
        self._seen: set[str] = set()

    def take(self, number: int, line: bytes) -> Json | None:
        """The request, or None when its line has an error."""
        self.total += 1
        self.tokens += tokens(len(line))
        try:
            request = decode(line)
        except ValueError:
            request = None
        error = self._wrong(request)
        if error is None:
            return request  # type: ignore[no-any-return]  # _wrong has looked at its shape
        if len(self.errors) < MOST_ERRORS:
            self.errors.append(msgspec.structs.replace(error, line=number))
        return None

    def _wrong(self, request: Any) -> LineError | None:  # noqa: ANN401 - any JSON
        if not isinstance(request, dict):
            return LineError(code="invalid_json_line", message="This line is not parseable as valid JSON.")
        checks = (_shape_error, self._custom_id_error, self._url_error, self._body_error, self._model_error)
        return next((error for check in checks if (error := check(request)) is not None), None)

    def _custom_id_error(self, request: Json) -> LineError | None:
        custom_id = request["custom_id"]
        if custom_id not in self._seen:
            self._seen.add(custom_id)
            return None
        message = (
            f"The custom_id '{custom_id}' for this request is a duplicate of another request in the same batch. "
            "The custom_id parameter must be unique for each request in a batch."
        )
        return LineError(code="duplicate_custom_id", message=message, param="custom_id")

    def _url_error(self, request: Json) -> LineError | None:
        if request["method"] != "POST":
            return LineError(code="invalid_method", message="Only POST is supported in a batch.", param="method")
        if request["url"] == self.endpoint:
            return None
        message = "The URL provided for this request does not match the batch endpoint."
        return LineError(code="invalid_url", message=message, param="url")

    def _body_error(self, request: Json) -> LineError | None:
        body = request["body"]
        if body.get("stream"):
            message = "Streaming is not supported in the Batch API."
            return LineError(code="streaming_unsupported", message=message, param="body.stream")
        if not isinstance(body.get("model"), str):
            return _missing("body.model")
        self.inputs += len(answers.inputs(body)) if self.endpoint == "/v1/embeddings" else 0
        return None

    def _model_error(self, request: Json) -> LineError | None:
        model = request["body"]["model"]
        if model.endswith(UNKNOWN_MODEL):
            message = f"The provided model '{model}' is not supported by the Batch API."
            return LineError(code="model_not_found", message=message, param="body.model")
        self.model = self.model or model
        if model == self.model:
            return None
        message = (
            f"The provided model '{model}' does not match the model '{self.model}' of the batch's other requests. "
            "A batch's requests must all use the same model."
        )
        return LineError(code="mismatched_model", message=message, param="body.model")


def _missing(param: str) -> LineError:
    return LineError(code="missing_required_parameter", message=f"Missing required parameter: '{param}'.", param=param)


def _shape_error(request: Json) -> LineError | None:
    absent = next((name for name in REQUIRED if name not in request), None)
    if absent is not None:
        return _missing(absent)
    kinds: tuple[tuple[str, type], ...] = (("custom_id", str), ("method", str), ("url", str), ("body", dict))
    for name, kind in kinds:
        if not isinstance(request[name], kind):
            message = f"Invalid type for '{name}'."
            return LineError(code="invalid_type", message=message, param=name)
    return None


def _size_errors(source: Path, reading: _Reading, limits: Limits) -> Iterator[LineError]:
    size = source.stat().st_size
    if reading.total == 0:
        yield LineError(code="empty_file", message="The batch input file is empty. Please ensure it has requests.")
    if reading.total > limits.openai_requests:
        message = f"The batch input file contains too many requests. The limit is {limits.openai_requests} requests."
        yield LineError(code="too_many_tasks", message=message)
    if size > limits.openai_batch_bytes:
        message = f"Batch input file size supports up to {limits.openai_batch_bytes} bytes; this file has {size}."
        yield LineError(code="file_too_large", message=message)
    if reading.inputs > limits.openai_embedding_inputs:
        message = f"A batch holds at most {limits.openai_embedding_inputs} embedding inputs; this has {reading.inputs}."
        yield LineError(code="too_many_embedding_inputs", message=message)


def mapped(path: Path) -> "mmap.mmap | bytes":
    """The bytes of a file, without reading it; an empty file cannot be mapped."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""

"""Shared code of both vendors' HTTP surfaces: requests spooled to disk, answers as JSON or as streamed files."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import msgspec
from werkzeug.wrappers import Request, Response

from provider_simulator import scan
from provider_simulator.engine import Engine
from provider_simulator.errors import RefusedError
from provider_simulator.facts import Json, ProviderName

CHUNK = 256 * 1024
WAIT = "provider_simulator.wait"  # in the environment of a call: what lets seconds pass


class DroppedError(ConnectionResetError):
    """The connection ends here, with no answer or in the middle of one."""


class SilenceError(DroppedError):
    """No answer comes within the time that the client waits."""


class SpooledRequest(Request):
    """A request whose uploads go to files in the data folder, at any size."""

    spool: Path
    id_prefix = ""
    """What the ids in the body begin with, beside what they are stored by."""
    max_form_parts = 100

    def _get_file_stream(
        self,
        total_content_length: int | None,  # noqa: ARG002 - Werkzeug's signature
        content_type: str | None,  # noqa: ARG002
        filename: str | None = None,  # noqa: ARG002
        content_length: int | None = None,  # noqa: ARG002
    ) -> IO[bytes]:
        return spooled(self.spool)

    def drain(self) -> None:
        """Read what is left, so that the client gets to see the answer."""
        while self.stream.read(CHUNK):
            pass

    def json(self) -> Json:
        """The body as an object.

        Raises:
            RefusedError: 400, it is not one.
        """
        try:
            body = scan.decode(self.get_data(cache=False))
        except ValueError:
            raise RefusedError(400, "We could not parse the JSON body of your request.") from None
        if not isinstance(body, dict):
            raise RefusedError(400, "The body must be a JSON object.")
        file_id = body.get("input_file_id")
        return body | {"input_file_id": file_id.removeprefix(self.id_prefix)} if isinstance(file_id, str) else body

    def bounded(self, name: str, default: int, most: int) -> int:
        """A number in the query, from 1 to `most`.

        Raises:
            RefusedError: 400.
        """
        given = self.args.get(name, str(default))
        if not given.isascii() or not given.isdigit() or not 1 <= int(given) <= most:
            raise RefusedError(400, f"{name}: must be an integer from 1 to {most}, not '{given}'", param=name)
        return int(given)


class Call(NamedTuple):
    """One call of an operation."""

    engine: Engine
    request: SpooledRequest
    provider: ProviderName
    operation: str
    request_id: str
    id: str
    """Of the file or batch that it is about; empty for none."""
    org: str = ""
    """Whose key it is; empty until the key was looked at."""
    delay: float = 0.0
    """What it creates arrives so many seconds later."""
    stop: str | None = None
    """Why its answer ends, in the endpoint's words; None: as the request makes it."""
    misfits: bool = False
    """Whether its answer does not fit the schema that it asks for."""


def spooled(folder: Path) -> IO[bytes]:
    return cast("IO[bytes]", tempfile.NamedTemporaryFile(dir=folder, delete=False))


def answer(body: Any, status: int = 200) -> Response:  # noqa: ANN401 - any JSON
    return Response(msgspec.json.encode(body), status=status, content_type="application/json")


def file_answer(request: Request, path: Path, *, content_type: str) -> Response:
    """A file, streamed; a part of it (206) when one is asked for."""
    size = path.stat().st_size
    wanted = request.range.range_for_length(size) if request.range else None
    if request.range and wanted is None:
        return Response(status=416, headers={"Content-Range": f"bytes */{size}"})
    start, stop = wanted or (0, size)
    headers = {"Content-Length": str(stop - start), "Accept-Ranges": "bytes"}
    if wanted:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    body = _pieces(path, start, stop)
    return Response(body, status=206 if wanted else 200, headers=headers, content_type=content_type)


def _pieces(path: Path, start: int, stop: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while start < stop and (piece := file.read(min(CHUNK, stop - start))):
            start += len(piece)
            yield piece


def in_charset(response: Response, charset: str) -> Response:
    """The same answer, its characters as they are in another charset, which no header tells."""
    text = json.dumps(msgspec.json.decode(response.get_data()), ensure_ascii=False)
    response.set_data(text.encode(charset))
    return response


def with_status(response: Response, status: str) -> Response:
    """The same answer, but each batch in it has this status."""
    shown = msgspec.json.decode(response.get_data())
    for batch in shown.get("data", [shown]):
        batch.update((name, status) for name in ("status", "processing_status") if name in batch)
    return answer(shown, response.status_code)


def cut(response: Response, limit: int) -> Response:
    """The same answer, but the connection drops within its body, after `limit` bytes at most."""
    promised = int(response.headers.get("Content-Length") or len(response.get_data()))
    response.headers["Content-Length"] = str(promised)
    response.response = _cut_pieces(response.iter_encoded(), min(limit, max(0, promised - 1)))
    return response


def _cut_pieces(pieces: Iterator[bytes], left: int) -> Iterator[bytes]:
    for piece in pieces:
        yield piece[:left]
        left -= len(piece)
        if left <= 0:
            break
    raise DroppedError("cut")

"""The simulator as a real HTTP server on this machine, a thread for each connection.

Connections are kept alive, as the vendors' are, and dropped when nothing came for a while.
"""

import threading
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from typing import TYPE_CHECKING, Any

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from provider_simulator.app import Simulator
from provider_simulator.door import Door
from provider_simulator.wire import CHUNK, WAIT

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

IDLE_SECONDS = 2.0  # shorter than the SDKs keep a connection (5 s), so that they meet ones that were dropped
BUSY_SECONDS = 120.0  # in which some piece of a body has to come


class _Body:
    """The rest of a request's body, and never the request after it."""

    def __init__(self, file: BufferedIOBase, length: int) -> None:
        self._file = file
        self.left = length

    def read(self, size: int = -1) -> bytes:
        wanted = self.left if size < 0 else min(size, self.left)
        piece = self._file.read(wanted) if wanted else b""
        self.left = self.left - len(piece) if len(piece) == wanted else 0
        return piece

    def readline(self, size: int = -1) -> bytes:
        line = self._file.readline(self.left if size < 0 else min(size, self.left))
        self.left -= len(line)
        return line


class _Answer:
    """The application's answer; its head goes out with the first piece."""

    def __init__(self, handler: "_Handler") -> None:
        self._handler = handler
        self._is_chunked = False
        self._status, self._headers = "", list[tuple[str, str]]()

    def start(self, status: str, headers: list[tuple[str, str]], _: Any = None) -> Any:  # noqa: ANN401 - WSGI's signature
        self._status, self._headers = status, headers

    def send(self, pieces: Iterable[bytes]) -> None:
        self._send_head()
        for piece in filter(None, pieces):
            head = b"%x\r\n" % len(piece) if self._is_chunked else b""
            self._handler.wfile.write(head + piece + (b"\r\n" if self._is_chunked else b""))
        if self._is_chunked:
            self._handler.wfile.write(b"0\r\n\r\n")

    def _send_head(self) -> None:
        code, _, reason = self._status.partition(" ")
        self._handler.send_response(int(code), reason)
        self._is_chunked = not any(name.lower() == "content-length" for name, _ in self._headers)
        more = [("Transfer-Encoding", "chunked")] if self._is_chunked else []
        for name, value in (*self._headers, *more):
            self._handler.send_header(name, value)  # `Connection: close` among them ends the connection
        self._handler.end_headers()


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    idle_seconds = IDLE_SECONDS

    def handle_one_request(self) -> None:
        self.connection.settimeout(self.idle_seconds)
        super().handle_one_request()

    def run_wsgi(self) -> None:
        """Werkzeug's own closes every connection."""
        self.connection.settimeout(BUSY_SECONDS)
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = _Body(self.rfile, int(self.headers.get("Content-Length") or 0))
        try:
            self._serve(body)
            self.wfile.flush()
            while body.read(CHUNK):
                pass
        except (ConnectionError, TimeoutError):  # also those that a fault raises: the connection ends here
            self.close_connection = True
        except Exception:  # noqa: BLE001 - whatever the application raised: it is shown, and the client gets no answer
            self.close_connection = True
            traceback.print_exc()

    def _serve(self, body: _Body) -> None:
        answer = _Answer(self)
        start: StartResponse = answer.start
        pieces = self.server.app({**self.make_environ(), "wsgi.input": body, WAIT: time.sleep}, start)
        try:
            answer.send(pieces)
        finally:
            getattr(pieces, "close", bool)()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass

    def log_error(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's signature; it tells of idle ones
        pass


def server(
    simulator: Simulator,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    idle_seconds: float = IDLE_SECONDS,
    key: str | None = None,
) -> BaseWSGIServer:
    """A server that listens already; port 0 takes a free one. With `key` it answers to that key alone."""
    handler = type("_Handler", (_Handler,), {"idle_seconds": idle_seconds})
    made = make_server(host, port, simulator, threaded=True, request_handler=handler)
    made.app = Door(simulator, host=f"{made.host}:{made.port}", key=key)
    made.daemon_threads = True  # type: ignore[attr-defined]  # it is a ThreadedWSGIServer
    return made


def url_of(listening: BaseWSGIServer) -> str:
    return f"http://{listening.host}:{listening.port}"


@contextmanager
def serve(
    simulator: Simulator,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    idle_seconds: float = IDLE_SECONDS,
    key: str | None = None,
) -> Iterator[str]:
    """Serve while the block runs; yields the URL."""
    listening = server(simulator, host=host, port=port, idle_seconds=idle_seconds, key=key)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield url_of(listening)
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()

"""A server on this machine that answers every call with the same JSON, and keeps the bytes that came."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class RawCall(NamedTuple):
    """A call as it came: its first line, its headers (names in lower case) and its body, chunks and all."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes

    def values(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each == name]


class RawServer(NamedTuple):
    url: str
    calls: list[RawCall]


@contextmanager
def raw_server(answer: Any) -> Iterator[RawServer]:
    """Serve while the block runs, a thread for each connection."""
    calls: list[RawCall] = []
    body = json.dumps(answer).encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            headers = [(name.lower(), value) for name, value in self.headers.items()]
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if "Transfer-Encoding" in self.headers:
                sent = b"".join(iter(self.rfile.readline, b"0\r\n")) + self.rfile.readline()
            calls.append(RawCall(self.requestline, headers, sent))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield RawServer(f"http://127.0.0.1:{server.server_address[1]}", calls)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

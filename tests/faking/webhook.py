"""A receiver of webhooks, on this machine."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

Sent = tuple[dict[str, str], bytes]  # headers, whose names are in lower case, and the body


@dataclass
class Receiver:
    """Answers as it is told, and keeps what it was sent and takes."""

    status: int = 204
    sent: list[Sent] = field(default_factory=list)
    url: str = ""
    is_endless: bool = False
    is_dripping: bool = False
    is_over: Event = field(default_factory=Event)
    drips: Event = field(default_factory=Event)
    is_left: Event = field(default_factory=Event)
    """Who was being answered closed the connection."""

    @contextmanager
    def noting_who_leaves(self) -> Iterator[None]:
        try:
            yield
        except ConnectionError:
            self.is_left.set()

    def drip(self, write: Callable[[bytes], object]) -> None:
        """Begin an answer, a byte at a time; it has an end, so that who waits for it fails this test."""
        self.drips.set()
        write(b"HTTP/1.1 204 No Content\r\nX-Slow: ")
        for _ in range(200):
            if not self.is_over.wait(0.05):
                write(b".")
        write(b"\r\n")


@contextmanager
def receiving(
    *, tls: ssl.SSLContext | None = None, takes: Callable[[Sent], bool] = lambda _: True
) -> Iterator[Receiver]:
    """Receive at an address with `/hook`; what it does not take is answered 401."""
    made = Receiver()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            sent = ({name.lower(): value for name, value in self.headers.items()}, body)
            is_taken = takes(sent)
            if is_taken:
                made.sent.append(sent)
            with made.noting_who_leaves():
                self.answer(made.status if is_taken else 401)

        def answer(self, status: int) -> None:
            if made.is_dripping:
                made.drip(self.wfile.write)
            self.send_response(status)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.send_header("Content-Length", "1000" if made.is_endless else "0")
            self.end_headers()
            if made.is_endless:
                made.is_over.wait()

        def log_message(self, *_: object) -> None:
            """Nothing: tests are quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    made.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}/hook"
    try:
        yield made
    finally:
        made.is_over.set()
        server.shutdown()
        server.server_close()

"""The simulator as a real HTTP server on this machine, a thread for each connection."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from provider_simulator.app import Simulator

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def connection_dropped(self, error: BaseException, environ: "WSGIEnvironment | None" = None) -> None:  # noqa: ARG002 - Werkzeug's signature
        """Werkzeug would wait for the next request on a connection that was dropped on purpose."""
        self.close_connection = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def server(simulator: Simulator, *, host: str = "127.0.0.1", port: int = 0) -> BaseWSGIServer:
    """A server that listens already; port 0 takes a free one."""
    made = make_server(host, port, simulator, threaded=True, request_handler=_Quiet)
    made.daemon_threads = True  # type: ignore[attr-defined]  # it is a ThreadedWSGIServer
    return made


def url_of(listening: BaseWSGIServer) -> str:
    return f"http://{listening.host}:{listening.port}"


@contextmanager
def serve(simulator: Simulator, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve while the block runs; yields the URL."""
    listening = server(simulator, host=host, port=port)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield url_of(listening)
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()

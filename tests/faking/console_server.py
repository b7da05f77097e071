"""The console on a port of this machine, as a browser meets it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import uvicorn

from batchdrop_console.access import Access
from batchdrop_console.app import make_app
from batchdrop_console.pages import Console


@contextmanager
def served(console: Console) -> Iterator[Access]:
    """The way in to a console that is served until the block ends."""
    listening = socket.create_server(("127.0.0.1", 0))
    access = Access(listening.getsockname()[1])
    server = uvicorn.Server(uvicorn.Config(make_app(console, access), log_level="error", timeout_graceful_shutdown=1))
    thread = Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield access
    finally:
        server.should_exit = True
        thread.join()

"""`batchdrop console`: the pages, served on this machine alone until Ctrl-C."""

import socket
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import uvicorn

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.say import note, say
from batchdrop_cli.user_errors import UserError
from batchdrop_console.access import Access
from batchdrop_console.app import make_app
from batchdrop_console.pages import Console, notify

_LOOPBACK = "127.0.0.1"


def serve(cloud: Cloud, *, port: int, may_write: bool, opens_browser: bool) -> None:
    """Serve the pages until the process is interrupted.

    Raises:
        UserError: The port is taken.
    """
    cloud = replace(cloud, notify=notify)
    _ = cloud.s3, cloud.store, cloud.events, cloud.prices, cloud.user  # boto3 makes clients in one thread only
    listening = listen(port)
    access = Access(listening.getsockname()[1])
    console = Console(cloud=cloud, may_write=may_write, log=_log)
    say(access.url)
    changes = "Changes are allowed" if may_write else "It only reads (see --write)"
    opens = "If no browser shows it, open the address yourself" if opens_browser else "Open the address in a browser"
    note(f"The console of the {cloud.title} is there. {opens}; it opens once. {changes}. Ctrl-C ends it.")
    config = uvicorn.Config(
        make_app(console, access),
        log_level="error",
        access_log=False,  # addresses hold job ids and words that were searched for
        server_header=False,
        timeout_graceful_shutdown=3,
    )
    with opening_page(access.url) if opens_browser else nullcontext() as to_open:
        _Server(config, to_open).run(sockets=[listening])


class _Server(uvicorn.Server):
    """Opens the browser once it serves, in a thread: a browser in the terminal ends no sooner than who reads in it."""

    def __init__(self, config: uvicorn.Config, to_open: str | None) -> None:
        super().__init__(config)
        self._to_open = to_open

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self._to_open is not None:
            Thread(target=webbrowser.open, args=(self._to_open,), daemon=True).start()


@contextmanager
def opening_page(url: str) -> Iterator[str]:
    """A private file that leads a browser to an address: every user of a machine sees what programs are called with."""
    with TemporaryDirectory(prefix="batchdrop-console-") as folder:
        path = Path(folder) / "open.html"
        path.write_text(f'<!doctype html><meta http-equiv="refresh" content="0; url={url}">', encoding="utf-8")
        yield path.as_uri()


def listen(port: int) -> socket.socket:
    """A socket that listens: a browser that comes early waits, and no other program gets the port.

    Raises:
        UserError: The port is taken.
    """
    try:
        return socket.create_server((_LOOPBACK, port))
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise UserError(f"Port {port} cannot be used ({why}): name another; 0 takes any that is free.") from error


def _log(line: str) -> None:
    """An action, on standard error as it is, for whoever keeps it."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - a log line is not broken to the terminal's width

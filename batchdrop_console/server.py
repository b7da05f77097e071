"""`batchdrop console`: the pages, served on this machine alone until Ctrl-C."""

import socket
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.say import note, say
from batchdrop_cli.user_errors import UserError
from batchdrop_console.access import Access
from batchdrop_console.app import make_app
from batchdrop_console.pages import Console, tell

_LOOPBACK = "127.0.0.1"


def serve(cloud: Cloud, *, port: int, may_write: bool, opens_browser: bool) -> None:
    """Serve the pages until the process is interrupted.

    Raises:
        UserError: The port is taken.
    """
    cloud = replace(cloud, tell=tell)
    _ = cloud.s3, cloud.store, cloud.events, cloud.prices, cloud.user  # boto3 makes clients in one thread only
    listening = _listen(port)
    access = Access(listening.getsockname()[1])
    console = Console(cloud=cloud, may_write=may_write, log=_log)
    say(access.url)
    changes = "Changes are allowed" if may_write else "It only reads (see --write)"
    note(f"The console of the {cloud.title} is there; the address opens once. {changes}. Ctrl-C ends it.")
    config = uvicorn.Config(
        make_app(console, access),
        log_level="error",
        access_log=False,  # addresses hold job ids and words that were searched for
        server_header=False,
        timeout_graceful_shutdown=3,
    )
    with opened(access.url) if opens_browser else nullcontext():
        uvicorn.Server(config).run(sockets=[listening])


@contextmanager
def opened(url: str) -> Iterator[None]:
    """Open an address in the browser by a private file: what a program is called with, every user of a machine sees."""
    with TemporaryDirectory(prefix="batchdrop-console-") as folder:
        path = Path(folder) / "open.html"
        path.write_text(f'<!doctype html><meta http-equiv="refresh" content="0; url={url}">', encoding="utf-8")
        webbrowser.open(path.as_uri())
        yield


def _listen(port: int) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((_LOOPBACK, port))
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise UserError(f"Port {port} cannot be used ({why}): name another; 0 takes any that is free.") from error
    return listening


def _log(line: str) -> None:
    """An action, on standard error as it is, for whoever keeps it."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - a log line is not broken to the terminal's width

"""`batchdrop console`: what it needs, and that it is served to this machine alone."""

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import httpx
import pytest

from batchdrop_cli import console_command
from batchdrop_console.server import opened
from local_cloud.extras import how_to_install

if TYPE_CHECKING:
    from conftest import Run

_SERVE = """
import sys
import boto3
from batchdrop_cli.cloud import Cloud
from batchdrop_console.server import serve
cloud = Cloud(title="test", is_local=True, bucket="b", table="t", session=boto3.Session(region_name="us-east-1"))
serve(cloud, port=0, may_write=False, opens_browser=False)
"""


def test_what_is_missing_is_named_with_the_way_to_install_it(run: "Run", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_command, "_PACKAGES", ("starlette", "not_installed"))
    said = f"The console needs not_installed: {how_to_install('console')}\n"
    assert run("console") == (1, "", said)


def test_a_port_that_has_no_sense_is_wrong_use(run: "Run") -> None:
    assert run("console", "--port", "70000")[0] == 2


def test_it_is_served_on_loopback_to_who_opens_the_printed_address() -> None:
    with subprocess.Popen([sys.executable, "-u", "-c", _SERVE], stdout=subprocess.PIPE, text=True) as served:
        try:
            assert served.stdout is not None
            address = served.stdout.readline().strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/enter\?token=\S+", address)
            answers = [_get(address).status_code, httpx.get(address).status_code]
        finally:
            served.terminate()
    assert answers == [200, 403]


def test_a_browser_is_sent_to_the_address_by_a_private_file_and_the_address_is_on_no_command_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = list[tuple[str, str, int]]()

    def open_(address: str) -> None:
        path = Path(unquote(urlsplit(address).path))
        seen.append((address, path.read_text(encoding="utf-8"), path.parent.stat().st_mode & 0o777))

    monkeypatch.setattr("webbrowser.open", open_)
    url = "http://127.0.0.1:1/enter?token=secret"
    with opened(url):
        ((address, text, mode),) = seen
    assert (address.startswith("file:///"), "secret" in address, url in text, mode) == (True, False, True, 0o700)


def _get(address: str) -> httpx.Response:
    """The first answer: the server listens before it answers."""
    while True:
        try:
            return httpx.get(address, timeout=60)
        except httpx.ConnectError:
            time.sleep(0.05)

"""`batchdrop console`: what it needs, and that it is served to this machine alone."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import httpx
import pytest

from batchdrop_cli import console_command
from batchdrop_cli.user_errors import UserError
from batchdrop_console.server import listen
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
            answers = [httpx.get(address, timeout=60).status_code for _ in range(2)]  # it listens before it is told
        finally:
            served.terminate()
    assert answers == [200, 403]


def test_a_browser_is_sent_to_the_address_by_a_private_file_and_the_address_is_on_no_command_line(
    tmp_path: Path,
) -> None:
    """The browser here is one that lasts as long as the console, as those of a terminal do."""
    (tmp_path / "browser").write_text(f'#!/bin/sh\nprintf "%s\\n" "$1" > {tmp_path}/asked\nexec sleep 600\n')
    (tmp_path / "browser").chmod(0o700)
    script = _SERVE.replace("opens_browser=False", "opens_browser=True")
    environment = os.environ | {"BROWSER": f"{tmp_path}/browser %s"}
    with subprocess.Popen(
        [sys.executable, "-u", "-c", script], stdout=subprocess.PIPE, text=True, env=environment, process_group=0
    ) as served:
        try:
            assert served.stdout is not None
            url = served.stdout.readline().strip()
            while not (tmp_path / "asked").exists() or not (asked := (tmp_path / "asked").read_text().strip()):
                time.sleep(0.05)
            path = Path(unquote(urlsplit(asked).path))
            text, mode = path.read_text(encoding="utf-8"), path.parent.stat().st_mode & 0o777
            assert httpx.get(url, timeout=60).status_code == 200
        finally:
            os.killpg(served.pid, signal.SIGTERM)
    token = url.partition("=")[2]
    assert (asked.startswith("file:///"), token in asked, url in text, mode) == (True, False, True, 0o700)


def test_a_port_that_another_console_has_is_refused_at_once() -> None:
    with listen(0) as first:
        port = first.getsockname()[1]
        with pytest.raises(UserError, match=rf"Port {port} cannot be used \(.+\): name another"):
            listen(port)

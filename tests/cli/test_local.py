"""The local cloud's own providers: which file the commands read, and which one stays."""

import io
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from faking.cloud import TOML

from batchdrop_cli.state_dir import own_state_dir
from local_cloud import machine, processes
from local_cloud.state import Folder, Options, Saved

if TYPE_CHECKING:
    from conftest import Run

GROQ = """
[providers.groq]
protocol = "openai"
base_url = "https://api.groq.com/openai/v1"
secret = "batchdrop/groq"
"""
OUTPUTS = ("Bucket", "Table", "Deployment", "PollFunction", "SweepFunction")
NO_TABLE = "needs at least one [providers.<name>] table"


class _Emulator(BaseHTTPRequestHandler):
    """AWS with empty tables, which takes every secret."""

    created: list[str]

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer: dict[str, Any] = {}
        if self.headers["X-Amz-Target"].endswith(".CreateSecret"):
            self.created.append(asked["Name"])
        elif self.headers["X-Amz-Target"].endswith(".Query"):
            answer = {"Items": [], "Count": 0}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: tests are quiet."""


@pytest.fixture
def created() -> list[str]:
    """The names of the secrets that were created."""
    return []


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.toml"
    path.write_text(GROQ, encoding="utf-8")
    return path


@pytest.fixture
def _cloud(mine: Path, created: list[str]) -> Iterator[None]:
    """A local cloud that was brought up with this file, as its commands find it."""
    handler = type("Handler", (_Emulator,), {"created": created})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    folder = left(mine)
    folder.providers.write_text(GROQ, encoding="utf-8")
    process = processes.start(["/bin/sleep", "600"], environment={}, log=folder.logs / "sleep.log")
    folder.write(
        Saved(
            account="1" * 12,
            endpoint_port=server.server_port,
            simulator_port=1,
            secret_access_key="a-secret",
            options=Options(providers_file=str(mine)),
            outputs=dict.fromkeys(OUTPUTS, "x") | {"Providers": "groq"},
            processes=dict.fromkeys(("emulator", "ticker", "simulator"), process),
        )
    )
    yield
    processes.stop(process)
    server.shutdown()
    server.server_close()


def left(providers_file: Path) -> Folder:
    """The folder of a local cloud that was brought up with a file, and is down."""
    own_state_dir(Path(".local"))
    folder = Folder(Path(".local"))
    folder.make()
    folder.write(
        Saved(account="1" * 12, endpoint_port=1, simulator_port=2, options=Options(providers_file=str(providers_file)))
    )
    return folder


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("sk-test-0123456789"))


def named(out: str) -> list[str]:
    return [each["provider"] for each in json.loads(out)]


@pytest.mark.usefixtures("_cloud", "key")
def test_a_key_is_set_for_a_provider_of_the_file_that_is_deployed(run: "Run", created: list[str]) -> None:
    assert run("keys", "set", "groq", "--unchecked") == (0, "Created the secret batchdrop/groq (local cloud).\n", "")
    assert created == ["batchdrop/groq"]


@pytest.mark.usefixtures("_cloud", "key")
def test_what_is_not_deployed_is_wrong_use_and_the_file_is_named(run: "Run", mine: Path, created: list[str]) -> None:
    said = f"The local cloud, deployed from {mine}, has no provider 'openai'; it has: groq.\n"
    assert run("keys", "set", "openai") == (2, "", said)
    assert created == []


@pytest.mark.usefixtures("_cloud")
def test_the_providers_shown_are_those_that_are_deployed(run: "Run") -> None:
    code, out, _ = run("providers", "--json")
    assert (code, named(out)) == (0, ["groq"])


@pytest.mark.usefixtures("_cloud", "key")
def test_a_file_that_is_named_goes_before_the_deployed_one(run: "Run", created: list[str]) -> None:
    assert named(run("providers", "--json", "--providers-file", TOML).out) == ["openai", "anthropic"]
    assert run("keys", "set", "openai", "--unchecked", "--providers-file", TOML).code == 0
    assert created == ["batchdrop/openai"]


@pytest.mark.usefixtures("_cloud", "key")
def test_a_named_file_without_the_provider_is_named_as_it_was_given(run: "Run") -> None:
    said = "mine.toml has no provider 'x'; it has: groq.\n"
    assert run("keys", "set", "x", "--providers-file", "mine.toml") == (2, "", said)


def test_local_up_keeps_the_file_of_the_last_time_and_says_so(run: "Run", mine: Path) -> None:
    mine.write_text("", encoding="utf-8")  # so that it ends before anything is started
    left(mine)
    kept = f"The providers are still those of {mine}; --providers-file names others.\n"
    assert run("local", "up") == (1, "", f"{kept}{mine}: {NO_TABLE}\n")


def test_local_up_keeps_no_file_when_one_is_named(run: "Run", mine: Path) -> None:
    left(mine)
    Path("other").mkdir()
    Path("other/mine.toml").write_text("providers = 3", encoding="utf-8")
    assert run("local", "up", "--providers-file", "other/mine.toml") == (1, "", f"other/mine.toml: {NO_TABLE}\n")


def test_a_kept_file_that_is_gone_is_told_before_anything_is_started(run: "Run", mine: Path) -> None:
    left(mine)
    mine.unlink()
    said = (
        f"{mine} configured the providers and no longer exists: put it back, or name another file with "
        "--providers-file.\n"
    )
    assert run("local", "up") == (1, "", said)


@pytest.mark.usefixtures("_cloud")
def test_a_proxy_never_stands_between_the_command_and_the_local_cloud(
    run: "Run", monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    code, out, _ = run("providers", "--json")
    assert (code, named(out)) == (0, ["groq"])


@pytest.mark.usefixtures("_cloud")
def test_a_full_disk_is_said_by_every_command(run: "Run", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "FULL_BYTES", 10**18)
    code, _, err = run("providers", "--json")
    assert (code, err.startswith("The disk of .local is full ("), "nothing goes on until there is room." in err) == (
        *(0, True),
        True,
    )


@pytest.mark.usefixtures("_cloud", "key")
def test_a_simulated_provider_needs_no_key(run: "Run", mine: Path, created: list[str]) -> None:
    mine.write_text(GROQ.replace("https://api.groq.com/openai/v1", "http://127.0.0.1:1/openai/v1"), encoding="utf-8")
    code, _, err = run("keys", "set", "groq", "--providers-file", mine)
    said = "groq is simulated in this local cloud: it needs no key. For paid answers: batchdrop local up --real\n"
    assert (code, err) == (2, said)
    assert created == []

"""Providers that a user configured: routes, keys of their own, and headers that every call carries."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from faking.cloud import cloud as new_cloud
from faking.lines import chat, claude, got, wanted

from provider_simulator.app import Simulator
from provider_simulator.server import serve

TEAMS = """
[providers.team-a]
protocol = "openai"
base_url = "https://api.openai.com/v1"
secret = "team-a"
models = ["gpt-*"]

[providers.team-b]
protocol = "openai"
base_url = "https://api.openai.com/v1"
secret = "team-b"
default = true

[providers.claude-2]
protocol = "anthropic"
base_url = "https://api.anthropic.com"
secret = "claude-2"
"""


def test_patterns_names_and_the_default_each_lead_to_a_key_of_their_own() -> None:
    lines = [
        chat("by a pattern", 1, "gpt-4o-mini"),
        chat("by name", 2, "team-b/gpt-4o-mini"),
        chat("by default", 3, "meta-llama/llama-3"),
        chat("translated", 4, "claude-2/claude-haiku-4-5"),
    ]
    with new_cloud(TEAMS) as cloud:
        cloud.secrets.values |= {name: f"sk-{name}" for name in cloud.services.providers}
        out = cloud.run("input/teams.jsonl", lines)
        assert [(each["provider"], each["model"], each["error"]) for each in out.results] == [
            ("team-a", "gpt-4o-mini", None),
            ("team-b", "team-b/gpt-4o-mini", None),
            ("team-b", "meta-llama/llama-3", None),
            ("claude-2", "claude-2/claude-haiku-4-5", None),
        ]
        for line, result in zip(lines[:3], out.results[:3], strict=True):
            sent = {**line["body"], "model": line["body"]["model"].removeprefix("team-b/")}
            assert got(result) == wanted({**line, "body": sent})
        batches_of_keys = Counter(each["organization"] for each in cloud.simulator.batches())
        assert sorted(batches_of_keys.values()) == [1, 1, 2]


CARRIED = ("X_TEAM", "X_KEY", "AUTHORIZATION", "X_API_KEY")


class Recorder:
    """The simulator as a WSGI application that remembers what each call carried."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self.calls: list[tuple[str, dict[str, str]]] = []

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        carried = {name: environ.get(f"HTTP_{name}", "") for name in CARRIED}
        self.calls.append((f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}", carried))
        return self._simulator(environ, start_response)


@pytest.mark.parametrize(
    ("name", "line", "key", "asked"),
    [
        (
            "openai",
            chat("hello"),
            {"AUTHORIZATION": "Bearer sk-simulated"},
            {"POST /files", "POST /batches", "GET /batches/", "GET /files/", "GET /files", "DELETE /files/"},
        ),
        (
            "anthropic",
            claude("hello"),
            {"X_API_KEY": "sk-simulated"},
            {"POST /messages/batches", "GET /messages/batches", "GET /messages/batches/", "DELETE /messages/batches/"},
        ),
    ],
)
def test_every_call_carries_the_headers_that_a_provider_is_given(
    name: str, line: dict[str, Any], key: dict[str, str], asked: set[str]
) -> None:
    with Simulator() as simulator, serve(recorder := Recorder(simulator)) as url:  # type: ignore[arg-type]  # by shape
        text = f"""
        [providers.mine]
        protocol = "{name}"
        base_url = "{url}/{"openai/v1" if name == "openai" else "anthropic"}"
        secret = "mine"
        default = true
        [providers.mine.headers]
        X-Team = "red, blue"
        X-Key = "again {{key}}"
        """
        with new_cloud(text, over_http=True) as cloud:
            simulator.fault("reply_lost", operation="create")  # so that it is looked for in a list
            assert got(cloud.run("input/x.jsonl", [line]).results[0]) == wanted(line)
            cloud.tick(3_600)
    told = {call.replace("/openai/v1", "").replace("/anthropic/v1", "") for call, _ in recorder.calls}
    assert asked <= {re.sub(r"(file-|batch_|msgbatch_).*", "", each) for each in told}
    expected = {**dict.fromkeys(CARRIED, ""), "X_TEAM": "red, blue", "X_KEY": "again sk-simulated", **key}
    assert [(call, carried) for call, carried in recorder.calls if carried != expected] == []

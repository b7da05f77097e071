import json
from typing import TYPE_CHECKING

import msgspec
import pytest
from batchdrop.inputs.request_lines import LineReader, Request
from batchdrop.providers.config import load_providers

from batchdrop_cli import smoke
from batchdrop_cli.answers import Line
from local_cloud import PROVIDERS_FILE

if TYPE_CHECKING:
    from conftest import Run


def test_the_six_requests_are_good_lines_of_both_providers() -> None:
    providers = load_providers(PROVIDERS_FILE)
    read = [LineReader(providers).read(msgspec.json.encode(line)) for line in smoke.requests()]
    assert [(each.provider, each.endpoint) for each in read if isinstance(each, Request)] == [
        ("openai", "/v1/chat/completions"),
        ("openai", "/v1/responses"),
        ("openai", "/v1/chat/completions"),
        ("anthropic", "/v1/messages"),
        ("anthropic", "/v1/messages"),
        ("openai", "/v1/embeddings"),
    ]


def test_the_estimate_is_under_a_cent() -> None:
    assert 0 < smoke.estimate() < 0.01


def answer(custom_id: str, text: str) -> Line:
    body = {"choices": [{"message": {"content": text}}]}
    values = {"line": 1, "custom_id": custom_id, "model": "m", "provider": "openai", "endpoint": "/v1/chat/completions"}
    return msgspec.json.decode(json.dumps({**values, "response": {"body": body}, "error": None}), type=Line)


def test_an_answer_counts_only_as_its_own() -> None:
    assert smoke.right(answer("chat", "Amber.")) == "chat"
    assert smoke.right(answer("chat", "Birch")) is None


def test_without_keys_it_names_them(run: "Run", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-a")
    said = "smoke-paid needs your keys in the environment: set OPENAI_API_KEY.\n"
    assert run("smoke-paid", "--yes") == (2, "", said)


def test_it_sends_nothing_when_nobody_can_be_asked(run: "Run", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-o")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-a")
    code, out, err = run("smoke-paid")
    assert (code, err) == (
        2,
        "smoke-paid asks first, and needs a terminal for it. To agree beforehand: batchdrop smoke-paid --yes\n",
    )
    assert out.startswith("This sends six requests to OpenAI and Anthropic, paid with your keys: about $0.0")

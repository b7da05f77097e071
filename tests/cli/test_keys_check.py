"""`keys check` asks the providers with the stored keys, and shows none of them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local_cloud import PROVIDERS_FILE, providers
from provider_simulator.app import Simulator
from provider_simulator.server import serve

if TYPE_CHECKING:
    from conftest import Aws, Run

KEY = "sk-test-0123456789"


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """Providers that are on this machine and take no key but KEY."""
    text = PROVIDERS_FILE.read_text(encoding="utf-8")
    path = tmp_path / "simulated.toml"
    with Simulator() as simulator, serve(simulator, key=KEY) as url:
        path.write_text(providers.at(text, providers.simulated(text, url)), encoding="utf-8")
        yield path


def checked(run: "Run", *arguments: str | Path) -> tuple[int, dict[str, str], str]:
    ran = run("keys", "check", *arguments, "--json")
    return ran.code, {each["provider"]: each["state"] for each in json.loads(ran.out)}, ran.out + ran.err


def test_a_key_that_is_taken_refused_or_missing_is_told_apart(aws: "Aws", run: "Run", file: Path) -> None:
    aws.secrets.create_secret(Name="batchdrop/openai", SecretString=KEY)
    said = checked(run, "--providers-file", file)
    assert said[:2] == (1, {"openai": "taken", "anthropic": "not set"})
    aws.secrets.create_secret(Name="batchdrop/anthropic", SecretString="sk-wrong-9876543210")
    said = checked(run, "--providers-file", file)
    assert said[:2] == (1, {"openai": "taken", "anthropic": "refused"})
    assert ("9876" in said[2], KEY in said[2]) == (False, False)
    aws.secrets.put_secret_value(SecretId="batchdrop/anthropic", SecretString=f" {KEY}\n")
    assert checked(run, "--providers-file", file)[:2] == (0, {"openai": "taken", "anthropic": "taken"})


def test_one_provider_can_be_asked_alone(aws: "Aws", run: "Run", file: Path) -> None:
    aws.secrets.create_secret(Name="batchdrop/openai", SecretString=KEY)
    assert checked(run, "openai", "--providers-file", file)[:2] == (0, {"openai": "taken"})
    assert run("keys", "check", "mistral", "--providers-file", file).code == 2


def test_an_empty_secret_is_not_a_key(aws: "Aws", run: "Run", file: Path) -> None:
    aws.secrets.create_secret(Name="batchdrop/openai", SecretString=" ")
    ran = run("keys", "check", "openai", "--providers-file", file)
    assert ran == (
        1,
        "openai     not set: The secret is empty. Set it with: batchdrop keys set openai\n",
        "",
    )


def test_a_provider_that_does_not_answer_is_not_a_refusal(aws: "Aws", run: "Run", tmp_path: Path) -> None:
    aws.secrets.create_secret(Name="batchdrop/openai", SecretString=KEY)
    text = PROVIDERS_FILE.read_text(encoding="utf-8")
    silent = tmp_path / "silent.toml"
    silent.write_text(providers.at(text, providers.simulated(text, "http://127.0.0.1:1")), encoding="utf-8")
    code, states, _ = checked(run, "openai", "--providers-file", silent)
    assert (code, states) == (1, {"openai": "unknown"})


def test_a_secret_that_no_header_can_hold_is_not_sent(aws: "Aws", run: "Run", file: Path) -> None:
    aws.secrets.create_secret(Name="batchdrop/openai", SecretString="sk-ключ")
    said = "The secret is not a single key, and was not sent. Set it with: batchdrop keys set openai"
    assert run("keys", "check", "openai", "--providers-file", file) == (1, f"openai     refused: {said}\n", "")

import io
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
def piped(monkeypatch: pytest.MonkeyPatch) -> "io.StringIO":
    pipe = io.StringIO()
    monkeypatch.setattr("sys.stdin", pipe)
    return pipe


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator() as made:
        yield made


@pytest.fixture
def file(simulator: Simulator, tmp_path: Path) -> Iterator[Path]:
    """Providers that are on this machine and take no key but KEY."""
    text = PROVIDERS_FILE.read_text(encoding="utf-8")
    path = tmp_path / "simulated.toml"
    with serve(simulator, key=KEY) as url:
        path.write_text(providers.at(text, providers.simulated(text, url)), encoding="utf-8")
        yield path


def give(pipe: io.StringIO, text: str) -> None:
    pipe.seek(0)
    pipe.truncate()
    pipe.write(text)
    pipe.seek(0)


def secret(aws: "Aws") -> str:
    return aws.secrets.get_secret_value(SecretId="batchdrop/openai")["SecretString"]


def test_a_key_is_created_then_updated_and_never_printed(aws: "Aws", run: "Run", piped: io.StringIO) -> None:
    give(piped, KEY + "\n")
    assert run("keys", "set", "openai", "--unchecked") == (
        0,
        "Created the secret batchdrop/openai (stack batchdrop in eu-central-1).\n",
        "",
    )
    assert secret(aws) == KEY
    give(piped, KEY + "x")
    assert run("keys", "set", "openai", "--unchecked") == (
        0,
        "Updated the secret batchdrop/openai (stack batchdrop in eu-central-1).\n",
        "",
    )
    assert secret(aws) == KEY + "x"


def test_a_secret_marked_for_deletion_is_restored(aws: "Aws", run: "Run", piped: io.StringIO) -> None:
    aws.secrets.create_secret(Name="batchdrop/openai", SecretString="old")
    aws.secrets.delete_secret(SecretId="batchdrop/openai")
    give(piped, KEY)
    assert run("keys", "set", "openai", "--unchecked").code == 0
    assert secret(aws) == KEY


@pytest.mark.parametrize("text", ["", "\n", "two words", "sk-\x1b[0m", "sk-é"])
def test_what_is_not_one_key_changes_nothing(aws: "Aws", run: "Run", piped: io.StringIO, text: str) -> None:
    give(piped, text)
    code, out, err = run("keys", "set", "openai", "--unchecked")
    assert (code, out) == (2, "")
    assert "othing was changed." in err
    assert aws.secrets.list_secrets()["SecretList"] == []


@pytest.mark.usefixtures("aws")
def test_a_provider_that_is_not_configured_is_wrong_use(run: "Run", piped: io.StringIO) -> None:
    give(piped, KEY)
    said = f"{PROVIDERS_FILE} has no provider 'mistral'; it has: openai, anthropic.\n"
    assert run("keys", "set", "mistral") == (2, "", said)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_key_that_the_provider_takes_is_stored(
    aws: "Aws", run: "Run", piped: io.StringIO, file: Path, provider: str
) -> None:
    give(piped, KEY)
    assert run("keys", "set", provider, "--providers-file", file).code == 0
    assert aws.secrets.get_secret_value(SecretId=f"batchdrop/{provider}")["SecretString"] == KEY


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_key_that_the_provider_refuses_changes_nothing_and_is_not_shown(
    aws: "Aws", run: "Run", piped: io.StringIO, file: Path, provider: str
) -> None:
    give(piped, "sk-wrong-9876543210")
    code, out, err = run("keys", "set", provider, "--providers-file", file)
    assert (code, out) == (1, "")
    assert err.startswith(f"{provider} refuses this key (")
    assert err.endswith("). Nothing was changed; --unchecked stores it anyway.\n")
    assert "9876" not in err
    assert aws.secrets.list_secrets()["SecretList"] == []


def test_a_key_that_cannot_be_checked_is_stored_and_that_is_said(
    aws: "Aws", run: "Run", piped: io.StringIO, file: Path
) -> None:
    text = file.read_text(encoding="utf-8")
    addresses = dict.fromkeys(("openai", "anthropic"), "http://127.0.0.1:1")
    file.write_text(providers.at(text, addresses), encoding="utf-8")
    give(piped, KEY)
    code, _, err = run("keys", "set", "openai", "--providers-file", file)
    assert code == 0
    assert err.startswith("The key could not be checked: ")
    assert err.endswith(". It is stored.\n")
    assert secret(aws) == KEY


def test_the_list_says_which_keys_are_set_and_since_when(aws: "Aws", run: "Run") -> None:
    aws.secrets.create_secret(Name="batchdrop/openai", SecretString=KEY)
    listed = json.loads(run("keys", "list", "--json").out)
    assert [(each["provider"], each["secret"], each["set_at"] is not None) for each in listed] == [
        ("openai", "batchdrop/openai", True),
        ("anthropic", "batchdrop/anthropic", False),
    ]
    code, out, _ = run("keys", "list")
    assert (code, KEY in out, "anthropic  not set" in out) == (0, False, True)


def test_a_key_marked_for_deletion_is_not_set(aws: "Aws", run: "Run") -> None:
    aws.secrets.create_secret(Name="batchdrop/openai", SecretString=KEY)
    aws.secrets.delete_secret(SecretId="batchdrop/openai")
    assert json.loads(run("keys", "list", "--json").out)[0]["set_at"] is None

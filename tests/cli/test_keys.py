import io
from typing import TYPE_CHECKING

import pytest

from local_cloud import PROVIDERS_FILE

if TYPE_CHECKING:
    from conftest import Aws, Run

KEY = "sk-test-0123456789"


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> "io.StringIO":
    pipe = io.StringIO()
    monkeypatch.setattr("sys.stdin", pipe)
    return pipe


def give(pipe: io.StringIO, text: str) -> None:
    pipe.seek(0)
    pipe.truncate()
    pipe.write(text)
    pipe.seek(0)


def secret(aws: "Aws") -> str:
    return aws.secrets.get_secret_value(SecretId="batchdrop/openai")["SecretString"]


def test_a_key_is_created_then_updated_and_never_printed(aws: "Aws", run: "Run", piped: io.StringIO) -> None:
    give(piped, KEY + "\n")
    assert run("keys", "set", "openai") == (
        0,
        "Created the secret batchdrop/openai (stack batchdrop in eu-central-1).\n",
        "",
    )
    assert secret(aws) == KEY
    give(piped, KEY + "x")
    assert run("keys", "set", "openai") == (
        0,
        "Updated the secret batchdrop/openai (stack batchdrop in eu-central-1).\n",
        "",
    )
    assert secret(aws) == KEY + "x"


def test_a_secret_marked_for_deletion_is_restored(aws: "Aws", run: "Run", piped: io.StringIO) -> None:
    aws.secrets.create_secret(Name="batchdrop/openai", SecretString="old")
    aws.secrets.delete_secret(SecretId="batchdrop/openai")
    give(piped, KEY)
    assert run("keys", "set", "openai").code == 0
    assert secret(aws) == KEY


@pytest.mark.parametrize("text", ["", "\n", "two words", "sk-\x1b[0m", "sk-é"])
def test_what_is_not_one_key_changes_nothing(aws: "Aws", run: "Run", piped: io.StringIO, text: str) -> None:
    give(piped, text)
    code, out, err = run("keys", "set", "openai")
    assert (code, out) == (2, "")
    assert "othing was changed." in err
    assert aws.secrets.list_secrets()["SecretList"] == []


@pytest.mark.usefixtures("aws")
def test_a_provider_that_is_not_configured_is_wrong_use(run: "Run", piped: io.StringIO) -> None:
    give(piped, KEY)
    said = f"{PROVIDERS_FILE} has no provider 'mistral'; it has: openai, anthropic.\n"
    assert run("keys", "set", "mistral") == (2, "", said)

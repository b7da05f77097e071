from pathlib import Path

import pytest

from local_cloud import deployment
from local_cloud.environment import of_client, of_deployment
from local_cloud.errors import LocalCloudError
from local_cloud.state import Folder, Saved

CALLER = {
    "HOME": "/home/me",
    "AWS_PROFILE": "production",
    "AWS_CA_BUNDLE": "/etc/bundle.pem",
    "AWS_SESSION_TOKEN": "a token",
    "OPENAI_API_KEY": "sk-real",
    "UV_CACHE_DIR": "/cache",
    "HTTP_PROXY": "http://proxy:3128",
    "CDK_DEFAULT_ACCOUNT": "111111111111",
}


def saved() -> Saved:
    return Saved(account="123456789012", endpoint_port=1, simulator_port=2, secret_access_key="a-secret")


def test_nothing_of_the_callers_own_aws_reaches_a_deployment(tmp_path: Path) -> None:
    environment = of_deployment(Folder(tmp_path), saved(), caller=CALLER)
    assert {name: environment[name] for name in CALLER if name in environment} == {
        "HOME": "/home/me",
        "UV_CACHE_DIR": "/cache",
    }
    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert environment["AWS_ACCESS_KEY_ID"] == "123456789012"


def test_a_client_finds_no_profile(tmp_path: Path) -> None:
    environment = of_client(Folder(tmp_path), saved())
    assert (environment["AWS_CONFIG_FILE"], environment["AWS_SHARED_CREDENTIALS_FILE"]) == ("/dev/null", "/dev/null")


def test_only_this_machine_is_deployed_to(tmp_path: Path) -> None:
    class Elsewhere(Saved):
        @property
        def endpoint(self) -> str:
            return "https://cloudformation.us-east-1.amazonaws.com"

    folder = Folder(tmp_path)
    folder.make()
    folder.providers.write_text("")
    with pytest.raises(LocalCloudError, match="this machine only"):
        deployment.deploy(folder, Elsewhere(account="123456789012", endpoint_port=1, simulator_port=2))


def test_a_change_of_the_code_or_the_providers_is_deployed(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.make()
    folder.providers.write_text("one")
    first = deployment.fingerprint(folder)
    assert deployment.fingerprint(folder) == first
    folder.providers.write_text("two")
    assert deployment.fingerprint(folder) != first


def test_a_cloud_is_remembered_as_it_was(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.make()
    assert folder.read() is None
    new = Saved.new()
    folder.write(new)
    assert folder.read() == new
    assert (len(new.account), new.account.isdigit()) == (12, True)
    assert new.endpoint_port != new.simulator_port
    assert {new.endpoint_port, new.simulator_port} <= set(range(20_000, 32_768))  # a client's connection takes neither

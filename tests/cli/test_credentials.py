"""Before a deployment: what of AWS is missing is said at once, in a sentence."""

from pathlib import Path

import pytest
from moto import mock_aws

from batchdrop_cli.credentials import main, profile_of


@pytest.fixture(autouse=True)
def _nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which AWS was never used."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def test_no_credentials_are_said_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    said = "There are no AWS credentials: run `aws configure` or `aws sso login`, set AWS_PROFILE.\n"
    assert capsys.readouterr().err == said


def test_no_region_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    give_key(monkeypatch)
    assert main([]) == 2
    assert capsys.readouterr().err == "No AWS region is set: set AWS_REGION, or a region in your AWS profile.\n"


def test_a_profile_that_there_is_not_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-c", "arch=x86_64", "--profile", "mine"]) == 2
    assert "mine" in capsys.readouterr().err


@mock_aws
def test_who_deploys_where_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    give_key(monkeypatch)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    assert main([]) == 0
    assert capsys.readouterr().err == "AWS account 123456789012, region eu-central-1\n"


def give_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")


def test_the_profile_is_the_cdks() -> None:
    given = [["--profile=a"], ["-c", "x=y", "--profile", "b"], [], ["--profile"]]
    assert list(map(profile_of, given)) == ["a", "b", None, None]

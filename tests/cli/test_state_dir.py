"""Which local cloud a command takes, from whatever folder it is given."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchdrop_cli.state_dir import find_state_dir, own_state_dir, remember_state_dir
from batchdrop_cli.user_errors import UserError
from local_cloud.state import Folder, Saved

if TYPE_CHECKING:
    from conftest import Aws, Run


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that holds no cloud, and a home in which nothing is remembered."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "states"))
    monkeypatch.delenv("BATCHDROP_STATE_DIR", raising=False)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")


def a_cloud(path: Path) -> Path:
    own_state_dir(path)
    return a_foreign_cloud(path)


def a_foreign_cloud(path: Path) -> Path:
    folder = Folder(path)
    folder.make()
    folder.write(Saved.new())
    return path


def test_a_named_folder_goes_first_then_the_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_cloud(Path(".local"))
    monkeypatch.setenv("BATCHDROP_STATE_DIR", str(tmp_path / "mine"))
    assert find_state_dir(Path("given")) == Path("given")
    assert find_state_dir(None) == tmp_path / "mine"


def test_the_cloud_of_this_folder_goes_before_the_last_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    remember_state_dir(a_cloud(tmp_path / "last"))
    a_cloud(Path(".local"))
    assert find_state_dir(None) == Path(".local")
    assert capsys.readouterr().err == ""


def test_the_last_one_is_found_from_any_folder_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    last = a_cloud(tmp_path / "last")
    remember_state_dir(last)
    assert find_state_dir(None) == last
    said = f"Using the local cloud of {last}; --state-dir or BATCHDROP_STATE_DIR names another.\n"
    assert capsys.readouterr().err == said


def test_a_last_one_that_is_gone_is_none(tmp_path: Path) -> None:
    remember_state_dir(tmp_path / "gone")
    assert find_state_dir(None) == Path(".local")


def test_a_home_that_takes_nothing_hinders_nothing(tmp_path: Path) -> None:
    (tmp_path / "states").write_text("a file")
    remember_state_dir(a_cloud(tmp_path / "last"))
    assert find_state_dir(None) == Path(".local")


def test_a_last_one_that_is_not_up_is_never_replaced_by_aws(aws: "Aws", run: "Run", tmp_path: Path) -> None:
    last = a_cloud(tmp_path / "last")
    remember_state_dir(last)
    code, out, err = run("jobs")
    assert (code, out) == (1, "")
    assert err.endswith(
        f"The local cloud of {last} is not up. Start it with: batchdrop local up - or use the stack on AWS with --aws\n"
    )
    assert run("jobs", "--aws").code == 0
    assert aws.keys() == []


def test_an_environments_folder_without_a_cloud_is_never_replaced_by_aws(
    run: "Run", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHDROP_STATE_DIR", "typo")
    code, _, err = run("jobs")
    assert (code, "The local cloud of typo is not up." in err) == (1, True)


FOREIGN = (
    "The local cloud in .local was brought up by somebody else, or by an older version: its functions would run as "
    "you. "
    "If it is yours, name it once: batchdrop local up --state-dir .local\n"
)


@pytest.mark.parametrize("command", [["local", "up"], ["local", "down"], ["demo"], ["jobs"], ["put", "a.jsonl"]])
def test_a_cloud_that_came_with_a_folder_is_not_taken(run: "Run", command: list[str]) -> None:
    a_foreign_cloud(Path(".local"))
    Path("a.jsonl").write_text("{}")
    assert run(*command) == (1, "", FOREIGN)


def test_a_cloud_that_was_put_in_the_place_of_ones_own_is_not_taken() -> None:
    a_cloud(Path(".local"))
    shutil.rmtree(".local")
    a_foreign_cloud(Path(".local"))
    Path(".local", "owner").write_text("guessed")
    with pytest.raises(UserError, match="was brought up by somebody else"):
        find_state_dir(None)
    own_state_dir(Path(".local"))
    assert find_state_dir(None) == Path(".local")


def test_what_says_that_a_cloud_is_ones_own_is_read_by_nobody_else() -> None:
    own_state_dir(Path(".local"))
    tokens = [Path(".local", "owner"), *Path(os.environ["XDG_STATE_HOME"], "batchdrop").glob("owner-*")]
    assert (len(tokens) > 1, {token.stat().st_mode & 0o077 for token in tokens}) == (True, {0})

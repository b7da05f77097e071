"""A newcomer types the README's commands for the local cloud, one after the other."""

import subprocess
from pathlib import Path

import pytest
from e2e.conftest import COMMAND
from faking.readme import ROOT, commands

from batchdrop_cli.state_dir import own_state_dir

pytestmark = pytest.mark.e2e

ENDS_WITH = {  # all others end with 0
    "validate": 3,  # the example has mistakes, as its name says
    "watch": 3,
    "wait": 3,
    "cancel": 1,  # it is over by then; the README says so
    "results": 3,
    "retry": 3,
}


@pytest.fixture
def clone(cloud_dir: Path, tmp_path: Path) -> Path:
    """A clone as far as the commands look at it, whose local cloud is the one that all tests share."""
    own_state_dir(cloud_dir)  # as the command notes when it brings one up
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / ".local").symlink_to(cloud_dir)
    return tmp_path


def test_every_command_for_the_local_cloud_does_what_it_says(clone: Path) -> None:
    job, ended = "", []
    for words in commands(on_aws=False):
        typed = [job if word == "JOB" else word for word in words]
        done = subprocess.run([COMMAND, *typed], cwd=clone, capture_output=True, text=True, check=False)
        wanted = 0 if "--save" in words else ENDS_WITH.get(words[0], 0)
        ended.append((done.returncode == wanted, words, done.returncode, done.stdout[-300:], done.stderr[-300:]))
        job = done.stdout.strip() if words[0] == "put" else job
    assert [each for each in ended if not each[0]] == []
    assert {words[0] for _, words, *_ in ended} >= {"local", "validate", "run", "put", "wait", "retry", "results"}
    assert (clone / "results").is_dir()

"""The command from its wheel alone, in an environment and a folder of its own, with no clone of the project around."""

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from faking.readme import README

if TYPE_CHECKING:
    from collections.abc import Sequence

    from e2e.conftest import Behind

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
UV = ROOT / ".uv" / "bin" / "uv"
SAMPLE = ROOT / "examples" / "with_mistakes.jsonl"
TABLE = ROOT / "examples" / "reviews.csv"


class Installed:
    """A `batchdrop` that was installed from the wheel."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._python = folder, folder / "env" / "bin" / "python"
        _run([UV, "build", "--quiet", "--wheel", "--out-dir", folder, ROOT])
        _run([UV, "venv", "--quiet", "--python", ROOT / ".venv" / "bin" / "python", folder / "env"])
        (wheel,) = folder.glob("batchdrop-*.whl")
        pins = ROOT / "requirements-dev.txt"
        _run([UV, "pip", "install", "--quiet", "--python", self._python, "--constraints", pins, wheel])

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [self.folder / "env" / "bin" / "batchdrop", *arguments]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        return subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=self.folder, env=environment, timeout=600
        )


def _run(command: "Sequence[str | Path]") -> None:
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("installed"))


def test_it_checks_a_file_offline_and_shows_its_help(installed: Installed) -> None:
    checked = installed("validate", str(SAMPLE))
    assert (checked.returncode, checked.stderr) == (3, "")
    assert "100 lines: 90 to be sent, 10 with errors" in checked.stdout
    assert installed("--help").returncode == 0


@pytest.mark.parametrize("arguments", [("local", "up"), ("demo",)])
def test_it_names_the_extra_that_is_missing(installed: Installed, arguments: tuple[str, ...]) -> None:
    ran = installed(*arguments)
    assert ran.returncode == 1
    assert 'pip install ".[local]"' in ran.stderr
    assert ran.stderr.count("\n") == 1


@pytest.mark.usefixtures("user")  # the cloud is up
def test_it_drops_a_file_and_fetches_the_results(behind: "Behind", installed: Installed) -> None:
    here = ("--state-dir", str(behind.state_dir))
    put = installed("put", str(SAMPLE), "--key", "input/installed.jsonl", "--wait", *here)
    assert put.returncode == 3, put.stderr
    fetched = installed("results", "latest", "-o", "mistakes", *here)
    assert fetched.returncode == 3, fetched.stderr
    found = json.loads((installed.folder / "mistakes" / "manifest.json").read_text())
    assert (found["counts"]["answered"], found["counts"]["failed"]) == (90, 10)


@pytest.mark.usefixtures("user")  # the cloud is up
def test_the_first_line_of_the_readme_makes_a_table_of_a_table(behind: "Behind", installed: Installed) -> None:
    words = re.findall(r"^\$ \.venv/bin/batchdrop (.+)$", README, re.MULTILINE)[0]
    (installed.folder / "examples").mkdir()
    shutil.copy(TABLE, installed.folder / "examples")
    ran = installed(*shlex.split(words), "--state-dir", str(behind.state_dir))
    assert ran.returncode == 0, ran.stderr
    assert "completed: 8 of 8 rows answered." in ran.stdout
    assert "\n  answers/answers.csv\n" in ran.stdout
    with (installed.folder / "answers" / "answers.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["custom_id"], bool(row["text"]), row["error_code"]) for row in rows] == [
        (f"r-{number}", True, "") for number in range(1, 9)
    ]

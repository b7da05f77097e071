import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchdrop_cli.commands import COMMANDS
from batchdrop_cli.exit_codes import MEANINGS
from batchdrop_cli.operating import COMMANDS as OPERATING

if TYPE_CHECKING:
    from conftest import Run

PAGE = (Path(__file__).parents[2] / "docs/exit-codes.md").read_text(encoding="utf-8")


def test_one_page_tells_every_exit_code_and_no_other() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+?) \|$", PAGE, re.MULTILINE)
    assert {int(code): meaning for code, meaning in rows} == MEANINGS


def test_the_page_names_every_command() -> None:
    cells = "".join(re.findall(r"^\| (`.+?) \|", PAGE, re.MULTILINE))
    named = {each.partition(" --")[0] for each in re.findall(r"`([^`]+)`", cells)} - {"--dry-run"}
    assert named == {*COMMANDS, *OPERATING}


def test_help_tells_every_exit_code(run: "Run") -> None:
    out = " ".join(re.sub(r"[│╭╮╰╯─]", " ", run("--help").out).split())
    assert all(f"{code} {meaning}" in out for code, meaning in MEANINGS.items())


@pytest.mark.parametrize(
    "command", ["validate", "put", "run", "retry", "wait", "watch", "results", "doctor", "keys check"]
)
def test_the_help_of_a_command_tells_its_exit_codes(run: "Run", command: str) -> None:
    assert "xit code" in run(*command.split(), "--help").out


@pytest.mark.parametrize("width", [60, 80])
def test_help_tells_exit_codes_on_narrow_terminals(run: "Run", width: int) -> None:
    assert "Exit codes" in run("--help", width=width).out


@pytest.mark.parametrize("command", [*COMMANDS, *OPERATING])
def test_help_says_each_exit_code_once_at_its_end_and_no_default_of_a_flag(run: "Run", command: str) -> None:
    out = run(*command.split(), "--help").out
    assert out.count("xit code") == 1
    assert out.splitlines()[-1].endswith("docs/exit-codes.md")
    assert not re.search(r"default: (False|True|None|/)|\b(STR|INT|FLOAT|BOOL)\b", out)

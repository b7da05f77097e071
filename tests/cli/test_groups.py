"""The first screen: groups, a line for each command, and the two commands to type."""

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from batchdrop_cli import commands, operating
from batchdrop_cli.groups import BEGIN, GROUPS
from batchdrop_cli.operate_commands import OK

if TYPE_CHECKING:
    from conftest import Run

NAMES = [*commands.COMMANDS, *operating.COMMANDS]
TOP = sorted({name.split()[0] for name in NAMES})


def test_every_command_stands_in_one_group_and_no_other_name_does() -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == TOP


def test_the_first_screen_shows_the_groups_in_order_and_ends_with_two_commands(run: "Run") -> None:
    out = run("--help", width=80).out
    assert re.findall(r"^╭─ (\w+) ", out, re.MULTILINE) == [*GROUPS, "More"]
    assert out.endswith(f"{BEGIN}\n")
    assert len(re.findall(r"^  batchdrop ", BEGIN, re.MULTILINE)) == 2


@pytest.mark.parametrize("arguments", [(), ("local",), ("keys",)])
def test_each_command_has_one_line_of_80_columns(run: "Run", arguments: tuple[str, ...]) -> None:
    lines = [line for line in run(*arguments, "--help", width=80).out.splitlines() if line.startswith("│")]
    assert [line for line in lines if re.match(r"│ {8}", line)] == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_every_command(run: "Run", shell: str) -> None:
    ran = run("completion", shell)
    assert (ran.code, ran.err) == (OK, "")
    assert [name for name in TOP if name not in ran.out] == []
    if shell == "bash":
        subprocess.run(["/bin/bash", "-n"], input=ran.out, text=True, check=True)

"""The skill names commands and options that exist, and its file is not written over anybody's."""

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchdrop_cli.application import app
from batchdrop_cli.skill import DEFAULT, SKILL, skill_text

if TYPE_CHECKING:
    from conftest import Run

TEXT = SKILL.read_text(encoding="utf-8")
COMMANDS = re.findall(r"`batchdrop ([^`]+)`", TEXT)
OPTIONS = set(re.findall(r"`(--[a-z-]+)", TEXT))


def options_of(words: list[str]) -> set[str]:
    """The options of the command that the words name; KeyError where there is none."""
    found = app[words[0]]
    if found.default_command is None and len(words) > 1:
        found = found[words[1]]
    return {name for argument in found.assemble_argument_collection() for name in argument.names}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_of_the_skill_exists_with_its_options(command: str) -> None:
    words = shlex.split(command)
    named = {word for word in words if word.startswith("-")}
    assert named <= options_of(words)


def test_each_option_that_the_skill_names_exists() -> None:
    every = set().union(*(options_of(shlex.split(command)) for command in COMMANDS))
    assert (len(OPTIONS) > 5, OPTIONS - every) == (True, set())


def test_the_skill_has_a_name_and_a_description() -> None:
    head = re.match(r"---\nname: ([a-z0-9-]+)\ndescription: ([^\n]+)\n---\n", TEXT)
    assert head is not None
    assert (head[1], len(head[2]) <= 1_024, ": " in head[2]) == ("batchdrop", True, False)


def test_it_is_installed_where_assistants_look_and_its_place_is_said(
    run: "Run", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = DEFAULT / "SKILL.md"
    for _ in range(2):  # an upgrade replaces what nobody changed
        code, out, _ = run("skill", "install")
        assert (code, str(path) in out, path.read_text(encoding="utf-8")) == (0, True, skill_text())
        path.write_text(skill_text().replace("batchdrop 0", "batchdrop 9"), encoding="utf-8")


@pytest.mark.parametrize("text", ["somebody's", skill_text().replace("half price", "no price")])
def test_a_file_of_somebody_else_is_not_overwritten(run: "Run", tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.md"
    path.write_text(text, encoding="utf-8")
    code, _, err = run("skill", "install", "--to", path)
    assert (code, err.startswith(f"{path} exists"), path.read_text(encoding="utf-8")) == (2, True, text)
    assert run("skill", "install", "--to", path, "--force").code == 0
    assert path.read_text(encoding="utf-8") == skill_text()

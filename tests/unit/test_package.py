"""What an installed `batchdrop` needs, what its extras bring, and what the Lambda package holds."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
COMMAND = set(PROJECT["project"]["dependencies"])
EXTRAS = {name: set(each) for name, each in PROJECT["project"]["optional-dependencies"].items()}
FUNCTIONS = set(PROJECT["dependency-groups"]["functions"])


def names(file: str) -> set[str]:
    """The packages that a lock file pins."""
    lines = (ROOT / file).read_text().splitlines()
    return {line.split("==")[0] for line in lines if "==" in line and line[0].isalpha()}


def name(requirement: str) -> str:
    return requirement.split(">=", maxsplit=1)[0].split("[", maxsplit=1)[0]


def test_what_the_functions_need_comes_with_the_command_in_the_same_versions() -> None:
    assert FUNCTIONS <= COMMAND


def test_an_extra_brings_what_the_command_itself_does_not_need() -> None:
    assert EXTRAS["deploy"] <= EXTRAS["local"]
    assert not {name(each) for each in EXTRAS["local"]} & {name(each) for each in COMMAND}


def test_the_lambda_package_holds_what_the_functions_need_and_nothing_of_the_command() -> None:
    pinned = names("requirements.txt")
    assert {name(each) for each in FUNCTIONS} <= pinned
    assert not {name(each) for each in (COMMAND - FUNCTIONS) | EXTRAS["local"]} & pinned

"""The client costs little until it is used, and its room stands above all others."""

import ast
import subprocess
import sys
from pathlib import Path

import batchdrop
import pytest

import batchdrop_client

DOOR = Path(batchdrop.__file__)
ROOT = DOOR.parents[2]
HEAVY = {"openai", "anthropic", "aws_cdk", "constructs", "jsii", "pandas", "polars", "pyarrow", "numpy", "infra"}
CLIENT, COMMAND = "batchdrop_client", "batchdrop_cli"


def loaded_by(code: str) -> set[str]:
    """The top-level packages that a fresh Python has loaded after this."""
    told = f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", told], check=True, capture_output=True, text=True).stdout.split())


def test_the_package_alone_loads_nothing_that_is_installed() -> None:
    own = loaded_by("import batchdrop") - loaded_by("import typing")
    assert own == {"batchdrop"}


def test_the_client_loads_neither_a_vendors_sdk_nor_the_cdk_nor_a_data_library() -> None:
    assert loaded_by("from batchdrop import Client; Client()") & (HEAVY | {CLIENT}) == {CLIENT}


def names_for_type_checkers() -> set[str]:
    (under,) = [each for each in ast.parse(DOOR.read_text(encoding="utf-8")).body if isinstance(each, ast.If)]
    return {each.names[0].name for each in under.body if isinstance(each, ast.ImportFrom)}


def test_the_door_leads_to_every_public_name_and_type_checkers_know_them() -> None:
    assert names_for_type_checkers() == set(batchdrop_client.__all__)
    for name in batchdrop_client.__all__:
        assert getattr(batchdrop, name) is getattr(batchdrop_client, name)


@pytest.mark.parametrize("name", ["nothing", "Nothing"])
def test_any_other_name_is_none(name: str) -> None:
    with pytest.raises(AttributeError, match=f"has no attribute '{name}'"):
        getattr(batchdrop, name)


def imports_of(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {each.name for node in nodes if isinstance(node, ast.Import) for each in node.names}
    return plain | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


def rooms_that(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports_of(path)}


@pytest.mark.parametrize("folder", ["functions", "infra", COMMAND, "local_cloud", "provider_simulator"])
def test_nothing_below_imports_the_client_but_the_door(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert [path for path in files if CLIENT in rooms_that(path) and path != DOOR] == []


def test_the_functions_import_nothing_of_the_command() -> None:
    assert [path for path in (ROOT / "functions").rglob("*.py") if COMMAND in rooms_that(path)] == []


def test_the_client_imports_nothing_of_the_command_that_parses_its_words_or_prints_reports() -> None:
    files = (ROOT / CLIENT).rglob("*.py")
    used = {name for path in files for name in imports_of(path) if name.startswith(COMMAND)}
    assert not {name for name in used if name.endswith(("_commands", ".main", ".commands", ".report", ".options"))}

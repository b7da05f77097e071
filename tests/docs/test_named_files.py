"""The pages name only files and tests that are there, and no word comes back that a plainer one replaced."""

import re
from pathlib import Path

import pytest
from faking.readme import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
ROOMS = ("", "functions", "functions/batchdrop", "tests")  # below which pages name files
FOLDERS = ("functions", "batchdrop_*", "infra", "local_cloud", "provider_simulator", "tests", "benchmarks", "examples")
SOURCES = sorted(path for folder in FOLDERS for path in ROOT.glob(f"{folder}/**/*.py"))
TESTS = "".join(path.read_text(encoding="utf-8") for path in SOURCES if path.name.startswith("test_"))
REPLACED = re.compile(
    r"NotMyTurn|NoSuchCall|astray\w|add_stranger|is_of_strangers|see_to_pause|pause_told|refused_again|known_pause"
    r"|\blet_go\b|due_again|forget_work|begun_within|_take_gone|\blook_at_clock\b|_plan_on|move_too|count_one_more|_PUT_OFF"
    r"|refuse_what|\bwhat_is_wrong\b|is_something|told_limit|came_back\(|end_of_patience|_WAYS|\bprint_\("
    r"|whose_providers|JSON object a line|stands still|[Hh]arvest|Mend it|each in its place"
)
_each = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def _is_there(name: str) -> bool:
    return any((ROOT / room / name).exists() for room in ROOMS)


@_each
def test_every_file_and_test_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    alone = {path.name for path in SOURCES}
    files = [name for name in re.findall(r"`([\w/.]+\.py)`", text) if name not in alone and not _is_there(name)]
    tests = [name for name in re.findall(r"`(test_\w+)`", text) if f"def {name}(" not in TESTS]
    assert (files, tests) == ([], [])


def test_no_word_that_a_plainer_one_replaced_comes_back() -> None:
    found = {path: REPLACED.findall(path.read_text(encoding="utf-8")) for path in [*PAGES, *SOURCES]}
    assert {path: words for path, words in found.items() if words and path != Path(__file__)} == {}

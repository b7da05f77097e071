"""Each decision has the same form, so that a reader finds its state, its reason and its price without searching."""

import re
from pathlib import Path

import pytest
from faking.readme import ROOT

DECISIONS = sorted((ROOT / "docs/decisions").glob("*.md"))
_each = pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem[:4])

SECTIONS = ["Context", "Decision", "Consequences"]  # others may stand between them
COUNTS = {"one", "two", "three", "four"}


def _title(path: Path) -> str:
    return path.read_text(encoding="utf-8").partition("\n")[0]


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", text.lower().replace("'", "")))


@_each
def test_a_decision_has_a_status_a_date_and_three_sections(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    head, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    assert re.search(r"\bStatus: (accepted|superseded)\b", head)
    assert re.search(r"\bDate: \d{4}-\d\d-\d\d\b", head)
    assert [name for section in sections if (name := section.partition("\n")[0]) in SECTIONS] == SECTIONS
    assert all(section.partition("\n")[2].strip() for section in sections)


@_each
def test_a_decisions_title_fits_its_file_name(path: Path) -> None:
    number, _, name = path.stem.partition("-")
    assert _title(path).startswith(f"# {number}: ")
    shared = _words(name) & _words(_title(path))
    assert shared - {"a", "is", "of", "the", "by", "in"}
    assert _words(name) & COUNTS <= shared


@_each
def test_each_decision_that_a_decision_names_is_there(path: Path) -> None:
    for link in re.findall(r"\]\(([\w.-]+\.md)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / link).exists(), link


def test_each_decision_has_a_number_of_its_own() -> None:
    numbers = [path.stem[:4] for path in DECISIONS]
    assert len(numbers) == len(set(numbers)) > 0

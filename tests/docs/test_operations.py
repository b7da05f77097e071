"""The pages for those who run it, and for those who share it, name what there is."""

import json
import re
from pathlib import Path

import pytest
from faking.readme import ROOT

DOCS = ROOT / "docs"
SECURITY, OPERATIONS, RUNBOOK = (DOCS / f"{name}.md" for name in ("security", "operations", "runbook"))
TESTS = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("test_*.py")))


@pytest.mark.parametrize("page", [SECURITY, OPERATIONS, RUNBOOK], ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https:)([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (DOCS / link).exists()] == []


def test_every_test_that_the_threats_name_is_there() -> None:
    text = SECURITY.read_text(encoding="utf-8")
    names, files = re.findall(r"`(test_\w+)`", text), re.findall(r"`(tests/[\w/]+\.py)`", text)
    assert ([name for name in names if f"def {name}(" not in TESTS], len(names) > 5) == ([], True)
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_every_test_that_the_runbook_names_is_there() -> None:
    files = re.findall(r"`(tests/[\w/]+\.py)`", RUNBOOK.read_text(encoding="utf-8"))
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_every_policy_is_json_and_named_by_the_page() -> None:
    policies = sorted((DOCS / "policies").iterdir())
    assert [json.loads(path.read_text(encoding="utf-8"))["Version"] for path in policies] == ["2012-10-17"] * 5
    assert [each.name for each in policies if each.name not in SECURITY.read_text(encoding="utf-8")] == []

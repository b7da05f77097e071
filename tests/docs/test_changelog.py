"""The changelog has the form of Keep a Changelog, so that people and tools find what changed in a version."""

import re

from batchdrop import __version__
from faking.readme import ROOT

CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
_KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]  # in their order


def test_what_is_not_released_comes_first_and_each_release_has_a_date() -> None:
    first, *released = re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)
    assert first == "[Unreleased]"
    assert [heading for heading in released if not re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", heading)] == []


def test_the_version_of_the_code_is_the_newest_that_the_changelog_names() -> None:
    released = re.findall(r"^## \[(\d.*)\]", CHANGELOG, re.MULTILINE)
    assert released[0] == __version__


def test_a_version_has_each_kind_of_change_once_and_in_order() -> None:
    for version in re.split(r"^## ", CHANGELOG, flags=re.MULTILINE)[1:]:
        kinds = re.findall(r"^### (.+)$", version, re.MULTILINE)
        assert kinds == [kind for kind in _KINDS if kind in kinds], version.partition("\n")[0]


def test_no_entry_is_there_twice() -> None:
    entries = re.findall(r"^- (.+)$", CHANGELOG, re.MULTILINE)
    assert len(set(entries)) == len(entries) > 0

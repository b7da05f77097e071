"""The page of rules is the list of mutations."""

from faults.rules_page import DOCUMENT, document


def test_the_page_of_rules_is_the_list_of_mutations() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "run PYTHONPATH=tests python -m faults.rules_page"

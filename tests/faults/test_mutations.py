"""The mutations still fit the sources; `make mutations` runs them."""

import pytest

from faults.mutations import MUTATIONS, ROOT, Mutation, source_of


@pytest.mark.parametrize("mutation", MUTATIONS, ids=[each.rule for each in MUTATIONS])
def test_a_rules_line_is_in_its_source_once_and_its_test_exists(mutation: Mutation) -> None:
    assert source_of(mutation).read_text(encoding="utf-8").count(mutation.old) == 1
    file, _, name = mutation.test.partition("::")
    assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8")

"""What a move may change of a row is named once, as the row has it."""

from typing import get_type_hints

import pytest
from batchdrop.records import Batch, Job, Row, Split
from batchdrop.row_changes import BatchChanges, JobChanges, RowChanges, SplitChanges

KINDS: list[tuple[type[Row], type]] = [
    (Row, RowChanges),
    (Job, JobChanges),
    (Split, SplitChanges),
    (Batch, BatchChanges),
]
IDENTITY = {"job", "epoch", "state"}  # and what moves them is no change of a caller's


@pytest.mark.parametrize(("row", "changes"), KINDS, ids=lambda each: each.__name__)
def test_a_change_has_the_type_of_the_rows_field(row: type[Row], changes: type) -> None:
    fields = get_type_hints(row)
    assert {name: fields.get(name) for name in get_type_hints(changes)} == get_type_hints(changes)


@pytest.mark.parametrize(("row", "changes"), KINDS, ids=lambda each: each.__name__)
def test_who_a_row_is_never_changes(row: type[Row], changes: type) -> None:
    assert not IDENTITY & set(get_type_hints(changes))
    assert ("version" in get_type_hints(changes)) is (row is Job)  # which newer code may come to own
    assert row is not Batch or not {"id", "token", "requests", "requests_key"} & set(get_type_hints(changes))

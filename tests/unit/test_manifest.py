"""The manifest names the commonest error."""

import pytest
from batchdrop.manifest import Counts, TopError, top_error_of


def counts(**errors: int) -> Counts:
    failed = sum(errors.values())
    return Counts(total=9 + failed, answered=9, failed=failed, errors=errors, finish_reasons={})


@pytest.mark.parametrize(
    ("errors", "top"),
    [
        ({}, None),
        ({"invalid_json": 2, "no_model": 3}, TopError(code="no_model", lines=3)),
        ({"b": 2, "a": 2}, TopError(code="a", lines=2)),
        ({"(others)": 90, "a": 1}, TopError(code="a", lines=1)),
        ({"(others)": 1}, None),
    ],
)
def test_the_top_error_is_the_commonest_code_that_is_named(errors: dict[str, int], top: TopError | None) -> None:
    assert top_error_of(counts(**errors)) == top


def test_a_job_without_results_has_no_top_error() -> None:
    assert top_error_of(None) is None

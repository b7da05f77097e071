"""Whose batch it is that has appeared is told by its results, however they are laid out."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from batchdrop.batches.request_files import custom_id_prefix
from batchdrop.batches.unknown_creates import is_ours
from batchdrop.providers.interface import ProviderBatch

TOKEN = "0123456789abcdef"
ENDED = ProviderBatch(id="b", ended_as="completed")
LAYOUTS: list[Callable[[dict[str, Any]], str]] = [
    json.dumps,
    lambda row: json.dumps([row, row]),
    lambda row: json.dumps([row], indent=2),
    lambda row: json.dumps(row, indent=2),
    lambda row: json.dumps(row) + json.dumps(row),
    lambda row: "\ufeff" + json.dumps(row),
    lambda row: json.dumps(row).replace("{", '{"x":NaN,', 1),
]


class Results:
    """A provider's client that gives these results, in small pieces."""

    def __init__(self, text: str) -> None:
        self._text = text.encode()

    def stream(self, name: str) -> Iterator[bytes]:
        assert name == "b"
        yield from (self._text[at : at + 9] for at in range(0, len(self._text), 9))


def told(text: str, batch: ProviderBatch = ENDED) -> bool | None:
    return is_ours(batch, TOKEN, Results(text))  # type: ignore[arg-type]  # it stands in by its method


@pytest.mark.parametrize("layout", LAYOUTS)
def test_our_name_in_the_results_is_a_proof_in_any_layout(layout: Callable[[dict[str, Any]], str]) -> None:
    mine = {"custom_id": custom_id_prefix("test", TOKEN) + "0", "result": {"type": "expired"}}
    assert told(layout(mine)) is True
    assert told(layout(mine | {"custom_id": "theirs"})) in {False, None}
    assert told(layout(mine), ProviderBatch(id="b", ended_as=None)) is None


def test_another_name_in_the_first_row_is_a_proof_too() -> None:
    assert told(json.dumps({"custom_id": "theirs"})) is False


@pytest.mark.parametrize("text", ["", "<html>", "{}", "\n", "7"])
def test_what_is_no_row_proves_nothing(text: str) -> None:
    assert told(text) is None

"""What comes from outside is cut before it stands in a row, an event or a message."""

import pytest
from batchdrop.texts import cut
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "max_bytes", "left"),
    [
        ("", 10, ""),
        ("0123456789", 10, "0123456789"),
        ("0123456789x", 10, "0123456…"),
        ("ä" * 5, 10, "ä" * 5),
        ("ä" * 6, 10, "äää…"),
        ("😀" * 3, 10, "😀…"),
        ("half \ud800", 10, "half ?"),
        ("\udc00" * 11, 10, "???????…"),
    ],
)
def test_a_text_is_cut_between_characters(text: str, max_bytes: int, left: str) -> None:
    assert cut(text, max_bytes) == left


@given(st.text(st.characters()), st.integers(3, 40))
def test_what_is_cut_fits_and_begins_as_the_text_does(text: str, max_bytes: int) -> None:
    left = cut(text, max_bytes)
    assert len(left.encode()) <= max_bytes
    assert text.encode(errors="replace").decode().startswith(left.removesuffix("…"))


def test_a_text_of_any_length_is_cut_at_once() -> None:
    assert cut("x" * 100_000_000, 100) == "x" * 97 + "…"

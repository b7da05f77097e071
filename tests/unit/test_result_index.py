"""What collect notes of each request, and how it is kept."""

from batchdrop.batches.result_index import Collected, Found, index_key, raw_key
from hypothesis import given
from hypothesis import strategies as st

notes = st.lists(
    st.tuples(
        st.integers(0, 9),
        st.sampled_from(list(Found)),
        st.integers(0, 255),
        st.integers(0, 2**64 - 1),
        st.integers(0, 2**32 - 1),
    )
)


@given(notes)
def test_what_is_noted_comes_back_from_its_bytes(found: list[tuple[int, Found, int, int, int]]) -> None:
    collected = Collected.empty(10)
    for each in found:
        collected.note(*each)
    data = collected.to_bytes()
    assert (len(data), Collected.from_bytes(data)) == (140, collected)


def test_no_requests_are_no_bytes() -> None:
    assert (Collected.empty(0).to_bytes(), Collected.from_bytes(b"")) == (b"", Collected.empty(0))


def noted(*found: Found) -> tuple[Found, int]:
    """What is kept of a request's lines in this order: what it says, and which line it was."""
    collected = Collected.empty(1)
    for number, each in enumerate(found):
        collected.note(0, each, 0, number, 1)
    return Found(collected.found[0]), collected.offsets[0]


def test_an_answer_stands_whatever_else_is_said_of_its_request() -> None:
    assert [
        noted(Found.RETRYABLE, Found.REFUSED, Found.ANSWERED),
        noted(Found.ANSWERED, Found.REFUSED),
        noted(Found.ANSWERED, Found.ANSWERED),
        noted(Found.REFUSED, Found.RETRYABLE),
        noted(Found.RETRYABLE, Found.REFUSED),
        noted(),
    ] == [
        (Found.ANSWERED, 2),
        (Found.ANSWERED, 0),
        (Found.ANSWERED, 0),
        (Found.REFUSED, 0),
        (Found.REFUSED, 1),
        (Found.NOTHING, 0),
    ]


def test_raw_copies_and_their_index_lie_together() -> None:
    assert (raw_key("work/j/c/", 1), index_key("work/j/c/")) == ("work/j/c/raw-1.jsonl", "work/j/c/index")

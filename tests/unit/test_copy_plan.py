"""The parts of a joined object obey S3's rules, whatever it is joined from."""

from itertools import pairwise

from batchdrop.aws.multipart import MAX_PARTS, PART_MAX, PART_MIN, Piece, copy_plan
from hypothesis import given
from hypothesis import strategies as st

MIB, GIB = 1024**2, 1024**3

sizes = st.lists(
    st.one_of(
        st.integers(0, 3 * PART_MIN),
        st.integers(0, 12 * GIB),
        st.sampled_from([PART_MIN - 1, PART_MIN, PART_MIN + 1, PART_MAX - 1, PART_MAX, PART_MAX + 1]),
    ),
    max_size=60,
)


def sources_of(sizes: list[int]) -> list[tuple[str, int]]:
    return [(f"piece-{number}", size) for number, size in enumerate(sizes)]


def assert_rules(sizes: list[int], parts: list[list[Piece]], least: int, most: int, max_parts: int) -> None:
    bytes_of_parts = [sum(piece.bytes for piece in part) for part in parts]
    assert all(size >= least for size in bytes_of_parts[:-1])
    assert all(0 < size <= most for size in bytes_of_parts)
    assert len(parts) <= max_parts
    joined: dict[str, int] = {}
    for piece in (piece for part in parts for piece in part if piece.bytes):
        assert piece.start == joined.get(piece.key, 0)  # nothing twice, nothing left out
        joined[piece.key] = piece.end
    assert list(joined.items()) == [(key, size) for key, size in sources_of(sizes) if size]  # and in order


@given(sizes)
def test_parts_are_within_s3s_limits_and_give_the_sources_in_order(sizes: list[int]) -> None:
    parts = copy_plan(sources_of(sizes))
    assert_rules(sizes, parts, PART_MIN, PART_MAX, MAX_PARTS)
    assert copy_plan(sources_of(sizes)) == parts
    assert all(sum(piece.bytes for piece in part) <= PART_MIN for part in parts if len(part) > 1)  # pass through memory


@given(st.lists(st.integers(0, 60), max_size=80), st.integers(2, 12))
def test_many_sources_never_become_too_many_parts(sizes: list[int], max_parts: int) -> None:
    parts = copy_plan(sources_of(sizes), least=5, most=10_000, max_parts=max_parts)
    assert_rules(sizes, parts, 5, 10_000, max_parts)


def test_large_sources_are_copied_whole_and_small_ones_coalesce() -> None:
    sizes = [GIB, 2 * MIB, GIB, MIB, MIB, 12 * GIB]
    parts = copy_plan(sources_of(sizes))
    assert parts == [
        [Piece("piece-0", 0, GIB)],
        [Piece("piece-1", 0, 2 * MIB), Piece("piece-2", 0, 3 * MIB)],
        [Piece("piece-2", 3 * MIB, GIB)],
        [Piece("piece-3", 0, MIB), Piece("piece-4", 0, MIB), Piece("piece-5", 0, 3 * MIB)],
        *([Piece("piece-5", start, end)] for start, end in even(3 * MIB, 12 * GIB, 3)),
    ]


def even(start: int, end: int, count: int) -> list[tuple[int, int]]:
    edges = [start + (end - start) * number // count for number in range(count + 1)]
    return list(pairwise(edges))

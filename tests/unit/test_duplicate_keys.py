"""A key that stands twice is found whatever the texts around it hold, with Python's own reader as the oracle."""

import json

from batchdrop.protocols.duplicate_keys import reject_duplicate_keys
from batchdrop.protocols.request_checks import LineProblem
from hypothesis import given
from hypothesis import strategies as st

ESCAPES = [f"\\u{each}" for each in ("0022", "003a", "003A", "005c", "0020", "00e9")]
PIECES = [
    *"ab:,{}[] ",
    '\\"',
    "\\\\",
    "\\t",
    "\\/",
    *(f"\\u{each}" for each in ("0022", "003a", "003A", "005c", "0020", "00e9")),
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=3).map(lambda pieces: f'"{"".join(pieces)}"')
KEYS = TEXTS | st.sampled_from(['"a"', '"b"', '"\\u0061"'])
BLANKS = st.sampled_from(["", "", " ", "\t"])
VALUES = st.recursive(
    TEXTS | st.sampled_from(["1", "1.0e0", "null"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda found: f"[{','.join(found)}]")
        | st.lists(
            st.tuples(KEYS, BLANKS, inner).map(lambda found: f"{found[0]}{found[1]}:{found[2]}"), max_size=4
        ).map(lambda found: f"{{{', '.join(found)}}}")
    ),
    max_leaves=8,
)


@given(VALUES)
def test_a_key_stands_twice_where_pythons_reader_meets_it_twice(line: str) -> None:
    objects: list[list[str]] = []
    json.loads(line, object_pairs_hook=lambda pairs: objects.append([key for key, _ in pairs]))
    is_found = False
    try:
        reject_duplicate_keys(line.encode())
    except LineProblem:
        is_found = True
    assert is_found == any(len(set(keys)) < len(keys) for keys in objects), line

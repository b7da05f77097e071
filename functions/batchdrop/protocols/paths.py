"""Where a value stands in a request, as a chain of steps: a value's whole path is written out for a message only.

Written out at each value of a deep document, the paths would take a multiple of its size.
"""

from typing import NamedTuple

from batchdrop.texts import cut

_LONGEST = 300  # bytes


class Path(NamedTuple):
    """A step, such as `.items` or `[3]`, behind the steps before it; None is where they begin."""

    before: "Path | None"
    step: str


def written(path: Path | None, where: str) -> str:
    """A path behind where it begins, cut as it stands in a message."""
    steps = []
    while path is not None:
        steps.append(path.step)
        path = path.before
    return cut(where + "".join(reversed(steps)), _LONGEST)

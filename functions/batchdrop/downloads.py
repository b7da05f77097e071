"""Downloads that are cut go on where they stopped."""

from collections.abc import Callable, Iterator

from batchdrop.errors import Transient

ATTEMPTS = 5


def resumed(rest: Callable[[int], Iterator[bytes]], *, cuts: tuple[type[Exception], ...], what: str) -> Iterator[bytes]:
    """The bytes of a download, all of them.

    Args:
        rest: Reads from an offset on, which is counted from the first byte that is wanted.
        cuts: What a cut connection raises.
        what: What is read, for the error.

    Raises:
        Transient: It was cut again and again, and nothing came in between.
    """
    at, left = 0, ATTEMPTS
    while left:
        left -= 1
        try:
            for chunk in filter(None, rest(at)):
                at, left = at + len(chunk), ATTEMPTS
                yield chunk
        except cuts:
            continue
        else:
            return
    raise Transient(f"{what} was cut {ATTEMPTS} times at byte {at:,}")

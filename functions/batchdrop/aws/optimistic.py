"""Optimistic writes: read, decide, write if nothing changed; where something did, all of it again."""

import random
import time
from collections.abc import Callable

from aws_lambda_powertools import Logger

from batchdrop.errors import ClaimLost, Transient

logger = Logger(child=True)

_MOST_TRIES = 20
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 1.0  # seconds: the longest of a try's pause, which is drawn


class ConcurrentChange(Exception):  # noqa: N818 - it is an outcome: read again and decide anew
    """Another row of the transaction changed (a counter, a ledger, the job): read again and decide again.

    Args:
        refused: Which of the other writes were, counted from 0.
    """

    def __init__(self, refused: frozenset[int] = frozenset()) -> None:
        super().__init__(f"refused: {sorted(refused)}")
        self.refused = refused


def until_unchanged[T](
    attempt: Callable[[], T], *, on: type[ConcurrentChange | ClaimLost] = ConcurrentChange, most: int = _MOST_TRIES
) -> T:
    """Do what reads, decides and writes, again from its reading on where another changed what was read.

    Args:
        attempt: All of it: nothing that it read before may be used again.
        on: What says that it changed.
        most: How often, at most.

    Raises:
        Transient: It changed each time: the message is delivered again, or sweep sends it.
    """
    for number in range(most):
        try:
            return attempt()
        except on:
            logger.info("changed meanwhile: read again", tries=number + 1)
            time.sleep(random.uniform(0, min(_FIRST_PAUSE * 2**number, _LONGEST_PAUSE)))  # noqa: S311 - no secret
    raise Transient(f"what was read changed {most} times before it could be written")

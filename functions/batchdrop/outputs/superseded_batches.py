"""Superseded batches: a later round sent each of their requests again, so that they speak for no line.

What they hold is not read: a line whose account is refused goes again every hour, for a month perhaps.
"""

from array import array
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import batched

from batchdrop.aws.bucket import Files
from batchdrop.batches.retry_rounds import find_gone_on
from batchdrop.batches.split_plan import read_members
from batchdrop.records import Batch, Split
from batchdrop.services import Services

_AT_ONCE = 8  # objects that are read


def find_superseded(batches: Collection[Batch], split: Split, services: Services) -> set[str]:
    """The ids of those batches that say nothing of any line, as the rows tell: nothing of them is paid, either."""
    whole = {each.id for each in batches if each.again == each.requests and not (each.misfits or each.fallen)}
    return whole & find_gone_on(split, services) if whole else set()


def members_of(batches: Collection[Batch], files: Files) -> Iterator[array[int]]:
    """The places of the lines of each batch, in turn; some are in memory at once."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for some in batched(batches, _AT_ONCE, strict=False):
            yield from pool.map(partial(read_members, files), [each.members_key for each in some])

"""Counts what was paid for answers that no line got: another one spoke for it."""

from collections.abc import Callable, Iterator
from itertools import groupby
from operator import itemgetter

from batchdrop.aws.bucket import Files
from batchdrop.batches.result_index import Found
from batchdrop.outputs.join_index import JoinIndex
from batchdrop.outputs.line_spool import Spool
from batchdrop.outputs.sealed_parts import RouteTally
from batchdrop.outputs.sent_batches import SentBatch
from batchdrop.protocols.readers import answer_reader

_SPOOLED_BYTES = 64 * 1024 * 1024


def count_unused(
    join: JoinIndex,
    batches: list[SentBatch],
    counts_of: Callable[[SentBatch, int], RouteTally],
    spool: Spool,
    files: Files,
) -> None:
    """Add each to its route: a second answer as a duplicate, one that did not fit the schema as any answer's tokens."""
    for number, its in groupby(join.unused(), key=itemgetter(0)):
        sent = batches[number]
        for positions in _few(sent, (position for _, position in its)):
            spool.clear()
            sent.spool(positions, spool, files)
            for position in positions:
                _count(sent, position, counts_of(sent, sent.members[position]), spool)


def _few(sent: SentBatch, positions: Iterator[int]) -> Iterator[list[int]]:
    """The positions in groups whose rows fit on the disk."""
    few: list[int] = []
    size = 0
    for position in positions:
        few.append(position)
        size += sent.collected.lengths[position]
        if size > _SPOOLED_BYTES:
            yield few
            few, size = [], 0
    if few:
        yield few


def _count(sent: SentBatch, position: int, route: RouteTally, spool: Spool) -> None:
    outcome = sent.outcome(sent.members[position], position, spool)
    if outcome is None or outcome.response is None:
        return
    usage, is_realtime = answer_reader(sent.batch.protocol)(outcome.response.body).usage, sent.batch.is_realtime
    if sent.collected.found[position] == Found.ANSWERED:
        route.add_duplicate(usage, is_realtime=is_realtime)
    else:
        route.add(usage, answers=0, is_retry=sent.attempts() > 1, is_realtime=is_realtime)

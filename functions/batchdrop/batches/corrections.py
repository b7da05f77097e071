"""Adds to a request its answer that did not fit the output schema, and the problems of that answer.

It stands in the next round's request files alone: it quotes answers.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import batched

from batchdrop.batches.request_files import Edit
from batchdrop.batches.result_index import Collected, raw_key, read_collected
from batchdrop.batches.sources import answer_check
from batchdrop.protocols.answer_checks import AnswerCheck
from batchdrop.protocols.corrected_bodies import correct
from batchdrop.protocols.readers import outcome_reader
from batchdrop.records import Batch, Job
from batchdrop.services import Services

_AT_ONCE = 32  # rows that are read, and in memory
_LONGEST_ROW = 256 * 1024  # bytes: an answer that is longer costs more to repeat than it helps


def corrections(job: Job, batch: Batch, positions: list[int], services: Services) -> Iterator[Edit] | None:
    """Return the new bodies of requests whose answers do not fit, in order; None where they stay as they are."""
    check = answer_check(job, services) if job.settings.schema_retry == "with_errors" else None
    if check is None or batch.collected_key is None or not positions:
        return None
    return _edits(batch, read_collected(services.files, batch.collected_key), positions, check, services)


def _edits(
    batch: Batch, collected: Collected, positions: list[int], check: AnswerCheck, services: Services
) -> Iterator[Edit]:
    read = partial(_row, batch, collected, services)
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        for some in batched(positions, _AT_ONCE, strict=False):
            for row in pool.map(read, some):
                yield partial(_corrected, batch, check, row)


def _row(batch: Batch, collected: Collected, services: Services, position: int) -> bytes | None:
    start, length = collected.offsets[position], collected.lengths[position]
    if length > _LONGEST_ROW:
        return None
    read = services.files.reader(raw_key(batch.collected_key or "", collected.streams[position]))
    return b"".join(read(start, start + length))


def _corrected(batch: Batch, check: AnswerCheck, row: bytes | None, body: bytes) -> bytes:
    response = None if row is None else outcome_reader(batch.protocol)(row).response
    return body if response is None else correct(body, batch.endpoint, check.misfit(batch.endpoint, response.body))

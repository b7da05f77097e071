"""Writes the results of a real-time batch as collect would have copied them: raw rows, and the index of them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import batched

from batchdrop.aws import keys
from batchdrop.batches.accounting import MAX_RESULT_BYTES, Accounts
from batchdrop.batches.request_files import custom_id_prefix
from batchdrop.batches.result_copy import teed
from batchdrop.batches.result_index import Found, index_key, raw_key
from batchdrop.protocols.answer_checks import AnswerCheck
from batchdrop.protocols.realtime_rows import doubt_row
from batchdrop.records import Batch
from batchdrop.services import Services

_AT_ONCE = 32  # rows that are read, and in memory


def called_positions(batch: Batch, services: Services) -> set[int]:
    """Return the requests whose answers are in `work/`, whichever worker got them."""
    prefix = keys.called_prefix(batch)
    return {int(key.removeprefix(prefix)) for key in services.files.keys(prefix)}


def write_results(batch: Batch, services: Services, check: AnswerCheck | None = None) -> tuple[str, int]:
    """Write the rows of all that was called; return where they lie, and how many calls have no reply.

    What was not called, since the job was cancelled, has no row. Answers are held against the output schema (`check`).
    """
    prefix, there = keys.collected_prefix(batch), called_positions(batch, services)
    own = services.providers[batch.provider].refusals
    accounts = Accounts(batch, services.settings.deployment, max_bytes=MAX_RESULT_BYTES, own=own, check=check)
    doubtful = set(range(batch.called)) - there - set(batch.uncalled)
    key = raw_key(prefix, 0)
    with services.files.writer(key) as out:
        left = accounts.read(teed(_rows(batch, there, doubtful, services), out), 0)
    for span in left:
        accounts.read_rows(services.files.reader(key), 0, span)
    for position in doubtful:
        accounts.collected.found[position] = Found.DOUBT
    services.files.put(index_key(prefix), accounts.collected.to_bytes(), content_type="application/octet-stream")
    return prefix, len(doubtful)


def _rows(batch: Batch, there: set[int], doubtful: set[int], services: Services) -> Iterator[bytes]:
    row = partial(_row, batch, there, services)
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        for some in batched(sorted(there | doubtful), _AT_ONCE, strict=False):
            yield from list(pool.map(row, some))


def _row(batch: Batch, there: set[int], services: Services, position: int) -> bytes:
    if position in there:
        return services.files.get(keys.called_key(batch, position))
    return doubt_row(batch.protocol, f"{custom_id_prefix(services.settings.deployment, batch.token)}{position}")

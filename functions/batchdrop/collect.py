"""Collect: an ended batch's results are copied raw (paid answers are safe), then each request is accounted for."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
from aws_lambda_powertools import Logger

from batchdrop import files
from batchdrop.collected import Collected, Found, index_key, raw_key
from batchdrop.errors import AccountRefused, NotMyTurn, Refused, Transient
from batchdrop.files import cut_lines
from batchdrop.plan import custom_id_prefix
from batchdrop.protocols import anthropic, openai
from batchdrop.protocols.outcome import Outcome
from batchdrop.providers.api import BatchApi, Missing, ProviderBatch
from batchdrop.providers.config import Protocol
from batchdrop.records import Batch
from batchdrop.rounds import close_batch
from batchdrop.services import Services
from batchdrop.states import BatchState
from batchdrop.submit import pause_provider

logger = Logger(child=True)

MAX_RESULT_BYTES = 128 * 1024 * 1024  # 2,048 embeddings in one line are 70 MB


def collect_batch(job: str, batch_id: str, services: Services) -> None:
    """Collect a batch, unless it is collected or another worker is at it."""
    batch = services.store.batch(job, batch_id)
    if batch is None or batch.state is not BatchState.ENDED:
        return
    try:
        claimed = services.store.claim(batch, services.settings.lease_seconds)
        _collect(claimed, services)
    except NotMyTurn:
        return


def delete_from_provider(batch: Batch, services: Services) -> None:
    """Delete what the provider keeps of a collected batch; sweep tries again what fails."""
    try:
        services.apis[batch.provider].delete(batch)
    except (AccountRefused, Refused, Transient) as error:
        logger.warning("provider files not deleted yet", job=batch.job, batch=batch.id, reason=type(error).__name__)
    else:
        services.store.not_due(batch)


def _collect(batch: Batch, services: Services) -> None:
    prefix = files.collected_prefix(batch)
    try:
        with tempfile.TemporaryDirectory() as folder:
            collected = _copy(batch, services.apis[batch.provider], prefix, Path(folder), services)
    except AccountRefused as error:
        if not services.apis.renew(batch.provider):
            pause_provider(batch.provider, str(error), services)
        _later(batch, str(error), services)
        return
    except (Transient, Missing) as error:
        _later(batch, str(error), services)
        return
    except Refused as error:
        _later(batch, f"{error.status} {error.code}", services)
        return
    services.files.put(index_key(prefix), collected.to_bytes(), content_type="application/octet-stream")
    closed = close_batch(
        batch,
        BatchState.COLLECTED,
        services,
        collected_key=prefix,
        due_at=services.now() + services.settings.lease_seconds,
    )
    logger.info(
        "batch collected",
        job=batch.job,
        batch=batch.id,
        answered=collected.found.count(Found.ANSWERED),
        requests=batch.requests,
    )
    delete_from_provider(closed, services)


def _later(batch: Batch, reason: str, services: Services) -> None:
    logger.warning("batch not collected for now", job=batch.job, batch=batch.id, reason=reason)
    services.store.let_go(batch, services.now() + services.settings.tick_seconds)


def _copy(batch: Batch, api: BatchApi, prefix: str, folder: Path, services: Services) -> Collected:
    """Copy the provider's streams to `work/`, noting where each request's line lies."""
    protocol = services.providers[batch.provider].protocol
    accounts = _Accounts(batch, services.settings.deployment, protocol)
    for number, name in enumerate(_streams(batch, api)):
        path = folder / f"raw-{number}"
        with path.open("wb") as out:
            accounts.read(_teed(api.stream(name), out), number)
        services.files.put(raw_key(prefix, number), path)
        path.unlink()
    if accounts.strangers:
        logger.warning("results of unknown requests", job=batch.job, batch=batch.id, lines=accounts.strangers)
    return accounts.collected


def _streams(batch: Batch, api: BatchApi) -> list[str]:
    if batch.batch_id is None:
        raise LookupError(f"{batch.job}: batch {batch.id} ended without an id")
    ended = ProviderBatch(
        id=batch.batch_id,
        status="",
        ended_as=batch.ended_as,
        output_file_id=batch.output_file_id,
        error_file_id=batch.error_file_id,
    )
    return api.results(ended)


def _teed(chunks: Iterator[bytes], out: BinaryIO) -> Iterator[bytes]:
    for chunk in chunks:
        out.write(chunk)
        yield chunk


def outcome_reader(protocol: Protocol) -> Callable[[bytes], Outcome]:
    return anthropic.read_outcome if protocol is Protocol.ANTHROPIC else openai.read_outcome


class _Accounts:
    """Reads result lines and notes the best one of each request. `strangers` counts lines that are not ours."""

    def __init__(self, batch: Batch, deployment: str, protocol: Protocol) -> None:
        self._prefix = custom_id_prefix(deployment, batch.token)
        self._requests = batch.requests
        self._read_outcome = outcome_reader(protocol)
        self.collected = Collected.empty(batch.requests)
        self.strangers = 0

    def read(self, chunks: Iterator[bytes], stream: int) -> None:
        """Read a stream.

        Raises:
            Transient: A line is no result line: the stream may be damaged.
        """
        for line in cut_lines(chunks, offset=0, max_bytes=MAX_RESULT_BYTES):
            if line.bytes is None:
                raise Transient(f"a result line is {line.length:,} bytes long; at most {MAX_RESULT_BYTES:,}")
            if line.bytes and not line.bytes.isspace():
                self._note(line.bytes, stream, line.offset)

    def _note(self, text: bytes, stream: int, offset: int) -> None:
        try:
            outcome = self._read_outcome(text)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise Transient(f"the result line at byte {offset:,} cannot be read: {error}") from error
        position = self._position(outcome.custom_id)
        if position is None:
            self.strangers += 1
            return
        self.collected.note(position, _found(outcome), stream, offset, len(text))

    def _position(self, custom_id: str) -> int | None:
        text = custom_id.removeprefix(self._prefix)
        if text is custom_id or not text.isdecimal():
            return None
        position = int(text)
        return position if position < self._requests else None


def _found(outcome: Outcome) -> Found:
    if outcome.error is None:
        return Found.ANSWERED
    return Found.RETRYABLE if outcome.error.retryable else Found.REFUSED

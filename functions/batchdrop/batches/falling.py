"""Puts requests that their own model or provider failed for good into batches of the job's fallback, translated."""

from collections.abc import Sequence
from contextlib import suppress

import msgspec
from aws_lambda_powertools import Logger

from batchdrop.aws.provider_store import Pause
from batchdrop.batches.packing import Group, group_again, group_of
from batchdrop.batches.request_files import BatchWriter, requests_at
from batchdrop.batches.result_index import CHARGED, Collected, Found
from batchdrop.batches.sent_again import may_fall
from batchdrop.batches.sources import read_output_schema
from batchdrop.inputs.fallbacks import Fallback, FallbackReader, fallback_of, why_untaken
from batchdrop.inputs.request_lines import Request
from batchdrop.inputs.sent_bodies import OutputFormats
from batchdrop.limits.restore_hold import is_held
from batchdrop.protocols import openai
from batchdrop.protocols.request_checks import LineProblem
from batchdrop.records import Batch, Job
from batchdrop.services import Services

logger = Logger(child=True)

_MOST_REASONS, _MOST_PLACES = 100, 10_000  # that a round notes of what the fallback cannot take

type Untaken = dict[str, list[int]]
"""Why the fallback cannot take lines, and their places in the plan's index."""


def should_fall(batch: Batch, job: Job, pause: Pause | None, services: Services) -> bool:
    """Return whether the fallback is called for a real-time batch instead of its provider, which is paused."""
    fallback = fallback_of(job.settings)
    if fallback is None or pause is None or pause.until <= services.now() or not may_fall(batch, job):
        return False
    route = batch.provider, batch.model or "", batch.endpoint
    if is_held(batch.provider, services) or why_untaken(route, fallback, services.providers) is not None:
        return False
    return services.store.providers.active_pause(fallback.provider) is None


class Falling:
    """Writes the requests of closed batches that go to the job's fallback into batches of a round.

    Those that it cannot take go on at their own provider, where that did not fail them: they were to be called, and it
    is paused. All others keep their first error; `untaken` says why, of a limited number.
    """

    def __init__(self, job: Job, writer: BatchWriter, services: Services) -> None:
        self.job, self._writer, self._services = job, writer, services
        self.untaken: Untaken = {}
        self._places = 0

    def pool(self, batch: Batch, collected: Collected, members: Sequence[int], answered: set[int]) -> None:
        """Put the requests of a closed batch that fall into the round's batches, but for those that are answered."""
        fallback = fallback_of(self.job.settings)
        if fallback is None or not batch.fallen:
            return
        services, found = self._services, collected.found
        logger.warning("requests go to the fallback", batch=batch.id, requests=batch.fallen)
        reader = self._reader(fallback)
        kinds = frozenset(batch.fallen_kinds)
        positions = (at for at, kind in enumerate(found) if kind in kinds and members[at] not in answered)
        for position, place, body in requests_at(batch, positions, services):
            was_sent = batch.batch_id is not None or (batch.called > 0 and found[position] != Found.NOTHING)
            try:
                request = reader.read(body, batch.endpoint, provider=batch.provider, has_schema=batch.has_schema)
                group = self._group(request, batch, batch.attempt + was_sent)
                self._writer.add(group, request.body, request.inputs, place)
            except LineProblem as problem:
                self._note(place, problem.message)
                if batch.is_realtime and found[position] in CHARGED:
                    self._keep(batch, body, place, was_sent=was_sent)

    def _reader(self, fallback: Fallback) -> FallbackReader:
        schema = read_output_schema(self.job, self._services)
        formats = None if schema is None else OutputFormats(schema)
        return FallbackReader(fallback, self._services.providers, self.job.settings, output_formats=formats)

    def _group(self, request: Request, batch: Batch, attempt: int) -> Group:
        provider = self._services.providers[request.provider]
        group = group_of(request, provider, self.job.settings)
        return msgspec.structs.replace(group, attempt=attempt, is_fallback=True, has_schema=batch.has_schema)

    def _keep(self, batch: Batch, body: bytes, place: int, *, was_sent: bool) -> None:
        if batch.attempt + was_sent <= self.job.settings.max_attempts:
            group = group_again(batch, attempts=was_sent, stays=True)
            inputs = openai.count_inputs(msgspec.Raw(body), batch.endpoint)
            with suppress(LineProblem):
                self._writer.add(group, body, inputs, place)

    def _note(self, place: int, why: str) -> None:
        self._places += 1
        if self._places <= _MOST_PLACES and (why in self.untaken or len(self.untaken) < _MOST_REASONS):
            self.untaken.setdefault(why, []).append(place)

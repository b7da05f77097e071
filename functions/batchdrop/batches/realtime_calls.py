"""Calls requests of a batch at real time, a wave at a time: an answer is in `work/` before its call is over."""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context

import msgspec
from aws_lambda_powertools import Logger

from batchdrop.aws import keys
from batchdrop.batches.reply_decision import NO_REPLY, Meaning, Then, meaning_of
from batchdrop.batches.request_files import custom_id_prefix
from batchdrop.errors import OutcomeUnknown, Unreachable
from batchdrop.protocols.realtime_rows import reply_row
from batchdrop.protocols.token_estimates import tokens_of
from batchdrop.providers.interface import BatchApi, Reply
from batchdrop.providers.limits import Limits
from batchdrop.records import Batch
from batchdrop.services import Services

logger = Logger(child=True)

_FAILED = Meaning(then=Then.DOUBT)  # through no fault of the provider
_LONGER = 1.05  # than a call may be silent: then it is given up, whatever it still sends


class Call(msgspec.Struct, frozen=True):
    """One request, by its position in the batch; `tries` says how often it was called without a result in this run."""

    position: int
    body: bytes
    tries: int = 0


class Wave(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of the calls of a wave. Those in neither list have an answer, or may have one.

    Attributes:
        is_answered: The provider answered one of them, and not with an error of its own.
        again: To be called again.
        meanings: What the replies meant.
        is_unreached: No call reached the provider.
        failure: What one of the calls, or the writing of its answer, failed with; that call may have an answer.
    """

    is_answered: bool
    again: list[Call]
    meanings: list[Meaning]
    is_unreached: bool
    failure: Exception | None = None

    @property
    def wait(self) -> float:
        return max((each.wait for each in self.meanings), default=0)

    @property
    def is_outage(self) -> bool:
        return not self.is_answered and any(each.is_outage for each in self.meanings)


class Pace:
    """Keeps calls within what a provider allows in a minute, from the first on: so many calls take so long."""

    def __init__(self, limits: Limits, now: int) -> None:
        self._requests, self._tokens = limits.realtime_requests_per_minute, limits.realtime_tokens_per_minute
        self._began = now
        self._called = self._read = 0
        self._not_before = 0.0

    def count(self, calls: Iterable[Call]) -> None:
        for each in calls:
            self._called += 1
            self._read += tokens_of(len(each.body))

    def hold(self, until: float) -> None:
        self._not_before = max(self._not_before, until)

    def next_at(self) -> float:
        """Return when the next wave may begin, seconds."""
        minutes = max(self._called / self._requests, self._read / self._tokens)
        return max(self._began + 60 * minutes, self._not_before)


def call_wave(calls: list[Call], batch: Batch, api: BatchApi, seconds: float, services: Services) -> Wave:
    """Call requests at once, and save each answer when it comes.

    Args:
        calls: Each in a thread of its own.
        batch: Whose requests they are; claimed.
        api: The provider's client.
        seconds: How long a call may take.
        services: The services.
    """
    caller = _Caller(batch, api, seconds, services)
    pool = ThreadPoolExecutor(max_workers=len(calls))
    futures = {pool.submit(copy_context().run, caller.call, each): each for each in calls}  # its logs name the job
    wait(futures, timeout=seconds * _LONGER)
    pool.shutdown(wait=False, cancel_futures=True)
    return wave_of({call: future for future, call in futures.items()})


def wave_of(calls: Mapping[Call, "Future[Meaning | None]"]) -> Wave:
    """Return the outcome of calls; a failed one does not change the others' meanings."""
    failures = [error for future in calls.values() if isinstance(error := _failure(future), Exception)]
    found = {call: _FAILED if _failure(future) in failures else _meaning_in(future) for call, future in calls.items()}
    meanings = [each for each in found.values() if each is not None]
    again = {Then.AGAIN, Then.STOP}
    return Wave(
        is_answered=any(each.then is Then.KEEP and not each.is_outage for each in meanings),
        again=[
            Call(call.position, call.body, call.tries + (meaning is not None))
            for call, meaning in found.items()
            if meaning is None or meaning.then in again
        ],
        meanings=meanings,
        is_unreached=not meanings,
        failure=failures[0] if failures else None,
    )


def _failure(future: "Future[Meaning | None]") -> BaseException | None:
    return future.exception() if future.done() else None


def _meaning_in(future: "Future[Meaning | None]") -> Meaning | None:
    return future.result() if future.done() else NO_REPLY


class _Caller:
    def __init__(self, batch: Batch, api: BatchApi, seconds: float, services: Services) -> None:
        self._batch, self._api, self._seconds, self._files = batch, api, seconds, services.files
        self._own = services.providers[batch.provider].refusals
        self._prefix = custom_id_prefix(services.settings.deployment, batch.token)

    def call(self, call: Call) -> Meaning | None:
        """Call, save the row if the reply is the result, and return its meaning; None where nothing was sent."""
        try:
            reply = self._api.call(self._batch, call.body, seconds=self._seconds)
        except Unreachable:
            return None
        except OutcomeUnknown as error:
            logger.warning("call without a reply", batch=self._batch.id, position=call.position, reason=str(error))
            return NO_REPLY
        meaning = meaning_of(reply, call.tries, self._own)
        if meaning.then is Then.KEEP:
            self._files.put(keys.called_key(self._batch, call.position), self._row(call, reply))
        return meaning

    def _row(self, call: Call, reply: Reply) -> bytes:
        return reply_row(
            self._batch.protocol,
            f"{self._prefix}{call.position}",
            status=reply.status,
            body=reply.body,
            request_id=reply.request_id,
        )

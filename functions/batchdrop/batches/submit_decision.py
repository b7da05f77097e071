"""Decides what becomes of a batch whose submission did not succeed, by what went wrong. Pure: one table."""

from enum import StrEnum, auto

import msgspec

from batchdrop.aws.optimistic import ConcurrentChange
from batchdrop.batches.rows import delay_of
from batchdrop.errors import (
    AccountRefused,
    EndpointNotFound,
    LimitReached,
    Missing,
    OutcomeUnknown,
    Refused,
    Transient,
    UnexpectedResponse,
    Unreachable,
)
from batchdrop.protocols import openai_failures
from batchdrop.protocols.outcome import QUEUE_FULL
from batchdrop.records import Batch
from batchdrop.result_line import ErrorCode
from batchdrop.row_changes import BatchChanges

JOB_CHECK = 1  # the place of the job's check among the writes of an intent
_MOST_ENDPOINT_MISSES = 10  # times that a batch waits for an address to have its calls: half an hour or more
_ENDPOINT_MISS_TICKS = 4  # between two of them, at most: less than what failures are in a row within
_FOR_NOW = "batch not submitted for now"
_NO_CALL = "batch not submitted: no such call"
_IN_DOUBT = "batch in doubt: it may have been created"

FAILURES = (AccountRefused, ConcurrentChange, Missing, OutcomeUnknown, Refused, Transient)


class Then(StrEnum):
    """The next action on the batch."""

    WAIT = auto()  # nothing was created: it stands in line again
    WAIT_FOR_SLOT = auto()  # another batch of the same number of requests is being created
    DOUBT = auto()  # it may have been created: only the provider's listing can tell
    JUDGE = auto()  # the provider definitely refused it: whose fault that is must be found out
    END = auto()  # it will never be taken


class Breaker(StrEnum):
    """The effect on the provider's circuit breaker."""

    NOTHING = auto()
    ANSWERS = auto()  # and takes the key: a pause is over
    CALL_FAILED = auto()  # several in a row are an outage
    ACCOUNT_REFUSED = auto()


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """`ticks` is how long the batch waits, `changes` what its row notes; `log` and `reason` say what went wrong.

    `learned` is how much the provider said that its queue holds; `refusal` what a batch that ends, ends with.
    """

    then: Then
    breaker: Breaker = Breaker.NOTHING
    ticks: int = 1
    changes: BatchChanges = {}
    log: str = ""
    reason: str = ""
    learned: int | None = None
    refusal: Refused | None = None


def decide(error: Exception, batch: Batch, *, tick: int) -> Decision:  # noqa: PLR0911 - a table
    """Decide what happens to a batch.

    Args:
        error: One of `FAILURES`.
        batch: Its row as it was when that was raised.
        tick: Seconds.
    """
    match error:
        case AccountRefused():
            return Decision(then=Then.WAIT, breaker=Breaker.ACCOUNT_REFUSED)
        case ConcurrentChange() if JOB_CHECK in error.refused:
            return Decision(then=Then.WAIT, log="batch not submitted: its job was stopped")
        case ConcurrentChange():
            return Decision(then=Then.WAIT_FOR_SLOT)
        case Missing() | EndpointNotFound() | UnexpectedResponse():
            return _without_endpoint(error, batch)
        case LimitReached():
            return _without_room(error, batch, tick)
        case Refused():
            return Decision(then=Then.JUDGE, refusal=error)
        case Unreachable():
            return Decision(then=Then.WAIT, breaker=Breaker.CALL_FAILED, log=_FOR_NOW, reason=str(error))
        case Transient():
            return Decision(then=Then.WAIT, log=_FOR_NOW, reason=str(error))
        case OutcomeUnknown():
            return Decision(then=Then.DOUBT, breaker=Breaker.CALL_FAILED, log=_IN_DOUBT, reason=str(error))
    raise error


def _without_endpoint(error: Exception, batch: Batch) -> Decision:
    """There is no such call, or the upload is not there: several are an outage, and a batch does not try for ever."""
    reason = f"its address has no such call ({error}): check base_url in providers.toml"
    if batch.endpoint_misses >= _MOST_ENDPOINT_MISSES:
        refusal = Refused(status=None, code=ErrorCode.NO_SUCH_CALL)
        return Decision(then=Then.END, breaker=Breaker.CALL_FAILED, log=_NO_CALL, reason=reason, refusal=refusal)
    return Decision(
        then=Then.WAIT,
        breaker=Breaker.CALL_FAILED,
        log=_NO_CALL,
        ticks=min(2**batch.endpoint_misses, _ENDPOINT_MISS_TICKS),
        changes={"endpoint_misses": batch.endpoint_misses + 1, "input_file_id": None},
        reason=reason,
    )


def _without_room(error: LimitReached, batch: Batch, tick: int) -> Decision:
    """The provider's queue is full; one request that never finds room ends."""
    decision = Decision(
        then=Then.WAIT,
        breaker=Breaker.ANSWERS,
        ticks=delay_of(batch.waits + 1, tick) // tick,
        changes={"waits": batch.waits + 1, "endpoint_misses": 0},
        log="batch not submitted: no room",
        reason=f"limit: {error.limit}",
        learned=error.limit,
    )
    if not openai_failures.never_fits(error.limit, requests=batch.requests, tokens=batch.tokens, waits=batch.waits):
        return decision
    refusal = Refused(status=None, code=QUEUE_FULL)
    return msgspec.structs.replace(decision, then=Then.END, refusal=refusal)

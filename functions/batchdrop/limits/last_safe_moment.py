"""The last safe moment of a job: until then its batches may run, and what is left can still be called in time. Pure."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from batchdrop.deadlines import next_deadline
from batchdrop.inputs.fallbacks import fallback_of
from batchdrop.providers.config import ProviderConfig
from batchdrop.providers.limits import Limits
from batchdrop.records import Batch, Job
from batchdrop.states import OPEN_BATCHES, BatchState

_CANCEL_TICKS = 10  # ten minutes on AWS: what a cancel may take (OpenAI's documentation)
_MARGIN_TICKS = 10  # for sweep's and poll's pace, the next round, publishing, and a worker that dies on the way
_SLACK = 4  # a quarter more than what the rates say: calls are refused, and go again
_CALL_SECONDS = 10  # that a call takes: some hundred tokens of an answer come in as many seconds
# Which answer a JSON call with JSON, at once: images are edited by forms, and videos asked for later.
_CALLABLE = frozenset(
    {
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/images/generations",
        "/v1/messages",
        "/v1/moderations",
        "/v1/responses",
    }
)
_ONLY_IN_BATCHES = "output-300k-"  # Anthropic's beta for longer answers than a call gives


class _Work(msgspec.Struct):
    requests: int = 0
    tokens: int = 0


def wants_calls(job: Job) -> bool:
    """Return whether a job's deadline is to be kept by calls at real time, and nothing stood against that.

    A unit that was given up does: no further round begins, which would call what batches leave.
    """
    is_free = job.late_reason is None and job.outcome is None
    return job.deadline_at is not None and job.settings.realtime == "deadline" and is_free


def is_kept(job: Job, now: int) -> bool:
    """Return whether sweep works for the deadline of a running job: what is left of it is called, or may have to be."""
    return job.finishing_at is not None or (wants_calls(job) and now < (job.deadline_at or 0))


def next_check(job: Job, *, now: int, tick: int) -> int:
    """Return when somebody looks at the clock for a running job that was just looked at."""
    return now + tick if is_kept(job, now) else next_deadline(job)


def may_be_called(batch: Batch) -> bool:
    """Return whether the requests of a batch can be called at real time, and may have to be."""
    return batch.state in OPEN_BATCHES and batch.state is not BatchState.ENDED and _is_callable(batch)


def _is_callable(batch: Batch) -> bool:
    is_call = batch.endpoint in _CALLABLE and not any(each.startswith(_ONLY_IN_BATCHES) for each in batch.betas)
    return is_call and not batch.is_duplicate


def left_of(batches: Iterable[Batch]) -> Iterator[Batch]:
    """The batches of a job of which something may have to be called, cut to the requests and tokens of that.

    Of one that has ended and is not collected, all may be; of a collected one, what its split's next round sends again.
    """
    known, rounds = list(batches), dict[int, int]()
    for each in known:
        rounds[each.split] = max(each.round, rounds.get(each.split, 0))
    for each in known:
        requests = _requests_left(each, rounds[each.split])
        if requests and _is_callable(each):
            yield each.with_(requests=requests, tokens=-(-each.tokens * requests // each.requests))


def _requests_left(batch: Batch, last_round: int) -> int:
    if batch.state not in OPEN_BATCHES:
        return batch.again if batch.round == last_round else 0
    is_known = batch.state is BatchState.ENDED and batch.is_realtime
    return batch.again if is_known else batch.requests


def last_safe_moment(
    job: Job, batches: Iterable[Batch], providers: Mapping[str, ProviderConfig], *, tick: int
) -> int | None:
    """Return when what is left must be called at real time; None where nothing is, or the job has no deadline.

    Args:
        job: The job.
        batches: All of its batches.
        providers: With the rates that are allowed.
        tick: The pace of poll and sweep, in seconds.
    """
    left: dict[str, _Work] = {}
    for each in left_of(batches):
        for name in _callers(each, job) & providers.keys():
            work = left.setdefault(name, _Work())
            work.requests += each.requests
            work.tokens += each.tokens
    if job.deadline_at is None or not left:
        return None
    longest = max(seconds_of(each.requests, each.tokens, providers[name].limits) for name, each in left.items())
    return job.deadline_at - (_CANCEL_TICKS + _MARGIN_TICKS) * tick - longest - -(-longest // _SLACK)


def _callers(batch: Batch, job: Job) -> set[str]:
    """The providers that may be called for a batch: its own, or the fallback's."""
    fallback = fallback_of(job.settings)
    if fallback is None or batch.is_fallback or batch.stays:
        return {batch.provider}
    return {batch.provider, fallback.provider}


def seconds_of(requests: int, tokens: int, limits: Limits) -> int:
    """Return how long so many calls take at the allowed rates, rounded up."""
    return max(
        -(-60 * requests // limits.realtime_requests_per_minute),
        -(-60 * tokens // limits.realtime_tokens_per_minute),
        -(-_CALL_SECONDS * requests // limits.realtime_concurrency),
    )

"""Finish: the requests of a real-time batch are called one by one, each at most once, and become its results.

The order is the point: `called` is raised before a wave of calls, each answer is in `work/` before its wave is over,
and the results are written from what lies there. So a worker that dies leaves in doubt only the wave that it was at:
the requests below `called` that have no answer. Nobody calls them again in this batch.
"""

import math
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from aws_lambda_powertools import Logger

from batchdrop.aws.leases import Lease
from batchdrop.aws.optimistic import ConcurrentChange
from batchdrop.aws.provider_store import Pause
from batchdrop.aws.table_items import require_state
from batchdrop.batches.failed_units import has_failed_for_good
from batchdrop.batches.falling import should_fall
from batchdrop.batches.realtime_calls import Call, Pace, Wave, call_wave
from batchdrop.batches.realtime_results import called_positions, write_results
from batchdrop.batches.request_files import request_bodies
from batchdrop.batches.restored_batches import accounted
from batchdrop.batches.rows import LOST_TICKS
from batchdrop.batches.sources import answer_check
from batchdrop.errors import AccountRefused, ClaimLost
from batchdrop.limits.circuit_breaker import account_refused, call_failed
from batchdrop.limits.restore_hold import is_held
from batchdrop.providers.interface import BatchApi
from batchdrop.records import Batch, Job
from batchdrop.row_changes import BatchChanges
from batchdrop.services import Services
from batchdrop.states import BatchState, JobState
from batchdrop.temporary_files import temporary_folder
from batchdrop.worker import turn

logger = Logger(child=True)

_CALL_SHARE = 3  # of a run: a call takes a third of it at most, five minutes on AWS
_WAVES_SHARE = 2  # the last wave begins in its first half
_CLAIM_LONGER = 5  # a claim holds a fifth longer than a call may take: six minutes on AWS
_SLEEP_SHARE = 12  # of a claim, which holds while it waits and calls: half a minute on AWS
_ELSEWHERE_TICKS = 2


def finish_batch(job_id: str, batch_id: str, services: Services) -> None:
    """Call the requests of a batch, and then of its job's others at that provider, while there is time."""
    job, batch = services.store.job(job_id), services.store.batch(job_id, batch_id)
    if job is None or batch is None or not _is_open(batch):
        return
    with turn(job_id, services):
        is_given_up = has_failed_for_good(batch, services.now())
        if job.state is JobState.CANCELLING or (is_given_up and job.outcome is not None):
            _end(services.store.claim(batch, services.settings.lease_seconds), job, services)
        elif is_given_up:
            return  # sweep says so in the job's row, and sends it once more
        elif job.state is JobState.RUNNING:
            _finish_alone(job, batch, services)


def _is_open(batch: Batch) -> bool:
    return batch.is_realtime and batch.state is BatchState.ADMITTED


def _finish_alone(job: Job, batch: Batch, services: Services) -> None:
    """One run at a time calls a provider, so that its rates are kept."""
    lease = services.store.leases.take(f"finish#{batch.provider}", _claim_seconds(services))
    if lease is None:
        if batch.claimed_until <= services.now():
            at = services.now() + _ELSEWHERE_TICKS * services.settings.tick_seconds
            services.store.release(batch, at, failures=batch.failures)
        return
    run = _Run(job, batch.provider, lease, services)
    try:
        run.work(batch)
    except Exception:
        services.store.leases.end(run.lease)
        raise
    if not run.waits:
        services.store.leases.end(run.lease)
    if run.goes_on is not None:
        services.queues.finish(job.id, run.goes_on)


def _call_seconds(services: Services) -> int:
    return services.settings.function_seconds // _CALL_SHARE


def _claim_seconds(services: Services) -> int:
    return _call_seconds(services) + _call_seconds(services) // _CLAIM_LONGER


def _may_call_at(batch: Batch, pause: Pause | None, services: Services) -> int:
    """When a provider may be called: after a failure, what was tried before waits, or an outage takes all attempts."""
    now, tick = services.now(), services.settings.tick_seconds
    if is_held(batch.provider, services):
        return now + tick
    return now if pause is None else max(pause.until, pause.failed_at + (batch.attempt - 1) * tick)


class _Run:
    """One run's calls of one provider. `goes_on` names the batch that the next begins with."""

    def __init__(self, job: Job, provider: str, lease: Lease, services: Services) -> None:
        self._job, self._provider, self._services, self.lease = job, provider, services, lease
        self._limits = services.providers[provider].limits
        self._pace = Pace(self._limits, services.now())
        self._until = services.now() + services.settings.function_seconds // _WAVES_SHARE
        self._is_doubted = False  # it failed, or was paused: one call tries it
        self.goes_on: str | None = None
        self.waits = False  # nobody calls before the lease is over

    def work(self, batch: Batch) -> None:
        following: Batch | None = batch
        while following is not None and self._is_done(following):
            following = self._next()

    def _next(self) -> Batch | None:
        now = self._services.now()
        batches = self._services.store.readable_batches(self._job.id)
        its = (each for each in batches if each.provider == self._provider)
        return next((each for each in its if _is_open(each) and each.claimed_until <= now), None)

    def _is_done(self, batch: Batch) -> bool:
        """Call the requests of a batch that nobody called; whether all were, and its results are written."""
        services, now = self._services, self._services.now()
        pause = services.store.providers.get_pause(self._provider)
        if should_fall(batch, self._job, pause, services):
            work = _Work(services.store.claim(batch, _claim_seconds(services)), self._job, services)
            return self._end(work, is_unserved=True)
        may_call_at = _may_call_at(batch, pause, services)
        if may_call_at > now:
            services.store.release(batch, may_call_at, failures=batch.failures)
            return False
        try:
            api = services.apis[self._provider]
        except AccountRefused as error:
            account_refused(self._provider, error, services)
            services.store.release(batch, now + services.settings.tick_seconds, failures=batch.failures)
            return False
        work = _Work(services.store.claim(batch, _claim_seconds(services)), self._job, services)
        with temporary_folder() as folder:
            work.open(Path(folder) / "requests.jsonl")
            self._is_doubted = pause is not None
            most = min(self._limits.realtime_concurrency, self._limits.realtime_requests_per_minute)
            while calls := work.take(1 if self._is_doubted else most):
                if not self._may_begin(work, calls):
                    return False
                wave = self._call(work, calls, api)
                if self._is_stopped(work, wave):
                    return False
        return self._end(work)

    def _end(self, work: "_Work", *, is_unserved: bool = False) -> bool:
        """Write a batch's results, which takes longer than a wave; False where that is left to another run."""
        services = self._services
        if services.now() >= self._until:
            self._leave(work, [])
            return False
        self.lease = services.store.leases.extend(self.lease, services.settings.lease_seconds)
        _end(
            services.store.claim(work.batch.with_(claimed_until=0), services.settings.lease_seconds),
            self._job,
            services,
            is_unserved=is_unserved,
        )
        self.lease = services.store.leases.extend(self.lease, _claim_seconds(services))
        return True

    def _leave(self, work: "_Work", calls: list[Call]) -> None:
        """Put a batch off for the run that goes on at once; sweep sends it where its message is lost."""
        work.defer(calls, self._services.now() + LOST_TICKS * self._services.settings.tick_seconds)
        self.goes_on = work.batch.id

    def _may_begin(self, work: "_Work", calls: list[Call]) -> bool:
        """Wait until the next wave may begin; return False where that is in another run, and the batch is deferred."""
        services, now, next_at = self._services, self._services.now(), math.ceil(self._pace.next_at())
        if next_at > now + _claim_seconds(services) // _SLEEP_SHARE:
            work.defer(calls, next_at)
            self.lease, self.waits = services.store.leases.extend(self.lease, next_at - now), True
            return False
        services.sleep(max(next_at - now, 0))
        if services.now() >= self._until:
            self._leave(work, calls)
            return False
        return True

    def _call(self, work: "_Work", calls: list[Call], api: BatchApi) -> Wave:
        services = self._services
        self.lease = services.store.leases.extend(self.lease, _claim_seconds(services))
        work.begin(calls)
        self._pace.count(calls)
        wave = call_wave(calls, work.batch, api, _call_seconds(services), services)
        self._pace.hold(services.now() + wave.wait)
        work.see(wave)
        if wave.failure is not None:
            work.note()
            raise wave.failure
        return wave

    def _is_stopped(self, work: "_Work", wave: Wave) -> bool:
        """Return whether the provider is to be left alone for now: its account is refused, or calls of it fail."""
        refused = next((each.refused for each in wave.meanings if each.refused is not None), None)
        if refused is not None:
            account_refused(self._provider, refused, self._services)
        elif wave.is_unreached or wave.is_outage:
            self._is_doubted = True
            call_failed(self._provider, "calls at real time are not answered", self._services)
        elif wave.is_answered and self._is_doubted:
            self._is_doubted = False
            self._services.store.providers.end_pause(self._provider)
        pause = self._services.store.providers.active_pause(self._provider) if wave.again or wave.is_outage else None
        if refused is None and not wave.is_unreached and pause is None:
            return False
        work.defer([], self._services.now() + self._services.settings.tick_seconds)
        return True


class _Work:
    """A claimed batch: which of its requests are still to be called, and what its row says of that."""

    def __init__(self, batch: Batch, job: Job, services: Services) -> None:
        self.batch, self._job, self._services = batch, job, services
        self._uncalled = set(batch.uncalled)
        self._again: list[Call] = []
        self._left: Iterator[Call] = iter(())

    def open(self, path: Path) -> None:
        self._services.files.download(self.batch.requests_key, path)
        there, called = called_positions(self.batch, self._services), self.batch.called
        open_ = self._uncalled - there
        self._uncalled = set(open_)
        new = (Call(*each) for each in request_bodies(path) if each[0] not in there and each[0] >= called)
        tried = (Call(*each) for each in request_bodies(path) if each[0] in open_ and each[0] < called)
        self._left = chain(new, tried)  # one that never finds room holds up no other

    def take(self, most: int) -> list[Call]:
        """Take the next requests to call, first those that were called without a result."""
        taken, self._again = self._again[:most], self._again[most:]
        return taken + list(islice(self._left, most - len(taken)))

    def begin(self, calls: list[Call]) -> None:
        """Note that these may have been called, as long as the job runs.

        Raises:
            ClaimLost: It does not any more: what was called so far is its result.
        """
        positions = {each.position for each in calls}
        self._uncalled -= positions
        now = self._services.now()
        try:
            self.batch = self._services.store.claim(
                self.batch.with_(claimed_until=0),
                _claim_seconds(self._services),
                also=[require_state(self._job, JobState.RUNNING)],
                called=max(self.batch.called, max(positions) + 1),
                uncalled=tuple(sorted(self._uncalled)),
                submitted_at=self.batch.submitted_at or now,
            )
        except ConcurrentChange:
            self.defer(calls, now)
            raise ClaimLost from None

    def see(self, wave: Wave) -> None:
        self._again += wave.again
        self._uncalled |= {each.position for each in wave.again}

    def note(self) -> None:
        """Note what is known not to be answered, and hold the claim: that it runs out counts as a failure."""
        held = self.batch.with_(claimed_until=0)
        uncalled = tuple(sorted(self._uncalled))
        self.batch = self._services.store.claim(held, _claim_seconds(self._services), uncalled=uncalled)

    def defer(self, calls: list[Call], due_at: int) -> None:
        """Give the batch back, with what is known not to be answered."""
        taken = {each.position for each in calls if each.position < self.batch.called}
        uncalled = tuple(sorted(self._uncalled | taken))
        self.batch = self._services.store.release(self.batch, due_at, uncalled=uncalled)


def _end(batch: Batch, job: Job, services: Services, *, is_unserved: bool = False) -> None:
    """Write the results of all that may have been called, and have them collected as any other batch's.

    What was not called goes to the fallback where `is_unserved`.
    """
    prefix, doubts = write_results(batch, services, answer_check(job, services))
    now = services.now()
    ended: BatchChanges = {
        "collected_key": prefix,
        "doubts": doubts,
        "ended_as": "realtime",
        "ended_at": now,
        "due_at": now + services.settings.lease_seconds,
        **accounted(batch, job, prefix, services, is_unserved=is_unserved),
    }
    moved = services.store.move(batch, BatchState.ENDED, **ended)
    if doubts:
        logger.warning("calls in doubt", batch=batch.id, doubts=doubts)
    logger.info("batch answered at real time", batch=batch.id, requests=batch.called)
    services.queues.collect(moved.job, moved.id)

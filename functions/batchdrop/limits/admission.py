"""Admission: WAITING batches that fit into the provider's limits reserve their share and are queued for submit."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import takewhile
from operator import itemgetter

from aws_lambda_powertools import Logger
from msgspec.structs import replace

from batchdrop.aws.guards import guard
from batchdrop.aws.metrics import Measure, measure
from batchdrop.aws.optimistic import ConcurrentChange
from batchdrop.aws.provider_items import HOUR, PART_OF_HOUR, count_in_hour, reserve, take_probe
from batchdrop.aws.queues import MOST_MESSAGES
from batchdrop.aws.table import Due
from batchdrop.errors import ClaimLost
from batchdrop.failures import counted_failures
from batchdrop.limits.circuit_breaker import pause_ends
from batchdrop.limits.ledgers import cost_of, is_never_admitted, limit_of
from batchdrop.limits.restore_hold import is_held
from batchdrop.records import Batch, Job, Ledger, Split
from batchdrop.row_changes import BatchChanges
from batchdrop.services import Services
from batchdrop.states import BatchState, JobState
from batchdrop.worker import failure_of

logger = Logger(child=True)

_LEDGER = 0  # its place among the writes of an admission
_MOST_TURNS = 500  # jobs that a ledger remembers: 25 kB


def admit_batches(
    provider: str,
    services: Services,
    has_time: Callable[[], bool] = lambda: True,
    *,
    known: Sequence[Job | Split | Batch] = (),
) -> int:
    """Admit what fits of a provider's WAITING batches, by priority, a turn for each job, then age; returns how many.

    What is left when there is no more time is admitted by the next run; nothing is where a chain of messages is long.

    Args:
        provider: Its name.
        services: The services.
        has_time: Whether another batch may be admitted.
        known: Rows as the caller has just read or written them: they are not read again. A batch is moved only while
            its row is still the same.
    """
    if not services.queues.may_continue:
        return 0
    waiting = list(services.store.providers.waiting(provider, by=services.now()))
    if not waiting:
        return 0
    pause = services.store.providers.get_pause(provider)
    if pause is not None and pause.until > services.now():
        return 0
    if is_held(provider, services):
        return 0
    ledgers = services.store.providers.ledgers(provider)
    tries = pause.until if pause else 0
    admission = _Admission(provider, ledgers, waiting, services, tries=tries)
    admission.know(known)
    for due in takewhile(lambda _: has_time(), in_turn(waiting, ledgers, by_priority=not tries)):
        with guard("admit", failed=failure_of(due, services), job=due.job, unit=due.sk):
            admission.admit(due)
    admission.send()
    measure(Measure.BATCHES_WAITING, provider, len(waiting) - admission.admitted)
    return admission.admitted


def in_turn(waiting: Iterable[Due], ledgers: Mapping[str, Ledger], *, by_priority: bool = True) -> list[Due]:
    """The order of admission: a job with a thousand batches lets one of each other job go before its second. Pure.

    Who had its turn longest ago goes first, also where each run finds room for one batch only.

    Args:
        waiting: The batches, of any ledgers.
        ledgers: Who had a turn, and when.
        by_priority: False while one batch tries a paused provider: whichever it is, if it fails, the next time it is
            another's turn.
    """
    last = {(name, job): at for name, each in ledgers.items() for job, at in each.turns.items()}
    before = Counter[tuple[str, str]]()
    turns: list[tuple[int, int, int, Due]] = []
    for due in sorted(waiting, key=lambda each: (each.due_at, each.sk)):
        queue = (due.ledger, due.job)
        turns.append((-due.priority if by_priority else 0, before[queue], last.get(queue, 0), due))
        before[queue] += 1
    return [due for *_, due in sorted(turns, key=lambda each: each[:3])]


class _Admission:
    """One round: remembers what it read of jobs, splits and ledgers, so that a full ledger's batches cost no call.

    `tries` is when the provider's pause ended that one batch is to try; 0 for none.
    """

    def __init__(
        self, provider: str, ledgers: Mapping[str, Ledger], waiting: Iterable[Due], services: Services, *, tries: int
    ) -> None:
        self._tries = tries
        self._services = services
        self._provider = services.providers[provider]
        self._ledgers = dict(ledgers)
        self._jobs: dict[str, set[str]] = {}
        for due in waiting:
            self._jobs.setdefault(due.ledger, set()).add(due.job)
        self._full: set[str] = set()
        self._running: dict[str, bool] = {}
        self._rounds: dict[tuple[str, int], int] = {}
        self._admitted: dict[int, int] = {}
        self._batches: dict[tuple[str, str], Batch] = {}
        self._unsent: list[tuple[str, str]] = []
        self.admitted = 0

    def know(self, rows: Sequence[Job | Split | Batch]) -> None:
        """Read these rows no more."""
        for row in rows:
            if isinstance(row, Job):
                self._running[row.id] = row.state is JobState.RUNNING
            elif isinstance(row, Split):
                self._rounds[row.job, row.index] = row.round
            else:
                self._batches[row.job, row.id] = row

    def admit(self, due: Due) -> None:
        if due.ledger in self._full or not self._runs(due.job) or due.round > self._round(due.job, due.split):
            return
        ledger = self._ledgers.get(due.ledger) or Ledger(name=due.ledger)
        now = self._services.now()
        limit = limit_of(self._provider, ledger, now)
        needed = cost_of(due.cost, ledger)
        cost = min(needed, limit)  # a single request may go alone, whatever its size
        has_room = ledger.reserved + cost <= limit
        may_be_sent = has_room or needed > limit or ledger.refused_until > now
        batch = self._batch(due) if may_be_sent else None
        if batch is not None and is_never_admitted(batch, self._provider, ledger, now):
            self._send_waiting(batch)
        elif has_room:
            self.admitted += self._take(batch, ledger, cost, limit)
        else:
            self._full.add(due.ledger)  # what does not fit is waited for, whatever comes behind

    def send(self) -> None:
        """Have what was admitted submitted; where a run dies before, sweep sends it."""
        self._services.queues.submit_all(self._unsent)
        self._unsent = []

    def _batch(self, due: Due) -> Batch | None:
        return self._batches.get((due.job, due.batch)) or self._services.store.batch(due.job, due.batch)

    def _send_waiting(self, batch: Batch) -> None:
        """Send a batch that is never admitted to submit, which ends it or replaces it by smaller ones."""
        if batch.state is BatchState.WAITING and self._services.store.try_mark_sent(batch, self._lease_end()):
            self._services.queues.submit(batch.job, batch.id)

    def _take(self, batch: Batch | None, ledger: Ledger, cost: int, limit: int) -> bool:
        """Admit a batch, if it still waits and another run did not take the room."""
        if batch is None or batch.state is not BatchState.WAITING:
            return False
        try:
            self._ledgers[ledger.name] = self._move(batch, ledger, cost, limit)
        except ClaimLost:
            return False
        except ConcurrentChange as error:
            # Any but the ledger: the hour is full, or another batch tries a paused provider.
            self._full.update(self._jobs if error.refused - {_LEDGER} else {ledger.name})
            return False
        return True

    def _lease_end(self) -> int:
        return self._services.now() + self._services.settings.lease_seconds

    def _move(self, batch: Batch, ledger: Ledger, cost: int, limit: int) -> Ledger:
        """Reserve and move in one transaction; the ledger as it is then."""
        now = self._services.now()
        turns = self._turns(ledger, batch.job, now)
        take = [reserve(ledger.name, cost, limit=limit, turns=turns)]
        if self._provider.limits.batches_per_hour is not None:
            part = now - now % PART_OF_HOUR
            room = self._provider.limits.batches_per_hour - self._admitted_before(part)
            take.append(count_in_hour(self._provider.name, part, room=room))
        if self._tries:
            take.append(take_probe(batch, self._tries, pause_ends(self._services), now))
            self._full.update(self._jobs)
        counted = counted_failures(batch, now)  # of a worker that died cutting it, perhaps
        admitted: BatchChanges = {
            "cost": cost,
            "due_at": self._lease_end(),
            "failures": counted["failures"],
            "failed_at": counted["failed_at"],
        }
        self._services.store.move(batch, BatchState.ADMITTED, also=take, **admitted)
        logger.info("batch admitted", batch=batch.id, requests=batch.requests, cost=cost)
        self._unsent.append((batch.job, batch.id))
        if len(self._unsent) == MOST_MESSAGES:
            self.send()
        return replace(ledger, reserved=ledger.reserved + cost, turns=turns)

    def _admitted_before(self, part: int) -> int:
        """Return how many batches any 60 minutes that end in this part of an hour may hold already."""
        if part not in self._admitted:
            self._admitted[part] = self._services.store.providers.admitted_between(
                self._provider.name, part - HOUR, part
            )
        return self._admitted[part]

    def _turns(self, ledger: Ledger, job: str, now: int) -> dict[str, int]:
        """Return when the jobs that wait for this ledger had their last turn, this one now."""
        turns = {each: at for each, at in ledger.turns.items() if each in self._jobs[ledger.name]} | {job: now}
        return dict(sorted(turns.items(), key=itemgetter(1))[-_MOST_TURNS:])

    def _runs(self, job: str) -> bool:
        """Return whether the job's whole file is planned and nobody stopped it; its claim checks this again."""
        if job not in self._running:
            found = self._services.store.job(job)
            self._running[job] = found is not None and found.state is JobState.RUNNING
        return self._running[job]

    def _round(self, job: str, split: int) -> int:
        """The round that a split is in. It never goes back, so that reading it is enough; -1 where there is none."""
        if (job, split) not in self._rounds:
            found = self._services.store.split(job, split)
            self._rounds[job, split] = -1 if found is None else found.round
        return self._rounds[job, split]

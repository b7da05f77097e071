"""Admit: WAITING batches that fit into the provider's limits get their share and are sent to be submitted."""

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import takewhile

from aws_lambda_powertools import Logger

from batchdrop.errors import NotMyTurn
from batchdrop.packing import capacity_of
from batchdrop.services import Services
from batchdrop.states import BatchState, JobState
from batchdrop.store import Changed, Due
from batchdrop.writes import reserve

logger = Logger(child=True)


def admit_batches(provider: str, services: Services, has_time: Callable[[], bool] = lambda: True) -> int:
    """Admit what fits of a provider's WAITING batches, by priority, a turn for each job, then age; returns how many.

    What is left when there is no more time is admitted by the next run.
    """
    if services.store.pause(provider) is not None:
        return 0
    admission = _Admission(provider, services)
    waiting = in_turn(services.store.waiting(provider, by=services.now()))
    return sum(admission.admit(due) for due in takewhile(lambda _: has_time(), waiting))


def in_turn(waiting: Iterable[Due]) -> list[Due]:
    """The order of admission: a job with a thousand batches lets one of each other job go before its second. Pure."""
    before = Counter[str]()
    turns: list[tuple[int, int, Due]] = []
    for due in sorted(waiting, key=lambda each: (each.due_at, each.sk)):
        turns.append((-due.priority, before[due.job], due))
        before[due.job] += 1
    return [due for *_, due in sorted(turns, key=lambda each: each[:2])]


class _Admission:
    """One round: remembers what it read of jobs, splits and ledgers, so that a full ledger's batches cost no call."""

    def __init__(self, provider: str, services: Services) -> None:
        self._services = services
        self._limit = capacity_of(services.providers[provider])
        self._room: dict[str, int] = {}
        self._running: dict[str, bool] = {}
        self._rounds: dict[tuple[str, int], int] = {}

    def admit(self, due: Due) -> bool:
        room = self._room_of(due.ledger)
        if room <= 0 or not self._runs(due.job) or due.round > self._round(due.job, due.split):
            return False
        cost = min(due.cost, self._limit)  # the limit may have been lowered since the batch was planned
        try:
            admitted = cost <= room and self._move(due, cost)
        except NotMyTurn:
            return False
        except Changed:
            admitted = False
        self._room[due.ledger] = (
            room - cost if admitted else 0
        )  # what does not fit is waited for, whatever comes behind
        return admitted

    def _move(self, due: Due, cost: int) -> bool:
        batch = self._services.store.batch(due.job, due.batch)
        if batch is None or batch.state is not BatchState.WAITING:
            raise NotMyTurn
        take = reserve(batch.ledger, cost, limit=self._limit)
        due_at = self._services.now() + self._services.settings.lease_seconds
        self._services.store.move(batch, BatchState.ADMITTED, also=[take], cost=cost, due_at=due_at)
        logger.info("batch admitted", job=batch.job, batch=batch.id, requests=batch.requests, cost=cost)
        self._services.queues.submit(batch.job, batch.id)
        return True

    def _room_of(self, ledger: str) -> int:
        if ledger not in self._room:
            self._room[ledger] = self._limit - self._services.store.reserved(ledger)
        return self._room[ledger]

    def _runs(self, job: str) -> bool:
        """Whether the job's whole file is planned and nobody stopped it; its claim checks this again."""
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

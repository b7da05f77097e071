"""Admit: WAITING batches that fit into the provider's limits get their share and are sent to be submitted."""

from aws_lambda_powertools import Logger

from batchdrop.errors import NotMyTurn
from batchdrop.packing import capacity_of
from batchdrop.records import Batch, Job, Split
from batchdrop.services import Services
from batchdrop.states import BatchState, JobState
from batchdrop.store import Changed
from batchdrop.writes import reserve

logger = Logger(child=True)


def admit_batches(provider: str, services: Services) -> int:
    """Admit what fits of a provider's WAITING batches, by priority, then age; returns how many."""
    if services.store.pause(provider) is not None:
        return 0
    due = services.store.waiting(provider, by=services.now())
    admission = _Admission(provider, services)
    return sum(admission.admit(each.job, each.batch) for each in sorted(due, key=lambda d: (-d.priority, d.due_at)))


class _Admission:
    """One round: remembers what it read of jobs and splits, and which ledgers are full."""

    def __init__(self, provider: str, services: Services) -> None:
        self._services = services
        self._config = services.providers[provider]
        self._jobs: dict[str, Job | None] = {}
        self._splits: dict[tuple[str, int], Split | None] = {}
        self._full: set[str] = set()

    def admit(self, job: str, batch_id: str) -> bool:
        if not self._runs(job):
            return False
        batch = self._services.store.batch(job, batch_id)
        if batch is None or batch.state is not BatchState.WAITING or batch.ledger in self._full:
            return False
        if not self._is_current(batch):
            return False
        limit = capacity_of(self._config)
        cost = min(batch.cost, limit)  # the limit may have been lowered since the batch was planned
        take = reserve(batch.ledger, cost, limit=limit)
        due_at = self._services.now() + self._services.settings.lease_seconds
        try:
            self._services.store.move(batch, BatchState.ADMITTED, also=[take], cost=cost, due_at=due_at)
        except NotMyTurn:
            return False
        except Changed:
            self._full.add(batch.ledger)
            return False
        logger.info("batch admitted", job=job, batch=batch.id, requests=batch.requests, cost=cost)
        self._services.queues.submit(job, batch.id)
        return True

    def _runs(self, job: str) -> bool:
        """Whether the job's whole file is planned and nobody stopped it; its claim checks this again."""
        if job not in self._jobs:
            self._jobs[job] = self._services.store.job(job)
        found = self._jobs[job]
        return found is not None and found.state is JobState.RUNNING

    def _is_current(self, batch: Batch) -> bool:
        """Whether the batch's round has begun. A round never goes back, so that reading it is enough."""
        key = (batch.job, batch.split)
        if key not in self._splits:
            self._splits[key] = self._services.store.split(*key)
        split = self._splits[key]
        return split is not None and batch.round <= split.round

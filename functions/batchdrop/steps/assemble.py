"""Assemble: one split's answers are joined to its lines, in input order, and sealed as its part of the outputs.

Lines are taken in windows whose results fit on the disk: they are spooled from the raw copies and read by place. Memory
holds a few numbers for each line of the split. A run that has no time for another window seals what it has, and the
next one goes on from there. The split that is assembled last lets the job be published.
"""

from pathlib import Path

import msgspec
from aws_lambda_powertools import Logger

from batchdrop.aws import keys
from batchdrop.aws.metrics import Alert, count
from batchdrop.jobs import ASSEMBLED_IN, settle_split
from batchdrop.outputs.assembly import Assembly
from batchdrop.outputs.failed_lines import InputUnread
from batchdrop.records import Job, Split
from batchdrop.services import Services
from batchdrop.states import SplitState
from batchdrop.temporary_files import temporary_file, temporary_folder
from batchdrop.worker import time_of_a_run, turn

logger = Logger(child=True)

_RETRY_SECONDS = 300  # seconds


def assemble_split(job_id: str, index: int, services: Services) -> None:
    """Assemble a split whose batches are all closed, unless it is assembled or another worker is at it."""
    job, split = services.store.job(job_id), services.store.split(job_id, index)
    if job is None or split is None or split.state is not SplitState.PLANNED or split.open:
        return
    if job.state not in ASSEMBLED_IN or job.line_numbering_key is None:
        return
    with turn(job_id, services):
        claimed = services.store.claim(split, services.settings.lease_seconds)
        try:
            _assemble(job, claimed, services)
        except InputUnread:
            _defer(claimed, services)


def _assemble(job: Job, split: Split, services: Services) -> None:
    with temporary_folder() as folder, temporary_file() as spool:
        assembly = Assembly(job, split, services, Path(folder), spool)
        part = assembly.run(time_of_a_run(services))
    key = f"{keys.attempt_prefix(split, 'assemble')}part.json"
    services.files.put(key, msgspec.json.encode(part), content_type="application/json")
    _record(job, split, assembly, (*split.part_keys, key), services)
    counts = part.counts
    logger.info("split assembled", split=split.index, answered=counts.answered, failed=counts.failed)


def _defer(split: Split, services: Services) -> None:
    now = services.now()
    services.store.release(split, now + _RETRY_SECONDS, refused_at=split.refused_at or now)
    logger.error("input cannot be read now", split=split.index)
    count(Alert.UNIT_FAILED)


def _record(job: Job, split: Split, assembly: Assembly, part_keys: tuple[str, ...], services: Services) -> None:
    if assembly.done == assembly.total:
        batches = assembly.batches if job.splits == 1 else None
        settle_split(split, SplitState.ASSEMBLED, services, held=job, batches=batches, part_keys=part_keys)
    else:
        refused_at = split.refused_at if split.refused_at and assembly.unreadable else 0
        done = assembly.done
        services.store.release(split, services.now(), part_keys=part_keys, assembled=done, refused_at=refused_at)

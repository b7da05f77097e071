"""Reconcile: finds the batches sent since a table was written; only then anything is sent again.

Sweep does it when the command asks: it has the keys and reads the bucket. Jobs that are published end as their
manifests say. Dropped files that the table does not know go to intake. And each provider's batches are listed: what the
table does not know is noted by its token, which `restored_batches` asks for before a batch is sent. OpenAI's batches
name their tokens; of Anthropic's, the first result does, so that those that have not ended are waited for.
"""

import re
from collections.abc import Callable

import msgspec
from aws_lambda_powertools import Logger

from batchdrop.aws.guards import guard
from batchdrop.aws.metrics import Alert, count
from batchdrop.aws.restores import FoundBatch, Listed, Restore
from batchdrop.aws.table import Due
from batchdrop.batches.restored_batches import take_copy
from batchdrop.batches.unknown_creates import GRACE, created_since, first_bytes
from batchdrop.errors import AccountRefused, Missing, Refused, Transient
from batchdrop.jobs import published_as
from batchdrop.missed_drops import list_once
from batchdrop.providers.interface import BatchApi, ProviderBatch
from batchdrop.records import Job
from batchdrop.services import Services
from batchdrop.states import TERMINAL_JOBS, BatchState, JobState

logger = Logger(child=True)

LOOKBACK_SECONDS = 35 * 86_400  # seconds: the oldest moment that DynamoDB restores
_EVER = 2**40  # seconds since 1970: what is due at any time
_CUSTOM_ID = re.compile(rb'"custom_id"\s*:\s*"[^"\\]*-([0-9a-f]{16})-[0-9]+"')
_EARLY = "batches that were sent before the hold may arrive within the first hour"
_OURS = "batchdrop_"  # how the names of our uploads begin


def reconcile(services: Services, has_time: Callable[[], bool]) -> None:
    """Go on with what was asked for; each part is done once, and a run that dies is gone on from by the next."""
    restores = services.store.restores
    restore = restores.current(services.settings.deployment)
    if not restore.is_held:
        return
    if not restore.asked_at:
        logger.error("nothing is sent: the table was restored, or is another deployment's: batchdrop reconcile")
        count(Alert.TABLE_HELD)
        return
    if not restore.has_checked_jobs:
        restore = _check_jobs(restore, services, has_time)
    if not restore.has_checked_jobs:
        return
    if not restore.has_listed_input:
        restore = _list_input(restore, services, has_time)
    for provider in services.providers:
        if has_time() and restore.holds(provider):
            with guard("reconcile", unit=provider):
                restore = _list_provider(provider, restore, services, has_time)
    if restore.has_listed_input and not any(map(restore.holds, services.providers)):
        restores.end(restore)
        logger.warning("table reconciled")


def _check_jobs(restore: Restore, services: Services, has_time: Callable[[], bool]) -> Restore:
    """End the jobs that are published: their work files are gone, and nothing of them may be sent."""
    unfinished = sorted({due.job for due in services.store.due(by=_EVER) if due.sk == "JOB"})
    done = restore.jobs_after
    for job_id in unfinished:
        if job_id <= restore.jobs_after:
            continue
        if not has_time():
            return services.store.restores.save(restore, jobs_after=done)
        with guard("reconcile", job=job_id):
            _end_if_published(services.store.job(job_id), services)
        done = job_id
    return services.store.restores.save(restore, jobs_after=done, has_checked_jobs=True)


def _end_if_published(job: Job | None, services: Services) -> None:
    if job is None or job.state in TERMINAL_JOBS:
        return
    published = published_as(job, services)
    if published is None:
        return
    changes = {name: value for name, value in published.items() if name != "state"}
    services.store.move(job, JobState.PUBLISHING, due_at=services.now() + services.settings.lease_seconds, **changes)
    logger.warning("job was published already", state=job.state)
    services.queues.publish(job.id)


def _list_input(restore: Restore, services: Services, has_time: Callable[[], bool]) -> Restore:
    name = f"{services.settings.deployment}/{restore.held_at}"
    if not list_once(name, restore.held_at - LOOKBACK_SECONDS, services, has_time):
        return restore
    return services.store.restores.save(restore, has_listed_input=True)


def _list_provider(provider: str, restore: Restore, services: Services, has_time: Callable[[], bool]) -> Restore:
    listed = restore.providers.get(provider, Listed())
    try:
        findings = _read_list(provider, restore, services, has_time)
        is_whole = findings.is_whole and _take_copies(provider, services, has_time)
        reason = findings.reason or ("" if is_whole else "its list is long: the next run goes on")
        listed = Listed(
            is_released=is_whole and not reason,
            batches=listed.batches + findings.found,
            live=findings.live,
            reason=reason,
        )
    except (AccountRefused, Transient, Missing, Refused) as error:
        is_early = isinstance(error, _TooEarly)
        reason = _EARLY if is_early else f"it cannot be listed ({type(error).__name__})"
        listed = msgspec.structs.replace(listed, reason=reason)
    logger.warning("batches listed", provider=provider, found=listed.batches, live=listed.live, reason=listed.reason)
    return services.store.restores.save(restore, providers={**restore.providers, provider: listed})


class _TooEarly(Transient):
    """Batches that were sent before the hold may still arrive."""


class _Findings(msgspec.Struct, kw_only=True):
    """One look at a provider's list: what was new, what does not tell yet, and whether all was findings at."""

    found: int = 0
    live: int = 0
    is_whole: bool = True

    @property
    def reason(self) -> str:
        return f"{self.live} of its batches do not show whose they are before they end" if self.live else ""


def _read_list(provider: str, restore: Restore, services: Services, has_time: Callable[[], bool]) -> _Findings:
    # No worker of before lives longer than a lease, and no create of theirs arrives after the grace.
    settled_at = restore.held_at + services.settings.lease_seconds + GRACE
    if services.now() < settled_at:
        raise _TooEarly
    api, look = services.apis[provider], _Findings()
    reader = TokenReader(api)
    for each in created_since(api, restore.held_at - LOOKBACK_SECONDS):
        if not has_time():
            look.is_whole = False
            break
        if (each.created_at or 0) <= settled_at and not _is_known(provider, each, services):
            _note(provider, each, reader, look, services)
    return look


def _is_known(provider: str, found: ProviderBatch, services: Services) -> bool:
    """Return whether nothing has to be found out of a batch; one that failed as a whole was not paid for."""
    return (
        found.ended_as == "failed"
        or services.store.restores.is_checked(provider, found.id)
        or services.store.providers.owner(provider, found.id) is not None
    )


def _note(provider: str, found: ProviderBatch, reader: "TokenReader", look: _Findings, services: Services) -> None:
    token = reader.token(found)
    if token is None:
        look.live += 1
        return
    noted = FoundBatch(batch_id=found.id, created_at=found.created_at, input_file_id=found.input_file_id)
    look.found += services.store.restores.add_found(provider, found.id, token or None, noted)


class TokenReader:
    """Finds out which token a batch bears; the names of uploads are asked for once, when they are needed."""

    def __init__(self, api: BatchApi) -> None:
        self._api = api
        self._uploads: dict[str, str] | None = None

    def token(self, found: ProviderBatch) -> str | None:
        """The token; "" where it bears none of ours; None where that is not known before it ends."""
        if self._api.needs_upload and found.metadata:
            return found.metadata.get("token", "")
        if found.ended_as is None:
            return "" if self._is_foreign(found) else None
        for name in self._api.results(found):
            try:
                match = _CUSTOM_ID.search(first_bytes(self._api.stream(name)))
            except Missing:
                continue
            return match[1].decode() if match else ""
        return ""

    def _is_foreign(self, found: ProviderBatch) -> bool:
        """Return whether its upload, which is there while it runs, has a name that is none of ours."""
        if not self._api.needs_upload or found.input_file_id is None:
            return False
        if self._uploads is None:
            self._uploads = {each.id: each.name for each in self._api.uploads()}
        name = self._uploads.get(found.input_file_id)
        return name is not None and not name.startswith(_OURS)


def _take_copies(provider: str, services: Services, has_time: Callable[[], bool]) -> bool:
    """Take up what the table calls in flight and was collected since, perhaps deleted; whether all was findings at."""
    for due in list(services.store.providers.in_flight(provider)):
        if not has_time():
            return False
        with guard("reconcile", job=due.job, unit=due.sk):
            _take_copy(due, services)
    return True


def _take_copy(due: Due, services: Services) -> None:
    batch = services.store.batch(due.job, due.batch)
    if batch is not None and batch.state is BatchState.IN_FLIGHT:
        take_copy(batch, services)

"""Reads jobs: the recent ones, or one in full with the reasons of its waits."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import NamedTuple

import msgspec
from batchdrop.aws.keys import is_job_id, output_prefix
from batchdrop.batches.job_quote import JobQuote, read_quote
from batchdrop.errors import Gone
from batchdrop.inputs.retry_lineage import find_misfit
from batchdrop.manifest import Manifest, timestamp
from batchdrop.money import Quote, usd
from batchdrop.records import Batch, Job
from batchdrop.states import TERMINAL_JOBS, BatchState, JobState
from botocore.exceptions import ClientError

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.deadline import ShownDeadline, deadline_of
from batchdrop_cli.exit_codes import WRONG_USE
from batchdrop_cli.expected import ExpectedEnd, expected_end
from batchdrop_cli.stalled import where_to_look
from batchdrop_cli.totals import Totals, totals_of
from batchdrop_cli.user_errors import NoSuchJob, NotOver, UserError
from batchdrop_cli.waiting import waits_for

LATEST = "latest"
_LATEST_DAYS = 35  # a job ends within 30 days by default
_YOUNG_SECONDS = 900  # a drop that has not become a job by then has lost its event
_READS_AT_ONCE = 8


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A line of `jobs --json`. `totals` is there when the job is over, and not among the retries of `show`."""

    job: str
    state: JobState
    outcome: JobState | None
    reason: str | None
    key: str
    bytes: int
    dropped_at: str
    published_at: str | None
    totals: Totals | None = None


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The batches of a job that go to one model and are in one state.

    Of their `requests`, `moved` are other batches' by now: they are sent again, or in smaller batches. The rest of all
    the groups sum to the requests of the job.
    """

    provider: str
    model: str | None
    endpoint: str
    state: BatchState
    batches: int
    requests: int
    moved: int


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """The output of `show --json`.

    `waits_for` is in words; `manifest` is there when the job is over. `quote` is there once its whole file is planned,
    `budget_usd` where it has one.
    """

    job: str
    state: JobState
    reason: str | None
    retry_of: str | None
    retries: list[Listed]
    bucket: str
    key: str
    version_id: str | None
    bytes: int
    dropped_at: str
    first_submitted_at: str | None
    last_ended_at: str | None
    published_at: str | None
    batches: list[Group]
    waits_for: list[str]
    expected_end: ExpectedEnd | None
    deadline: ShownDeadline | None
    output: str
    quote: Quote | None
    budget_usd: str | None
    totals: Totals | None
    manifest: Manifest | None


def recent(cloud: Cloud, *, days: int, limit: int) -> list[Job]:
    """The newest jobs first; those that only newer code can read are named."""
    return list(islice(cloud.store.recent_jobs(last_days(days), newer=cloud.notify_newer), limit))


def last_days(days: int) -> list[str]:
    """The last days as `YYYYMMDD`, today first."""
    today = datetime.now(UTC).date()
    return [(today - timedelta(days=back)).strftime("%Y%m%d") for back in range(days)]


def find(cloud: Cloud, name: str) -> Job:
    """The job of this id, or the newest for `latest`.

    Raises:
        UserError: There is none, or not yet.
    """
    if name == LATEST:
        newest = recent(cloud, days=_LATEST_DAYS, limit=1)
        if not newest:
            drop_one = cloud.command("put FILE")
            raise NoSuchJob(f"No file was dropped in the last {_LATEST_DAYS} days. Drop one with: {drop_one}")
        return newest[0]
    job = cloud.store.job(name)
    if job is not None:
        return job
    if is_young(name):
        raise NoSuchJob(
            f"Job {name} does not exist yet: its file was dropped a moment ago. Wait for it: "
            f"{cloud.command(f'wait {name}')} - if that lasts, look at {where_to_look(cloud, 'intake')}"
        )
    raise NoSuchJob(f"There is no job {name}. See: {cloud.command('jobs')}", code=WRONG_USE)


def is_young(name: str) -> bool:
    """Return whether this is the id of a file that was dropped so lately that intake may not have made its job yet."""
    if not is_job_id(name):
        return False
    dropped = datetime.strptime(name.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return abs(datetime.now(UTC) - dropped) < timedelta(seconds=_YOUNG_SECONDS)


def list_recent(cloud: Cloud, *, days: int, limit: int) -> list[Listed]:
    """The newest jobs first, with the totals of those that are over."""
    found = recent(cloud, days=days, limit=limit)
    with ThreadPoolExecutor(_READS_AT_ONCE) as reading:
        totals = reading.map(lambda job: totals_of_job(cloud, job), found)
        return [msgspec.structs.replace(listed(job), totals=each) for job, each in zip(found, totals, strict=True)]


def totals_of_job(cloud: Cloud, job: Job) -> Totals | None:
    """The sums of a job that is over; None where it has none, or who asks may not read them."""
    if job.state not in TERMINAL_JOBS or job.manifest_key is None:
        return None
    try:
        return totals_of(read_manifest(cloud, job), cloud.prices)
    except Gone:  # someone deleted the outputs
        return None
    except ClientError as error:  # of another folder, whose results who asks may not read
        if error.response["Error"]["Code"] not in {"AccessDenied", "403"}:
            raise
        return None


def listed(job: Job) -> Listed:
    return Listed(
        job=job.id,
        state=job.state,
        outcome=job.outcome,
        reason=job.reason,
        key=job.key,
        bytes=job.bytes,
        dropped_at=timestamp(job.dropped_at),
        published_at=_time(job.published_at),
    )


def shown(cloud: Cloud, job: Job, batches: Sequence[Batch] | None = None) -> Shown:
    """All that is shown of a job; `batches` are its own where they were read before."""
    batches = list(cloud.store.batches(job.id)) if batches is None else batches
    retries = cloud.store.retries(job.id, newer=cloud.notify_newer)
    manifest = read_manifest(cloud, job) if job.state in TERMINAL_JOBS else None
    expected = expected_end(cloud, batches)
    return Shown(
        job=job.id,
        state=job.state,
        reason=job.reason,
        retry_of=job.retry_of,
        retries=[listed(retry) for retry in retries if find_misfit(retry, job) is None],
        bucket=job.bucket,
        key=job.key,
        version_id=job.version_id,
        bytes=job.bytes,
        dropped_at=timestamp(job.dropped_at),
        first_submitted_at=_time(job.first_submitted_at or _first_submitted(batches)),
        last_ended_at=_time(job.last_ended_at),
        published_at=_time(job.published_at),
        batches=groups(batches),
        waits_for=[] if job.state in TERMINAL_JOBS else waits_for(cloud, job, batches),
        expected_end=expected,
        deadline=deadline_of(job, expected),
        output=output_prefix(job),
        quote=quote_of(cloud, job) if manifest is None else manifest.quote,
        budget_usd=None if job.settings.budget_usd is None else usd(job.settings.budget_usd),
        totals=None if manifest is None else totals_of(manifest, cloud.prices),
        manifest=manifest,
    )


def quote_of(cloud: Cloud, job: Job) -> Quote | None:
    """Return the quote of a job that is not over; None where it has none, or the user may not read it."""
    found = full_quote_of(cloud, job)
    return None if found is None else found.quote


def full_quote_of(cloud: Cloud, job: Job) -> JobQuote | None:
    """The same by model, as long as the job's work is kept."""
    try:
        return read_quote(job, cloud.files)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"AccessDenied", "403"}:
            raise
        return None


def _first_submitted(batches: Iterable[Batch]) -> int | None:
    """The same while the job runs, whose row has it once all is put together."""
    return min((each.submitted_at for each in batches if each.submitted_at), default=None)


def _time(seconds: int | None) -> str | None:
    return None if seconds is None else timestamp(seconds)


def groups(batches: Sequence[Batch]) -> list[Group]:
    """The batches counted by where they go and how far they are, in that order."""
    found: dict[tuple[str, str, str, int], list[Batch]] = {}
    order = list(BatchState)
    rounds = _rounds(batches)
    for batch in batches:
        key = (batch.provider, batch.model or "", batch.endpoint, order.index(batch.state))
        found.setdefault(key, []).append(batch)
    return [
        Group(
            provider=members[0].provider,
            model=members[0].model,
            endpoint=members[0].endpoint,
            state=members[0].state,
            batches=len(members),
            requests=sum(member.requests for member in members),
            moved=sum(_moved(member, rounds) for member in members),
        )
        for _, members in sorted(found.items())
    ]


class Progress(NamedTuple):
    """Requests of a job, those counted once that are sent again."""

    ended: int
    total: int


def ended_requests(batches: Sequence[Batch]) -> Progress:
    """Return how many requests of a job have ended at the provider, of those that are known."""
    counted = [(each.state, each.requests - each.moved) for each in groups(batches)]
    ended = sum(requests for state, requests in counted if state in {BatchState.ENDED, BatchState.COLLECTED})
    return Progress(ended=ended, total=sum(requests for _, requests in counted))


def _rounds(batches: Iterable[Batch]) -> dict[int, int]:
    """The newest round of each split that has batches."""
    rounds: dict[int, int] = {}
    for batch in batches:
        rounds[batch.split] = max(rounds.get(batch.split, 0), batch.round)
    return rounds


def _moved(batch: Batch, rounds: Mapping[int, int]) -> int:
    """How many of a batch's requests other batches hold by now; a round begins when the one before it is over."""
    if batch.state is BatchState.REPLACED:
        return batch.requests
    return batch.again if batch.round < rounds[batch.split] else 0


def refuse_unfinished(cloud: Cloud, job: Job) -> None:
    """Refuse a job that has no results yet.

    Raises:
        NotOver: So it is.
    """
    if job.state not in TERMINAL_JOBS:
        see = cloud.command(f"show {job.id}")
        raise NotOver(f"Job {job.id} is {job.state}: there are no results yet. See: {see}")


def read_manifest(cloud: Cloud, job: Job) -> Manifest:
    """The manifest of a job that is over."""
    if job.manifest_key is None and job.state in TERMINAL_JOBS:
        raise UserError(f"Job {job.id} failed, and not even its manifest could be written: {job.reason}")
    if job.manifest_key is None:
        raise UserError(f"Job {job.id} is {job.state} and has no manifest yet. Repeat the command in a moment.")
    return msgspec.json.decode(cloud.files.get(job.manifest_key), type=Manifest)

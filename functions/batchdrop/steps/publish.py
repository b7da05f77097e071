"""Publish: the sealed parts become the outputs, then the manifest is written, then the event is sent.

Twice gives the same bytes: outcome and times were fixed before, and what exists is never overwritten.
"""

from collections.abc import Callable

import msgspec
from aws_lambda_powertools import Logger

from batchdrop import __version__
from batchdrop.aws import bucket
from batchdrop.aws.bucket import MANIFEST, Stored
from batchdrop.aws.metrics import Measure, measure
from batchdrop.batches.split_plan import Opened
from batchdrop.deadlines import ROWS_LIVE
from batchdrop.errors import NotMyTurn, OutOfTime
from batchdrop.manifest import (
    Counts,
    File,
    Files,
    Input,
    JobEvent,
    Manifest,
    ManifestAt,
    ResultsFile,
    Times,
    timestamp,
)
from batchdrop.outputs.sealed_parts import Part, Sealed, add_counts, add_models
from batchdrop.records import Batch, Job
from batchdrop.services import Services
from batchdrop.states import TERMINAL_JOBS, BatchState, JobState
from batchdrop.worker import time_of_a_run, turn

logger = Logger(child=True)

_Join = Callable[[str, list[Sealed]], File]


def publish_job(job_id: str, services: Services) -> None:
    """Publish a job that is over, unless it is published or another worker is at it."""
    job = services.store.job(job_id)
    if job is None or job.state is not JobState.PUBLISHING or job.outcome is None:
        return
    has_time = time_of_a_run(services)
    with turn(job_id, services):
        claimed = services.store.claim(job, services.settings.lease_seconds)
        try:
            manifest, at = _write(claimed, has_time, services)
        except OutOfTime:
            services.store.let_go(claimed, services.now())
            logger.info("publishing goes on in another run")
            return
        services.events.job_over(_event(manifest, at))
        now = services.now()
        expires_at = max(now, job.kept_until or 0) + ROWS_LIVE
        # The first manifest stays, and so does what it says: an earlier publisher may have got that far.
        done = services.store.move(claimed, manifest.status, manifest_key=at.key, due_at=now, expires_at=expires_at)
        logger.info("job published", status=manifest.status, manifest=at.key)
        _measure_tokens(manifest)
        clean_up(done, services, has_time=has_time)


def _measure_tokens(manifest: Manifest) -> None:
    for each in manifest.models:
        measure(Measure.INPUT_TOKENS, each.provider, each.usage.input_tokens)
        measure(Measure.OUTPUT_TOKENS, each.provider, each.usage.output_tokens)


def clean_up(job: Job, services: Services, *, has_time: Callable[[], bool]) -> None:
    """Delete what a finished job leaves in `work/` and in the table; the next sweep goes on where time runs out."""
    if job.state not in TERMINAL_JOBS or not has_time():
        return
    if services.now() < (job.kept_until or 0):
        services.store.due_again(job, job.kept_until or 0)
        return
    kept = set()
    for batch_id, batch in services.store.found_batches(job.id):
        if batch is not None and batch.state is BatchState.COLLECTED and batch.due_at is not None:
            services.store.due_again(job, services.now() + services.settings.lease_seconds)
            return  # the provider's files are not deleted yet, and their ids are in these rows
        if batch is None or _was_given_up(batch):
            kept.add(batch_id)
    _delete_work(job, kept, services, has_time)


def _was_given_up(batch: Batch) -> bool:
    """Whether its provider may hold what it was sent or answered: only the row knows what it is called there."""
    return batch.state is BatchState.FAILED and (batch.batch_id is not None or batch.input_file_id is not None)


def _delete_work(job: Job, kept: set[str], services: Services, has_time: Callable[[], bool]) -> None:
    """Delete a job's work; the rows that `forget` needs stay as long as the job's own."""
    for batch_id in kept:
        services.store.keep_batch(job.id, batch_id, job.expires_at or services.now() + ROWS_LIVE)
    is_clean = services.files.delete_all(bucket.work_prefix(job.id), has_time)
    if is_clean and services.store.forget_work(job.id, has_time, kept_batches=kept):
        services.store.not_due(job)


def _write(job: Job, has_time: Callable[[], bool], services: Services) -> tuple[Manifest, ManifestAt]:
    manifest = _whole(job, has_time, services) if job.has_results else _without_results(job)
    key = f"{bucket.output_prefix(job)}{MANIFEST}"
    written = services.files.put_first(key, msgspec.json.encode(manifest))
    head = services.files.head(key)
    at = ManifestAt(bucket=job.bucket, key=key, version_id=head.version_id)
    return msgspec.json.decode(written, type=Manifest), at


def _without_results(job: Job) -> Manifest:
    return _manifest(
        job,
        lines=None,
        blank_lines=None,
        counts=None,
        parts=[],
        outputs=Files(results=[], errors=None, failed=None),
    )


def _whole(job: Job, has_time: Callable[[], bool], services: Services) -> Manifest:
    opened = msgspec.json.decode(services.files.get(job.opened_key or ""), type=Opened)
    splits = list(services.store.splits(job.id))
    if len(splits) < job.splits:
        raise NotMyTurn  # another published the job, and cleaned it up
    parts = [msgspec.json.decode(services.files.get(key), type=Part) for split in splits for key in split.part_keys]
    prefix = bucket.output_prefix(job)
    join = _Joins(services, prefix, has_time).join
    results = [sealed for part in parts for sealed in part.results]
    outputs = Files(
        results=_results(prefix, results, job.settings.part_bytes, join),
        errors=join(f"{prefix}errors.jsonl", [sealed for part in parts for sealed in part.errors]),
        failed=join(f"{prefix}failed.jsonl", [sealed for part in parts for sealed in part.failed]),
    )
    return _manifest(
        job,
        lines=opened.lines,
        blank_lines=opened.blank_lines,
        counts=add_counts([part.counts for part in parts]),
        parts=parts,
        outputs=outputs,
    )


def _results(prefix: str, sealed: list[Sealed], part_bytes: int | None, join: _Join) -> list[ResultsFile]:
    if part_bytes is None:
        return [_results_file(f"{prefix}results.jsonl", sealed, join)]
    return [
        _results_file(f"{prefix}results-{number:05}.jsonl", group, join)
        for number, group in enumerate(_grouped(sealed, part_bytes), start=1)
    ]


def _grouped(sealed: list[Sealed], part_bytes: int) -> list[list[Sealed]]:
    """Neighbours together, until each group has about `part_bytes`."""
    groups: list[list[Sealed]] = [[]]
    size = 0
    for each in sealed:
        if size >= part_bytes:
            groups.append([])
            size = 0
        groups[-1].append(each)
        size += each.bytes
    return groups


def _results_file(key: str, sealed: list[Sealed], join: _Join) -> ResultsFile:
    file = join(key, sealed)
    numbered = [each for each in sealed if each.lines]
    return ResultsFile(
        **msgspec.structs.asdict(file),
        first_line=numbered[0].first_line if numbered else None,
        last_line=numbered[-1].last_line if numbered else None,
    )


class _Joins:
    """One run's joins: what is there one listing tells; what is missing is made while there is time, one at least."""

    def __init__(self, services: Services, prefix: str, has_time: Callable[[], bool]) -> None:
        self._files, self._has_time = services.files, has_time
        self._there = services.files.stored(prefix)
        self._made = 0

    def join(self, key: str, sealed: list[Sealed]) -> File:
        size = sum(each.bytes for each in sealed)
        stored = self._there.get(key)
        if stored is None or stored.bytes != size:
            stored = self._make(key, sealed)
        return File(
            key=key,
            version_id=stored.version_id,
            etag=stored.etag,
            bytes=size,
            lines=sum(each.lines for each in sealed),
        )

    def _make(self, key: str, sealed: list[Sealed]) -> Stored:
        if self._made and not self._has_time():
            raise OutOfTime(key)
        self._made += 1
        return self._files.join([(each.key, each.bytes) for each in sealed], key, self._has_time)


def _manifest(  # noqa: PLR0913 - the parts of one document
    job: Job, *, lines: int | None, blank_lines: int | None, counts: Counts | None, parts: list[Part], outputs: Files
) -> Manifest:
    if job.outcome is None or job.published_at is None:
        raise LookupError(f"{job.id} has no outcome")
    api_versions = sorted({version for part in parts for version in part.api_versions})
    return Manifest(
        job=job.id,
        status=job.outcome,
        reason=job.reason,
        retry_of=job.retry_of,
        input=_input(job, lines=lines, blank_lines=blank_lines),
        counts=counts,
        models=add_models([part.models for part in parts]),
        times=Times(
            dropped_at=timestamp(job.dropped_at),
            first_submitted_at=_timestamp(job.first_submitted_at),
            last_ended_at=_timestamp(job.last_ended_at),
            published_at=timestamp(job.published_at),
        ),
        files=outputs,
        versions={"batchdrop": __version__} | ({"anthropic_api": ", ".join(api_versions)} if api_versions else {}),
    )


def _event(manifest: Manifest, at: ManifestAt) -> JobEvent:
    return JobEvent(
        job=manifest.job,
        status=manifest.status,
        reason=manifest.reason,
        retry_of=manifest.retry_of,
        input=manifest.input,
        counts=manifest.counts,
        manifest=at,
    )


def late_event(job: Job) -> JobEvent:
    """The event of a job that is not done by its `expected_by`; there is no manifest yet."""
    return JobEvent(
        job=job.id,
        status=job.state,
        reason=f"It is not done by {job.settings.expected_by} (expected_by).",
        retry_of=job.retry_of,
        input=_input(job, lines=None, blank_lines=None),
        counts=None,
        manifest=None,
    )


def _input(job: Job, *, lines: int | None, blank_lines: int | None) -> Input:
    return Input(
        bucket=job.bucket,
        key=job.key,
        version_id=job.version_id,
        etag=job.etag,
        bytes=job.bytes,
        lines=lines,
        blank_lines=blank_lines,
    )


def _timestamp(seconds: int | None) -> str | None:
    return None if seconds is None else timestamp(seconds)

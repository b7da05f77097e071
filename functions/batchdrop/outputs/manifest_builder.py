"""Builds what a job publishes: joins its sealed parts to the outputs, and makes the manifest and the events."""

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from batchdrop import __version__
from batchdrop.aws import keys
from batchdrop.aws.bucket import Stored
from batchdrop.aws.keys import MANIFEST, REPORT
from batchdrop.batches.job_quote import JobQuote, read_quote
from batchdrop.batches.split_plan import lines_before
from batchdrop.costs import dedupe_of, extra_of, settle
from batchdrop.dollars import dollars_of
from batchdrop.errors import ClaimLost, OutOfTime
from batchdrop.limits.budgets import Budgets, ledger_of
from batchdrop.manifest import (
    BudgetState,
    Counts,
    Deadline,
    Dedupe,
    Document,
    File,
    Files,
    HeldEvent,
    Input,
    JobEvent,
    Manifest,
    ManifestAt,
    ModelCounts,
    ResultsFile,
    Times,
    timestamp,
    top_error_of,
)
from batchdrop.money import Money, Quote, usd
from batchdrop.outputs.answer_outputs import published_kinds
from batchdrop.outputs.report import render_report
from batchdrop.outputs.sealed_parts import Part, Sealed, add_counts, add_models
from batchdrop.providers.price_list import never_failing, settled_prices, source_of
from batchdrop.records import Job
from batchdrop.services import Services
from batchdrop.states import JobState

_MOST_NAMES = 100

_Join = Callable[[str, list[Sealed]], File]


def write_manifest(
    job: Job, quote: JobQuote | None, has_time: Callable[[], bool], services: Services
) -> tuple[Manifest, ManifestAt]:
    manifest = _whole(job, has_time, services) if job.has_results else _without_results(job, services)
    manifest = replace(manifest, quote=quote.quote if quote else None)
    if job.settings.report:
        report = _write_report(job, manifest, quote, services)
        manifest = replace(manifest, files=replace(manifest.files, report=report))
    key = f"{keys.output_prefix(job)}{MANIFEST}"
    written, version_id = services.files.put_first_version(key, msgspec.json.encode(manifest))
    at = ManifestAt(bucket=job.bucket, key=key, version_id=version_id)
    return msgspec.json.decode(written, type=Manifest), at


def _write_report(job: Job, manifest: Manifest, quote: JobQuote | None, services: Services) -> Document:
    """The report that is written first stays; a later run may have read other prices."""
    page = render_report(manifest, job, services.store.readable_batches(job.id), quote)
    key = f"{keys.output_prefix(job)}{REPORT}"
    stored = services.files.put_first_stored(key, page, content_type="text/html; charset=utf-8")
    return Document(key=key, version_id=stored.version_id, etag=stored.etag, bytes=stored.bytes)


def _without_results(job: Job, services: Services) -> Manifest:
    return _manifest(
        job,
        services,
        lines=None,
        blank_lines=None,
        counts=None,
        parts=[],
        outputs=Files(results=[], errors=None, failed=None),
    )


def _whole(job: Job, has_time: Callable[[], bool], services: Services) -> Manifest:
    splits = list(services.store.splits(job.id))
    if len(splits) < job.splits:
        raise ClaimLost  # another published the job, and cleaned it up
    parts = [msgspec.json.decode(services.files.get(key), type=Part) for split in splits for key in split.part_keys]
    numbering = lines_before(splits)
    prefix = keys.output_prefix(job)
    join = _Joins(services, prefix, has_time).join
    results = [sealed for part in parts for sealed in part.results]
    outputs = Files(
        results=_results(prefix, results, job.settings.part_bytes, join),
        errors=join(f"{prefix}errors.jsonl", [sealed for part in parts for sealed in part.errors]),
        failed=join(f"{prefix}failed.jsonl", [sealed for part in parts for sealed in part.failed]),
        answers=[
            join(f"{prefix}answers.{kind}", [sealed for part in parts for sealed in part.answers.get(kind, [])])
            for kind in published_kinds(job.settings)
        ],
    )
    return _manifest(
        job,
        services,
        lines=numbering.lines,
        blank_lines=numbering.blank_lines,
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
    job: Job,
    services: Services,
    *,
    lines: int | None,
    blank_lines: int | None,
    counts: Counts | None,
    parts: list[Part],
    outputs: Files,
) -> Manifest:
    if job.outcome is None or job.published_at is None:
        raise LookupError(f"{job.id} has no outcome")
    api_versions = sorted({version for part in parts for version in part.api_versions})
    counted = add_models([part.models for part in parts])
    models, money = _settled(counted, job.published_at, services)
    return Manifest(
        job=job.id,
        status=job.outcome,
        reason=job.reason,
        retry_of=job.retry_of,
        input=_input(job, lines=lines, blank_lines=blank_lines),
        counts=counts,
        models=models,
        times=Times(
            dropped_at=timestamp(job.dropped_at),
            first_submitted_at=_timestamp(job.first_submitted_at),
            last_ended_at=_timestamp(job.last_ended_at),
            published_at=timestamp(job.published_at),
        ),
        files=outputs,
        versions={"batchdrop": __version__} | ({"anthropic_api": ", ".join(api_versions)} if api_versions else {}),
        money=None if counts is None else money,
        deadline=_deadline(job, counted, sum(part.doubts for part in parts), services),
        dedupe=_dedupe(job, counted, services) if counts is not None else None,
        top_error=top_error_of(counts),
    )


def _dedupe(job: Job, models: list[ModelCounts], services: Services) -> Dedupe | None:
    return dedupe_of(models, never_failing(settled_prices(services.providers))) if job.settings.dedupe else None


def _deadline(job: Job, models: list[ModelCounts], doubts: int, services: Services) -> Deadline | None:
    if job.deadline_at is None:
        return None
    extra = extra_of(models, never_failing(settled_prices(services.providers)))
    is_met = (job.published_at or 0) <= job.deadline_at
    return Deadline(
        at=timestamp(job.deadline_at),
        met=is_met,
        finished_realtime=sum(each.realtime.answered for each in models),
        extra_usd=None if extra is None else usd(extra),
        doubts=doubts,
        reason=job.late_reason if is_met or job.finishing_at is not None else _why_not_called(job),
    )


def _why_not_called(job: Job) -> str:
    if job.late_reason is not None:
        return job.late_reason
    if job.settings.realtime == "off":
        return 'Nothing was called at real time (realtime = "off").'
    if job.outcome is JobState.FAILED:
        return "Nothing was called at real time: a part of the job was given up."
    return "Nothing was called at real time: the job was not under way when its last safe moment came."


def _settled(models: list[ModelCounts], now: int, services: Services) -> tuple[list[ModelCounts], Money]:
    """Return the models' cost at today's prices, which stay with the first manifest."""
    routes = [(each.provider, each.model) for each in models]
    source = source_of(routes, services.providers, day=timestamp(now)[:10])
    return settle(models, never_failing(settled_prices(services.providers)), source)


def job_event(manifest: Manifest, at: ManifestAt) -> JobEvent:
    return JobEvent(
        job=manifest.job,
        status=manifest.status,
        reason=manifest.reason,
        retry_of=manifest.retry_of,
        input=manifest.input,
        counts=manifest.counts,
        manifest=at,
        money=manifest.money and _few_names(manifest.money),
        top_error=manifest.top_error,
    )


def _few_names[M: (Money, Quote)](money: M) -> M:
    """The same with a hundred names of models at most: EventBridge takes 256 KB."""
    own = replace(money.prices, own=money.prices.own[:_MOST_NAMES])
    unpriced, no_batch_price = money.unpriced_models[:_MOST_NAMES], money.no_batch_price[:_MOST_NAMES]
    return replace(money, unpriced_models=unpriced, no_batch_price=no_batch_price, prices=own)


def late_event(job: Job, reason: str) -> JobEvent:
    """The event of a job that is not done by then; there is no manifest yet."""
    return JobEvent(
        job=job.id,
        status=job.state,
        reason=reason,
        retry_of=job.retry_of,
        input=_input(job, lines=None, blank_lines=None),
        counts=None,
        manifest=None,
    )


def held_event(job: Job, budgets: Budgets, services: Services) -> HeldEvent:
    """The event of a job that is held for its budget, or approved: what it may cost, and what it should not."""
    ledger = ledger_of(budgets, services.now())
    committed = services.store.budgets.ledger(ledger).committed if ledger else None
    quoted = read_quote(job, services.files)
    return HeldEvent(
        job=job.id,
        status=job.state,
        reason=job.reason,
        retry_of=job.retry_of,
        input=_input(job, lines=None, blank_lines=None),
        counts=None,
        manifest=None,
        quote=None if quoted is None else _few_names(quoted.quote),
        budget=BudgetState(
            budget_usd=None if budgets.job_usd is None else usd(budgets.job_usd),
            monthly_budget_usd=None if budgets.monthly_usd is None else usd(budgets.monthly_usd),
            folder=budgets.folder,
            month=ledger.partition("#")[0] if ledger else None,
            committed_usd=None if committed is None else usd(dollars_of(committed)),
        ),
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

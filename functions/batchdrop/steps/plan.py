"""Plan: one split is read, its lines are checked and routed, and its batches are made; nothing is sent.

Bytes first: request files, members and the line index, then the plan that names them (the first one written wins), then
the rows, and last, in one transaction, PENDING → PLANNED. The split that is planned last opens the job.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from aws_lambda_powertools import Logger

from batchdrop.aws import bucket
from batchdrop.aws.bucket import Files, Gone, Line, Locked, cut_lines
from batchdrop.aws.store import Changed
from batchdrop.aws.table_items import update_counter
from batchdrop.batches.packing import MAX_ROUTES, Routes, TooManyGroups, ledger_of
from batchdrop.batches.request_files import BatchWriter, round_name
from batchdrop.batches.split_plan import IndexedError, IndexedLine, Opened, Plan, PlannedBatch, Route
from batchdrop.deadlines import next_deadline
from batchdrop.errors import NotMyTurn, Unprocessable
from batchdrop.inputs.compression import inflate_source
from batchdrop.inputs.file_formats import refuse_what_is_no_jsonl
from batchdrop.inputs.request_lines import MAX_LINE_BYTES, LineError, LineReader, Request, is_blank
from batchdrop.limits.admission import admit_batches
from batchdrop.limits.ledgers import estimate_of
from batchdrop.protocols.request_checks import LineProblem
from batchdrop.providers.folder_rules import rules_for
from batchdrop.records import Batch, Job, Source, Split
from batchdrop.result_line import ErrorCode
from batchdrop.services import Services
from batchdrop.states import BatchState, JobState, SplitState
from batchdrop.temporary_files import temporary_folder
from batchdrop.worker import turn

logger = Logger(child=True)

_BOM = b"\xef\xbb\xbf"
_READ_AHEAD = 256 * 1024  # read beyond a split's end at first, for the rest of its last line
_REASONS = 5  # lines of a refused file that its reason names
_WRITE_BUFFER = 256 * 1024
_DOUBLINGS, _LONGEST_DELAY = 12, 3_600  # seconds
_PLANNED_IN = {JobState.PLANNING, JobState.CANCELLING}


def plan_split(job_id: str, index: int, services: Services) -> None:
    """Plan a split, unless it is planned or another worker is at it.

    A split that was added after its job was over (its intake slept) is not planned: its job is cleaned up once more.
    """
    job, split = services.store.job(job_id), services.store.split(job_id, index)
    if job is None or split is None or split.state is not SplitState.PENDING:
        return
    with turn(job_id, services):
        if job.state not in _PLANNED_IN:
            raise NotMyTurn
        claimed = services.store.claim(split, services.settings.lease_seconds)
        settled = _plan(job, claimed, services)
        if settled.unplanned == 0:
            open_job(settled, services)


def _plan(job: Job, split: Split, services: Services) -> Job:
    try:
        job, split = inflate_source(job, split, services)
        plan = _first_plan(job, split, services)
    except Gone as error:
        now = services.now()
        refused_at = split.refused_at or now
        if error.may_pass(written_at=job.dropped_at, refused_at=refused_at, now=now):
            services.store.let_go(split, now + services.settings.tick_seconds, refused_at=refused_at)
            raise NotMyTurn from error
        reason = error.reason if isinstance(error, Locked) else "The file was deleted before it was read."
        return _settle(split, services, SplitState.FAILED, reason=reason)
    except Unprocessable as error:
        return _settle(split, services, SplitState.FAILED, reason=str(error))
    services.store.add_all(batch_rows(job, split, plan.batches, services))
    return _settle_planned(split, plan, services)


def batch_rows(job: Job, split: Split, planned: list[PlannedBatch], services: Services) -> Iterator[Batch]:
    """The rows of a plan's batches: the same whoever makes them, the time aside."""
    for each in planned:
        provider = services.providers[each.group.provider]
        yield Batch(
            job=job.id,
            state=BatchState.WAITING,
            due_at=services.now() + delay_of(each.group.waits, services.settings.tick_seconds),
            id=each.id,
            split=split.index,
            round=int(each.id.split("-")[1]),
            token=each.token,
            provider=provider.name,
            endpoint=each.group.endpoint,
            model=each.group.model,
            requests=each.requests,
            bytes=each.bytes,
            tokens=each.tokens,
            cost=estimate_of(provider.protocol, requests=each.requests, tokens=each.tokens),
            attempt=each.group.attempt,
            waits=each.group.waits,
            ledger=ledger_of(each.group),
            requests_key=each.requests_key,
            members_key=each.members_key,
            priority=job.settings.priority,
            api_version=each.group.api_version,
            betas=each.group.betas,
        )


def delay_of(waits: int, tick: int) -> int:
    """How long a batch waits that was sent in vain before: ever longer, up to an hour."""
    return min(tick * 2 ** min(waits, _DOUBLINGS), _LONGEST_DELAY) if waits else 0


def open_job(job: Job, services: Services) -> None:
    """Let the batches of a wholly planned job be sent; or refuse it, before anything is paid.

    Raises:
        NotMyTurn: Another opened it, or stopped it.
    """
    if job.state is not JobState.PLANNING:
        return
    splits = list(services.store.splits(job.id))
    reason = _refusal(job, splits, services)
    if reason is not None:
        fail_job(job, reason, services)
        return
    key = bucket.opened_key(job.id)
    services.files.put_first(key, msgspec.json.encode(lines_before(splits)))
    services.store.move(job, JobState.RUNNING, opened_key=key, due_at=next_deadline(job))
    logger.info("job opened", batches=sum(split.open for split in splits))
    for split in splits:
        if not split.open:
            services.queues.assemble(job.id, split.index)
    for name in services.providers:
        admit_batches(name, services)


def fail_job(job: Job, reason: str, services: Services) -> None:
    """End a job that cannot be processed; nothing of it was paid."""
    now = services.now()
    services.store.move(
        job,
        JobState.PUBLISHING,
        outcome=JobState.FAILED,
        reason=reason,
        published_at=now,
        due_at=now + services.settings.lease_seconds,
    )
    services.queues.publish(job.id)


def fail_split(split: Split, reason: str, services: Services) -> None:
    """End a split that cannot be planned: its job ends FAILED, before anything is paid."""
    settled = _settle(split, services, SplitState.FAILED, reason=reason)
    if settled.unplanned == 0:
        open_job(settled, services)


def lines_before(splits: list[Split]) -> Opened:
    """How the lines of a wholly planned file are numbered."""
    before = [0]
    for split in splits:
        before.append(before[-1] + split.lines)
    return Opened(lines_before=before[:-1], lines=before[-1], blank_lines=sum(split.blank_lines for split in splits))


def _refusal(job: Job, splits: list[Split], services: Services) -> str | None:
    failed = [split for split in splits if split.state is SplitState.FAILED]
    if failed:
        return failed[0].reason
    invalid = sum(split.invalid for split in splits)
    if not invalid or job.settings.on_invalid != "reject":
        return None
    lines: list[str] = []
    for split, before in zip(splits, lines_before(splits).lines_before, strict=True):
        if split.invalid and len(lines) < _REASONS:
            plan = read_plan(split, services)
            lines += [f"line {before + number} ({code})" for number, code in plan.first_codes]
    # Codes only: the messages quote names and values of bodies, and this goes into rows, events and logs.
    named = ", ".join(lines[:_REASONS])
    more = ", …" if invalid > _REASONS else ""
    return (
        f'{invalid} {"line is" if invalid == 1 else "lines are"} invalid, and on_invalid is "reject": {named}{more}. '
        "What is wrong with each: batchdrop validate FILE."
    )


def read_plan(split: Split, services: Services) -> Plan:
    """The first plan of a planned split."""
    return msgspec.json.decode(services.files.get(bucket.plan_key(split.job, split.index, 0)), type=Plan)


def _settle_planned(split: Split, plan: Plan, services: Services) -> Job:
    count = len(plan.batches)
    return _settle(
        split,
        services,
        SplitState.PLANNED,
        open=count,
        lines=plan.lines,
        blank_lines=plan.blank_lines,
        invalid=plan.invalid,
        plan_key=bucket.plan_key(split.job, split.index, 0),
        due_at=None if count else services.now(),
    )


def _settle(split: Split, services: Services, state: SplitState, **changes: Any) -> Job:
    """Move the split and lower the job's count in one transaction; the last one makes the job due."""
    while True:
        job = services.store.job(split.job)
        if job is None or job.state not in _PLANNED_IN:
            raise NotMyTurn
        left = job.unplanned - 1
        due = {} if left else {"due_at": services.now()}
        count = update_counter(job, "unplanned", job.unplanned, to=left, **due)
        try:
            services.store.move(split, state, also=[count], **{"due_at": None, "refused_at": 0, **changes})
        except Changed:
            continue
        logger.info("split planned", split=split.index, state=state, left=left)
        return job.with_(unplanned=left)


def _first_plan(job: Job, split: Split, services: Services) -> Plan:
    key = bucket.plan_key(split.job, split.index, 0)
    try:
        found = services.files.get(key)
    except Gone:
        with temporary_folder() as folder:
            plan = _PlanWriter(job, split, services, Path(folder)).write()
        found = services.files.put_first(key, msgspec.json.encode(plan))
    return msgspec.json.decode(found, type=Plan)


def split_lines(source: Source, split: Split, store: Files, *, max_bytes: int = MAX_LINE_BYTES) -> Iterator[Line]:
    """The lines that begin within a split's range, as Hadoop's input splits have them.

    A line that begins before the range belongs to an earlier split; the last one is read to its end, wherever it is, or
    until it is known to be too long. A split in which no line begins is not read beyond its end.
    """
    start = max(split.start - 1, 0)
    chunks = _range(source, start, split, store, max_bytes)
    if not split.start:
        chunks = refuse_what_is_no_jsonl(chunks)
    lines = cut_lines(chunks, offset=start, max_bytes=max_bytes)
    if split.start:
        next(lines, None)  # ends before the range, or began in an earlier one
    for line in lines:
        if line.offset >= split.end:
            return
        yield line
        if line.offset + line.length + 1 >= split.end:
            return  # the next one begins behind the range


def _range(source: Source, start: int, split: Split, store: Files, max_bytes: int) -> Iterator[bytes]:
    """What has to be read to see a split's lines, in pieces."""
    read = partial(store.stream, source.key, version_id=source.version_id)
    is_last = split.end >= source.bytes
    end = split.end if is_last else split.end - 1  # a line that begins in the range follows a line feed before this
    has_line = not split.start
    for chunk in read(start=start, end=end):
        has_line = has_line or b"\n" in chunk
        yield chunk
    ahead, stop = _READ_AHEAD, min(end + max_bytes + 2, source.bytes)
    while has_line and end < stop:
        yield from read(start=end, end=min(end + ahead, stop))
        end, ahead = end + ahead, ahead * 2


def _too_long(offset: int) -> LineError:
    message = f"too long: more than {MAX_LINE_BYTES:,} bytes from byte {offset:,} on"
    return LineError(code=ErrorCode.LINE_TOO_LONG, message=message)


def _refused(read: Request, code: ErrorCode, message: str) -> LineError:
    return LineError(
        code=code,
        message=message,
        custom_id=read.custom_id,
        provider=read.provider,
        model=read.model,
        endpoint=read.endpoint,
    )


class _PlanWriter:
    """Reads a split once, writes its request files, members and line index, and tells the plan."""

    def __init__(self, job: Job, split: Split, services: Services, folder: Path) -> None:
        self._job, self._split, self._services, self._folder = job, split, services, folder
        self._reader = LineReader(
            services.providers,
            api_version=job.settings.anthropic_version,
            betas=job.settings.betas,
            drop_params=job.settings.drop_params,
            allowed_providers=rules_for(services.providers.folders, job.key).allowed_providers,
        )
        self._prefix = bucket.attempt_prefix(split, "plan")
        self._batches = BatchWriter(round_name(split.index, 0), self._prefix, folder, services, split=split.index)
        self._routes = Routes(services.providers, job.settings)
        self._errors: list[tuple[int, str]] = []
        self._invalid = 0
        self._placed = 0

    def write(self) -> Plan:
        number = blank = 0
        most = self._services.settings.lines_per_split
        index_path = self._folder / "index"
        encode = msgspec.json.Encoder().encode
        with index_path.open("wb", buffering=_WRITE_BUFFER) as index:
            for line in split_lines(self._job.source, self._split, self._services.files):
                number += 1
                if number > most:
                    raise self._too_many(line.offset)
                text = line.bytes
                offset, length = line.offset, min(line.length, MAX_LINE_BYTES + 1)
                if not offset and text is not None and text.startswith(_BOM):
                    text, offset, length = text[len(_BOM) :], len(_BOM), length - len(_BOM)
                if text is not None and is_blank(text):
                    blank += 1
                    continue
                index.write(encode(self._place(number, offset, length, text)))
                index.write(b"\n")
        batches = self._batches.finish()
        index_key = f"{self._prefix}index.jsonl"
        self._services.files.put(index_key, index_path)
        return Plan(
            lines=number,
            blank_lines=blank,
            invalid=self._invalid,
            index_key=index_key,
            routes=[Route(provider=p, model=m, endpoint=e) for p, m, e in self._routes],
            batches=batches,
            first_errors=[],
            first_codes=self._errors,
        )

    def _too_many(self, offset: int) -> Unprocessable:
        most, start = self._services.settings.lines_per_split, self._split.start
        return Unprocessable(
            f"More than {most:,} lines begin from byte {start:,} to byte {offset:,}: lines of so few bytes are no "
            "requests. Leave them out, or drop the file in several."
        )

    def _place(self, number: int, offset: int, length: int, text: bytes | None) -> IndexedLine:
        read = _too_long(offset) if text is None else self._reader.read(text)
        if isinstance(read, Request):
            try:
                route = self._add(read)
            except TooManyGroups:
                why = f"over {MAX_ROUTES} models and endpoints are mixed in this part of the file"
                read = _refused(read, ErrorCode.TOO_MANY_GROUPS, why)
            except LineProblem as problem:
                read = _refused(read, problem.code, problem.message)
            else:
                return IndexedLine(number, offset, length, route, read.custom_id)
        return self._failed(number, offset, length, read)

    def _add(self, read: Request) -> int:
        """Put a request into a batch; the number of its route."""
        route, group = self._routes.of(read)
        is_translated = group.endpoint != read.endpoint
        self._batches.add(group, read.body, read.inputs, self._placed, is_checked=not is_translated)
        self._placed += 1
        return route

    def _failed(self, number: int, offset: int, length: int, read: LineError) -> IndexedLine:
        self._invalid += 1
        self._placed += 1
        if len(self._errors) < _REASONS:
            self._errors.append((number, read.code))
        error = IndexedError(read.code, read.message, read.provider, read.model, read.endpoint)
        return IndexedLine(number, offset, length, -1, read.custom_id, error)

"""Plan: one split is read, its lines are checked and routed, and its batches are made; nothing is sent.

Bytes first: request files, members and the line index, then the plan that names them (the first one written wins), then
the rows, and last, in one transaction, PENDING → PLANNED. The split that is planned last opens the job.
"""

from collections.abc import Iterator
from itertools import accumulate, repeat
from pathlib import Path
from typing import Unpack

import msgspec
from aws_lambda_powertools import Logger

from batchdrop.aws import keys
from batchdrop.batches.job_start import REASONS, start_job
from batchdrop.batches.packing import MAX_ROUTES, Group, Routes, TooManyGroups
from batchdrop.batches.request_files import BatchWriter, Requests, round_name
from batchdrop.batches.rows import batch_rows
from batchdrop.batches.shared_lines import BlockToSend, LineSharing
from batchdrop.batches.sources import read_output_schema, rendering_of, rewrite_source
from batchdrop.batches.split_plan import IndexedError, IndexedLine, Plan, Route
from batchdrop.errors import ClaimLost, Gone, Locked, Unprocessable
from batchdrop.inputs.request_lines import MAX_LINE_BYTES, LineError, LineReader, Request, is_blank
from batchdrop.inputs.route_counts import RouteCounts
from batchdrop.inputs.sent_bodies import OutputFormats
from batchdrop.inputs.split_lines import split_blocks
from batchdrop.inputs.templated_lines import under_template
from batchdrop.inputs.templates import Rendering
from batchdrop.inputs.usual_lines import UsualReader
from batchdrop.jobs import PLANNED_IN, settle_plan
from batchdrop.jsonl import Block, Line
from batchdrop.limits.last_safe_moment import wants_calls
from batchdrop.limits.restore_hold import restored_at
from batchdrop.protocols import openai
from batchdrop.protocols.request_checks import LineProblem
from batchdrop.providers.folder_rules import rules_for
from batchdrop.records import Batch, Job, Split
from batchdrop.result_line import ErrorCode
from batchdrop.row_changes import SplitChanges
from batchdrop.services import Services
from batchdrop.states import SplitState
from batchdrop.temporary_files import temporary_folder
from batchdrop.worker import turn

logger = Logger(child=True)

_encoder = msgspec.json.Encoder()
_BOM = b"\xef\xbb\xbf"
_WRITE_BUFFER = 256 * 1024
_FIRST_CLAIM = 2  # the epoch of a row that was claimed once
_LEAST_HALVED = 8 * 1024  # bytes: a block of fewer is read line by line if it is not usual


def plan_split(job_id: str, index: int, services: Services) -> None:
    """Plan a split, unless it is planned or another worker is at it.

    A split that was added after its job was over (its intake slept) is not planned: its job is cleaned up once more.
    """
    job, split = services.store.job(job_id), services.store.split(job_id, index)
    if job is None or split is None or split.state is not SplitState.PENDING:
        return
    with turn(job_id, services):
        if job.state not in PLANNED_IN:
            raise ClaimLost
        claimed = services.store.claim(split, services.settings.lease_seconds)
        settled, known = _plan(job, claimed, services)
        if settled.unplanned == 0:
            start_job(settled, services, known=known if settled.splits == 1 else ())


def _plan(job: Job, split: Split, services: Services) -> tuple[Job, list[Split | Batch]]:
    """Plan a claimed split; the job, and the rows that were written: the split's own and its batches'."""
    try:
        rendering = rendering_of(job, services)
        job, split = rewrite_source(job, split, rendering, services)
        plan = _first_plan(job, split, rendering, services)
    except Gone as error:
        now = services.now()
        refused_at = split.refused_at or now
        if error.may_pass(written_at=job.dropped_at, refused_at=refused_at, now=now):
            services.store.release(split, now + services.settings.tick_seconds, refused_at=refused_at)
            raise ClaimLost from error
        reason = error.reason if isinstance(error, Locked) else "The file was deleted before it was read."
        return _settle(split, services, SplitState.FAILED, held=job, reason=reason)
    except Unprocessable as error:
        return _settle(split, services, SplitState.FAILED, held=job, reason=str(error))
    rows = list(batch_rows(job, split, plan.batches, services))
    services.store.add_all(rows)
    job, found = _settle_planned(job, split, plan, services)
    return job, [*found, *rows]


def _settle(
    split: Split, services: Services, state: SplitState, *, held: Job, **changes: Unpack[SplitChanges]
) -> tuple[Job, list[Split | Batch]]:
    job, moved = settle_plan(split, services, state, held=held, **changes)
    return job, [moved]


def _settle_planned(job: Job, split: Split, plan: Plan, services: Services) -> tuple[Job, list[Split | Batch]]:
    count = len(plan.batches)
    return _settle(
        split,
        services,
        SplitState.PLANNED,
        held=job,
        open=count,
        lines=plan.lines,
        blank_lines=plan.blank_lines,
        invalid=plan.invalid,
        plan_key=keys.plan_key(split.job, split.index, 0),
        due_at=None if count else services.now(),
    )


def _first_plan(job: Job, split: Split, rendering: Rendering | None, services: Services) -> Plan:
    key = keys.plan_key(split.job, split.index, 0)
    try:
        found = _earlier_plan(key, job, split, services)
    except Gone:
        with temporary_folder() as folder:
            plan = PlanWriter(job, split, services, Path(folder), rendering).write()
        found = services.files.put_first(key, msgspec.json.encode(plan))
    return msgspec.json.decode(found, type=Plan)


def _earlier_plan(key: str, job: Job, split: Split, services: Services) -> bytes:
    """The plan that an earlier run wrote. Before a split's first claim nobody can have: it is not asked for then.

    A restored table may not know of the claims since; and what the same claim wrote before must not be overwritten.

    Raises:
        Gone: There is none.
    """
    if split.epoch == _FIRST_CLAIM and job.dropped_at > restored_at(services):
        raise Gone(key)
    return services.files.get(key)


def _too_long(offset: int) -> LineError:
    message = f"too long: more than {MAX_LINE_BYTES:,} bytes from byte {offset:,} on"
    return LineError(code=ErrorCode.LINE_TOO_LONG, message=message)


def _line_error(read: Request, code: ErrorCode, message: str) -> LineError:
    return LineError(
        code=code,
        message=message,
        custom_id=read.custom_id,
        provider=read.provider,
        model=read.model,
        endpoint=read.endpoint,
        row=read.row,
    )


def _sharers(route: int, group: Group) -> int:
    """A number for those of a route whose answers are held against the output schema, and one for the others."""
    return 2 * route + group.has_schema


class PlanWriter:
    """Reads a split once, writes its request files, members and line index, and tells the plan."""

    def __init__(
        self, job: Job, split: Split, services: Services, folder: Path, rendering: Rendering | None = None
    ) -> None:
        self._job, self._split, self._services, self._folder = job, split, services, folder
        schema = read_output_schema(job, services)
        formats = None if schema is None else OutputFormats(schema)
        lines = LineReader(
            services.providers,
            api_version=job.settings.anthropic_version,
            betas=job.settings.betas,
            drop_params=job.settings.drop_params,
            allowed_providers=rules_for(services.providers.folders, job.key).allowed_providers,
            output_formats=formats,
        )
        self._prefix = keys.attempt_prefix(split, "plan")
        self._batches = BatchWriter(
            round_name(split.index, 0),
            self._prefix,
            folder,
            services,
            split=split.index,
            marks_prefixes=job.settings.cache_prefix,
        )
        self._routes = Routes(services.providers, job.settings)
        api_version = job.settings.anthropic_version
        usual = UsualReader(services.providers, api_version=api_version, output_formats=formats)
        self._reader, self._usual = under_template(rendering, lines, usual)
        self._counts = RouteCounts()
        self._is_called = wants_calls(job)
        self._sharing = LineSharing(folder, is_on=job.settings.dedupe)
        self._errors: list[tuple[int, str]] = []
        self._lines = self._blank = self._invalid = self._placed = 0
        self._usual_blocks, self._may_halve = 0, True

    def write(self) -> Plan:
        index_path = self._folder / "index"
        with index_path.open("wb", buffering=_WRITE_BUFFER) as index:
            for found in split_blocks(self._job.source, self._split, self._services.files):
                index.writelines(self._index_of(found))
        batches = self._batches.finish()
        index_key = f"{self._prefix}index.jsonl"
        self._services.files.put(index_key, index_path)
        return Plan(
            lines=self._lines,
            blank_lines=self._blank,
            invalid=self._invalid,
            index_key=index_key,
            routes=[Route(provider=p, model=m, endpoint=e) for p, m, e in self._routes],
            batches=batches,
            first_errors=[],
            first_codes=self._errors,
            tokens=self._counts.first(len(self._routes), self._cached_routes()),
            shared_key=self._sharing.finish(f"{self._prefix}shared", self._services.files),
        )

    def _cached_routes(self) -> set[int]:
        """The routes whose requests ask a prompt cache to keep what they have in common."""
        named = enumerate((provider, model.removeprefix(f"{provider}/")) for provider, model, _ in self._routes)
        return {number for number, each in named if each in self._batches.cached}

    def _index_of(self, found: Line | Block) -> Iterator[bytes]:
        """Yield the index entries of lines, which are read and put into batches."""
        if isinstance(found, Line):
            yield self._read_line(found)
            return
        before = self._usual_blocks
        yield from self._index_of_block(found, may_halve=self._may_halve)
        self._may_halve = self._usual_blocks > before  # of a file without usual lines each block is tried once

    def _index_of_block(self, block: Block, *, may_halve: bool) -> Iterator[bytes]:
        """The same of a block: at once, or each half, so that one unusual line costs only its neighbours."""
        rows = self.read_block(block)
        halves = block.halves() if rows is None and may_halve and len(block.bytes) > _LEAST_HALVED else None
        if rows is not None:
            self._usual_blocks += 1
            yield rows
        elif halves is not None:
            for half in halves:
                yield from self._index_of_block(half, may_halve=True)
        else:
            for line in block.lines(max_bytes=MAX_LINE_BYTES):
                yield self._read_line(line)

    def read_block(self, block: Block) -> bytes | None:
        """The index of a block whose lines are all usual, and have room in open batches; None for any other."""
        usual = self._usual.read(block.bytes)
        if usual is None or self._lines + len(usual.lengths) > self._services.settings.lines_per_split:
            return None
        found = [self._routes.of(each) for each in usual.routes]
        to_send = self._sharing.of_block(usual, [_sharers(*each) for each in found], self._placed)
        if not self._batches.add_all(_by_group(to_send, [group for _, group in found])):
            return None
        self._sharing.note(to_send.seen, self._placed)
        self._counts.add_usual(to_send.usual, [(number, group.model) for number, group in found])
        numbers = range(self._lines + 1, self._lines + 1 + len(usual.lengths))
        offsets = accumulate((length + 1 for length in usual.lengths), initial=block.offset)
        routes = [found[kind][0] for kind in usual.kinds]
        self._lines += len(usual.lengths)
        self._placed += len(usual.lengths)
        kept = repeat(None) if usual.rows is None else usual.rows
        rows = zip(numbers, offsets, usual.lengths, routes, usual.custom_ids, repeat(None), kept, strict=False)
        return _encoder.encode_lines([*rows])

    def _read_line(self, line: Line) -> bytes:
        """The index of a line; empty for a blank one."""
        self._lines += 1
        if self._lines > self._services.settings.lines_per_split:
            raise self._too_many(line.offset)
        text = line.bytes
        offset, length = line.offset, min(line.length, MAX_LINE_BYTES + 1)
        if not offset and text is not None and text.startswith(_BOM):
            text, offset, length = text[len(_BOM) :], len(_BOM), length - len(_BOM)
        if text is not None and is_blank(text):
            self._blank += 1
            return b""
        return _encoder.encode(self._place(self._lines, offset, length, text)) + b"\n"

    def _too_many(self, offset: int) -> Unprocessable:
        most, start = self._services.settings.lines_per_split, self._split.start
        return Unprocessable(
            f"More than {most:,} lines begin from byte {start:,} to byte {offset:,}. These lines are too short "
            "to be requests: remove them, or split the file."
        )

    def _place(self, number: int, offset: int, length: int, text: bytes | None) -> IndexedLine:
        read = _too_long(offset) if text is None else self._reader.read(text)
        if isinstance(read, Request):
            try:
                route = self._add(read)
            except TooManyGroups:
                why = f"over {MAX_ROUTES} models and endpoints are mixed in this part of the file"
                read = _line_error(read, ErrorCode.TOO_MANY_GROUPS, why)
            except LineProblem as problem:
                read = _line_error(read, problem.code, problem.message)
            else:
                return IndexedLine(number, offset, length, route, read.custom_id, row=read.row)
        return self._failed(number, offset, length, read)

    def _add(self, read: Request) -> int:
        """Put a request into a batch, unless it shares another; the number of its route."""
        if self._is_called:
            openai.refuse_background(read.body, read.endpoint)
        route, group = self._routes.of(read)
        seen = self._sharing.of_line(read.body, _sharers(route, group), self._placed)
        if seen.sent:
            is_translated = group.endpoint != read.endpoint
            media = self._batches.add(group, read.body, read.inputs, self._placed, is_checked=not is_translated)
            self._counts.add(route, read, media, group.model)
        self._sharing.note(seen, self._placed)
        self._placed += 1
        self._usual.learn(read)
        return route

    def _failed(self, number: int, offset: int, length: int, read: LineError) -> IndexedLine:
        self._invalid += 1
        self._placed += 1
        if len(self._errors) < REASONS:
            self._errors.append((number, read.code))
        error = IndexedError(read.code, read.message, read.provider, read.model, read.endpoint)
        return IndexedLine(number, offset, length, -1, read.custom_id, error, read.row)


def _by_group(to_send: BlockToSend, groups: list[Group]) -> dict[Group, Requests]:
    """The requests of each group that are sent, in their order. `groups` are those of the block's routes."""
    usual, places = to_send.usual, to_send.places
    if len(set(groups)) == 1:
        return {groups[0]: Requests(usual.bodies, places, inputs=_inputs_of(groups[0]))} if usual.bodies else {}
    found: dict[Group, tuple[list[bytes], list[int]]] = {groups[kind]: ([], []) for kind in set(usual.kinds)}
    adders = {kind: (found[groups[kind]][0].append, found[groups[kind]][1].append) for kind in set(usual.kinds)}
    for body, place, kind in zip(usual.bodies, places, usual.kinds, strict=True):
        add_body, add_place = adders[kind]
        add_body(body)
        add_place(place)
    return {group: Requests(bodies, its, inputs=_inputs_of(group)) for group, (bodies, its) in found.items()}


def _inputs_of(group: Group) -> int:
    return 1 if group.endpoint == openai.EMBEDDINGS else 0

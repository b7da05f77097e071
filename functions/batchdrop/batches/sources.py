"""Prepares the source of a job's lines: its first plan inflates a compressed file, or rewrites a table, once."""

from typing import Any

import msgspec
from aws_lambda_powertools import Logger

from batchdrop.aws import keys
from batchdrop.aws.optimistic import ConcurrentChange
from batchdrop.aws.table_items import update_counter
from batchdrop.errors import ClaimLost, Unprocessable
from batchdrop.inputs.compression import BYTES_PER_SECOND
from batchdrop.inputs.sources import read_source
from batchdrop.inputs.splits import splits_of, splitting_of
from batchdrop.inputs.templates import Rendering, Template
from batchdrop.jobs import send_splits
from batchdrop.protocols.answer_checks import AnswerCheck
from batchdrop.protocols.output_schemas import OutputSchema
from batchdrop.records import Job, Split
from batchdrop.services import Services

logger = Logger(child=True)


def read_template(job: Job, services: Services) -> Template | None:
    """A job's template, as it was when the file was dropped; None where its lines are requests."""
    if job.template_key is None:
        return None
    return msgspec.json.decode(services.files.get(job.template_key), type=Template)


def read_output_schema(job: Job, services: Services) -> OutputSchema | None:
    """A job's output schema, as it was when the file was dropped; None without one."""
    return None if job.schema_key is None else OutputSchema(services.files.get(job.schema_key))


def answer_check(job: Job | None, services: Services) -> AnswerCheck | None:
    """Return the check of a job's answers; None without an output schema."""
    if job is None or job.schema_key is None:
        return None
    return AnswerCheck(services.files.get(job.schema_key))


def rendering_of(job: Job, services: Services) -> Rendering | None:
    """Return the rendering of the job's rows; None where its lines are requests."""
    template = read_template(job, services)
    return None if template is None else Rendering(template, services.providers)


def rewrite_source(job: Job, split: Split, rendering: Rendering | None, services: Services) -> tuple[Job, Split]:
    """Inflate a compressed job's object, or rewrite a table, once; the job, which says what to read, and its split.

    The bytes first; then, in one transaction, the job's source and number of splits and this split's end; then the rows
    of the other splits, which sweep adds where this run dies.

    Raises:
        Unprocessable: It cannot be read, or lacks a column.
        ClaimLost: Another did it meanwhile.
    """
    if job.source_key is not None or not keys.is_rewritten(job.key):
        return job, split
    pieces = read_source(
        services.files.stream(job.key, version_id=job.version_id),
        job.key,
        max_bytes=BYTES_PER_SECOND * services.settings.function_seconds,
        delimiter=job.settings.delimiter,
        columns=() if rendering is None else (*rendering.columns, *rendering.template.keep),
    )
    name = keys.ROWS if keys.is_table(job.key) else "/inflated.jsonl"
    key = keys.attempt_prefix(split, "plan").rstrip("/") + name
    with services.files.writer(key) as out:
        for piece in pieces:
            out.write(piece)
    if not out.bytes:
        raise Unprocessable("The file is empty.")
    logger.info("source rewritten", bytes=out.bytes)
    splitting = splitting_of(out.bytes, services.settings.split_bytes)
    read = {"source_key": key, "source_version": out.answer.get("VersionId"), "source_bytes": out.bytes}
    return _record_source(job, split, read | splitting, services)


def _record_source(job: Job, split: Split, changes: dict[str, Any], services: Services) -> tuple[Job, Split]:
    inflated = job.with_(**changes)
    end = splits_of(inflated, due_at=0)[split.index].end
    due_at = services.now() + services.settings.lease_seconds  # then sweep adds the splits that are missing
    count = changes.pop("unplanned")
    also = update_counter(job, "unplanned", job.unplanned, to=count, due_at=due_at, **changes)
    try:
        # Still the same claim: only its end is new.
        held = services.store.claim(split.with_(claimed_until=0), services.settings.lease_seconds, also=[also], end=end)
    except ConcurrentChange:
        raise ClaimLost from None
    send_splits(inflated, services, first=1)
    return inflated, held

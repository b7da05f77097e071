"""The fields that a move or a claim may change; a row's identity and origin never change.

Checkers of types hold every move to these names. None removes an attribute.
"""

from typing import TypedDict

from batchdrop.refusal_kinds import Kind
from batchdrop.states import JobState


class RowChanges(TypedDict, total=False):
    claimed_until: int
    due_at: int | None
    sends: int
    resends: int
    failures: int
    failed_at: int
    expires_at: int | None


class JobChanges(RowChanges, total=False):
    version: int
    unplanned: int
    unassembled: int
    line_numbering_key: str | None
    quote_key: str | None
    outcome: JobState | None
    reason: str | None
    is_late: bool
    first_submitted_at: int | None
    last_ended_at: int | None
    published_at: int | None
    manifest_key: str | None
    kept_until: int | None
    is_given_up: bool
    most_micros: int | None
    is_announced: bool
    is_approved: bool | None
    budget_ledger: str | None
    reserved_micros: int
    last_safe_at: int | None
    finishing_at: int | None
    late_reason: str | None
    is_past_deadline: bool


class SplitChanges(RowChanges, total=False):
    end: int
    round: int
    open: int
    lines: int
    blank_lines: int
    invalid: int
    plan_key: str | None
    part_keys: tuple[str, ...]
    assembled: int
    refused_at: int
    reason: str | None


class BatchChanges(RowChanges, total=False):
    cost: int
    waits: int
    endpoint_misses: int
    refusals: int
    refused_as: Kind | None
    refused_key: str | None
    blamed: int
    account_id: str | None
    input_file_id: str | None
    intended_at: int | None
    create_by: int | None
    misses: int
    excluded: tuple[str, ...]
    newest_at: int | None
    adopted: bool
    batch_id: str | None
    cancel_asked_at: int | None
    submitted_at: int | None
    ended_at: int | None
    ended_as: str | None
    failure_code: str | None
    output_file_id: str | None
    error_file_id: str | None
    collected_key: str | None
    again: int
    uncharged: int
    misfits: int
    is_uncharged_attempt: bool
    counted: int
    loss_evidence: str | None
    loss_evidence_at: int
    defer_reason: str | None
    is_duplicate: bool
    is_realtime: bool
    called: int
    uncalled: tuple[int, ...]
    doubts: int
    fallen: int
    fallen_kinds: tuple[int, ...]

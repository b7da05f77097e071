"""The states of jobs, splits and batches, in the order of a healthy life, and every move between them."""

from enum import StrEnum


class JobState(StrEnum):
    PLANNING = "PLANNING"  # its splits are being read; nothing has been paid
    HELD = "HELD"  # planned, and over its budget: nothing is sent until it is approved, or the budget is raised
    RUNNING = "RUNNING"  # the whole file is planned; batches may be admitted
    CANCELLING = "CANCELLING"  # someone asked to stop: nothing more is sent, results received so far are collected
    PUBLISHING = "PUBLISHING"  # every split is assembled; outcome and times are fixed
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


class SplitState(StrEnum):
    PENDING = "PENDING"
    PLANNED = "PLANNED"
    ASSEMBLED = "ASSEMBLED"
    FAILED = "FAILED"


class BatchState(StrEnum):
    WAITING = "WAITING"  # not admitted: limits, a missing key, a paused provider, or simply its turn
    ADMITTED = "ADMITTED"  # its share of the limits is reserved
    SUBMITTING = "SUBMITTING"  # a create is under way, or its outcome is in doubt
    IN_FLIGHT = "IN_FLIGHT"  # the provider has it; its id is recorded
    ENDED = "ENDED"  # the provider is done with it, in whatever way
    COLLECTED = "COLLECTED"
    REPLACED = "REPLACED"  # by smaller ones
    CANCELLED = "CANCELLED"  # never sent
    FAILED = "FAILED"  # the provider refused it outright, or it never became terminal there


BATCH_WORDS = {
    BatchState.WAITING: "waiting",
    BatchState.ADMITTED: "about to be sent",
    BatchState.SUBMITTING: "being sent",
    BatchState.IN_FLIGHT: "at the provider",
    BatchState.ENDED: "being collected",
    BatchState.COLLECTED: "collected",
    BatchState.REPLACED: "replaced by smaller ones",
    BatchState.CANCELLED: "cancelled",
    BatchState.FAILED: "given up",
}

State = JobState | SplitState | BatchState

_J, _S, _B = JobState, SplitState, BatchState

MOVES: dict[State, frozenset[State]] = {
    _J.PLANNING: frozenset({_J.RUNNING, _J.HELD, _J.CANCELLING, _J.PUBLISHING}),
    _J.HELD: frozenset({_J.RUNNING, _J.CANCELLING, _J.PUBLISHING}),
    _J.RUNNING: frozenset({_J.CANCELLING, _J.PUBLISHING}),
    _J.CANCELLING: frozenset({_J.PUBLISHING}),
    _J.PUBLISHING: frozenset({_J.COMPLETED, _J.CANCELLED, _J.FAILED}),
    _J.COMPLETED: frozenset(),
    _J.CANCELLED: frozenset(),
    _J.FAILED: frozenset(),
    _S.PENDING: frozenset({_S.PLANNED, _S.FAILED}),
    _S.PLANNED: frozenset({_S.ASSEMBLED, _S.FAILED}),
    _S.ASSEMBLED: frozenset(),
    _S.FAILED: frozenset(),
    # WAITING → IN_FLIGHT: its late create came. And what was sent, or collected, after the table's restore point.
    _B.WAITING: frozenset({_B.ADMITTED, _B.REPLACED, _B.CANCELLED, _B.IN_FLIGHT, _B.ENDED, _B.FAILED}),
    _B.ADMITTED: frozenset({_B.SUBMITTING, _B.WAITING, _B.CANCELLED, _B.IN_FLIGHT, _B.ENDED, _B.FAILED}),
    _B.SUBMITTING: frozenset({_B.IN_FLIGHT, _B.WAITING, _B.ENDED, _B.FAILED}),
    _B.IN_FLIGHT: frozenset({_B.ENDED, _B.FAILED}),
    _B.ENDED: frozenset({_B.COLLECTED, _B.SUBMITTING, _B.REPLACED, _B.FAILED}),
    _B.COLLECTED: frozenset(),
    _B.REPLACED: frozenset(),
    _B.CANCELLED: frozenset(),
    _B.FAILED: frozenset(),
}

TERMINAL_JOBS = frozenset({_J.COMPLETED, _J.CANCELLED, _J.FAILED})
OPEN_BATCHES = frozenset({_B.WAITING, _B.ADMITTED, _B.SUBMITTING, _B.IN_FLIGHT, _B.ENDED})


def may_move(source: State, target: State) -> bool:
    """True for a move of the table, and for a claim, which stays in its state."""
    if type(source) is not type(target):  # FAILED of a job equals FAILED of a batch, as strings do
        return False
    return target in MOVES[source] or (source is target and bool(MOVES[source]))

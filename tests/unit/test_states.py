"""The move table, pair by pair."""

import itertools
from collections import Counter

import pytest
from batchdrop.aws.table_items import move_in_transaction
from batchdrop.records import Batch, Job, Split
from batchdrop.states import MOVES, OPEN_BATCHES, TERMINAL_JOBS, BatchState, JobState, SplitState, State, may_move
from faking.rows import a_batch, a_job, a_split

ENUMS = (JobState, SplitState, BatchState)
ALL: list[State] = [state for enum in ENUMS for state in enum]

JOB_MOVES = """
PLANNING → RUNNING HELD CANCELLING PUBLISHING
HELD → RUNNING CANCELLING PUBLISHING
RUNNING → CANCELLING PUBLISHING
CANCELLING → PUBLISHING
PUBLISHING → COMPLETED CANCELLED FAILED
"""
SPLIT_MOVES = """
PENDING → PLANNED FAILED
PLANNED → ASSEMBLED FAILED
"""
BATCH_MOVES = """
WAITING → ADMITTED REPLACED CANCELLED IN_FLIGHT ENDED FAILED
ADMITTED → SUBMITTING WAITING CANCELLED IN_FLIGHT ENDED FAILED
SUBMITTING → IN_FLIGHT WAITING ENDED FAILED
IN_FLIGHT → ENDED FAILED
ENDED → COLLECTED SUBMITTING REPLACED FAILED
"""


def read(text: str, kind: type[State]) -> list[tuple[State, State]]:
    rows = (line.split(" → ") for line in text.strip().splitlines())
    return [(kind(source), kind(target)) for source, targets in rows for target in targets.split()]


EXPECTED = [*read(JOB_MOVES, JobState), *read(SPLIT_MOVES, SplitState), *read(BATCH_MOVES, BatchState)]


def row_in(state: State) -> Job | Split | Batch:
    if isinstance(state, JobState):
        return a_job(state=state)
    if isinstance(state, SplitState):
        return a_split(state=state)
    return a_batch(state=state)


def test_every_state_has_its_row_in_the_table() -> None:
    assert set(MOVES) == set(ALL)


def test_states_of_two_kinds_with_one_name_share_a_row_and_so_must_have_no_moves() -> None:
    shared = [name for name, count in Counter(map(str, ALL)).items() if count > 1]
    assert {name: MOVES[state] for state in ALL for name in shared if state == name} == {
        "CANCELLED": frozenset(),
        "FAILED": frozenset(),
    }


@pytest.mark.parametrize("source", ALL, ids=lambda state: f"{type(state).__name__}.{state}")
def test_a_move_is_possible_exactly_when_the_design_has_it_or_it_is_a_claim(source: State) -> None:
    moves = [target for one, target in EXPECTED if one is source]
    claims = [source] if moves else []
    assert {id(target) for target in ALL if may_move(source, target)} == {id(each) for each in [*moves, *claims]}


@pytest.mark.parametrize("enum", ENUMS)
def test_the_store_refuses_a_move_that_is_not_in_the_table(enum: type[State]) -> None:
    for source, target in itertools.product(enum, enum):
        if not may_move(source, target):
            with pytest.raises(ValueError, match=f"^{source} does not move to {target}$"):
                move_in_transaction(row_in(source), target)


def test_states_of_different_kinds_never_meet() -> None:
    assert not [
        (source, target) for source, targets in MOVES.items() for target in targets if type(source) is not type(target)
    ]


def test_what_is_over_moves_no_more() -> None:
    assert {state for state in JobState if not MOVES[state]} == TERMINAL_JOBS
    assert {state for state in BatchState if MOVES[state]} == OPEN_BATCHES


@pytest.mark.parametrize("enum", ENUMS)
def test_every_state_is_reached_from_the_first_of_its_kind(enum: type[State]) -> None:
    reached = {next(iter(enum))}
    for _ in enum:
        reached |= {target for source in reached for target in MOVES[source]}
    assert reached == set(enum)

"""The page of guarantees: its table of states is the code's, and the modules and tests that it names are there."""

import re
from pathlib import Path

import pytest
from batchdrop.states import MOVES, BatchState, JobState, SplitState

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-it-works.md").read_text(encoding="utf-8")
STATES = {"job": JobState, "split": SplitState, "batch": BatchState}
ROWS = re.findall(r"^\| (job|split|batch) \| ([A-Z_]+) \| ([A-Z_]+) \| .+ \| (.+) \|$", PAGE, re.MULTILINE)
SECTIONS = PAGE.split("\n## ")[1:]
GUARANTEES = {
    section.partition("\n")[0]: section for section in SECTIONS if not section.startswith("How does a file flow")
}


def test_the_table_has_every_move_once_and_no_other() -> None:
    moves = [(type(source), source, target) for source, targets in MOVES.items() for target in targets]
    assert sorted((kind, source, target) for kind, source, target, _ in ROWS) == sorted(
        (kind, source, target) for kind, states in STATES.items() for of, source, target in moves if of is states
    )


@pytest.mark.parametrize(("kind", "source", "target", "written_by"), ROWS)
def test_a_move_names_modules_that_speak_of_the_row_in_that_state(
    kind: str, source: str, target: str, written_by: str
) -> None:
    for module in re.findall(r"`([\w/]+\.py)`", written_by):
        text = (ROOT / "functions/batchdrop" / module).read_text(encoding="utf-8")
        written = "job.outcome" if source == "PUBLISHING" else rf"{STATES[kind].__name__}\.{target}\b"
        assert re.search(written, text), f"{kind} {source} → {target}: {module}"


@pytest.mark.parametrize("section", GUARANTEES.values(), ids=GUARANTEES)
def test_each_guarantee_names_its_modules_and_its_tests_which_are_there(section: str) -> None:
    (named,) = re.findall(r"^Modules: (.+?)\. Tests: (.+?)(?:\. [A-Z].+)?$", section, re.MULTILINE)
    for names, folder in zip(named, ("functions/batchdrop", "tests"), strict=True):
        paths = re.findall(r"`([\w/]+\.py)`", names)
        assert [path for path in paths if not (ROOT / folder / path).is_file()] == []
        assert paths

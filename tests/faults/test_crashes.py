"""Workers that die, sleep, are throttled and repeated at any call: the job ends as if nothing had been.

A fair share of the points runs here, `make crash-test` runs the rest. One that fails says how to see it alone.
"""

import random
import sys
from collections.abc import Iterator

import pytest

from faults.outside import Fault, Outside, is_create
from faults.points import Point, Whole, every_point, random_pair, undisturbed, violations
from faults.promises import broken_announcements
from faults.scenarios import MAIN, SCENARIOS, TOLD, Scenario
from faults.world import World, new_world

pytestmark = pytest.mark.exploration

_OF_MAIN, _OF_OTHERS = 4, 1  # points of each fault
_PAIRS = {"main": 8, "hurried": 4, "falling": 4, "hurried elsewhere": 4}  # of two faults, by scenario
_HOUR = 3_600


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with new_world() as made:
        yield made


@pytest.fixture(scope="module")
def whole(world: World) -> Whole:
    return undisturbed(world)


def test_the_undisturbed_job_sends_again_what_may_pass_and_names_the_rest(whole: Whole) -> None:
    outputs = {key.rpartition("/")[2]: lines for key, lines in whole.outcome.outputs.items()}
    assert [each["attempts"] for each in outputs["results.jsonl"]] == [1, 1, 2, 0, 1, 1, 2, 1, 1, 1, 1, 1]
    assert [each["line"] for each in outputs["errors.jsonl"]] == [4, 6, 11]
    assert whole.outcome.written_twice == []
    assert whole.outcome.events == ["Job Completed"]


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_a_fault_at_any_call_changes_nothing_in_the_end(
    scenario: Scenario, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = undisturbed(world, scenario)
    everything = list(every_point(whole))
    number = _OF_MAIN if scenario is MAIN else _OF_OTHERS
    points = [point for fault in Fault for point in _share(everything, fault, number)]
    points += _of_creates(everything) if scenario is MAIN else []
    with capsys.disabled():
        sys.stdout.write(f" {scenario.name}: {len(points)} of {len(everything)} points ")
    assert _broken(points, whole, world) == {}


@pytest.mark.parametrize(("name", "pairs"), _PAIRS.items(), ids=_PAIRS)
def test_two_faults_anywhere_change_nothing_in_the_end(name: str, pairs: int, world: World) -> None:
    whole = undisturbed(world, SCENARIOS[name])
    assert _broken([random_pair(seed, whole) for seed in range(pairs)], whole, world) == {}


@pytest.mark.parametrize("later", [0, _HOUR])
def test_every_message_delivered_twice_changes_nothing_in_the_end(world: World, whole: Whole, later: float) -> None:
    world.begin(Outside(), MAIN, twice=later)
    world.run()
    assert world.errors == []
    assert world.left_over() == []
    assert world.outcome() == whole.outcome


def test_an_end_of_which_a_place_is_not_told_is_a_broken_promise(world: World) -> None:
    world.begin(Outside(), TOLD)
    world.arrives = lambda _, message: None if "webhook" in message.body else 0
    world.run()
    (job,) = {pk.removeprefix("JOB#") for pk, _ in world.rows("JOB#")}
    assert broken_announcements(world) == [f"the webhook was not told that job {job} is over"]


def _of_creates(points: list[Point]) -> list[Point]:
    """Every fault at the first create of each provider, where money is at stake."""
    creates = [point for point in points if is_create(point.name)]
    firsts = {each.name: each.faults[0][0] for each in reversed(creates)}
    return [point for point in creates if point.faults[0][0] in firsts.values()]


def _share(points: list[Point], fault: Fault, number: int) -> list[Point]:
    """The same ones every time."""
    of_fault = [point for point in points if point.faults[0][1] is fault]
    draw = random.Random(fault.name)  # noqa: S311 - a draw that repeats is what is wanted
    return draw.sample(of_fault, min(number, len(of_fault)))


def _broken(points: list[Point], whole: Whole, world: World) -> dict[str, list[str]]:
    found = {f"{point.name} · {point}": violations(point, whole.outcome, world) for point in points}
    return {point: broken for point, broken in found.items() if broken}

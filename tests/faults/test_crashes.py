"""Workers that die, sleep, are throttled and repeated at any call: the job ends as if nothing had been.

A fair share of the points runs here, `make crash-test` runs all of them. One that fails says how to see it alone.
"""

import random
import sys
from collections.abc import Iterator

import pytest

from faults.outside import Fault, Outside
from faults.points import Point, every_point, random_pair, undisturbed, violations
from faults.world import REQUESTS_CHARGED, Outcome, World, new_world

_EACH = 4  # points of each fault
_PAIRS = 8
_HOUR = 3_600


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with new_world() as made:
        yield made


@pytest.fixture(scope="module")
def whole(world: World) -> tuple[Outcome, list[str]]:
    return undisturbed(world)


def test_the_undisturbed_job_answers_each_line_once_and_pays_each_request_once(
    whole: tuple[Outcome, list[str]],
) -> None:
    outcome, _ = whole
    assert [each["line"] for each in outcome.results] == list(range(1, 13))
    assert [each["line"] for each in outcome.errors] == [4, 6, 11]
    assert [each["attempts"] for each in outcome.results] == [1, 1, 2, 0, 1, 1, 2, 1, 1, 1, 1, 1]
    assert outcome.charged == REQUESTS_CHARGED
    assert outcome.written_twice == []
    assert outcome.events == ["Job Completed"]


def test_a_fault_at_any_call_changes_nothing_in_the_end(
    world: World, whole: tuple[Outcome, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    wanted, calls = whole
    everything = list(every_point(calls))
    points = [*_of_creates(everything), *(point for fault in Fault for point in _share(everything, fault))]
    with capsys.disabled():
        sys.stdout.write(f" {len(points)} of {len(everything)} points ")
    assert _broken(points, wanted, world) == {}


def test_two_faults_anywhere_change_nothing_in_the_end(world: World, whole: tuple[Outcome, list[str]]) -> None:
    wanted, calls = whole
    assert _broken([random_pair(seed, calls) for seed in range(_PAIRS)], wanted, world) == {}


@pytest.mark.parametrize("later", [0, _HOUR])
def test_every_message_delivered_twice_changes_nothing_in_the_end(
    world: World, whole: tuple[Outcome, list[str]], later: float
) -> None:
    world.begin(Outside(), twice=later)
    world.run()
    assert world.errors == []
    assert world.left_over() == []
    assert world.outcome() == whole[0]


def _of_creates(points: list[Point]) -> list[Point]:
    """Every fault at the first create of each provider, where money is at stake."""
    creates = [point for point in points if point.name.startswith("POST") and point.name.endswith("/batches")]
    firsts = {each.name: each.faults[0][0] for each in reversed(creates)}
    return [point for point in creates if point.faults[0][0] in firsts.values()]


def _share(points: list[Point], fault: Fault) -> list[Point]:
    """The same ones every time."""
    of_fault = [point for point in points if point.faults[0][1] is fault]
    return random.Random(fault.name).sample(of_fault, _EACH)  # noqa: S311 - a draw that repeats is what is wanted


def _broken(points: list[Point], wanted: Outcome, world: World) -> dict[str, list[str]]:
    found = {f"{point.name} · {point}": violations(point, wanted, world) for point in points}
    return {point: broken for point, broken in found.items() if broken}

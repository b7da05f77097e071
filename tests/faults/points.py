"""Points: a scenario, a call's number and what goes wrong there. Each is a job of its own, and says what it broke."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from batchdrop.aws.queues import MOST_HOPS

from faults.outside import CONFLICTS, DEATHS_AFTER, DEATHS_BEFORE, LATE, Fault, Outside, is_create, is_table_write
from faults.promises import broken_announcements, broken_promises
from faults.scenarios import MAIN, SCENARIOS, Scenario
from faults.world import Outcome, World

DUPLICATE = "Duplicate Batch"
_READS = ("GetItem", "Query", "GetObject", "HeadObject", "ListObject", "ListMultipart", "GET ")
_ARRIVES_UNSEEN = frozenset({Fault.SLEEPS_FOR_HOURS, Fault.ARRIVES_AFTER_THE_GRACE})
_COST = ("charged", "charged_twice", "live_twice", "events")
_COST_WORDS = ("charged", "paid twice")


class Point(NamedTuple):
    """Faults by the number of the call. `name` is the call's (of the first fault) in the undisturbed run."""

    faults: tuple[tuple[int, Fault], ...]
    scenario: Scenario = MAIN
    name: str = ""

    def __str__(self) -> str:
        return f"{self.scenario.name}: " + " ".join(f"{number}:{fault.name}" for number, fault in self.faults)


def parse_point(text: str) -> Point:
    """What `str` made of it; without a scenario, the main one."""
    name, _, faults = text.rpartition(": ")
    pairs = (each.partition(":") for each in faults.split())
    return Point(tuple((int(number), Fault[fault]) for number, _, fault in pairs), SCENARIOS[name or MAIN.name])


@dataclass(frozen=True)
class Whole:
    """A scenario's run without faults: how it ended, and the names of its calls in order, with whose each was."""

    scenario: Scenario
    outcome: Outcome
    calls: list[str]
    workers: list[int]


def undisturbed(world: World, scenario: Scenario = MAIN) -> Whole:
    """Run a scenario without faults.

    Raises:
        AssertionError: It breaks a promise all by itself.
    """
    outside = Outside()
    world.begin(outside, scenario)
    world.run()
    outcome = world.outcome()
    wrong = [*world.errors, *world.left_over(), *broken_promises(world), *_always_broken(world)]
    if not scenario.is_open_ended and outcome.charged != scenario.charged:
        wrong.append(f"charged {outcome.charged}")
    if wrong:
        raise AssertionError(f"{scenario.name}, with no fault at all: {wrong}")
    return Whole(scenario, outcome, outside.calls, outside.workers)


def every_point(whole: Whole) -> Iterator[Point]:
    """Each call with each fault, but for what is the same as another point.

    A worker that dies leaves behind what it wrote, and nothing else: it does not matter at which of several reads in a
    row it dies, and a death after a read is one before the next call. A read that succeeds when it is repeated has
    changed nothing.
    """
    begins = {number for number, (one, other) in enumerate(pairwise([0, *whole.workers])) if one != other}
    for number, name in enumerate(whole.calls):
        is_told = number in begins or not is_read(name) or not is_read(whole.calls[number - 1])
        for fault in Fault:
            is_unseen = whole.scenario.loses_intents and is_create(name) and fault in _ARRIVES_UNSEEN
            if _is_its_own(fault, name, is_told=is_told) and not is_unseen:
                yield Point(((number + 1, fault),), whole.scenario, name)


def _is_its_own(fault: Fault, name: str, *, is_told: bool) -> bool:
    if fault in LATE:
        return is_create(name)
    if fault in CONFLICTS:
        return is_table_write(name)
    if fault in DEATHS_BEFORE:
        return is_told
    return not (is_read(name) and (fault in DEATHS_AFTER or fault in {Fault.REPLY_LOST, Fault.THROTTLED}))


def random_pair(seed: int, whole: Whole) -> Point:
    """Two faults anywhere; the second may strike the recovery from the first."""
    draw = random.Random(seed)  # noqa: S311 - repeated by its seed
    numbers = sorted(draw.sample(range(1, len(whole.calls) + 100), 2))
    first, second = ((number, draw.choice([each for each in Fault if each not in LATE])) for number in numbers)
    return Point((first, second), whole.scenario, f"seed {seed}")


def is_read(name: str) -> bool:
    return any(each in name for each in _READS)


def violations(point: Point, wanted: Outcome, world: World) -> list[str]:
    """Run the job with the point's faults; what was promised and did not hold."""
    outside = Outside(faults=dict(point.faults))
    world.begin(outside, point.scenario)
    try:
        world.run()
        got = world.outcome()
    except Exception as error:  # noqa: BLE001 - a violation like any other
        return [f"{type(error).__name__}: {error}", *world.errors]
    is_reported = DUPLICATE in got.events and _may_duplicate(point, outside)
    left = [each for each in world.left_over() if not (is_reported and "stored at anthropic" in each)]
    if point.scenario.is_open_ended:
        broken = broken_promises(world)
        different = [each for each in broken if not (is_reported and any(word in each for word in _COST_WORDS))]
    else:
        different = _differences(wanted, got, is_reported=is_reported)
    return [*world.errors, *left, *different, *_always_broken(world)]


def _always_broken(world: World) -> list[str]:
    """Broken promises that do not depend on how the job ends."""
    longest = world.aws.longest_chain
    return [*broken_announcements(world), *([f"a chain of {longest} messages"] if longest > MOST_HOPS else [])]


def _may_duplicate(point: Point, outside: Outside) -> bool:
    """A create may arrive after the grace: then it is reported (for Anthropic, the stated timing assumption)."""
    return any(
        fault in {Fault.SLEEPS_FOR_HOURS, Fault.ARRIVES_AFTER_THE_GRACE} and is_create(outside.calls[number - 1])
        for number, fault in point.faults
        if number <= len(outside.calls)
    )


def _differences(wanted: Outcome, got: Outcome, *, is_reported: bool) -> list[str]:
    different = {
        name: (getattr(wanted, name), getattr(got, name))
        for name in Outcome.__dataclass_fields__
        if getattr(wanted, name) != getattr(got, name)
    }
    if is_reported:
        for name in _COST:
            different.pop(name, None)
    return [f"{name}: {has} instead of {should}" for name, (should, has) in different.items()]

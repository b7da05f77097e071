"""Points: a call's number and what goes wrong there. Each is a job of its own, and says what it broke."""

import random
from collections.abc import Iterator
from typing import NamedTuple

from faults.outside import DEATHS_AFTER, Fault, Outside
from faults.world import Outcome, World

DUPLICATE = "Duplicate Batch"
_READS = ("GetItem", "Query", "GetObject", "HeadObject", "ListObject", "ListMultipart", "GET ")


class Point(NamedTuple):
    """Faults by the number of the call. `name` is the call's (of the first fault) in the undisturbed run."""

    faults: tuple[tuple[int, Fault], ...]
    name: str = ""

    def __str__(self) -> str:
        return " ".join(f"{number}:{fault.name}" for number, fault in self.faults)


def parse_point(text: str) -> Point:
    """What `str` made of it."""
    pairs = (each.partition(":") for each in text.split())
    return Point(tuple((int(number), Fault[name]) for number, _, name in pairs))


def undisturbed(world: World) -> tuple[Outcome, list[str]]:
    """What comes of a job without faults, and the names of its calls in order."""
    outside = Outside()
    world.begin(outside)
    world.run()
    if world.errors or world.left_over():
        raise AssertionError([*world.errors, *world.left_over()])
    return world.outcome(), outside.calls


def every_point(calls: list[str]) -> Iterator[Point]:
    """Each call with each fault, but for what is the same as another point.

    A death after a call that only read is a death before the next one; a read that succeeds when it is repeated has
    changed nothing.
    """
    for number, name in enumerate(calls, start=1):
        for fault in Fault:
            if not (is_read(name) and (fault in DEATHS_AFTER or fault in {Fault.REPLY_LOST, Fault.THROTTLED})):
                yield Point(((number, fault),), name)


def random_pair(seed: int, calls: list[str]) -> Point:
    """Two faults anywhere; the second may strike what heals the first."""
    draw = random.Random(seed)  # noqa: S311 - repeated by its seed
    numbers = sorted(draw.sample(range(1, len(calls) + 100), 2))
    first, second = ((number, draw.choice(list(Fault))) for number in numbers)
    return Point((first, second), f"seed {seed}")


def is_read(name: str) -> bool:
    return any(each in name for each in _READS)


def violations(point: Point, wanted: Outcome, world: World) -> list[str]:
    """Run the job with the point's faults; what was promised and did not hold."""
    outside = Outside(faults=dict(point.faults))
    world.begin(outside)
    try:
        world.run()
        got = world.outcome()
    except Exception as error:  # noqa: BLE001 - a violation like any other
        return [f"{type(error).__name__}: {error}", *world.errors]
    is_reported = _may_duplicate(point, outside) and DUPLICATE in got.events
    left = [each for each in world.left_over() if not (is_reported and "stored at anthropic" in each)]
    return [*world.errors, *left, *_differences(wanted, got, is_reported=is_reported)]


def _may_duplicate(point: Point, outside: Outside) -> bool:
    """Anthropic's create may arrive after the grace, and cost: then it is reported (the stated timing assumption)."""
    return any(
        fault is Fault.SLEEPS_FOR_HOURS and outside.calls[number - 1] == "POST /anthropic/v1/messages/batches"
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
        for name in ("charged", "charged_twice", "live_twice", "events"):
            different.pop(name, None)
    return [f"{name}: {has} instead of {should}" for name, (should, has) in different.items()]

"""After the last fault every job ends in time: no earlier fault stalls it."""

import random
from collections.abc import Iterator

import pytest

from faults.outside import LATE, Fault, Outside
from faults.world import World, new_world

pytestmark = pytest.mark.exploration

_HOUR = 3_600
_WINDOW = 24 * _HOUR  # of both providers
_SHARE = 0.02  # of the calls, while faults last
_FAULTS = [each for each in Fault if each is not Fault.SLEEPS_FOR_HOURS and each not in LATE]
_SEEDS = range(6)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with new_world() as made:
        yield made


@pytest.mark.parametrize("seed", _SEEDS)
def test_after_the_last_fault_every_job_ends_within_the_window_and_two_hours(world: World, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - a draw that repeats is what is wanted
    outside = Outside()
    world.begin(outside)
    stops = world.clock.now + draw.randint(1, 12) * _HOUR
    outside.meets = lambda _: draw.choice(_FAULTS) if world.clock.now < stops and draw.random() < _SHARE else None
    world.drop()
    while world.clock.now < stops:
        for step, waiting in list(world.aws.queues.items()):
            for message in [each for each in waiting if each.visible_at <= world.clock.now]:
                waiting.remove(message)
                world.deliver(step, message)
        world.tick(draw.choice([60, 300, 1_200]))
    world.finish()
    ends = [int(row["published_at"]["N"]) for (_, sk), row in world.aws.table.items.items() if sk == "JOB"]
    assert len(ends) == 1
    assert ends[0] - stops <= _WINDOW + 2 * _HOUR
    assert world.outcome().charged_twice == {"openai": 0, "anthropic": 0}
    assert world.errors == []

"""Lambda stops a chain that invokes a function about 16 times: no chain of messages comes near it.

The stand-in for SQS counts a chain itself, from what started the worker that sends; what a message says is not asked.
"""

from collections import Counter
from collections.abc import Iterator

import pytest
from batchdrop.aws.queues import MOST_HOPS
from faking.cloud import jsonl
from faking.lines import claude

from faults.aws import Message
from faults.outside import Outside
from faults.scenarios import SCENARIOS, Scenario
from faults.world import World, new_world

pytestmark = pytest.mark.exploration

SAME_SIZES = Scenario(
    name="same sizes",
    files=tuple(jsonl([claude(f"{name} line", name)]) for name in ("first", "second", "third")),
    splits=1,
    charged={"anthropic": 3},
)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with new_world() as made:
        yield made


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_each_message_says_how_long_its_chain_is(world: World, scenario: Scenario) -> None:
    wrong: list[Message] = []

    def arrives(_: str, message: Message) -> float:
        wrong.extend([message] if message.hops != message.chain else [])
        return 0

    world.begin(Outside(), scenario)
    world.arrives = arrives
    world.run()
    assert (wrong, world.aws.longest_chain <= MOST_HOPS) == ([], True)


def test_no_message_of_batches_that_wait_for_one_in_doubt_is_in_a_long_chain(world: World) -> None:
    submits = Counter[str]()

    def arrives(step: str, message: Message) -> float:
        submits.update([message.body["job"]] if step == "submit" else [])
        return 0

    world.begin(Outside(), SAME_SIZES)
    world.simulator.fault("connection_reset", provider="anthropic", operation="create")
    world.arrives = arrives
    world.drop()
    world.finish(tick=10, longest_tick=10)
    assert (world.errors, world.left_over()) == ([], [])
    assert world.aws.longest_chain <= MOST_HOPS
    assert max(submits.values()) <= 3 * MOST_HOPS  # they wait for half an hour
    assert world.outcome().charged == SAME_SIZES.charged

"""Anything in any order: messages delivered, repeated, lost and delayed, ticks, and workers that die and sleep."""

from collections.abc import Iterator
from functools import partial

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from faults.aws import Message
from faults.outside import LATE, Fault, Outside
from faults.points import undisturbed
from faults.world import VISIBILITY, Outcome, World, new_world

pytestmark = pytest.mark.exploration

_SOON = st.integers(1, 40)  # calls from now
_WHICH = st.integers(0, 99)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with new_world() as made:
        yield made


class Interleavings(RuleBasedStateMachine):
    """One job; afterwards everything is left alone until it is over."""

    def __init__(self, world: World, wanted: Outcome) -> None:
        super().__init__()
        self.world, self.wanted = world, wanted
        self.outside = Outside()
        self.world.begin(self.outside)
        self.world.drop()

    def messages(self) -> list[tuple[str, Message]]:
        return [(step, each) for step, waiting in sorted(self.world.aws.queues.items()) for each in waiting]

    def taken(self, which: int) -> tuple[str, Message]:
        step, message = self.messages()[which % len(self.messages())]
        self.world.aws.queues[step].remove(message)
        return step, message

    @precondition(lambda self: self.messages())
    @rule(which=_WHICH)
    def deliver(self, which: int) -> None:
        self.world.deliver(*self.taken(which))

    @precondition(lambda self: self.messages())
    @rule(which=_WHICH)
    def repeat(self, which: int) -> None:
        step, message = self.messages()[which % len(self.messages())]
        self.world.aws.queues[step].append(message)

    @precondition(lambda self: self.messages())
    @rule(which=_WHICH)
    def lose(self, which: int) -> None:
        step, message = self.taken(which)
        if step == "intake":  # S3's event is the one that nothing replaces
            self.world.aws.queues[step].append(message)

    @precondition(lambda self: self.messages())
    @rule(which=_WHICH)
    def delay(self, which: int) -> None:
        step, message = self.taken(which)
        self.world.aws.queues[step].append(message._replace(visible_at=self.world.clock.now + VISIBILITY))

    @rule(seconds=st.sampled_from([60, 60, 60, 900, 7_200]))
    def tick(self, seconds: float) -> None:
        self.world.tick(seconds)

    @rule(
        calls=_SOON,
        fault=st.sampled_from([each for each in Fault if each is not Fault.SLEEPS_FOR_HOURS and each not in LATE]),
    )
    def strike(self, calls: int, fault: Fault) -> None:
        self.outside.faults[len(self.outside.calls) + calls] = fault

    def teardown(self) -> None:
        self.world.finish()
        assert self.world.errors == []
        assert self.world.left_over() == []
        assert self.world.outcome() == self.wanted


def test_no_order_of_events_changes_what_comes_of_a_job(world: World) -> None:
    wanted = undisturbed(world).outcome
    run_state_machine_as_test(
        partial(Interleavings, world, wanted),
        settings=settings(
            max_examples=12,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

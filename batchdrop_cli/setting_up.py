"""Decides the next step of `setup`, from the facts; nothing here looks, asks or runs anything.

Each step is taken once at most: it is asked about, run, and then everything is looked at again. A step that was
declined, or failed, ends those that need it.
"""

from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import NamedTuple, Protocol

import msgspec
from batchdrop import __version__

# The first deployment of a stack failed, or was never begun: nothing is there, and the CDK replaces it.
_NOT_BEGUN = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "REVIEW_IN_PROGRESS"})
_UPGRADE = 'make deploy ARGS="-c …" (docs/operations.md)'


class Kind(StrEnum):
    """The kind of a step."""

    TOOLS = "tools"
    BOOTSTRAP = "bootstrap"
    DEPLOY = "deploy"
    LOCAL_UP = "local up"
    KEY = "key"
    SEND = "send"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The facts that `setup` finds.

    Attributes:
        is_local: Whether this machine is wanted, or AWS.
        is_clone: The project's own folder is there, with its Makefile: what deploys.
        has_tools: The CDK's command, and with it its Node, is installed.
        problem: Why AWS cannot be used, with what to do; None where it can.
        place: The account and region, or the local cloud's folder.
        is_bootstrapped: The account and region hold what the CDK needs.
        stack: The stack's state; None where there is none. Of the local cloud, whether it is up.
        version: The stack's; None where it says none.
        is_configured: Settings of the deployment are given.
        unset_keys: Providers whose key is not set.
        sender: The model that one line can be sent to; None while no provider has a key.
    """

    is_local: bool
    is_clone: bool = True
    has_tools: bool = True
    problem: str | None = None
    place: str = ""
    is_bootstrapped: bool = True
    stack: str | None = None
    version: str | None = __version__
    is_configured: bool = False
    unset_keys: tuple[str, ...] = ()
    sender: str | None = None


class Step(NamedTuple):
    """Something to be done, the question before it, and whom it is for: a key's provider, a line's model."""

    kind: Kind
    question: str
    whom: str | None = None

    @property
    def name(self) -> str:
        return f"{self.kind} {self.whom}" if self.whom else self.kind


class Over(NamedTuple):
    """There is nothing more to do: why not, where something is missing, and what to type."""

    problem: str | None = None


def next_step(facts: Facts, tried: AbstractSet[str]) -> Step | Over:
    """Return the next step. `tried` names the steps that were taken or declined."""
    if facts.problem is not None:
        return Over(facts.problem)
    if (problem := _broken(facts)) is not None:
        return Over(problem)
    needed = _needed(facts)
    if needed is None:
        wanted = [*_keys(facts), *_line(facts)]
        return next((step for step in wanted if step.name not in tried), Over(_left(facts, tried)))
    if not facts.is_local and not facts.is_clone:
        return Over("This batchdrop was not installed from a clone of the project, which is what deploys.")
    return needed if needed.name not in tried else Over(f"Setup cannot go on without this step: {needed.name}.")


def is_there(stack: str | None) -> bool:
    """Return whether a stack of this state can be used. One whose update was rolled back is as it was before."""
    return stack is not None and stack.endswith("_COMPLETE") and stack not in _NOT_BEGUN | {"DELETE_COMPLETE"}


def _broken(facts: Facts) -> str | None:
    """Why nothing can be set up on a stack that is there: it is never deployed over, which would drop its settings."""
    if facts.is_local or facts.stack is None or facts.stack in _NOT_BEGUN or is_there(facts.stack):
        return None
    if facts.stack.endswith("_IN_PROGRESS"):
        return f"The stack is {facts.stack}: wait until it is done, then repeat: batchdrop setup --aws"
    return f"The stack is {facts.stack}: look at its events in CloudFormation, repair it, then: {_UPGRADE}"


def _left(facts: Facts, tried: AbstractSet[str]) -> str | None:
    """Return the work left to do by hand: the stack was there, and is of another version, or wants other settings."""
    if facts.is_local or Kind.DEPLOY in tried:
        return None
    if facts.version == __version__:
        change = "setup deploys over no stack: -c changed nothing. To change its settings, give all of them: "
        return f"{change}{_UPGRADE}" if facts.is_configured else None
    there = f"The stack runs {facts.version or 'a version before 0.2.0'}, this command is {__version__}."
    return f"{there} setup deploys over no stack. To upgrade an older one, with all of its -c settings: {_UPGRADE}"


def _needed(facts: Facts) -> Step | None:
    """The next step without which no other can be taken."""
    if facts.is_local:
        up = Step(Kind.LOCAL_UP, "Start AWS and both providers on this machine? It takes a minute or two.")
        return None if facts.stack is not None else up
    if is_there(facts.stack):
        return None
    if not facts.has_tools:
        return Step(Kind.TOOLS, "Install the CDK and its Node into the project's folder? It takes a minute or two.")
    if not facts.is_bootstrapped:
        return Step(Kind.BOOTSTRAP, f"Bootstrap the CDK in {facts.place}? It is needed once for each region.")
    there = (
        "Idle, it costs about $6 a month."
        if facts.stack is None
        else f"Its first deployment failed ({facts.stack}), and is replaced."
    )
    return Step(Kind.DEPLOY, f"Deploy batchdrop {__version__} to {facts.place}? {there}")


def _keys(facts: Facts) -> list[Step]:
    return [
        Step(Kind.KEY, f"Store a key for {name}? Without it, lines for {name} wait.", name) for name in facts.unset_keys
    ]


def _line(facts: Facts) -> list[Step]:
    if facts.sender is None:
        return []
    price = "It costs nothing" if facts.is_local else "It costs far less than a cent"
    return [Step(Kind.SEND, f"Send one line to {facts.sender}, to see that it works? {price}.", facts.sender)]


class Border(Protocol):
    """The part that looks, asks and runs."""

    def look(self) -> Facts: ...

    def agrees(self, step: Step) -> bool:
        """Return whether a step is to be taken."""
        ...

    def take(self, step: Step) -> bool:
        """Take a step; whether it succeeded."""
        ...


def set_up(border: Border) -> Over:
    """Take the steps that are needed and wanted, one after the other."""
    tried: set[str] = set()
    while True:
        step = next_step(border.look(), tried)
        if isinstance(step, Over):
            return step
        tried.add(step.name)
        if border.agrees(step) and not border.take(step):
            return Over(f"This step failed: {step.name}. Repair what it said, then repeat: batchdrop setup")

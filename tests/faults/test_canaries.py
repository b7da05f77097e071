"""Keys and prompts of whole jobs, faults included, stay where they belong: searched for in all that is left elsewhere.

Searched is every log line, metric, event, row and message at every call that is made, and every exception that ends a
worker with its traces. The bucket holds prompts, as it should, and no key.
"""

import random
import traceback
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from faking.logs import Log, all_logged

from faults.aws import Message, Version
from faults.outside import Fault, Outside
from faults.scenarios import SCENARIOS, Scenario
from faults.world import KEY, World, new_world

pytestmark = pytest.mark.exploration

PROMPT, ANSWER = "canary-in-a-prompt", "Answer ["  # the simulator's answers begin so
_FAULTY_RUNS = 1  # of each scenario
_FAULTS = 3  # of each of them


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with new_world() as made:
        yield made


@pytest.fixture
def log() -> Iterator[Log]:
    with all_logged() as log:
        yield log


def with_canaries(scenario: Scenario) -> Scenario:
    """The same jobs; each prompt and each line that is no request holds a canary, and so do the providers' errors."""
    files = tuple(_marked(body) for body in scenario.files)
    later = _quoting(scenario.later)
    first = {name: _quoting(shape) for name, shape in scenario.first.items()}
    return replace(scenario, name=f"{scenario.name} with canaries", files=files, later=later, first=first)


def _marked(body: bytes) -> bytes:
    for text in (b'"content": "', b'"neither": "', b"not JSON"):
        body = body.replace(text, text + f"{PROMPT} ".encode())
    return body


def _quoting(shape: dict[str, Any]) -> dict[str, Any]:
    """The providers' errors of lines quote what they refuse, unless their words matter."""
    failing = [{"message": f"You said {PROMPT}.", **each} for each in shape.get("failing", [])]
    return {**shape, "failing": failing} if failing else shape


def refuse_for_good(world: World) -> None:
    """No batch is ever taken, in words that quote the key and the prompt: its lines end with them."""
    for provider in ("openai", "anthropic"):
        said = f"Sent with {KEY}: {PROMPT}"
        world.simulator.fault("status", provider=provider, operation="create", code=400, times=999, message=said)


def refuse_aloud(world: World) -> None:
    """Calls are refused in words that quote the key and the prompt."""
    for code, times in ((400, 3), (401, 1), (500, 1)):  # the second 400 in a row is the batch's own
        for provider in ("openai", "anthropic"):
            said = f"Sent with {KEY}: {PROMPT}"
            world.simulator.fault("status", provider=provider, operation="create", code=code, times=times, message=said)


class Seen:
    """What was anywhere else than in the bucket, at any time."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rows: dict[tuple[str, str], object] = {}
        self._versions: set[str] = set()
        self.texts: set[str] = set()

    def look(self, _call: str) -> Fault | None:
        """Look at the rows and objects that were written since the last call; a new row takes an old one's place."""
        for key, item in self._world.aws.table.items.items():
            if self._rows.get(key) is not item:
                self._rows[key] = item
                self.texts.add(f"row {key}: {item}")
        for key, version in objects(self._world):
            if version.id not in self._versions:
                self._versions.add(version.id)
                self.texts |= {f"object {key}: {KEY}"} if KEY.encode() in version.body else set()
        return None

    def read(self, step: str, message: Message) -> float:
        """Look at a message, which arrives at once."""
        self.texts.add(f"message of {step}: {message.body}")
        return 0

    def after(self, log: Log, printed: str) -> set[str]:
        """All of it, once the jobs are over."""
        self.look("")
        self.texts |= {f"event {each}" for each in self._world.aws.events}
        self.texts |= {f"log {line}" for line in log.lines}
        self.texts |= {f"metric {line}" for line in printed.splitlines()}
        self.texts |= {"".join(traceback.format_exception(each)) for each in self._world.raised}
        return self.texts


def kinds(texts: set[str]) -> set[str]:
    return {text.partition(" ")[0] for text in texts}


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_no_key_and_no_prompt_is_anywhere_but_where_it_belongs(
    scenario: Scenario, world: World, log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    marked = with_canaries(scenario)
    draw = random.Random(scenario.name)  # noqa: S311 - a draw that repeats is what is wanted
    calls = 0
    for run in range(1 + _FAULTY_RUNS):
        struck = draw.sample(range(1, calls + 1), _FAULTS) if run else []
        seen = Seen(world)
        outside = Outside(faults={number: draw.choice(list(Fault)) for number in struck}, meets=seen.look)
        world.begin(outside, marked)
        world.arrives = seen.read
        if run:
            refuse_aloud(world)
        world.run()
        calls = calls or len(outside.calls)
        texts = seen.after(log, capsys.readouterr().out)
        assert {"row", "message", "event", "log"} <= kinds(texts)
        assert [text for text in texts if PROMPT in text or KEY in text or ANSWER in text] == []
        assert any(PROMPT.encode() in version.body for _, version in objects(world))


def objects(world: World) -> list[tuple[str, Version]]:
    return [(key, version) for key, versions in world.aws.objects.items() for version in versions]


def test_words_that_are_kept_for_the_results_quote_no_key(
    world: World, log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a line that stands alone in its batch when that is refused, they are the answer."""
    seen = Seen(world)
    world.begin(Outside(meets=seen.look), with_canaries(SCENARIOS["main"]))
    world.arrives = seen.read
    refuse_for_good(world)
    world.run()
    texts = seen.after(log, capsys.readouterr().out)
    assert [text for text in texts if PROMPT in text or KEY in text] == []
    assert any(b"Sent with [key]" in version.body for key, version in objects(world) if key.startswith("output/"))

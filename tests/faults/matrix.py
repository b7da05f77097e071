"""The fault matrix: a job of 1,000 lines for each case and provider, and what came of it."""

import io
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, NamedTuple

from faking.cloud import jsonl
from faking.lines import chat, claude, got, wanted_of

from faults.aws import Message
from faults.cases import CASES, LINES, OPENAI, Case, Scene
from faults.outside import Outside
from faults.points import DUPLICATE
from faults.promises import broken_announcements, doubts_of
from faults.scenarios import Scenario
from faults.world import BEGIN, Outcome, World, charges_of, new_world

BATCH_SECONDS = 600  # a batch's life where nothing is wrong
_LONGEST_TICK, _GROWTH = 1_800, 1.1  # a tick is a minute, as on AWS; longer only where nothing happens for long
_AT_REST = 3 * 3_600  # a create that comes late is waited for

# What the log says was done about it, in a reader's words.
RECOVERIES = {
    "batch adopted": "found in the provider's list, and adopted",
    "batch was never created": "in no list after half an hour: created anew",
    "batch not submitted for now": "waits for its turn again",
    "batch not submitted: no such call": "tried again, ten times at most",
    "calls in doubt": "called again, once its reply was given up",
    "job is finished at real time": "cancelled, and called at real time",
    "provider paused": "the provider is paused, and tried again every five minutes",
    "requests go to the fallback": "sent to the job's fallback",
    "batch refused": "judged by its code and its words",
    "batch failed at the provider": "judged by its code and its words",
    "batch replaced by smaller ones": "cut into smaller batches",
    "lines refused": "ends with the provider's words",
    "provider did not answer": "asked again by the next poll",
    "provider not asked for now": "asked again by the next poll",
    "late create taken": "a late batch answers lines that are open",
    "dead letters sent again": "sent again from the dead letters",
    "batch not collected for now": "read again",
    "results of unknown requests": "counted, and left alone",
    "batch overdue": "cancelled after 26 hours",
    "batch stuck": "given up two hours later: `provider_stuck`",
    "round begins": "what is left is sent in a new batch",
    "sent again": "sent again by sweep",
    "orphaned request file deleted": "what was uploaded is deleted",
    "duplicate batch": "reported as `Duplicate Batch`",
}
PAID_ERRORS = ("unreadable_result", "schema", "cut_off")
REDELIVERED = "delivered again by the queue"


class Row(NamedTuple):
    """What came of one job.

    Attributes:
        accepted: Batches that the provider accepted.
        charged: Requests that it answered, each a charge.
        kept: Lines that came back with their own answer.
        reasons: Lines that came back with an error, by its code.
        lost: Lines that did not come back.
        twice: Requests that were charged or live twice.
        reported: Whether the event `Duplicate Batch` says so.
        later: Simulated seconds that the job took longer than without the fault.
        healed: What was done about it, in order.
        quietly: Why nothing was, if so.
        broken: Promises that did not hold.
    """

    title: str
    provider: str
    accepted: int
    charged: int
    kept: int
    reasons: dict[str, int]
    lost: int
    twice: int
    reported: bool
    later: int
    healed: tuple[str, ...]
    quietly: str
    broken: tuple[str, ...]


def rows(provider: str, titles: Iterable[str]) -> Iterator[Row]:
    """Run the cases of these titles that there are for a provider, one after the other."""
    line = chat if provider == OPENAI else claude
    lines = [line(f"Say {number}", number) for number in range(LINES)]
    job = Scenario(name="matrix", files=(jsonl(lines),), splits=1)
    with new_world(job, before_create=lambda *_: None) as world:
        calls = _undisturbed(world)
        scene = Scene(world, provider, lines, calls, _published_at(world))
        for case in map(every_case().__getitem__, titles):
            if provider in case.providers:
                yield _run(case, scene)


def every_case() -> dict[str, Case]:
    """All cases by their titles, in the order of the page."""
    return {case.title: case for cases in CASES.values() for case in cases}


def _undisturbed(world: World) -> list[str]:
    outside = Outside()
    _begin(world, outside)
    _finish(world)
    if world.errors or world.left_over():
        raise AssertionError([*world.errors, *world.left_over()])
    return outside.calls


def _begin(world: World, outside: Outside) -> None:
    world.begin(outside)
    world.simulator.shape(seconds_to_complete=BATCH_SECONDS)


def _finish(world: World) -> None:
    world.drop()
    world.finish(longest_tick=_LONGEST_TICK, growth=_GROWTH)


def _run(case: Case, scene: Scene) -> Row:
    world = scene.world
    _begin(world, Outside())
    if case.structured is not None:
        world.aws.put("input/folder/batchdrop.toml", case.structured.settings)
    case.arrange(scene)
    with _log() as said, redirect_stdout(io.StringIO()):  # metrics are printed
        _note_redeliveries(world, said)
        try:
            _finish(world)
            _wait_for_late_creates(world)
        except Exception as error:  # noqa: BLE001 - a promise that did not hold
            world.errors.append(f"{type(error).__name__}: {error}")
    return _row(case, scene, said)


def _wait_for_late_creates(world: World) -> None:
    until = world.clock.now + _AT_REST
    while any(batch["status"] == "arriving" for batch in world.simulator.batches()) and world.clock.now < until:
        world.tick(600)
    for _ in range(4):
        world.tick(600)


def _row(case: Case, scene: Scene, said: list[str]) -> Row:
    world, outcome = scene.world, scene.world.outcome()
    bills = world.simulator.charges().values()
    kept = sum(_is_kept(each, case, scene) for each in outcome.results)
    doubts = sum(doubts_of(each) for key, lines in outcome.outputs.items() if "manifest" in key for each in lines)
    reasons = Counter(each["error"]["code"] for each in outcome.results if each["error"])
    row = Row(
        title=case.title,
        provider=scene.provider,
        accepted=sum(each["batches"] for each in bills),
        charged=sum(map(charges_of, bills)),
        kept=kept,
        reasons=dict(sorted(reasons.items())),
        lost=LINES - len({each["line"] for each in outcome.results}),
        twice=_twice(case, outcome),
        reported=DUPLICATE in outcome.events or doubts > 0 or _counts_attempts(case, outcome),
        later=int(_published_at(world) - scene.took),
        healed=tuple(dict.fromkeys(said)),
        quietly=case.quietly,
        broken=(),
    )
    return row._replace(broken=tuple(_broken(row, case, world, outcome.written_twice)))


def _is_kept(result: dict[str, Any], case: Case, scene: Scene) -> bool:
    line = scene.lines[result["line"] - 1]
    if result["error"]:
        return False
    if case.structured is not None:
        return got(result) == case.structured.own_answer(line, result["attempts"])
    return got(result) == wanted_of(result, line)


def _twice(case: Case, outcome: Outcome) -> int:
    """Requests that were charged or live twice; where answers did not fit, what more was charged than once each."""
    if case.structured is not None:
        return sum(outcome.charged.values()) - LINES
    return max(*outcome.charged_twice.values(), *map(len, outcome.live_twice.values()))


def _counts_attempts(case: Case, outcome: Outcome) -> bool:
    """Whether results count each answer that was paid and did not fit."""
    return case.structured is not None and sum(outcome.attempts.values()) == sum(outcome.charged.values())


def _broken(row: Row, case: Case, world: World, written_twice: list[str]) -> Iterator[str]:
    yield from world.errors
    yield from broken_announcements(world)
    yield from (f"written twice: {key}" for key in written_twice)
    is_stored = row.reported or bool(world.simulator.charges()[row.provider]["live_batches"])
    stays = [*(["stored at"] if is_stored else []), *(["'PAUSE'"] if case.stays_paused else [])]
    yield from (each for each in world.left_over() if not any(words in each for words in stays))
    if row.lost or row.kept + sum(row.reasons.values()) != LINES:
        yield f"{row.lost} lines are lost, or came back with a wrong answer"
    if row.twice and not row.reported:
        yield f"{row.twice} requests were paid twice"
    paid, wasted = row.charged - row.twice, sum(row.reasons.get(code, 0) for code in PAID_ERRORS)
    if not row.kept <= paid <= row.kept + wasted:
        yield f"{paid} answers were paid, {row.kept} are there"


def _published_at(world: World) -> float:
    manifests = [versions[0] for key, versions in world.aws.objects.items() if key.endswith("/manifest.json")]
    return manifests[0].at - BEGIN if manifests else 0


def _note_redeliveries(world: World, said: list[str]) -> None:
    arrives = world.arrives

    def noting(step: str, message: Message) -> float | None:
        if message.receives and world.twice is None:
            said.append(REDELIVERED)
        return arrives(step, message)

    world.arrives = noting


class _Heals(logging.Handler):
    """Keeps what the log says was done, in a reader's words."""

    def __init__(self, said: list[str]) -> None:
        super().__init__()
        self.said = said

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg in RECOVERIES:
            self.said.append(RECOVERIES[record.msg])


@contextmanager
def _log() -> Iterator[list[str]]:
    """What the product's own log says meanwhile, whatever its level is; nothing of it is printed."""
    said: list[str] = []
    handler = _Heals(said)
    loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict if ".batchdrop." in name]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.addHandler(handler)
        each.setLevel(logging.INFO)
        each.propagate = False
    try:
        yield said
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.removeHandler(handler)
            each.setLevel(level)
            each.propagate = True

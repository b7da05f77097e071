"""A unit that fails each time has an end: its job ends FAILED, says where to look, and publishes what was answered.

A table of steps and exceptions: whatever a call raises, whenever it is made, some service or provider fails at it each
time, and for ever.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from batchdrop.errors import AccountRefused, Refused, Transient
from faking.cloud import jsonl
from faking.failing import Failing, FailingApis, Fails, calls, reads, writes
from faking.lines import chat, claude

from faults.outside import Died, Outside
from faults.scenarios import Scenario
from faults.world import World, new_world

pytestmark = pytest.mark.exploration

HOUR = 3_600
ONE = Scenario(name="one split", files=(jsonl([chat("one"), claude("two")]),), splits=1)
TWO = Scenario(name="two splits", files=(jsonl([chat(f"line {number}" * 9) for number in range(4)]),), splits=2)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with new_world(ONE) as made:
        yield made


def begin(world: World, scenario: Scenario = ONE) -> None:
    world.begin(Outside(), scenario)
    world.drop()


def fail(world: World, service: str, fails: Fails, error: BaseException) -> None:
    changed: dict[str, Any] = {service: Failing(getattr(world.services, service), fails, error)}
    world.services = replace(world.services, **changed)


class Ended(NamedTuple):
    state: str
    reason: str
    hours: float
    answered: list[bool]


def go_on(world: World, *, hours: int) -> Ended:
    """Let workers work, fail and die until the job is over, an hour at a time."""
    began = world.clock.now
    while job_of(world).get("state", {}).get("S") not in {"COMPLETED", "FAILED", "CANCELLED"}:
        assert world.clock.now - began <= hours * HOUR, (job_of(world), world.errors[-1:])
        world.deliver_all()
        world.tick(HOUR + 100)
    job = job_of(world)
    answered = [each["error"] is None for each in world.outcome().results]
    took = (world.clock.now - began) / HOUR
    return Ended(job["state"]["S"], job.get("reason", {}).get("S", ""), took, answered)


def job_of(world: World) -> dict[str, Any]:
    return next((row for (_, sk), row in world.aws.table.items.items() if sk == "JOB"), {})


ERRORS = [RuntimeError("mine"), Died()]

BEFORE_PAYMENT = {
    "the file is read": ("files", reads("lines-1.jsonl"), "Plan"),
    "its requests are written": ("files", writes("plan-0"), "Plan"),
    "the batches' rows are added": ("store", calls("add_all"), "Plan"),
    "the job is opened": ("files", writes("opened"), "Sweep"),
}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("title", BEFORE_PAYMENT)
def test_a_job_that_cannot_be_planned_ends_and_says_where_to_look(
    world: World, title: str, error: BaseException
) -> None:
    service, fails, function = BEFORE_PAYMENT[title]
    begin(world)
    world._deliver("intake")  # noqa: SLF001 - the harness' own tests
    fail(world, service, fails, error)
    ended = go_on(world, hours=30)
    assert (ended.state, ended.answered) == ("FAILED", [])
    assert f"6 times in a row: look for {job_of(world)['job']['S']} in the log group of the function {function} " in (
        ended.reason
    )
    assert world.outcome().charged == {}


AT_PROVIDER = {"upload": "Submit", "create": "Submit or Sweep", "retrieve": "Poll", "results": "Collect"}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("method", AT_PROVIDER)
def test_a_batch_that_fails_each_time_ends_its_lines_and_the_rest_is_published(
    world: World, method: str, error: BaseException
) -> None:
    begin(world)
    apis: Any = FailingApis(world.services.apis, method, error)
    world.services = replace(world.services, apis=apis)
    ended = go_on(world, hours=96)
    assert (ended.state, ended.answered) == ("FAILED", [False, True])
    assert f"in the log group of the function {AT_PROVIDER[method]} " in ended.reason
    assert "Batch 00000-0-0000 (openai, gpt-4o-mini, 1 requests) failed" in ended.reason
    assert world.outcome().charged_twice["openai"] == 0


AFTER_PAYMENT = {
    "results are saved": ("files", writes("collected-"), "Collect", [False, False]),
    "answers are put together": ("files", reads("index.jsonl"), "Assemble", []),
    "results are published": ("files", calls("join"), "Publish", []),
    "the manifest is written": ("files", writes("manifest.json"), "Publish", [True, True]),
}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("title", AFTER_PAYMENT)
def test_what_fails_each_time_after_the_payment_ends_the_job(world: World, title: str, error: BaseException) -> None:
    service, fails, function, answered = AFTER_PAYMENT[title]
    begin(world)
    fail(world, service, fails, error)
    ended = go_on(world, hours=72)
    assert (ended.state, ended.answered) == ("FAILED", answered)
    assert f"24 times in a row: look for {job_of(world)['job']['S']} in the log group of the function {function} " in (
        ended.reason
    )
    assert "kept_until" in job_of(world)


@pytest.mark.parametrize("error", [Transient("503"), AccountRefused("401"), Refused(status=403, code=None)])
def test_a_provider_that_does_not_tell_of_a_doubt_for_two_days_ends_no_batch(world: World, error: Exception) -> None:
    begin(world)
    world.simulator.fault("timeout", provider="openai", operation="create")  # it was created
    whole = world.services.apis
    apis: Any = FailingApis(whole, "newest", error)
    world.services = replace(world.services, apis=apis)
    for _ in range(48):
        world.deliver_all()
        world.tick(HOUR + 100)
    world.services = replace(world.services, apis=whole)
    assert go_on(world, hours=24)[::3] == ("COMPLETED", [True, True])


def test_a_job_whose_event_cannot_be_sent_ends_as_its_manifest_says(world: World) -> None:
    begin(world)
    fail(world, "events", calls("job_over"), RuntimeError())
    assert go_on(world, hours=48)[:2] == ("COMPLETED", "")


@pytest.mark.parametrize("error", [Transient("SlowDown"), RuntimeError("a bug")])
def test_a_manifest_that_cannot_be_read_for_once_still_says_how_its_job_ended(world: World, error: Exception) -> None:
    begin(world)
    fail(world, "events", calls("job_over"), RuntimeError())
    reads_of_it: list[str] = []

    def fails(name: str, args: tuple[Any, ...]) -> bool:
        if not reads("manifest.json")(name, args):
            return False
        reads_of_it.append(name)
        return len(reads_of_it) == 2  # the first tells that it is there

    fail(world, "files", fails, error)
    assert go_on(world, hours=72)[:2] == ("COMPLETED", "")
    assert "manifest_key" in job_of(world)
    assert len(reads_of_it) > 2


def test_of_a_split_that_cannot_be_put_together_the_others_are_published(world: World) -> None:
    begin(world, TWO)
    fail(world, "files", lambda name, args: reads("00000/")(name, args) and "index.jsonl" in str(args[0]), KeyError())
    ended = go_on(world, hours=48)
    assert (ended.state, set(ended.answered)) == ("FAILED", {True})
    assert ended.reason.startswith("Split 0 of the file (bytes 0 to ")
    assert [key for key in world.aws.objects if "collected-" in key]  # what was answered for it is kept


def test_a_late_event_that_cannot_be_sent_stops_no_job(world: World) -> None:
    begin(
        world, replace(ONE, name="late", metadata={"batchdrop-expected-by": "1m"}, later={"seconds_to_complete": 4e4})
    )
    fail(world, "events", calls("job_late"), RuntimeError())
    assert go_on(world, hours=72).state == "COMPLETED"


def test_a_cancel_ends_a_job_whose_plan_never_ends(world: World) -> None:
    begin(world)
    fail(world, "files", reads("lines-1.jsonl"), RuntimeError())
    world._deliver("intake")  # noqa: SLF001 - the harness' own tests
    world._deliver("plan")  # noqa: SLF001 - it fails
    world.cancel()
    ended = go_on(world, hours=6)
    assert ended[:2] == ("CANCELLED", "It was cancelled before its file could be read: nothing was sent.")


@pytest.mark.parametrize("service", ["files", "queues", "apis"])
def test_a_cancel_ends_a_job_although_its_own_work_fails_each_time(world: World, service: str) -> None:
    begin(world)
    world._deliver("intake")  # noqa: SLF001 - the harness' own tests
    world._deliver("plan")  # noqa: SLF001 - the harness' own tests
    world.cancel()
    fail(
        world,
        service,
        lambda name, _: name not in {"publish", "put_first", "put_first_version", "head", "get", "after"},
        RuntimeError(),
    )
    assert go_on(world, hours=96).state in {"FAILED", "CANCELLED"}

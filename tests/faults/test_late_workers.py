"""Named after what each of them once left behind."""

from collections.abc import Iterator

import pytest
from faking.cloud import Cloud

from faults.aws import Message
from faults.outside import Fault, Outside, is_create
from faults.points import Point, Whole, undisturbed, violations
from faults.scenarios import HURRIED, MAIN, PAUSED, RESTORED, Scenario
from faults.world import STEPS, World, new_world

pytestmark = pytest.mark.exploration


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with new_world() as made:
        yield made


@pytest.fixture(scope="module")
def whole(world: World) -> Whole:
    return undisturbed(world)


def at(call: str, fault: Fault, calls: list[str], *, nth: int = 1, scenario: Scenario = MAIN) -> Point:
    """The point of the first call whose name holds this text, or of a later one."""
    found = [number for number, name in enumerate(calls, start=1) if call in name]
    return Point(((found[nth - 1], fault),), scenario, name=call)


@pytest.mark.parametrize("fault", [Fault.SLEEPS, Fault.SLEEPS_FOR_HOURS])
@pytest.mark.parametrize(
    "call", ["index.jsonl", "opened.json", "raw-0.jsonl", "plan-1.json", "results-00000.jsonl", "part.json"]
)
def test_a_worker_that_wakes_up_too_late_ends_quietly_and_leaves_nothing(
    world: World, whole: Whole, call: str, fault: Fault
) -> None:
    assert violations(at(f"/{call}", fault, whole.calls), whole.outcome, world) == []


@pytest.mark.parametrize("fault", [Fault.DIES_AFTER, Fault.DIES_AFTER_FOR_GOOD, Fault.SLEEPS_FOR_HOURS])
def test_a_request_file_that_no_batch_knows_is_deleted(world: World, whole: Whole, fault: Fault) -> None:
    assert violations(at("POST /openai/v1/files", fault, whole.calls), whole.outcome, world) == []


def test_a_batch_that_is_collected_after_its_row_is_gone_is_no_error(world: World, whole: Whole) -> None:
    assert violations(at("DELETE /anthropic", Fault.SLEEPS_FOR_HOURS, whole.calls), whole.outcome, world) == []


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_collector_that_wakes_up_too_late_pauses_no_provider(world: World, nth: int) -> None:
    whole = undisturbed(world, PAUSED)
    point = at("/raw-0.jsonl", Fault.SLEEPS_FOR_HOURS, whole.calls, nth=nth, scenario=PAUSED)
    assert violations(point, whole.outcome, world) == []


@pytest.mark.parametrize(
    ("calls_later", "fault"),
    [(1, Fault.SLEEPS_FOR_HOURS), (2, Fault.DIES_BEFORE_FOR_GOOD)],
    ids=["a create's outcome is written late", "nothing is done after it was written"],
)
def test_no_pause_stays_whose_provider_takes_batches(world: World, calls_later: int, fault: Fault) -> None:
    whole = undisturbed(world, PAUSED)
    creates = [number for number, name in enumerate(whole.calls, start=1) if is_create(name)]
    points = [Point(((number + calls_later, fault),), PAUSED) for number in creates]
    assert {str(each): violations(each, whole.outcome, world) for each in points} == {str(each): [] for each in points}


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        ("POST /openai/v1/files", Fault.DIES_AFTER_FOR_GOOD),  # an upload that no row names
        ("/collected-00000-0-0001-8/index", Fault.EVERY_REPLY_LOST),  # a batch whose results are copied
    ],
)
def test_what_the_provider_keeps_of_before_a_restore_is_deleted(world: World, call: str, fault: Fault) -> None:
    whole = undisturbed(world, RESTORED)
    assert violations(at(call, fault, whole.calls, scenario=RESTORED), whole.outcome, world) == []


def test_an_intake_that_wakes_up_when_its_job_is_over_leaves_no_splits(world: World, whole: Whole) -> None:
    rows = at("dynamodb.TransactWriteItems", Fault.SLEEPS_FOR_HOURS, whole.calls, nth=2)  # behind the job's own
    assert violations(rows, whole.outcome, world) == []


def test_request_files_of_others_and_of_batches_under_way_stay(
    cloud: Cloud, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("files") / "requests.jsonl"
    path.write_bytes(b"{}\n")
    api = cloud.services.apis["openai"]
    names = ["mine.jsonl", "batchdrop_other_20270115T080000Z-e84e9a932c_00000-0-0000_3.jsonl"]
    foreign = [api.upload(path, name=name) for name in names]
    ours = api.upload(path, name="batchdrop_test_20270115T080000Z-e84e9a932c_00000-0-0000_3.jsonl")
    cloud.tick(60)
    assert {each.id for each in api.uploads()} == {
        *foreign,
        ours,
    }  # it is young: its worker may be about to record it
    cloud.tick(3_600)
    assert {each.id for each in api.uploads()} == set(foreign)


@pytest.mark.parametrize("fault", [Fault.SLEEPS, Fault.SLEEPS_FOR_HOURS])
@pytest.mark.parametrize("call", ["PutEvents", "/manifest.json"])
def test_a_publisher_that_wakes_up_too_late_ends_quietly(world: World, whole: Whole, call: str, fault: Fault) -> None:
    assert violations(at(call, fault, whole.calls), whole.outcome, world) == []


@pytest.mark.parametrize("fault", [Fault.SLEEPS, Fault.TWICE])
def test_a_planner_that_wakes_up_too_late_leaves_the_first_plan(world: World, whole: Whole, fault: Fault) -> None:
    written = [
        number
        for number, name in enumerate(whole.calls, start=1)
        if name.startswith("s3.PutObject") and name.endswith("/plan-0.json")
    ]
    for number in written:
        assert violations(Point(((number, fault),)), whole.outcome, world) == []


@pytest.mark.parametrize("step", STEPS[1:])
def test_a_step_whose_message_is_lost_is_done_all_the_same(world: World, whole: Whole, step: str) -> None:
    scenario = HURRIED if step == "finish" else MAIN
    wanted = undisturbed(world, HURRIED).outcome if step == "finish" else whole.outcome
    world.begin(Outside(), scenario)
    lost: set[str] = set()

    def arrives(of: str, _message: Message) -> float | None:
        if of != step or of in lost:
            return 0
        lost.add(of)
        return None

    world.arrives = arrives
    world.run()
    assert lost == {step}
    assert (world.errors, world.left_over()) == ([], [])
    assert world.outcome() == wanted

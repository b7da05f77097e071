"""A restored table does not know what was sent since: nothing is sent before `reconcile` has looked, and then once."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from batchdrop.aws.store import Store
from batchdrop.errors import Missing
from batchdrop.jobs import ask_to_cancel
from batchdrop.providers.interface import ProviderBatch, ProviderFile
from batchdrop.states import BatchState
from batchdrop.steps.reconcile import TokenReader
from faking.cloud import BUCKET, TABLE, Cloud, jsonl
from faking.dynamodb import TableClient
from faking.lines import chat, claude, got, wanted
from faking.restoring import Rows, reconcile, restore, save_rows

LINES = [line(str(number)) for number in range(5) for line in (chat, claude)]
HOUR = 3_600


def settle(cloud: Cloud) -> None:
    cloud.settle(rounds=300, tick=900)


def paid(cloud: Cloud) -> dict[str, tuple[int, int]]:
    """For each provider: how many requests were charged, and how many bodies more than once."""
    charges = cloud.simulator.charges()
    return {
        name: (each["requests"], each["bodies_charged_more_than_once"])
        for name, each in charges.items()
        if name in {"openai", "anthropic"}
    }


def no_rows(_cloud: Cloud) -> None:
    """The table is older than the drop."""


def drop(cloud: Cloud) -> None:
    cloud.drop("input/x.jsonl", jsonl(LINES))


def plan(cloud: Cloud) -> None:
    drop(cloud)
    while cloud.deliver("plan"):
        pass


def send_one(cloud: Cloud) -> None:
    plan(cloud)
    (first, _) = cloud.services.store.batches(cloud.jobs()[0].id)
    cloud.call("submit", {"job": first.job, "batch": first.id})


def send(cloud: Cloud) -> None:
    plan(cloud)
    cloud.deliver_all()


def collect_one(cloud: Cloud) -> None:
    """OpenAI's batch is collected, and deleted there; Anthropic's has not ended."""
    collect_all_but("anthropic", cloud)


def collect_claude(cloud: Cloud) -> None:
    """Anthropic's batch is collected, and deleted there; OpenAI's has not ended."""
    collect_all_but("openai", cloud)


def collect_all_but(provider: str, cloud: Cloud) -> None:
    cloud.simulator.shape(provider=provider, seconds_to_complete=6 * HOUR)
    send(cloud)
    go_on(cloud, ticks=10)


def go_on(cloud: Cloud, *, ticks: int) -> None:
    for _ in range(ticks):
        cloud.tick()
        cloud.deliver_all()


def finish(cloud: Cloud) -> None:
    drop(cloud)
    settle(cloud)


POINTS: list[Callable[[Cloud], None]] = [no_rows, drop, plan, send_one, send, collect_one, finish]


def run_twice(saved_at: Callable[[Cloud], None], lost_at: Callable[[Cloud], None], cloud: Cloud) -> Rows:
    """The rows as they are when one point is reached; the other one is reached then."""
    rows: list[Rows] = []
    drop_once, taken = cloud.drop, []

    def drop_once_only(key: str, body: bytes, **metadata: str) -> str | None:
        if not taken:
            taken.append(drop_once(key, body, **metadata))
        return taken[0]

    cloud.drop = drop_once_only  # type: ignore[method-assign]
    saved_at(cloud)
    rows.append(save_rows(cloud))
    lost_at(cloud)
    return rows[0]


SAME = [
    (no_rows, send),
    (no_rows, collect_one),
    (no_rows, finish),
    (drop, collect_one),
    (plan, send_one),
    (plan, collect_one),
    (plan, finish),
    (send_one, send),
    (send, collect_one),
    (send, finish),
    (collect_one, finish),
    (plan, collect_claude),
]


@pytest.mark.parametrize(
    ("saved_at", "lost_at", "deployment"),
    [*((first, last, "test") for first, last in SAME), (plan, send, "another"), (collect_one, collect_one, "another")],
    ids=lambda given: getattr(given, "__name__", given),
)
def test_nothing_is_paid_twice_and_no_line_is_lost(
    cloud: Cloud, saved_at: Callable[[Cloud], None], lost_at: Callable[[Cloud], None], deployment: str
) -> None:
    rows = run_twice(saved_at, lost_at, cloud)
    restore(cloud, rows, deployment=deployment)
    reconcile(cloud)
    settle(cloud)
    assert [[got(result) for result in cloud.outcome(job.id).results] for job in cloud.jobs()] == [
        [wanted(line) for line in LINES]
    ]
    assert paid(cloud) == dict.fromkeys(("openai", "anthropic"), (5, 0))


def whole(cloud: Cloud, lines: list[Any]) -> None:
    """The one job that there is has every answer, and nothing was paid twice."""
    settle(cloud)
    (job,) = cloud.jobs()
    assert [got(result) for result in cloud.outcome(job.id).results] == [wanted(line) for line in lines]
    assert [twice for _, twice in paid(cloud).values()] == [0, 0]


@pytest.mark.parametrize("is_collected", [False, True])
@pytest.mark.parametrize("saved_at", [no_rows, plan])
def test_a_later_round_that_was_sent_since_is_not_sent_again(
    cloud: Cloud, saved_at: Callable[[Cloud], None], *, is_collected: bool
) -> None:
    for provider in ("openai", "anthropic"):
        cloud.simulator.shape(provider=provider, times=1, failing=[{"match": "0", "status": 500}])
    rows = run_twice(saved_at, plan, cloud)
    cloud.simulator.shape(seconds_to_complete=600)
    cloud.deliver_all()
    go_on(cloud, ticks=9)
    cloud.simulator.shape(provider="anthropic", seconds_to_complete=6 * HOUR)  # so that the job is not over
    go_on(cloud, ticks=14 if is_collected else 2)
    later = [each for each in cloud.services.store.batches(cloud.jobs()[0].id) if each.round == 1]
    assert {each.provider: each.state for each in later} == {
        "anthropic": BatchState.IN_FLIGHT,
        "openai": BatchState.COLLECTED if is_collected else BatchState.IN_FLIGHT,
    }
    restore(cloud, rows)
    reconcile(cloud)
    whole(cloud, LINES)


@pytest.mark.parametrize("is_collected", [False, True])
def test_a_batch_that_was_cut_into_smaller_ones_since_is_not_sent_whole(cloud: Cloud, *, is_collected: bool) -> None:
    cloud.simulator.limits(openai_upload_bytes=500, anthropic_bytes=500)
    rows = run_twice(plan, plan, cloud)
    cloud.simulator.shape(seconds_to_complete=600 if is_collected else 6 * HOUR)
    cloud.deliver_all()
    for _ in range(9):  # the last of them is collected, or none is
        cloud.tick()
        cloud.deliver_all()
    assert len(list(cloud.services.store.batches(cloud.jobs()[0].id))) > 2
    cloud.simulator.limits(openai_upload_bytes=200_000_000, anthropic_bytes=250_000_000)
    restore(cloud, rows)
    reconcile(cloud)
    whole(cloud, LINES)


def test_a_plan_of_before_the_restore_is_read_and_not_written_once_more(cloud: Cloud) -> None:
    rows = run_twice(drop, plan, cloud)
    written = cloud.s3.list_object_versions(Bucket=BUCKET, Prefix="work/")["Versions"]
    restore(cloud, rows)
    cloud.call("plan", {"job": cloud.jobs()[0].id, "split": 0})
    assert cloud.s3.list_object_versions(Bucket=BUCKET, Prefix="work/")["Versions"] == written


def test_nothing_is_sent_before_somebody_asks_and_an_alarm_tells(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = run_twice(plan, send, cloud)
    before = cloud.simulator.charges()
    restore(cloud, rows)
    for _ in range(20):
        cloud.tick(HOUR)
        cloud.deliver_all()
    after = cloud.simulator.charges()
    assert [after[name]["calls"]["create"] for name in paid(cloud)] == [
        before[name]["calls"]["create"] for name in paid(cloud)
    ]
    assert {batch.state for batch in cloud.services.store.batches(cloud.jobs()[0].id)} == {BatchState.WAITING}
    assert "TablesHeld" in capsys.readouterr().out


def test_a_table_that_was_never_restored_is_not_held(cloud: Cloud) -> None:
    assert not cloud.services.store.restores.current("test").is_held
    cloud.clock.now += 90
    again = Store(TableClient(cloud.table), TABLE, now=cloud.clock.seconds)
    assert not again.restores.current("test").is_held
    assert again.restores.ask().asked_at == 0


def test_a_table_of_another_deployment_is_held_until_it_is_reconciled_and_then_by_the_other(cloud: Cloud) -> None:
    finish(cloud)
    restore(cloud, save_rows(cloud), deployment="another")
    cloud.tick()
    assert cloud.services.store.restores.current("another").is_held
    reconcile(cloud)
    cloud.clock.now += 90
    held = [cloud.services.store.restores.current(name).is_held for name in ("another", "test", "another")]
    assert (held[0], held[2]) == (False, False)
    first = Store(TableClient(cloud.table), TABLE, now=cloud.clock.seconds)
    assert first.restores.current("test").is_held


def test_only_the_provider_whose_batches_live_is_held(cloud: Cloud) -> None:
    cloud.simulator.shape(provider="anthropic", seconds_to_complete=6 * HOUR)
    rows = run_twice(plan, send, cloud)
    restore(cloud, rows)
    cloud.tick()
    cloud.services.store.restores.ask()
    cloud.tick(HOUR)
    now = cloud.services.store.restores.read()
    assert [now.holds(name) for name in ("openai", "anthropic")] == [False, True]
    assert now.providers["anthropic"].reason == "1 of its batches do not show whose they are before they end"
    reconcile(cloud)
    whole(cloud, LINES)


def test_a_provider_that_cannot_be_listed_is_held_until_it_can(cloud: Cloud) -> None:
    rows = run_twice(plan, send, cloud)
    restore(cloud, rows)
    cloud.simulator.fault("status", provider="openai", operation="list", code=404, times=None)
    cloud.tick()
    cloud.services.store.restores.ask()
    for _ in range(5):
        cloud.tick(HOUR)
    now = cloud.services.store.restores.read()
    assert (now.holds("openai"), now.providers["openai"].reason) == (True, "it cannot be listed (Missing)")
    cloud.simulator.clear_faults()
    reconcile(cloud)
    whole(cloud, LINES)


def test_a_create_in_doubt_is_not_settled_by_counts_while_the_table_is_held(cloud: Cloud) -> None:
    """Another batch of its size, which the table does not know, would be taken for it."""
    cloud.simulator.fault("connection_reset", provider="anthropic", operation="create")
    first = cloud.drop("input/first.jsonl", jsonl([claude("first")]))
    cloud.deliver_all()
    rows = save_rows(cloud)
    assert [batch.state for batch in cloud.services.store.batches(str(first))] == [BatchState.SUBMITTING]
    settle(cloud)
    cloud.simulator.shape(provider="anthropic", seconds_to_complete=6 * HOUR)
    second = cloud.drop("input/second.jsonl", jsonl([claude("second")]))
    cloud.deliver_all()
    restore(cloud, rows)
    for _ in range(5):  # until the doubt is looked at again
        cloud.tick(5 * 60)
    reconcile(cloud)
    settle(cloud)
    results = {job: [got(result) for result in cloud.outcome(str(job)).results] for job in (first, second)}
    assert results == {first: [wanted(claude("first"))], second: [wanted(claude("second"))]}
    assert paid(cloud)["anthropic"] == (2, 0)


def test_request_files_of_batches_that_the_table_does_not_know_are_not_deleted(cloud: Cloud) -> None:
    cloud.simulator.shape(provider="openai", seconds_to_complete=12 * HOUR)
    rows = run_twice(plan, send, cloud)
    restore(cloud, rows)
    for _ in range(3):
        cloud.tick(HOUR)
    assert cloud.simulator.charges()["openai"]["files"] == 1
    reconcile(cloud)
    whole(cloud, LINES)


def test_nothing_is_given_up_while_the_table_is_held(cloud: Cloud) -> None:
    cloud.simulator.shape(provider="openai", seconds_to_complete=6 * HOUR)
    rows = run_twice(send, collect_claude, cloud)
    cloud.clock.now += 5 * 24 * HOUR
    restore(cloud, rows)
    for _ in range(4):
        cloud.tick(HOUR)
        cloud.deliver_all()
    reconcile(cloud)
    whole(cloud, LINES)


def test_a_job_that_is_being_cancelled_keeps_what_was_sent_since(cloud: Cloud) -> None:
    rows = run_twice(plan, send, cloud)
    restore(cloud, rows)
    (job,) = cloud.jobs()
    ask_to_cancel(job.id, cloud.services.store, now=cloud.clock.seconds())
    for _ in range(3):
        cloud.tick(HOUR)
        cloud.deliver_all()
    reconcile(cloud)
    whole(cloud, LINES)


def test_a_table_that_is_restored_once_more_is_held_once_more(cloud: Cloud) -> None:
    rows = run_twice(plan, send, cloud)
    restore(cloud, rows)
    reconcile(cloud)
    restore(cloud, rows)
    assert cloud.services.store.restores.current("test").asked_at == 0
    reconcile(cloud)
    whole(cloud, LINES)


class FakeApi:
    """A server that speaks OpenAI's protocol and keeps no metadata: uploads by id, results by name."""

    needs_upload = True

    def __init__(self, uploads: dict[str, str], results: dict[str, bytes]) -> None:
        self._uploads, self._results = uploads, results

    def uploads(self) -> Iterator[ProviderFile]:
        return (ProviderFile(id=each, name=name, created_at=0) for each, name in self._uploads.items())

    def results(self, batch: ProviderBatch) -> list[str]:
        return [each for each in (batch.output_file_id, batch.error_file_id) if each]

    def stream(self, name: str) -> Iterator[bytes]:
        if name not in self._results:
            raise Missing(name)
        return iter([self._results[name]])


OURS, THEIRS = "0123456789ab-00112233445566aa-7", "request-1"


@pytest.mark.parametrize(
    ("found", "token"),
    [
        (ProviderBatch(id="b", ended_as=None, metadata={"token": "t"}), "t"),
        (ProviderBatch(id="b", ended_as=None, metadata={"team": "search"}), ""),
        (ProviderBatch(id="b", ended_as=None, input_file_id="ours"), None),
        (ProviderBatch(id="b", ended_as=None, input_file_id="theirs"), ""),
        (ProviderBatch(id="b", ended_as=None, input_file_id="deleted"), None),
        (ProviderBatch(id="b", ended_as="completed", output_file_id="ours"), "00112233445566aa"),
        (ProviderBatch(id="b", ended_as="completed", output_file_id="theirs"), ""),
        (ProviderBatch(id="b", ended_as="completed", output_file_id="gone", error_file_id="ours"), "00112233445566aa"),
        (ProviderBatch(id="b", ended_as="completed", output_file_id="gone"), ""),
    ],
)
def test_whose_a_batch_is_tell_its_metadata_its_upload_or_its_results(found: ProviderBatch, token: str | None) -> None:
    results = {
        name: json.dumps({"id": "r", "custom_id": each}).encode() for name, each in (("ours", OURS), ("theirs", THEIRS))
    }
    api = FakeApi({"ours": "batchdrop_x_j_b_1.jsonl", "theirs": "mine.jsonl"}, results)
    assert TokenReader(api).token(found) == token  # type: ignore[arg-type]  # a stand-in by shape

"""Failures count in a row: what worked between two of them, and a death that was another's, end the count."""

from dataclasses import replace
from typing import Any

import pytest
from batchdrop.records import Batch
from batchdrop.states import TERMINAL_JOBS, BatchState
from batchdrop.steps.submit import submit_batch
from batchdrop.worker import Careful
from faking.cloud import Cloud, jsonl
from faking.failing import Failing, writes
from faking.lines import chat, claude, got, wanted

LEASE = 120  # seconds, of a run
LINES = pytest.mark.parametrize(("line", "provider"), [(chat, "openai"), (claude, "anthropic")])


def test_a_death_is_counted_once_however_many_runs_die_elsewhere_after_it(cloud: Cloud) -> None:
    job = str(cloud.drop("input/x.jsonl", jsonl([chat("one")])))
    store = cloud.services.store
    counted = []
    for run in range(6):
        cloud.clock.now += LEASE
        lease = store.leases.take("sweep", LEASE)
        assert lease is not None
        counted.append(Careful(lease, cloud.services).count_death())
        if run == 1:
            store.leases.note_work(lease, job, "JOB")  # it dies of the job; the others die before they begin a unit
    found = store.job(job)
    assert found is not None
    assert (counted, found.failures) == ([0, 0, 1, 0, 0, 0], 1)


def batch_of(cloud: Cloud, job: str | None) -> Batch:
    (batch,) = cloud.services.store.batches(str(job))
    return batch


def that_failed(cloud: Cloud, batch: Batch, times: int = 3) -> Batch:
    """The same batch, whose last tries failed."""
    return cloud.services.store.release(batch, cloud.clock.seconds(), failures=times)


def admitted(cloud: Cloud, line: Any) -> Batch:
    """A batch that is about to be submitted, and failed three times."""
    job = cloud.drop("input/x.jsonl", jsonl([line("one")]))
    cloud.deliver("plan")
    return that_failed(cloud, batch_of(cloud, job))


def after_submit(cloud: Cloud, batch: Batch) -> tuple[BatchState, int]:
    submit_batch(batch.job, batch.id, cloud.services)
    found = batch_of(cloud, batch.job)
    return found.state, found.failures


@LINES
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"code": 401}, id="the account is refused"),
        pytest.param({"code": 400, "message": "Not today."}, id="the batch is refused"),
        pytest.param({"code": 404}, id="there is no such call"),
        pytest.param({"code": 429, "retry_after": 0}, id="there is no room"),
    ],
)
def test_a_deferral_after_an_answer_of_the_provider_ends_the_count(
    cloud: Cloud, line: Any, provider: str, fault: dict[str, Any]
) -> None:
    cloud.simulator.fault("status", provider=provider, operation="create", times=None, **fault)
    assert after_submit(cloud, admitted(cloud, line)) == (BatchState.WAITING, 0)


def test_a_claim_that_is_given_back_ends_the_count(cloud: Cloud) -> None:
    cloud.simulator.fault("connection_reset", provider="openai", operation="create")
    assert after_submit(cloud, admitted(cloud, chat)) == (BatchState.SUBMITTING, 0)


def test_a_deferral_without_an_answer_ends_the_count(cloud: Cloud) -> None:
    cloud.simulator.fault("status", provider="openai", operation="upload", code=503, times=None)
    assert after_submit(cloud, admitted(cloud, chat)) == (BatchState.WAITING, 0)


def test_a_batch_that_was_held_back_goes_on_counting(cloud: Cloud) -> None:
    batch = admitted(cloud, chat)
    cloud.services.store.providers.set_pause("openai", "no credit", cloud.clock.seconds() + 300)
    assert after_submit(cloud, batch) == (BatchState.WAITING, 3)


@pytest.mark.parametrize("is_paused", [False, True])
@pytest.mark.parametrize("hops", [0, 1_000])
def test_a_batch_whose_number_is_taken_goes_on_counting(cloud: Cloud, *, is_paused: bool, hops: int) -> None:
    cloud.simulator.fault("reply_lost", provider="anthropic", operation="create")
    cloud.drop("input/first.jsonl", jsonl([claude("one")]))
    cloud.deliver_all()
    batch = admitted(cloud, claude)
    if is_paused:
        cloud.services.store.providers.set_pause("anthropic", "no credit", cloud.clock.seconds() + 300)
    cloud.services = cloud.services.after(hops)
    state = BatchState.WAITING if is_paused else BatchState.ADMITTED
    assert after_submit(cloud, batch) == (state, 3)


@LINES
def test_looks_at_a_create_in_doubt_neither_fail_nor_end_the_count(cloud: Cloud, line: Any, provider: str) -> None:
    """Otherwise a create whose worker dies each time would be tried for ever: the looks in between succeed."""
    cloud.simulator.fault("connection_reset", provider=provider, operation="create")
    cloud.simulator.fault("status", provider=provider, operation="list", code=500, times=2)
    batch = admitted(cloud, line)
    assert after_submit(cloud, batch)[0] is BatchState.SUBMITTING
    that_failed(cloud, batch_of(cloud, batch.job))
    seen = set()
    for _ in range(20):
        cloud.tick(300)
        seen.add((batch_of(cloud, batch.job).state, batch_of(cloud, batch.job).failures))
        if (BatchState.WAITING, 3) in seen:
            break
    assert seen == {(BatchState.SUBMITTING, 3), (BatchState.WAITING, 3)}


def test_a_worker_that_dies_once_a_day_ends_no_batch(cloud: Cloud) -> None:
    cloud.simulator.fault("status", provider="openai", operation="create", code=429, times=None, retry_after=0)
    job = cloud.drop("input/x.jsonl", jsonl([chat("one")]))
    cloud.deliver("plan")
    for _ in range(8):
        assert batch_of(cloud, job).state is BatchState.ADMITTED
        cloud.services.store.claim(batch_of(cloud, job), 900)  # a worker that never comes back
        cloud.tick(1_000)
        cloud.deliver_all()
        assert batch_of(cloud, job).state is BatchState.WAITING
        cloud.tick(86_000)
    cloud.simulator.clear_faults()
    cloud.settle()
    assert [got(result) for result in cloud.outcome(str(job)).results] == [wanted(chat("one"))]


def test_a_batch_whose_cutting_fails_each_time_ends(cloud: Cloud) -> None:
    cloud.simulator.fault("status", provider="openai", operation="create", code=413, times=None)
    job = cloud.drop("input/x.jsonl", jsonl([chat("one"), chat("two")]))
    files: Any = Failing(cloud.services.files, writes("/replace"), RuntimeError())
    cloud.services = replace(cloud.services, files=files)
    for _ in range(40):
        found = cloud.services.store.job(str(job))
        assert found is not None
        if found.state in TERMINAL_JOBS:
            break
        for _ in range(4):
            try:
                cloud.deliver_all()
            except RuntimeError:
                continue
        cloud.tick(1_000)
    codes = [result["error"]["code"] for result in cloud.outcome(str(job)).results]
    assert codes == ["submit_failed"] * 2


def test_addresses_without_the_call_count_in_a_row(cloud: Cloud) -> None:
    full = {"code": 400, "error_code": "token_limit_exceeded", "message": "Enqueued token limit reached."}
    for fault in ({"code": 404, "times": 7}, {**full, "times": 1}, {"code": 404, "times": 7}):
        cloud.simulator.fault("status", provider="openai", operation="create", **fault)
    job = cloud.drop("input/x.jsonl", jsonl([chat("one")]))
    cloud.settle(tick=1_800)
    assert [got(result) for result in cloud.outcome(str(job)).results] == [wanted(chat("one"))]

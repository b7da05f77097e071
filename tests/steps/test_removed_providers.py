"""A provider that is taken out of providers.toml while it has work: that waits, and nothing else does."""

import pytest
from batchdrop.providers.config import Providers
from batchdrop.states import BatchState
from faking.cloud import Cloud, jsonl
from faking.lines import chat, claude, got, wanted

WHY = "provider {} is not in providers.toml any more: put it back until its jobs are done"
LINES = {"openai": [chat("one"), chat("two")], "anthropic": [claude("one"), claude("two")]}
OTHER = {"openai": "anthropic", "anthropic": "openai"}


def batch_in(state: BatchState, provider: str, cloud: Cloud) -> str:
    """A job whose one batch is in this state, its message on the way."""
    if state is BatchState.SUBMITTING:
        cloud.simulator.fault("reply_lost", provider=provider, operation="create")
    job = cloud.drop(f"input/{provider}.jsonl", jsonl(LINES[provider]))
    assert job is not None
    cloud.deliver("plan")
    while (found := {each.state for each in cloud.services.store.batches(job)}) != {state}:
        if found == {BatchState.ADMITTED}:
            cloud.deliver("submit")
        elif found == {BatchState.ENDED}:
            cloud.deliver("collect")
        else:
            cloud.tick()
    return job


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize(
    ("state", "is_told"),
    [
        (BatchState.ADMITTED, True),
        (BatchState.SUBMITTING, True),
        (BatchState.IN_FLIGHT, False),
        (BatchState.ENDED, True),
        (BatchState.COLLECTED, False),
    ],
)
def test_its_work_waits_until_it_is_back_and_nothing_else_does(
    provider: str,
    state: BatchState,
    is_told: bool,  # noqa: FBT001 - a table
    cloud: Cloud,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = cloud.services.providers
    job = batch_in(state, provider, cloud)
    cloud.configure(Providers({name: each for name, each in whole.items() if name != provider}))
    other = cloud.drop("input/other.jsonl", jsonl(LINES[OTHER[provider]]))
    assert other is not None
    for _ in range(30):
        cloud.deliver_all()
        cloud.tick()
    assert [got(result) for result in cloud.outcome(other).results] == [wanted(line) for line in LINES[OTHER[provider]]]
    paused = [event["detail"]["reason"] for event in cloud.events() if event["detail-type"] == "Provider Paused"]
    assert paused == [WHY.format(provider)] * is_told
    assert "UnitsFailed" not in capsys.readouterr().out
    cloud.configure(whole)
    cloud.settle()
    assert [got(result) for result in cloud.outcome(job).results] == [wanted(line) for line in LINES[provider]]
    assert cloud.simulator.charges()[provider]["batches"] == 1


def test_a_job_whose_provider_never_comes_back_ends_by_its_greatest_age(cloud: Cloud) -> None:
    job = batch_in(BatchState.SUBMITTING, "anthropic", cloud)
    whole = cloud.services.providers
    cloud.configure(Providers({"openai": whole["openai"]}))
    cloud.settle(rounds=200, tick=6 * 3_600)
    assert [result["error"]["code"] for result in cloud.outcome(job).results] == ["provider_stuck"] * 2


def test_what_is_to_be_sent_again_to_it_waits_too(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    whole = cloud.services.providers
    cloud.simulator.shape(provider="anthropic", failing={"match": "one", "status": 503}, times=1)
    cloud.simulator.shape(provider="openai", seconds_to_complete=3 * 3_600)
    lines = [chat("one"), claude("one")]
    job = cloud.drop("input/x.jsonl", jsonl(lines))
    assert job is not None
    while BatchState.COLLECTED not in {each.state for each in cloud.services.store.batches(job)}:
        cloud.deliver_all()
        cloud.tick()
    cloud.configure(Providers({"openai": whole["openai"]}))
    for _ in range(60):
        cloud.deliver_all()
        cloud.tick(300)
    paused = [event["detail"]["reason"] for event in cloud.events() if event["detail-type"] == "Provider Paused"]
    assert paused == [WHY.format("anthropic")]
    assert "UnitsFailed" not in capsys.readouterr().out
    cloud.configure(whole)
    cloud.settle()
    assert [got(result) for result in cloud.outcome(job).results] == [wanted(line) for line in lines]

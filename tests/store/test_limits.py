"""A batch is admitted within the provider's limits as they are now."""

from dataclasses import replace

import msgspec
from batchdrop.admit import admit_batches
from batchdrop.providers.config import Limits, Providers
from batchdrop.states import BatchState
from faking.cloud import Cloud


def lower_limits(cloud: Cloud, limits: Limits) -> None:
    providers = {name: msgspec.structs.replace(each, limits=limits) for name, each in cloud.services.providers.items()}
    cloud.services = replace(cloud.services, providers=Providers(providers))


def test_a_limit_that_was_lowered_after_planning_lets_the_batch_go_alone(cloud: Cloud) -> None:
    store = cloud.services.store
    store.set_pause("openai", "so that nothing is admitted yet", cloud.clock.seconds() + 60)
    line = {"model": "gpt-4o", "messages": [{"role": "user", "content": "word " * 200}]}
    job = cloud.drop("input/a.jsonl", msgspec.json.encode(line) + b"\n" + msgspec.json.encode(line) + b"\n")
    assert job is not None
    cloud.deliver("plan")
    (waiting,) = store.batches(job)
    assert (waiting.state, waiting.cost > 100) == (BatchState.WAITING, True)

    lower_limits(cloud, Limits(enqueued_tokens=100))
    cloud.clock.now += 60
    assert [admit_batches("openai", cloud.services) for _ in range(2)] == [1, 0]
    (admitted,) = store.batches(job)
    assert (admitted.state, admitted.cost, store.ledger(waiting.ledger).reserved) == (BatchState.ADMITTED, 100, 100)

    cloud.settle()
    assert (cloud.outcome(job).manifest.status, store.ledger(waiting.ledger).reserved) == ("COMPLETED", 0)

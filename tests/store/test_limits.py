"""A batch is admitted within the provider's limits as they are now."""

from dataclasses import replace

import msgspec
from batchdrop.limits.admission import admit_batches
from batchdrop.providers.config import Providers
from batchdrop.providers.limits import Limits
from batchdrop.states import BatchState
from faking.cloud import Cloud


def lower_limits(cloud: Cloud, limits: Limits) -> None:
    providers = {name: msgspec.structs.replace(each, limits=limits) for name, each in cloud.services.providers.items()}
    cloud.services = replace(cloud.services, providers=Providers(providers))


def test_a_limit_that_was_lowered_after_planning_lets_requests_go_one_by_one(cloud: Cloud) -> None:
    store = cloud.services.store
    store.providers.set_pause("openai", "so that nothing is admitted yet", cloud.clock.seconds() + 60)
    line = {"model": "gpt-4o", "messages": [{"role": "user", "content": "word " * 200}]}
    job = cloud.drop("input/a.jsonl", msgspec.json.encode(line) + b"\n" + msgspec.json.encode(line) + b"\n")
    assert job is not None
    cloud.deliver("plan")
    (waiting,) = store.batches(job)
    assert (waiting.state, waiting.cost > 100) == (BatchState.WAITING, True)

    lower_limits(cloud, Limits(enqueued_tokens=100))
    cloud.clock.now += 60
    assert admit_batches("openai", cloud.services) == 0
    cloud.deliver("submit")  # it is too large by now: two smaller ones replace it
    replaced, *smaller = store.batches(job)
    assert (replaced.state, sorted(each.state for each in smaller)) == (BatchState.REPLACED, ["ADMITTED", "WAITING"])
    (admitted,) = (each for each in smaller if each.state is BatchState.ADMITTED)
    assert (admitted.requests, admitted.cost, store.providers.ledger(waiting.ledger).reserved) == (1, 100, 100)

    cloud.settle()
    assert (cloud.outcome(job).manifest.status, store.providers.ledger(waiting.ledger).reserved) == ("COMPLETED", 0)

"""What is left of a chain of messages that is as long as may be is sweep's: soon, and in a chain of its own."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from batchdrop.aws.queues import HOPS, MOST_HOPS
from batchdrop.limits.admission import admit_batches
from batchdrop.states import BatchState
from batchdrop.steps.submit import submit_batch
from faking.cloud import Cloud, jsonl
from faking.lines import claude
from handlers.messages import hops_of


def waiting_messages(cloud: Cloud, step: str) -> Iterator[tuple[Any, int]]:
    """The messages of a queue with their hops, the delayed ones aside; they are taken."""
    url = cloud.queue_urls[step]
    answer = cloud.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
    for message in answer.get("Messages", []):
        yield json.loads(message["Body"]), int(message["MessageAttributes"][HOPS]["StringValue"])


def test_a_message_says_how_far_it_is_in_its_chain(cloud: Cloud) -> None:
    cloud.services.after(3).queues.publish("a job")
    cloud.services.after(3).queues.plan_all([("a job", 0)])
    assert list(waiting_messages(cloud, "publish")) == [({"job": "a job"}, 4)]
    assert list(waiting_messages(cloud, "plan")) == [({"job": "a job", "split": 0}, 4)]


def test_no_message_is_sent_behind_the_last_of_a_chain(cloud: Cloud) -> None:
    last = cloud.services.after(MOST_HOPS).queues
    last.submit("a job", "a batch")
    last.plan_all([("a job", 0)])
    assert [*waiting_messages(cloud, "submit"), *waiting_messages(cloud, "plan")] == []


@pytest.mark.parametrize(
    ("attributes", "hops"),
    [
        ({"messageAttributes": {"hops": {"stringValue": "7", "dataType": "Number"}}}, 7),
        ({"messageAttributes": {"hops": {"stringValue": "many", "dataType": "String"}}}, 0),
        ({"messageAttributes": {}}, 0),
        ({}, 0),
    ],
)
def test_a_chain_begins_where_no_message_says_how_long_it_is(attributes: dict[str, Any], hops: int) -> None:
    assert hops_of(attributes) == hops


def test_a_batch_that_waits_for_a_slot_in_a_long_chain_is_due_for_sweep_soon(cloud: Cloud) -> None:
    cloud.simulator.fault("connection_reset", provider="anthropic", operation="create")
    jobs = [cloud.drop(f"input/{name}.jsonl", jsonl([claude(name)])) for name in ("first", "second")]
    for step in ("plan", "submit"):
        cloud.deliver(step)
    store = cloud.services.store
    (second,) = (batch for job in jobs for batch in store.batches(str(job)) if batch.state is BatchState.ADMITTED)
    cloud.clock.now += 300
    submit_batch(second.job, second.id, cloud.services.after(MOST_HOPS - 2))
    found = store.batch(second.job, second.id)
    assert found is not None
    assert found.due_at is not None
    assert (found.state, found.claimed_until, found.sends) == (BatchState.ADMITTED, 0, second.sends)
    assert found.due_at <= cloud.clock.seconds() + 300  # and not behind the lease


def test_nothing_is_admitted_at_the_end_of_a_long_chain_but_by_the_next_sweep(cloud: Cloud) -> None:
    cloud.services.store.providers.set_pause("anthropic", "so that nothing is admitted yet", cloud.clock.seconds() + 60)
    job = cloud.drop("input/a.jsonl", jsonl([claude("one")]))
    assert job is not None
    cloud.deliver("plan")
    cloud.clock.now += 60
    assert admit_batches("anthropic", cloud.services.after(MOST_HOPS - 2)) == 0
    (batch,) = cloud.services.store.batches(job)
    assert batch.state is BatchState.WAITING
    cloud.tick()
    (batch,) = cloud.services.store.batches(job)
    assert batch.state is BatchState.ADMITTED

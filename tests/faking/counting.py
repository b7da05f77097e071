"""Counts the calls that each step makes of AWS and of providers, while a job goes its way in a cloud of its own."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx2
from batchdrop.providers.anthropic_client import AnthropicBatches
from batchdrop.providers.config import ProviderConfig
from batchdrop.providers.interface import BatchApi
from batchdrop.providers.keys import Key
from batchdrop.providers.openai_client import OpenAIBatches
from batchdrop.records import Protocol
from batchdrop.steps.intake import take_object
from batchdrop.steps.poll import poll_provider

from faking.cloud import BUCKET, STEPS, Cloud
from provider_simulator.transport import SimulatorTransport

SERVICES = ("s3", "dynamodb", "sqs", "events")
PROVIDER = "provider"
type Calls = dict[str, Counter[tuple[str, str]]]
"""For each step, how often it made which call of which service."""


class Counting:
    """Knows which step is at work. What takes messages from queues is Lambda's part, and not counted."""

    def __init__(self) -> None:
        self.calls: Calls = {}
        self._step: str | None = None

    @contextmanager
    def at(self, step: str) -> Iterator[None]:
        self._step = step
        self.calls.setdefault(step, Counter())
        try:
            yield
        finally:
            self._step = None

    def note(self, service: str, operation: str) -> None:
        if self._step is not None:
            self.calls[self._step][service, operation] += 1


def counted_job(cloud: Cloud, body: bytes, *, key: str = "input/x.jsonl") -> Calls:
    """Drop a file, and deliver what there is until its job is over; what each step called.

    Providers complete batches at once, and are polled once a minute; one poll finds all that are in flight.
    """
    counting = Counting()
    with _noted(cloud, counting):
        version = cloud.s3.put_object(Bucket=BUCKET, Key=key, Body=body)["VersionId"]
        with counting.at("intake"):
            job = take_object(cloud.dropped(key, body, version), cloud.services)
        assert job is not None
        while not cloud.is_quiet():
            _deliver(cloud, counting)
            cloud.clock.now += 60
            for provider in cloud.services.providers:
                if any(cloud.services.store.providers.in_flight(provider)):
                    with counting.at("poll"):
                        poll_provider(provider, cloud.services)
    return counting.calls


def idle_poll(cloud: Cloud, provider: str) -> Counter[tuple[str, str]]:
    """What a poll calls of a provider that has nothing of ours."""
    counting = Counting()
    with _noted(cloud, counting), counting.at("poll"):
        poll_provider(provider, cloud.services)
    return counting.calls["poll"]


def _deliver(cloud: Cloud, counting: Counting) -> None:
    plain = cloud.call

    def call(step: str, message: dict[str, Any], *, hops: int = 0) -> None:
        with counting.at(step):
            plain(step, message, hops=hops)

    cloud.call = call  # type: ignore[method-assign]  # for as long as this lasts
    try:
        while sum(cloud.deliver(step) for step in STEPS):
            pass
    finally:
        cloud.call = plain  # type: ignore[method-assign]


@contextmanager
def _noted(cloud: Cloud, counting: Counting) -> Iterator[None]:
    """Note each call while this lasts."""
    services = cloud.services
    clients: dict[str, Any] = {
        "s3": services.files._client,  # noqa: SLF001 - the clients have no other door
        "dynamodb": services.store._table._client,  # noqa: SLF001
        "sqs": services.queues._client,  # noqa: SLF001
        "events": services.events._client,  # noqa: SLF001
    }
    _note_providers(cloud, counting)
    hooks = {name: partial(_hear, counting, name) for name in clients}
    for name, client in clients.items():
        client.meta.events.register(f"before-call.{name}", hooks[name])
    try:
        yield
    finally:
        for name, client in clients.items():
            client.meta.events.unregister(f"before-call.{name}", hooks[name])


def _hear(counting: Counting, service: str, *, event_name: str = "", **_: object) -> None:
    counting.note(service, event_name.rpartition(".")[2])


def _note_providers(cloud: Cloud, counting: Counting) -> None:
    """Count what the clients send; a call of a path with an id in it is named without the id."""

    def hear(request: httpx2.Request) -> None:
        words = [word for word in request.url.path.split("/") if not any(letter.isdigit() for letter in word[2:])]
        counting.note(PROVIDER, f"{request.method} {'/'.join(words)}")

    http = httpx2.Client(transport=SimulatorTransport(cloud.simulator), event_hooks={"request": [hear]})

    def make(provider: ProviderConfig, key: Key) -> BatchApi:
        kind: Callable[..., BatchApi] = AnthropicBatches if provider.protocol is Protocol.ANTHROPIC else OpenAIBatches
        return kind(provider, key, http)

    cloud.make = make
    cloud.configure(cloud.services.providers)

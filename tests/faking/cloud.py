"""A whole batchdrop in one process: real steps on moto's S3, SQS and EventBridge, a table in memory, the simulator."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import httpx2
import msgspec
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from batchdrop.aws.bucket import Files
from batchdrop.aws.events import Events
from batchdrop.aws.queues import HOPS, Queues
from batchdrop.aws.row_versions import NewerRow
from batchdrop.aws.store import Store
from batchdrop.correlation import working_on
from batchdrop.manifest import Manifest
from batchdrop.providers.clients import Apis, make_api
from batchdrop.providers.config import ProviderConfig, Providers, parse_providers
from batchdrop.providers.interface import BatchApi
from batchdrop.providers.keys import Key, Keys
from batchdrop.records import Job, Protocol
from batchdrop.services import Services
from batchdrop.settings import Settings
from batchdrop.states import TERMINAL_JOBS
from batchdrop.steps.assemble import assemble_split
from batchdrop.steps.collect import collect_batch
from batchdrop.steps.finish import finish_batch
from batchdrop.steps.intake import Dropped, take_object
from batchdrop.steps.plan import plan_split
from batchdrop.steps.poll import poll_provider
from batchdrop.steps.publish import publish_job
from batchdrop.steps.submit import submit_batch
from batchdrop.steps.sweep import sweep
from botocore.exceptions import ClientError
from faults.table import Table
from handlers.intake import dropped_of
from moto import mock_aws
from moto.events.models import events_backends
from moto.s3.models import s3_backends
from moto.sqs.models import Message, Queue, sqs_backends

from faking.dynamodb import TableClient, one_session, table_in_memory
from faking.idle_time import idle_ticks
from faking.moto_models import ACCOUNT, queue_in
from faking.short_clients import short_client
from provider_simulator.app import Simulator
from provider_simulator.transport import SimulatorTransport

BUCKET, TABLE, REGION = "bucket", "table", "us-east-1"
STEPS = ("plan", "submit", "finish", "collect", "assemble", "publish")
TOML = Path(__file__).parents[2] / "providers.toml"


class Clock:
    """Seconds since 1970; begins at this moment, as moto's clock does, and moves when a test says so."""

    def __init__(self) -> None:
        self.now = float(int(time.time()))

    def __call__(self) -> float:
        return self.now

    def seconds(self) -> int:
        return int(self.now)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class FakeSecrets:
    """Stands in for Powertools' provider: names and values, and the code of the error that AWS answers instead."""

    def __init__(self, values: dict[str, str]) -> None:
        self.values = values
        self.fails_as: str | None = None

    def get(self, name: str, **_: object) -> str:
        if self.fails_as is None and name in self.values:
            return self.values[name]
        code = self.fails_as or "ResourceNotFoundException"
        error = GetParameterError(name)
        error.__context__ = ClientError({"Error": {"Code": code, "Message": code}}, "GetSecretValue")
        raise error  # as Powertools does, which names no cause


@dataclass
class Cloud:
    services: Services
    simulator: Simulator
    clock: Clock
    secrets: FakeSecrets
    queue_urls: dict[str, str]
    events_url: str
    make: Callable[[ProviderConfig, Key], BatchApi]
    table: Table

    # What a user does

    def drop(self, key: str, body: bytes, **metadata: str) -> str | None:
        """Put an object, and run intake as its event would; the job's id, or None where there is no job."""
        answer = self.s3.put_object(Bucket=BUCKET, Key=key, Body=body, Metadata=metadata)
        with working_on(None):  # as its handler does
            job = take_object(self.dropped(key, body, answer["VersionId"]), self.services)
        return job and job.id

    def dropped(self, key: str, body: bytes, version_id: str | None) -> Dropped:
        return Dropped(key=key, version_id=version_id, etag=None, bytes=len(body), time=self.clock.seconds())

    def configure(self, providers: Providers) -> None:
        """Deploy with another `providers.toml`."""
        apis = Apis(providers, Keys(self.secrets), self.make)  # type: ignore[arg-type]  # a stand-in by shape
        self.services = replace(self.services, providers=providers, apis=apis)

    def run(self, key: str, lines: bytes | list[Any], **metadata: str) -> "Outcome":
        """Drop a file and let everything happen until its job is over and clean."""
        body = lines if isinstance(lines, bytes) else jsonl(lines)
        job = self.drop(key, body, **metadata)
        assert job is not None
        self.settle()
        return self.outcome(job)

    # What happens by itself

    def settle(self, rounds: int = 200, tick: float = 60, *, skips: bool = True) -> None:
        """Deliver messages and tick until nothing is left to do; ticks that change nothing are skipped."""
        left = rounds
        while left > 0:
            self.deliver_all()
            if self.is_quiet():
                return
            idle = idle_ticks(self, tick, most=left - 1) if skips else 0
            self.clock.now += idle * tick
            self.tick(tick)
            left -= idle + 1
        raise AssertionError(f"not settled after {rounds} rounds: {self.unfinished()}")

    def tick(self, seconds: float = 60) -> None:
        self.clock.now += seconds
        for provider in self.services.providers:
            poll_provider(provider, self.services)
        sweep(self.services)

    def deliver_all(self) -> None:
        while sum(self.deliver(step) for step in STEPS):
            pass

    def deliver(self, step: str) -> bool:
        """Deliver the messages that are in one queue; True when there was one."""
        is_found = False
        for message in self._taken(self.queue_urls[step], most=10):
            is_found = True
            hops = message.message_attributes.get(HOPS, {}).get("StringValue", "0")
            self.call(step, json.loads(message.body), hops=int(hops))
        return is_found

    def _taken(self, url: str, most: int | None = None) -> Iterator[Message]:
        """The messages that are in a queue now; each is taken out as its turn comes."""
        queue = queue_in(REGION, url)
        for message in queue.messages[:most] if queue else []:
            queue._messages = [each for each in queue._messages if each is not message]  # noqa: SLF001 - calls take 5 ms
            yield message

    def call(self, step: str, message: dict[str, Any], *, hops: int = 0) -> None:
        if step == "intake":
            take_object(dropped_of(json.dumps(message)), self.services)
            return
        calls: dict[str, Callable[..., None]] = {
            "plan": plan_split,
            "submit": submit_batch,
            "finish": finish_batch,
            "collect": collect_batch,
            "assemble": assemble_split,
            "publish": publish_job,
        }
        with suppress(NewerRow):  # as the handlers do
            calls[step](*message.values(), self.services.after(hops))

    def is_quiet(self) -> bool:
        return not self.unfinished()

    def unfinished(self) -> list[Job]:
        return [job for job in self.jobs() if job.state not in TERMINAL_JOBS or job.due_at is not None]

    # What a test looks at

    @cached_property
    def s3(self) -> Any:
        return short_client("s3")

    @cached_property
    def sqs(self) -> Any:
        return short_client("sqs")

    @cached_property
    def dynamodb(self) -> Any:
        return short_client("dynamodb")

    def jobs(self) -> list[Job]:
        day = datetime.fromtimestamp(self.clock.now, UTC)
        days = {datetime.now(UTC).strftime("%Y%m%d"), day.strftime("%Y%m%d")}
        return list(self.services.store.recent_jobs(sorted(days)))

    def rows(self) -> list[tuple[str, str]]:
        return sorted(self.table.items)

    def keys(self, prefix: str = "") -> list[str]:
        found = self.s3.list_object_versions(Bucket=BUCKET, Prefix=prefix)
        return sorted(each["Key"] for each in [*found.get("Versions", []), *found.get("DeleteMarkers", [])])

    def read(self, key: str) -> bytes:
        return self.services.files.get(key)

    def events(self) -> list[dict[str, Any]]:
        """The events since the last call."""
        return [json.loads(message.body) for message in self._taken(self.events_url)]

    def outcome(self, job: str) -> "Outcome":
        found = self.services.store.job(job)
        assert found is not None
        assert found.manifest_key is not None
        manifest = msgspec.json.decode(self.read(found.manifest_key), type=Manifest)
        return Outcome(self, manifest)


@dataclass
class Outcome:
    cloud: Cloud
    manifest: Manifest

    @property
    def results(self) -> list[dict[str, Any]]:
        return [json.loads(line) for each in self.manifest.files.results for line in self._lines(each.key)]

    @property
    def errors(self) -> list[dict[str, Any]]:
        assert self.manifest.files.errors is not None
        return [json.loads(line) for line in self._lines(self.manifest.files.errors.key)]

    @property
    def failed(self) -> list[bytes]:
        assert self.manifest.files.failed is not None
        return self._lines(self.manifest.files.failed.key)

    def _lines(self, key: str) -> list[bytes]:
        body = self.cloud.read(key)
        assert body.endswith(b"\n") or not body
        return body.split(b"\n")[:-1]


def jsonl(lines: list[Any]) -> bytes:
    """Each a line: bytes as they are, everything else as JSON."""
    return b"".join((each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n" for each in lines)


def simulated_providers(text: str) -> Providers:
    """A `providers.toml` whose providers are the simulator, each by its protocol, at their own prices."""
    paths = {Protocol.OPENAI: "openai/v1", Protocol.ANTHROPIC: "anthropic"}
    read = parse_providers(text)
    return Providers(
        {
            name: msgspec.structs.replace(
                each, base_url=f"http://simulator/{paths[each.protocol]}", price_address=each.base_url
            )
            for name, each in read.items()
        },
        prices=read.prices,
    )


@contextmanager
def cloud(
    providers: str | None = None,
    *,
    split_bytes: int = 1_000_000,
    wrap: Callable[[BatchApi], BatchApi] = lambda api: api,
    over_http: bool = False,
    **numbers: int,
) -> Iterator[Cloud]:
    """A fresh batchdrop.

    Args:
        split_bytes: Splits of this size.
        providers: Text of a `providers.toml`; the project's own by default.
        wrap: Put something between the steps and the providers' clients.
        over_http: The providers are where their addresses say; the simulator of this cloud is none of them.
        numbers: More settings.
    """
    from batchdrop.providers.anthropic_client import AnthropicBatches  # noqa: PLC0415 - the SDKs take seconds, and few need them
    from batchdrop.providers.openai_client import OpenAIBatches  # noqa: PLC0415

    clock, table = Clock(), Table()
    with (
        mock_aws(),
        table_in_memory(table),
        one_session(),
        Simulator(clock=clock, wait=clock.sleep) as simulator,
        httpx2.Client(transport=SimulatorTransport(simulator)) as http,
    ):
        urls = {name: _queue(name) for name in ("intake", *STEPS, "events")}
        dead_letters = {step: _queue(f"{step}-dead-letters") for step in ("intake", *STEPS)}
        _bucket()
        _event_rule()
        read = parse_providers if over_http else simulated_providers
        configured = read(providers or TOML.read_text(encoding="utf-8"))
        secrets = FakeSecrets({each.secret: "sk-simulated" for each in configured.values()})

        def make(provider: ProviderConfig, key: Key) -> BatchApi:
            kind = AnthropicBatches if provider.protocol is Protocol.ANTHROPIC else OpenAIBatches
            return wrap(make_api(provider, key) if over_http else kind(provider, key, http))

        settings = Settings(
            bucket=BUCKET,
            table=TABLE,
            deployment="test",
            lease_seconds=900,
            split_bytes=split_bytes,
            **{f"{step}_queue": urls[step] for step in dead_letters},
            **{f"{step}_dead_letters": url for step, url in dead_letters.items()},
            **numbers,  # type: ignore[arg-type]  # mypy takes each field for a candidate
        )
        services = Services(
            settings=settings,
            providers=configured,
            store=Store(TableClient(table), TABLE, now=clock.seconds),
            files=Files(short_client("s3"), BUCKET),
            queues=Queues(short_client("sqs"), settings),
            events=Events(short_client("events")),
            apis=Apis(configured, Keys(secrets), make),  # type: ignore[arg-type]  # a stand-in by shape
            now=clock.seconds,
            sleep=clock.sleep,
        )
        yield Cloud(services, simulator, clock, secrets, urls, urls["events"], make, table)


def _queue(name: str) -> str:
    queue: Queue = sqs_backends[ACCOUNT][REGION].create_queue(name)
    return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{queue.name}"


def _bucket() -> None:
    backend = s3_backends[ACCOUNT]["aws"]
    backend.create_bucket(BUCKET, REGION)
    backend.put_bucket_versioning(BUCKET, "Enabled")


def create_table() -> None:
    """Make the table in moto, as `infra/storage.py` has it; a test holds the two together."""
    boto3.client("dynamodb", region_name=REGION).create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
            {"AttributeName": "due_key", "AttributeType": "S"},
            {"AttributeName": "due_at", "AttributeType": "N"},
            {"AttributeName": "day", "AttributeType": "S"},
        ],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "due",
                "KeySchema": [
                    {"AttributeName": "due_key", "KeyType": "HASH"},
                    {"AttributeName": "due_at", "KeyType": "RANGE"},
                ],
                "Projection": {
                    "ProjectionType": "INCLUDE",
                    "NonKeyAttributes": ["batch_id", "submitted_at", "priority", "ledger", "cost"],
                },
            },
            {
                "IndexName": "days",
                "KeySchema": [
                    {"AttributeName": "day", "KeyType": "HASH"},
                    {"AttributeName": "pk", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            },
        ],
    )


def _event_rule() -> None:
    backend = events_backends[ACCOUNT][REGION]
    backend.put_rule("all", event_pattern=json.dumps({"source": ["batchdrop"]}))
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:events"
    backend.put_targets("all", None, [{"Id": "events", "Arn": arn}])

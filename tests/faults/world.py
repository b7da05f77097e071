"""A whole batchdrop whose workers die, sleep and are repeated; what is left of it is held against what was promised."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anthropic
import httpx2
import msgspec
import openai
import stamina
from batchdrop.aws.bucket import Files
from batchdrop.aws.events import Events
from batchdrop.aws.multipart import PART_MIN, Joining
from batchdrop.aws.queues import Queues
from batchdrop.aws.store import Store
from batchdrop.correlation import working_on
from batchdrop.errors import Transient
from batchdrop.jobs import NotHeld, TooLate, ask_to_cancel
from batchdrop.providers.anthropic_client import AnthropicBatches
from batchdrop.providers.clients import Apis
from batchdrop.providers.config import ProviderConfig, Providers
from batchdrop.providers.interface import BatchApi
from batchdrop.providers.keys import Key, Keys
from batchdrop.providers.openai_client import OpenAIBatches
from batchdrop.records import Protocol
from batchdrop.services import Services
from batchdrop.settings import Settings
from batchdrop.steps.assemble import assemble_split
from batchdrop.steps.collect import collect_batch
from batchdrop.steps.finish import finish_batch
from batchdrop.steps.intake import Dropped, take_object
from batchdrop.steps.notify import notify
from batchdrop.steps.plan import plan_split
from batchdrop.steps.poll import poll_provider
from batchdrop.steps.publish import publish_job
from batchdrop.steps.submit import submit_batch
from batchdrop.steps.sweep import sweep
from botocore.exceptions import ClientError, ConnectionClosedError
from faking.cloud import BUCKET, TABLE, TOML, FakeSecrets, simulated_providers
from handlers.intake import dropped_of

from faults.aws import Message
from faults.granted import GrantedAws
from faults.outside import COMES_AT_ONCE, LEASE_SECONDS, NEVER_COMES, AwsClients, Died, Outside, SimulatedProviders
from faults.scenarios import MAIN, Scenario
from faults.told import PLACES, Told
from provider_simulator.app import Simulator
from provider_simulator.facts import ProviderName
from provider_simulator.transport import SimulatorTransport

BEGIN = 1_800_000_000.0
STEPS = ("intake", "plan", "submit", "finish", "collect", "assemble", "publish")
QUEUES = (*STEPS, "notify")
_LASTING = ("intake", "notify")  # their messages come until they are done, and nothing else brings what they say
VISIBILITY = 2 * LEASE_SECONDS  # after that, a queue delivers again what was not done
KEY = "sk-simulated"
RECEIVES = 5  # then a message is dead
LONGEST_TICK = 1_200
_ROUNDS = 3_000
_THROTTLES = {"ThrottlingException", "ProvisionedThroughputExceededException", "SlowDown", "503"}
_PATIENCE = 3  # hours, after a job is over: what is looked at once an hour


def key_of(number: int) -> str:
    """Where a scenario's files are dropped, counted from 1."""
    return f"input/folder/lines-{number}.jsonl"


class Clock:
    now = BEGIN

    def __call__(self) -> float:
        return self.now

    def seconds(self) -> int:
        return int(self.now)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class World:
    """One for a process; `begin` makes it new."""

    clients: AwsClients
    aws: GrantedAws
    simulator: Simulator
    clock: Clock
    make_services: Callable[[Scenario], Services]
    scenario: Scenario
    twice: float | None = None
    """Each message comes again so many seconds later; None: once."""
    arrives: Callable[[str, Message], float | None] = lambda _step, _message: 0
    """Asked of each message that comes: in how many seconds it arrives, or None for never."""
    errors: list[str] = field(default_factory=list)
    raised: list[Exception] = field(default_factory=list)
    """What ended workers."""
    services: Services = field(init=False)
    told: Told = field(init=False)
    _services: dict[str, Services] = field(default_factory=dict)
    working: tuple[str, dict[str, Any], Message | None] | None = None
    _acts: list[tuple[float, Callable[["World"], bool]]] = field(default_factory=list)

    def begin(self, outside: Outside, scenario: Scenario | None = None, *, twice: float | None = None) -> None:
        scenario = scenario or self.scenario
        if scenario.name not in self._services:
            self._services[scenario.name] = self.make_services(scenario)
        store = Store(self.clients.by_name["dynamodb"], TABLE, now=self.clock.seconds)  # it believes nothing yet
        self.scenario, self.services = scenario, replace(self._services[scenario.name], store=store)
        self._acts = list(scenario.acts)
        Joining.part_min = scenario.part_min or PART_MIN
        self.aws.reset()
        self.aws.places = PLACES if scenario.tells else ()
        self.told = Told(self.clients)
        self.simulator.reset()
        self.clock.now = BEGIN
        self.twice = twice
        self.arrives = lambda _step, _message: 0
        self.errors, self.raised = [], []
        self.working = None
        self.clients.calm()
        self.clients.outside = outside
        outside.sleep = self._go_on
        outside.again = self._again
        scenario.begin(self)

    def run(self) -> None:
        """Drop the file and let everything happen; AssertionError when it comes to no end."""
        self.drop()
        self.finish()

    def drop(self) -> None:
        self.aws.queues["intake"] = [
            self._dropped(key_of(number), body) for number, body in enumerate(self.scenario.files, start=1)
        ]

    def _dropped(self, key: str, body: bytes) -> Message:
        version = self.aws.put(key, body, self.scenario.metadata)
        event = {"key": key, "version_id": version.id, "etag": None, "bytes": len(body), "time": self.clock.seconds()}
        return Message(self.clock.now, event)

    def finish(self, *, tick: float = 60, longest_tick: float = LONGEST_TICK, growth: float = 2.0) -> None:
        shortest = tick
        for _ in range(_ROUNDS):
            busy = self.deliver_all()
            if not busy and self._is_over():
                self._wait_for_the_rest()
                return
            tick = shortest if busy else min(tick * growth, longest_tick)
            self.tick(tick)
        raise AssertionError(f"no end: {self.rows('JOB#')}, {self.aws.queues}")

    def _wait_for_the_rest(self) -> None:
        for _ in range(_PATIENCE):
            if not self.left_over():
                return
            self.tick(3_600)
            self.deliver_all()

    def tick(self, seconds: float) -> None:
        self.clock.now += seconds
        self._acts = [each for each in self._acts if each[0] > self.clock.now - BEGIN or not each[1](self)]
        for provider in self.services.providers:
            self._work("poll", {"provider": provider})
        self._work("sweep", {})

    def cancel(self) -> bool:
        """Somebody asks to cancel every job, on a quiet line; False while there is none."""
        jobs = self._jobs()
        disturbed, self.clients.outside = self.clients.outside, Outside()
        for job in jobs:
            with suppress(TooLate):
                ask_to_cancel(job["job"]["S"], self.services.store, now=self.clock.seconds())
        self.clients.outside = disturbed
        return len(jobs) == len(self.scenario.files)

    def decide(self, decision: Callable[..., object]) -> bool:
        """Somebody who read that the job is held decides, on a quiet line; False while it is not announced."""
        jobs = self._jobs()
        disturbed, self.clients.outside = self.clients.outside, Outside()
        for job in jobs:
            with suppress(NotHeld):
                if "is_announced" in job:
                    decision(job["job"]["S"], self.services.store, now=self.clock.seconds())
        self.clients.outside = disturbed
        return len(jobs) == len(self.scenario.files) and all("is_announced" in job for job in jobs)

    def lose_table(self) -> bool:
        """The table is restored to a moment before all; the workers that begin now have the new one."""
        self.aws.table.items.clear()
        self.aws.table.created_at, self.aws.table.is_restored = datetime.fromtimestamp(self.clock.now, UTC), True
        store = Store(self.clients.by_name["dynamodb"], TABLE, now=self.clock.seconds)
        self.services = replace(self.services, store=store)
        return True

    def reconcile(self) -> bool:
        """Somebody asks for it, on a quiet line, until it is over."""
        disturbed, self.clients.outside = self.clients.outside, Outside()
        is_held = self.services.store.restores.ask().is_held
        is_over = not is_held and self.services.store.restores.read().held_at > 0
        self.clients.outside = disturbed
        return is_over

    # Workers

    def deliver_all(self) -> bool:
        busy = False
        while sum(self._deliver(step) for step in QUEUES):
            busy = True
        return busy

    def _deliver(self, step: str) -> bool:
        waiting = self.aws.queues.get(step, [])
        found = [each for each in waiting if each.visible_at <= self.clock.now]
        self.aws.queues[step] = [each for each in waiting if each.visible_at > self.clock.now]
        for message in found:
            self.deliver(step, message)
        return bool(found)

    def deliver(self, step: str, message: Message) -> None:
        """Give a message to a worker; it is taken from its queue."""
        wait = self.arrives(step, message)
        if wait is None:
            return
        if wait:
            self._put_back(step, message, wait)
            return
        if self.twice is not None and not message.receives:
            self._put_back(step, message, self.twice)
        self._work(step, message.body, message)

    def _work(self, step: str, body: dict[str, Any], message: Message | None = None) -> None:
        """Run a worker to its end, whichever that is; what it leaves undone comes again."""
        before, self.working = self.working, (step, body, message)
        chain, self.aws.chain = self.aws.chain, message.chain if message else 0
        worker, self.aws.step = self.aws.step, step
        outside = self.clients.outside
        outside.begin()
        again = VISIBILITY
        try:
            with working_on(body.get("job")):  # as the handlers do
                self._step(step, body, self.services.after(message.hops if message else 0))
        except Died:
            if outside.struck in NEVER_COMES and step != "notify":  # whose message is nowhere but in its queue
                return
            again = 0 if outside.struck in COMES_AT_ONCE else VISIBILITY
        except Exception as error:  # noqa: BLE001 - it is reported
            self.raised.append(error)
            if not _is_from_outside(error):
                self.errors.append(f"{step}: {type(error).__name__}: {error}")
        else:
            return
        finally:
            self.working, self.aws.chain, self.aws.step = before, chain, worker
            outside.calm()
            self._check_budget(step)
        if message is not None:
            self._put_back(step, message, again)

    def _check_budget(self, step: str) -> None:
        """No moment passes at which more is reserved or spent than the month allows."""
        most = self.scenario.monthly_micros
        for (pk, name), item in self.aws.table.items.items():
            if most is not None and pk == "BUDGETS" and int(item["committed"]["N"]) > most:
                self.errors.append(f"{step}: {name} has {item['committed']['N']} of {most}")

    def _put_back(self, step: str, message: Message, seconds: float) -> None:
        if message.receives < RECEIVES or step in _LASTING:
            again = message._replace(visible_at=self.clock.now + seconds, receives=message.receives + 1)
            self.aws.queues.setdefault(step, []).append(again)

    def _step(self, step: str, body: dict[str, Any], services: Services) -> None:
        calls: dict[str, Callable[..., object]] = {
            "plan": plan_split,
            "submit": submit_batch,
            "finish": finish_batch,
            "collect": collect_batch,
            "assemble": assemble_split,
            "publish": publish_job,
            "poll": poll_provider,
            "sweep": sweep,
        }
        if step == "notify":
            notify(json.dumps(body), self.told, now=self.clock.seconds())  # type: ignore[arg-type]  # a stand-in by shape
        elif step == "intake":
            is_event = "detail" in body  # sweep's; the world's own are what an event says
            take_object(dropped_of(json.dumps(body)) if is_event else msgspec.convert(body, Dropped), services)
        else:
            calls[step](*body.values(), services)

    def _again(self) -> None:
        if self.working is not None:
            step, body, message = self.working
            self._work(step, body, message and message._replace(receives=RECEIVES))

    def _go_on(self, seconds: float) -> None:
        """Everything but the worker that calls this; its message comes again meanwhile."""
        until = self.clock.now + seconds
        if self.working is not None and self.working[0] in QUEUES:
            step, body, message = self.working
            again = message or Message(0, body)
            self.aws.queues.setdefault(step, []).append(
                again._replace(visible_at=self.clock.now + VISIBILITY, receives=1)
            )
        tick = 60.0
        while self.clock.now < until:
            busy = self.deliver_all()
            tick = 60.0 if busy else min(tick * 2, LONGEST_TICK)
            self.tick(min(tick, until - self.clock.now))
        self.deliver_all()

    # What is left

    def _jobs(self) -> list[dict[str, Any]]:
        return [item for (_, sk), item in self.aws.table.items.items() if sk == "JOB"]

    def _is_over(self) -> bool:
        jobs = self._jobs()
        is_clean = all("published_at" in each and "due_at" not in each for each in jobs)
        return is_clean and len(jobs) == len(self.scenario.files) and not any(self.aws.queues.values())

    def rows(self, prefix: str = "") -> list[tuple[str, str]]:
        return sorted(key for key in self.aws.table.items if key[0].startswith(prefix))

    def left_over(self) -> list[str]:
        """What should not be there any more."""
        table = self.aws.table.items
        stays = {"PAUSE"} if self.scenario.stays_paused else set()
        rows = [
            f"row {key}" for key in self.rows() if not (_may_stay(key) or _is_given_up(table[key]) or key[1] in stays)
        ]
        reserved = [f"{key[1]} reserves {each['reserved']}" for key, each in table.items() if _is_reserved(each)]
        work = [f"object {key}" for key in self.aws.objects if key.startswith("work/")]
        uploads = [f"unfinished upload of {key}" for key, _ in self.aws.uploads.values()]
        charges = self.simulator.charges()
        files = [f"{charges['openai']['files']} files at openai"] if charges["openai"]["files"] else []
        stored = charges["anthropic"]["batches_stored"]
        return [
            *rows,
            *reserved,
            *work,
            *uploads,
            *files,
            *([f"{stored} batches stored at anthropic"] if stored else []),
        ]

    def outcome(self) -> "Outcome":
        outputs = {key: self.aws.read(key) for key in sorted(self.aws.objects) if key.startswith("output/")}
        charges = self.simulator.charges()
        volatile = _VOLATILE | (_VARYING if self.scenario.varies else set())
        return Outcome(
            outputs={key: _read(key, body, volatile) for key, body in outputs.items()},
            attempts={key: sum(each["attempts"] for each in _results(key, body)) for key, body in outputs.items()},
            written_twice=[key for key, versions in self.aws.objects.items() if len(versions) > 1],
            charged={name: paid for name, each in charges.items() if (paid := charges_of(each))},
            charged_twice={name: each["bodies_charged_more_than_once"] for name, each in charges.items()},
            live_twice={name: each["ever_live_duplicates"] for name, each in charges.items()},
            events=sorted({event["DetailType"] for event in self.aws.events}),
        )


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What must be the same after every run. `outputs`: each file under `output/`, without what is drawn by chance."""

    outputs: dict[str, Any]
    attempts: dict[str, int]
    written_twice: list[str]
    charged: dict[str, int]
    charged_twice: dict[str, int]
    live_twice: dict[str, list[str]]
    events: list[str]

    @property
    def results(self) -> list[Any]:
        """The result lines of every job."""
        return [each for key, lines in self.outputs.items() if key.endswith("/results.jsonl") for each in lines]


def charges_of(charges: dict[str, Any]) -> int:
    """How many requests a provider charged, in batches and at real time."""
    return int(charges["requests"] + charges["realtime"]["requests"])


def _read(key: str, body: bytes, volatile: set[str]) -> Any:
    """Lines of JSON as values; a user's own lines as they are; a report, whose times differ, is in the promises."""
    if key.endswith("/failed.jsonl"):
        return body
    if key.endswith("/report.html"):
        return []
    return [_lasting(json.loads(line), volatile) for line in body.splitlines()]


def _results(key: str, body: bytes) -> list[Any]:
    return [json.loads(line) for line in body.splitlines()] if key.endswith("/results.jsonl") else []


def _is_from_outside(error: Exception) -> bool:
    """Whether a worker may end with it when the outside fails; anything else is a bug."""
    if isinstance(error, ClientError):
        return error.response["Error"]["Code"] in _THROTTLES
    return isinstance(error, Transient | ConnectionClosedError)


# Times, ids that the provider draws, and what is made of them.
_VOLATILE = {"id", "batch_id", "request_id", "created", "created_at", "date", "etag", "made_at", "times", "version_id"}
_VARYING = {"attempts", "retries", "retries_usd", "duplicates", "duplicates_usd"}  # with how often what was sent


def _lasting(value: Any, volatile: set[str]) -> Any:
    if isinstance(value, dict):
        lasting = {name: each for name, each in value.items() if name not in volatile}
        if str(value.get("key")).endswith("/report.html"):
            del lasting["bytes"]  # it says times
        return {name: _lasting(each, volatile) for name, each in lasting.items()}
    if isinstance(value, list):
        return [_lasting(each, volatile) for each in value]
    return value


def _may_stay(key: tuple[str, str]) -> bool:
    pk, sk = key
    kind = sk.partition("#")[0]
    is_jobs = (pk.startswith("JOB#") and kind in {"JOB", "INTENT"}) or pk.startswith("VERSION#")
    return (
        is_jobs
        or (pk.startswith("PROVIDER#") and kind in {"BATCH", "LEDGER", "HOUR", "FOUND", "LOOKED", "TIMES", "PAUSES"})
        or pk.startswith(("LEASE#", "LISTING#", "TABLE", "BUDGET", "ANSWERS#"))
    )


def _is_given_up(item: dict[str, Any]) -> bool:
    """Whether a row is a batch's that its provider may still hold: `forget` needs its ids."""
    return item.get("state") == {"S": "FAILED"} and "batch_id" in item and "expires_at" in item


def _is_reserved(item: dict[str, Any]) -> bool:
    return item.get("reserved", {"N": "0"}) != {"N": "0"}


@contextmanager
def new_world(
    scenario: Scenario = MAIN, *, before_create: Callable[[World, ProviderName, bytes], None] | None = None
) -> Iterator[World]:
    """A world for this scenario, and for others when it begins anew.

    Args:
        scenario: What happens unless `begin` is told another.
        before_create: Sees each create before the provider does; by default its batch goes as the scenario says.
    """
    clock = Clock()
    clients = AwsClients()
    clients.aws = aws = GrantedAws(clock)
    at_once, Joining.at_once = Joining.at_once, 1  # calls are numbered
    with Simulator(clock=clock) as simulator, stamina.set_testing(True, attempts=8, cap=True):

        def shape(name: str, body: bytes) -> None:
            (before_create or _shape)(world, _provider(name), body)

        def be_late(name: str, seconds: float) -> None:
            simulator.fault("late", provider=_provider(name), operation="create", seconds=seconds)

        transport = SimulatedProviders(SimulatorTransport(simulator), clients, shape, be_late)
        with httpx2.Client(transport=transport) as http:
            world = World(clients, aws, simulator, clock, partial(_services_of, clients, clock, http), scenario)
            yield world
    Joining.part_min, Joining.at_once = PART_MIN, at_once


def _services_of(clients: AwsClients, clock: Clock, http: httpx2.Client, scenario: Scenario) -> Services:
    providers = _limited(simulated_providers(TOML.read_text(encoding="utf-8")), scenario.limits)
    queues = {f"{step}_queue": f"https://sqs.us-east-1.amazonaws.com/1/{step}" for step in STEPS}
    settings = Settings(
        bucket=BUCKET,
        table=TABLE,
        deployment="test",
        lease_seconds=LEASE_SECONDS,
        split_bytes=scenario.split_bytes,
        **queues,  # type: ignore[arg-type]  # mypy takes each field for a candidate
    )
    secrets = FakeSecrets({each.secret: KEY for each in providers.values()})

    def make(provider: ProviderConfig, key: Key) -> BatchApi:
        made = (AnthropicBatches if provider.protocol is Protocol.ANTHROPIC else OpenAIBatches)(provider, key, http)
        _retry_without_waiting(made._client)  # noqa: SLF001 - the SDK has no setting for it
        return made

    return Services(
        settings=settings,
        providers=providers,
        store=Store(clients.by_name["dynamodb"], TABLE, now=clock.seconds),
        files=Files(clients.by_name["s3"], BUCKET),
        queues=Queues(clients.by_name["sqs"], settings),
        events=Events(clients.by_name["events"]),
        apis=Apis(providers, Keys(secrets), make),  # type: ignore[arg-type]  # a stand-in by shape
        now=clock.seconds,
        sleep=clock.sleep,
    )


def _limited(providers: Providers, limits: dict[str, int]) -> Providers:
    change = msgspec.structs.replace
    return Providers({name: change(each, limits=change(each.limits, **limits)) for name, each in providers.items()})


def _retry_without_waiting(client: openai.OpenAI | anthropic.Anthropic) -> None:
    client._calculate_retry_timeout = lambda *_, **__: 0.0  # type: ignore[method-assign]  # noqa: SLF001 - as above


def _provider(name: str) -> ProviderName:
    return "anthropic" if "/anthropic/" in name else "openai"


def _shape(world: World, provider: ProviderName, body: bytes) -> None:
    """How a batch that is about to be created goes: as its scenario says, whichever call creates it."""
    batches = [each for (_, sk), each in world.aws.table.items.items() if sk.startswith("BATCH#") and "token" in each]
    is_first = any(each["round"]["N"] == "0" and each["token"]["S"].encode() in body for each in batches)
    first = world.scenario.first.get(provider, {}) if is_first else {}
    world.simulator.shape(provider=provider, times=1, **{**world.scenario.later, **first})

"""Every call to the outside passes here and gets a number; at one of them, or two, something goes wrong."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

import boto3
import httpx2
from batchdrop import services as production
from botocore import UNSIGNED
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError
from botocore.retries import quota, standard

from faults.aws import TABLE_WRITES, Aws, conflict, throttled
from faults.table import RefusedError

# Retries as in production; nothing here reads signatures and checksums, which take half of the time.
CONFIG = production._AWS.merge(  # noqa: SLF001 - the same retries
    Config(
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        signature_version=UNSIGNED,
        parameter_validation=False,
        user_agent="batchdrop",
    )
)
REGION = "us-east-1"
LEASE_SECONDS = 900
_FEW, _MANY = 2, 10  # refusals: fewer and more than any client tries


class Died(BaseException):
    """The worker is gone, in the middle of what it did."""


class Fault(StrEnum):
    """What happens at a call. The three of each death: what becomes of the message."""

    DIES_BEFORE = "dies before the call; its message comes again at once"
    DIES_BEFORE_AND_COMES_LATE = "dies before the call; its message comes again after its time"
    DIES_BEFORE_FOR_GOOD = "dies before the call; its message never comes again"
    DIES_AFTER = "dies after the call; its message comes again at once"
    DIES_AFTER_AND_COMES_LATE = "dies after the call; its message comes again after its time"
    DIES_AFTER_FOR_GOOD = "dies after the call; its message never comes again"
    REPLY_LOST = "the call happens, its reply is lost"
    EVERY_REPLY_LOST = "the call happens, its reply is lost, and so are its repetitions'"
    THROTTLED = "is throttled twice"
    THROTTLED_FOR_LONG = "is throttled until the client gives up"
    CONFLICTED = "a write to the table meets a transaction on its row, twice"
    CONFLICTED_FOR_LONG = "a write to the table meets transactions on its row until it is given up"
    SLEEPS = "sleeps past its lease, then calls"
    SLEEPS_FOR_HOURS = "sleeps for hours, then calls"
    TWICE = "while it is about to call, its message is delivered again and done"
    ARRIVES_LATE = "the connection drops; what was to be created arrives half an hour later"
    ARRIVES_AFTER_THE_GRACE = "the connection drops; what was to be created arrives hours later"


DEATHS_BEFORE = {Fault.DIES_BEFORE, Fault.DIES_BEFORE_AND_COMES_LATE, Fault.DIES_BEFORE_FOR_GOOD}
DEATHS_AFTER = {Fault.DIES_AFTER, Fault.DIES_AFTER_AND_COMES_LATE, Fault.DIES_AFTER_FOR_GOOD}
LATE = {Fault.ARRIVES_LATE: 1_800.0, Fault.ARRIVES_AFTER_THE_GRACE: 9_000.0}  # seconds
CONFLICTS = {Fault.CONFLICTED, Fault.CONFLICTED_FOR_LONG}
REFUSALS = {Fault.THROTTLED, Fault.THROTTLED_FOR_LONG, *CONFLICTS}
COMES_AT_ONCE = {Fault.DIES_BEFORE, Fault.DIES_AFTER}
NEVER_COMES = {Fault.DIES_BEFORE_FOR_GOOD, Fault.DIES_AFTER_FOR_GOOD}


_REPEATED = {
    Fault.EVERY_REPLY_LOST: _MANY,
    Fault.THROTTLED: _FEW,
    Fault.THROTTLED_FOR_LONG: _MANY,
    Fault.CONFLICTED: _FEW,
    Fault.CONFLICTED_FOR_LONG: _MANY,
}


@dataclass
class Outside:
    """What goes wrong at which call.

    Attributes:
        faults: By the call's number, from 1.
        calls: The names of the calls so far.
        workers: Whose call each was: workers are counted from 1.
        struck: The fault that came last.
        sleep: Lets everything else go on for so many seconds.
        again: Delivers the message once more that is being worked on.
        meets: The fault of a call by its name, where its number has none.
    """

    faults: dict[int, Fault] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    workers: list[int] = field(default_factory=list)
    struck: Fault | None = None
    sleep: Callable[[float], None] = lambda _seconds: None
    again: Callable[[], None] = lambda: None
    meets: Callable[[str], Fault | None] = lambda _name: None
    _left: dict[str, tuple[Fault, int]] = field(default_factory=dict)
    _worker: int = 0

    def pass_[T](
        self,
        name: str,
        act: Callable[[], T],
        lost: Callable[[], Exception],
        refused: Callable[[Fault], T | None],
        late: Callable[[float], T] | None = None,
    ) -> T:
        """Make a call, or what becomes of it.

        `refused` refuses it as the fault says, or says None where such a call is not refused so; `late` lets it arrive
        after so many seconds.
        """
        self.calls.append(name)
        self.workers.append(self._worker)
        fault = self._fault(name)
        if fault in DEATHS_BEFORE:
            raise Died
        refusal = refused(fault) if fault in REFUSALS else None
        if refusal is not None:
            return refusal
        if fault in LATE and late is not None:
            return late(LATE[fault])
        if fault is Fault.SLEEPS:
            self.sleep(LEASE_SECONDS + 600)
        elif fault is Fault.SLEEPS_FOR_HOURS:
            self.sleep(3 * 3600)
        elif fault is Fault.TWICE:
            self.again()
        answer = act()
        if fault in DEATHS_AFTER:
            raise Died
        if fault in {Fault.REPLY_LOST, Fault.EVERY_REPLY_LOST}:
            raise lost()
        return answer

    def _fault(self, name: str) -> Fault | None:
        fault = self.faults.get(len(self.calls)) or self.meets(name)
        if fault is not None:
            self.struck = fault
            if fault in _REPEATED:
                self._left[name] = (fault, _REPEATED[fault] - 1)
            return fault
        again, times = self._left.get(name, (None, 0))
        if times:
            self._left[name] = (again, times - 1)  # type: ignore[assignment]  # there is one while times are left
            return again
        return None

    def begin(self) -> None:
        """Another worker begins."""
        self._worker += 1

    def calm(self) -> None:
        """A worker is done: what struck its calls does not strike the next one's."""
        self._left.clear()


SERVICES = ("dynamodb", "s3", "sqs", "events")


class AwsClients:
    """boto3's clients, made once, whose calls go to the `Aws` and `Outside` of the run."""

    def __init__(self) -> None:
        self.aws: Aws | None = None
        self.outside = Outside()
        self._retries: list[standard.RetryHandler] = []
        session = boto3.Session(region_name=REGION)
        self.by_name: dict[str, Any] = {name: session.client(name, config=CONFIG) for name in SERVICES}  # type: ignore[call-overload]  # four of its names
        for client in self.by_name.values():
            client.meta.events.register_first("before-send", self._send)
            self._retries.append(_retry_without_waiting(client))
        # Four calls of five are the table's, and its JSON is what the client is given: all else is left out.
        self.by_name["dynamodb"]._make_api_call = self._call_table  # noqa: SLF001 - where boto3's own stubber reaches in

    def calm(self) -> None:
        """As new: a client that was refused often repeats less."""
        for each in self._retries:
            each._retry_quota._quota.release(quota.RetryQuota.INITIAL_CAPACITY)  # noqa: SLF001 - as new clients are

    def _send(self, request: AWSPreparedRequest, event_name: str, **_: object) -> AWSResponse:
        assert self.aws is not None
        aws = self.aws
        return self.outside.pass_(
            event_name.removeprefix("before-send.") + _unit(request),
            lambda: aws.answer(request),
            lost=lambda: ConnectionClosedError(endpoint_url=request.url),
            refused=lambda fault: None if fault in CONFLICTS else throttled(request),
        )

    def _call_table(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        """What botocore does with a call: as many attempts, the same exceptions."""
        assert self.aws is not None
        table, name, client = self.aws.table, f"dynamodb.{operation}", self.by_name["dynamodb"]
        code = "ThrottlingException" if operation == "TransactWriteItems" else "ProvisionedThroughputExceededException"
        lost = ConnectionClosedError(endpoint_url="https://dynamodb.us-east-1.amazonaws.com")
        for _ in range(CONFIG.retries["total_max_attempts"]):
            try:
                return self.outside.pass_(
                    name,
                    lambda: table.call(operation, body),
                    lost=lambda: lost,
                    refused=partial(_refuse, RefusedError(code), conflict(operation, body)),
                )
            except RefusedError as refused:
                failure: Exception = client.exceptions.from_code(refused.code)(refused.answer(), operation)
                if refused.code != code:
                    raise failure from None
            except ConnectionClosedError as error:
                failure = error
        raise failure


def _refuse(throttling: RefusedError, meeting: RefusedError | None, fault: Fault) -> None:
    """Raise what a call to the table is refused with; a read meets nothing."""
    refusal = meeting if fault in CONFLICTS else throttling
    if refusal is not None:
        raise refusal


def _unit(request: AWSPreparedRequest) -> str:
    """Which object an S3 call is about: repetitions are told from other calls by it."""
    return "" if "X-Amz-Target" in request.headers else f" {request.method} {request.url.partition('amazonaws.com')[2]}"


def _retry_without_waiting(client: Any) -> standard.RetryHandler:
    """Let botocore decide on retries as it does, and not sleep before them."""
    service = client.meta.service_model.service_id.hyphenize()
    event, unique_id = f"needs-retry.{service}", f"retry-config-{service}"
    client.meta.events.unregister(event, unique_id=unique_id)
    handler = standard.register_retry_handler(client, max_attempts=CONFIG.retries["total_max_attempts"])
    client.meta.events.unregister(event, unique_id=unique_id)

    def needs_retry(**given: object) -> float | None:
        return None if handler.needs_retry(**given) is None else 0.0

    client.meta.events.register(event, needs_retry)
    return handler


class SimulatedProviders(httpx2.BaseTransport):
    """Between the vendors' SDKs and the simulator."""

    def __init__(
        self,
        inner: httpx2.BaseTransport,
        clients: AwsClients,
        before_create: Callable[[str, bytes], None],
        be_late: Callable[[str, float], None],
    ) -> None:
        self._inner, self._clients, self._before_create, self._be_late = inner, clients, before_create, be_late

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        name = f"{request.method} {request.url.path}"

        def act() -> httpx2.Response:
            if is_create(name):
                self._before_create(name, request.read())
            return self._inner.handle_request(request)

        def late(seconds: float) -> httpx2.Response:
            self._be_late(name, seconds)
            return act()

        return self._clients.outside.pass_(
            name,
            act,
            lost=lambda: httpx2.ReadError("the connection was reset", request=request),
            refused=lambda fault: (
                None
                if fault in CONFLICTS
                else httpx2.Response(
                    429,
                    headers={"retry-after-ms": "1"},
                    json={"error": {"type": "rate_limit_error", "message": "Slow."}},
                )
            ),
            late=late if is_create(name) else None,
        )


def is_table_write(name: str) -> bool:
    """Whether a transaction may be in its way."""
    return name.removeprefix("dynamodb.") in TABLE_WRITES


def is_create(name: str) -> bool:
    """Whether a call makes a batch: where money is at stake."""
    return name.startswith("POST") and name.endswith("/batches")

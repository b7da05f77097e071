"""The queues between the steps. A message names a unit; everything else is in the table.

What failed too often lies in a dead-letter queue, and is sent to its own queue again, ever later, and not for ever. The
same holds for a dropped file's event that EventBridge could not deliver: the dead-letter queue of intake is the rule's,
too.

Messages that a message's worker sends continue its chain. Lambda stops a chain that invokes a function about 16 times
(https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html), so each message says how long its chain is,
and what is left behind `MOST_HOPS` is sweep's, whose messages begin anew.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import batched, islice
from typing import TYPE_CHECKING, Any, Self

import msgspec
from aws_lambda_powertools import Logger

from batchdrop.aws.bucket import Version
from batchdrop.aws.guards import guard
from batchdrop.correlation import working_on
from batchdrop.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

logger = Logger(child=True)

MOST_HOPS = 10  # messages in a chain
HOPS = "hops"  # the attribute that says which of them a message is, from 1
_KEPT_HOPS = 2  # for assemble and publish, which end a chain
MOST_MESSAGES = 10  # messages in one call (SQS's limit)
_ROUNDS = 30  # for one queue in one run: 300 messages a minute, in seconds
_REDRIVEN = "redriven"  # the attribute that counts how often a message was sent again
_MOST_REDRIVES = 200  # about four days where a message dies after twenty receives
_SHORTEST_DELAY, _DOUBLINGS, _LONGEST_DELAY = 60, 4, 900  # seconds; the longest is SQS's limit


class SplitMessage(msgspec.Struct, frozen=True, kw_only=True):
    job: str
    split: int


class BatchMessage(msgspec.Struct, frozen=True, kw_only=True):
    job: str
    batch: str


class JobMessage(msgspec.Struct, frozen=True, kw_only=True):
    job: str


class _Object(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    key: str
    size: int
    etag: str
    version_id: str | None


class _Detail(msgspec.Struct, frozen=True, kw_only=True):
    object: _Object


class _Created(msgspec.Struct, frozen=True, kw_only=True):
    """As much of S3's event `Object Created` as intake reads."""

    time: datetime
    detail: _Detail


class Queues:
    """Sends; what is lost on the way, sweep sends again.

    Args:
        client: SQS's.
        settings: The queues' addresses.
        hops: Which message of its chain the worker works on, from 1; 0 where no message started it.
    """

    def __init__(self, client: "SQSClient", settings: Settings, *, hops: int = 0) -> None:
        self._client = client
        self._settings = settings
        self._hops = hops

    def after(self, hops: int) -> Self:
        """The same queues for the worker of a message that is so far in its chain."""
        return type(self)(self._client, self._settings, hops=hops)

    @property
    def may_continue(self) -> bool:
        """Whether the chain is short enough for another message that may send more; if not, sweep's begins anew."""
        return self._hops + 1 + _KEPT_HOPS <= MOST_HOPS

    def intake_all(self, versions: Sequence[Version]) -> None:
        """Have ten versions of objects, or fewer, taken, as S3's own events would; what is refused is found again."""
        queue = _known(self._settings.intake_queue, _Created)
        self._client.send_message_batch(QueueUrl=queue, Entries=self._entries(map(_created, versions)))

    def plan(self, job: str, split: int) -> None:
        self._send(self._settings.plan_queue, SplitMessage(job=job, split=split))

    def plan_all(self, splits: Iterable[tuple[str, int]]) -> None:
        """Have many splits planned, ten in a call; what is refused inside a 200, sweep sends."""
        self._send_all(self._settings.plan_queue, [SplitMessage(job=job, split=split) for job, split in splits])

    def submit_all(self, batches: Iterable[tuple[str, str]]) -> None:
        """Have many batches submitted, in the same way."""
        self._send_all(self._settings.submit_queue, [BatchMessage(job=job, batch=batch) for job, batch in batches])

    def submit(self, job: str, batch: str, *, delay: int = 0) -> None:
        self._send(self._settings.submit_queue, BatchMessage(job=job, batch=batch), delay)

    def finish(self, job: str, batch: str) -> None:
        self._send(self._settings.finish_queue, BatchMessage(job=job, batch=batch))

    def collect(self, job: str, batch: str) -> None:
        self._send(self._settings.collect_queue, BatchMessage(job=job, batch=batch))

    def assemble(self, job: str, split: int) -> None:
        self._send(self._settings.assemble_queue, SplitMessage(job=job, split=split))

    def publish(self, job: str) -> None:
        self._send(self._settings.publish_queue, JobMessage(job=job))

    def redrive(self) -> int:
        """Send dead letters to the queues that they came from, until none is left to be seen; returns how many.

        A message is deleted only after it was sent: one that is sent twice changes nothing. One that can never be
        handled goes round at the queue's pace and up to a quarter of an hour besides, `_MOST_REDRIVES` times, and is
        dropped then: the table shows what a step does, too, and the log what is dropped.
        """
        # Six receives a minute are 260,000 requests a month: $0.10 at SQS's price of November 2026.
        redriven = 0
        for dead_letters, queue in self._settings.redrives():
            with guard("redrive", unit=queue):
                redriven += sum(islice(iter(partial(self._redrive_some, dead_letters, queue), 0), _ROUNDS))
        return redriven

    def _redrive_some(self, dead_letters: str, queue: str) -> int:
        answer = self._client.receive_message(
            QueueUrl=dead_letters, MaxNumberOfMessages=MOST_MESSAGES, MessageAttributeNames=[_REDRIVEN]
        )
        found = {str(number): each for number, each in enumerate(answer.get("Messages", []))}
        entries: Any = [_again(number, each) for number, each in found.items() if _times(each) < _MOST_REDRIVES]
        sent = self._client.send_message_batch(QueueUrl=queue, Entries=entries).get("Successful", []) if entries else []
        over = found.keys() - {each["Id"] for each in entries}
        for message in (found[number] for number in over):
            with working_on(job_of(message["Body"])):
                logger.error("message dropped: it failed too often", sqs_message=message["MessageId"], queue=queue)
        done: Any = [  # a refusal comes inside a 200
            {"Id": number, "ReceiptHandle": found[number]["ReceiptHandle"]}
            for number in [*over, *(each["Id"] for each in sent)]
        ]
        if done:
            self._client.delete_message_batch(QueueUrl=dead_letters, Entries=done)
        return len(done)

    def _send_all(self, queue: str | None, messages: Sequence[msgspec.Struct]) -> None:
        for some in batched(messages, MOST_MESSAGES, strict=False):
            kind = type(some[0])
            url = _known(queue, kind)
            if not self._is_at_end(kind):
                self._client.send_message_batch(QueueUrl=url, Entries=self._entries(some))

    def _entries(self, messages: Iterable[msgspec.Struct]) -> Any:  # noqa: ANN401 - boto3's own
        return [
            {"Id": str(number), "MessageBody": _body(message), "MessageAttributes": self._attributes()}
            for number, message in enumerate(messages)
        ]

    def _send(self, queue: str | None, message: msgspec.Struct, delay: int = 0) -> None:
        url = _known(queue, type(message))
        if not self._is_at_end(type(message)):
            attributes: Any = self._attributes()
            body = _body(message)
            self._client.send_message(QueueUrl=url, MessageBody=body, DelaySeconds=delay, MessageAttributes=attributes)

    def _attributes(self) -> dict[str, Any]:
        return {HOPS: {"DataType": "Number", "StringValue": str(self._hops + 1)}}

    def _is_at_end(self, kind: type[msgspec.Struct]) -> bool:
        """Return whether the chain is as long as may be: the unit's row is due in a while, and sweep sends it then."""
        if self._hops < MOST_HOPS:
            return False
        logger.warning("message left to sweep: its chain is long", kind=kind.__name__, hops=self._hops)
        return True


class _Named(msgspec.Struct):
    job: str | None = None


def job_of(body: str) -> str | None:
    """The job that a message is about; None for S3's events, whose job is not known yet."""
    try:
        return msgspec.json.decode(body, type=_Named).job
    except msgspec.DecodeError:
        return None


def _created(version: Version) -> _Created:
    found = _Object(key=version.key, size=version.bytes, etag=version.etag, version_id=version.version_id)
    return _Created(time=datetime.fromtimestamp(version.last_modified, UTC), detail=_Detail(object=found))


def _known(queue: str | None, kind: type[msgspec.Struct]) -> str:
    if queue is None:
        raise ValueError(f"this function has no queue for a {kind.__name__}")
    return queue


def _body(message: msgspec.Struct) -> str:
    return msgspec.json.encode(message).decode()


def _times(message: Any) -> int:  # noqa: ANN401 - boto3's own
    """Return how often a message was sent again; 0 too where somebody else's attribute has the name."""
    text = message.get("MessageAttributes", {}).get(_REDRIVEN, {}).get("StringValue", "")
    return int(text) if re.fullmatch("[0-9]{1,6}", text) else 0


def _again(number: str, message: Any) -> dict[str, Any]:  # noqa: ANN401 - boto3's own
    times = _times(message)
    return {
        "Id": number,
        "MessageBody": message["Body"],
        "DelaySeconds": min(_SHORTEST_DELAY * 2 ** min(times, _DOUBLINGS), _LONGEST_DELAY),
        "MessageAttributes": {_REDRIVEN: {"DataType": "Number", "StringValue": str(times + 1)}},
    }

"""Dead letters: messages that failed too often, what they are about, and the way back to their queues."""

from collections.abc import Iterable, Iterator
from itertools import batched
from typing import TYPE_CHECKING, Any

import msgspec
from batchdrop.manifest import timestamp

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.deployed import Deployed
from batchdrop_cli.say import say_table

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_AT_ONCE = 10  # messages in one call (SQS's limit)
_MOST = 1_000  # looked at in one run of the command; the rest stays for the next one, and for the functions
_HELD_SECONDS = 120  # in which nobody else gets them: while somebody is asked


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that failed too often. `key` is the file's, where no job is known yet."""

    step: str
    job: str | None
    unit: str | None
    key: str | None
    sent_at: str
    receives: int


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter that is held for a while, with what it takes to send it again or to release it."""

    letter: DeadLetter
    source: str
    target: str
    message: Any


class _Object(msgspec.Struct):
    key: str | None = None


class _Detail(msgspec.Struct):
    object: _Object = msgspec.field(default_factory=_Object)


class _Body(msgspec.Struct):
    """The unit that a message names: a job and a unit of it, or S3's object."""

    job: str | None = None
    split: int | None = None
    batch: str | None = None
    detail: _Detail = msgspec.field(default_factory=_Detail)


def hold(cloud: Cloud, parts: Deployed) -> list[Held]:
    """Take what lies in the dead-letter queues, a thousand letters at most, so that nobody else does for a while."""
    client: SQSClient = cloud.client("sqs")
    found: list[Held] = []
    for step, source in sorted(parts.dead_letters.items()):
        for message in _messages(client, source, _MOST - len(found)):
            held = Held(letter=_read(step, message), source=source, target=parts.queues[step], message=message)
            found.append(held)
    return found


def _messages(client: "SQSClient", source: str, most: int) -> Iterator[Any]:
    taken = 0
    while taken < most:
        answer = client.receive_message(
            QueueUrl=source,
            MaxNumberOfMessages=min(_AT_ONCE, most - taken),
            VisibilityTimeout=_HELD_SECONDS,
            WaitTimeSeconds=1,  # asks all of SQS's servers: a short poll may miss what is there
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
        )
        some = answer.get("Messages", [])
        if not some:
            return
        taken += len(some)
        yield from some


def _read(step: str, message: Any) -> DeadLetter:  # noqa: ANN401 - boto3's own
    try:
        body = msgspec.json.decode(message["Body"], type=_Body)
    except msgspec.DecodeError:
        body = _Body()
    unit = body.batch if body.batch is not None else None if body.split is None else f"part {body.split}"
    system = message.get("Attributes", {})
    return DeadLetter(
        step=step,
        job=body.job,
        unit=unit,
        key=body.detail.object.key,
        sent_at=timestamp(int(system.get("SentTimestamp", "0")) // 1_000),
        receives=int(system.get("ApproximateReceiveCount", "0")),
    )


def send_again(cloud: Cloud, letters: Iterable[Held]) -> int:
    """Send letters to their queues; each is deleted only after it was sent, and twice changes nothing."""
    client: SQSClient = cloud.client("sqs")
    return sum(_send_some(client, some) for some in _by_queue(letters))


def _send_some(client: "SQSClient", some: tuple[Held, ...]) -> int:
    entries: Any = [
        {
            "Id": str(number),
            "MessageBody": each.message["Body"],
            "MessageAttributes": each.message.get("MessageAttributes", {}),  # how often it was sent again, too
        }
        for number, each in enumerate(some)
    ]
    sent = client.send_message_batch(QueueUrl=some[0].target, Entries=entries).get("Successful", [])
    done: Any = [{"Id": each["Id"], "ReceiptHandle": some[int(each["Id"])].message["ReceiptHandle"]} for each in sent]
    if done:
        client.delete_message_batch(QueueUrl=some[0].source, Entries=done)
    return len(done)


def release(cloud: Cloud, letters: Iterable[Held]) -> None:
    """Leave letters where they lie, for others to be seen at once."""
    client: SQSClient = cloud.client("sqs")
    for some in _by_queue(letters):
        entries: Any = [
            {"Id": str(number), "ReceiptHandle": each.message["ReceiptHandle"], "VisibilityTimeout": 0}
            for number, each in enumerate(some)
        ]
        client.change_message_visibility_batch(QueueUrl=some[0].source, Entries=entries)


def _by_queue(letters: Iterable[Held]) -> Iterator[tuple[Held, ...]]:
    by_source: dict[str, list[Held]] = {}
    for each in letters:
        by_source.setdefault(each.source, []).append(each)
    for some in by_source.values():
        yield from batched(some, _AT_ONCE, strict=False)


def say_letters(letters: Iterable[DeadLetter]) -> None:
    rows = [
        [each.job or each.key or "unknown", each.step, each.unit or "", each.sent_at, f"{each.receives:,}"]
        for each in letters
    ]
    say_table(("job", "step", "unit", "sent", "receives"), rows, numbers=("receives",))

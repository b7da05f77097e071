"""The queues between the steps. A message names a unit; everything else is in the table."""

from typing import TYPE_CHECKING

import msgspec

from batchdrop.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class SplitMessage(msgspec.Struct, frozen=True, kw_only=True):
    job: str
    split: int


class BatchMessage(msgspec.Struct, frozen=True, kw_only=True):
    job: str
    batch: str


class JobMessage(msgspec.Struct, frozen=True, kw_only=True):
    job: str


class Queues:
    """Sends; what is lost on the way, sweep sends again."""

    def __init__(self, client: "SQSClient", settings: Settings) -> None:
        self._client = client
        self._settings = settings

    def plan(self, job: str, split: int) -> None:
        self._send(self._settings.plan_queue, SplitMessage(job=job, split=split))

    def submit(self, job: str, batch: str, *, delay: int = 0) -> None:
        self._send(self._settings.submit_queue, BatchMessage(job=job, batch=batch), delay)

    def collect(self, job: str, batch: str) -> None:
        self._send(self._settings.collect_queue, BatchMessage(job=job, batch=batch))

    def assemble(self, job: str, split: int) -> None:
        self._send(self._settings.assemble_queue, SplitMessage(job=job, split=split))

    def publish(self, job: str) -> None:
        self._send(self._settings.publish_queue, JobMessage(job=job))

    def _send(self, queue: str | None, message: msgspec.Struct, delay: int = 0) -> None:
        if queue is None:
            raise ValueError(f"this function has no queue for a {type(message).__name__}")
        body = msgspec.json.encode(message).decode()
        self._client.send_message(QueueUrl=queue, MessageBody=body, DelaySeconds=delay)

"""A file was dropped: make it a job."""

from datetime import datetime
from typing import Any

import msgspec
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from batchdrop.steps.intake import Dropped, take_object

from handlers.messages import each_message, logger, services_of


class _Object(msgspec.Struct, rename="kebab"):
    key: str
    size: int = 0
    etag: str | None = None
    version_id: str | None = None


class _Detail(msgspec.Struct):
    object: _Object


class _Created(msgspec.Struct):
    """EventBridge's `Object Created`, read raw: its keys are not URL-encoded, and need no decoding."""

    time: datetime
    detail: _Detail


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return each_message(event, context, _take)


def _take(record: SQSRecord) -> None:
    receives = int(record.raw_event.get("attributes", {}).get("ApproximateReceiveCount", 1))
    take_object(dropped_of(record.body), services_of(record), receives=receives)


def dropped_of(event: str) -> Dropped:
    """Return the object that S3's event, or sweep's, names."""
    created = msgspec.json.decode(event, type=_Created)
    found = created.detail.object
    return Dropped(
        key=found.key,
        version_id=found.version_id,
        etag=found.etag,
        bytes=found.size,
        time=int(created.time.timestamp()),
    )

"""What the handlers of queues share: one message at a time, each failing for itself."""

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from batchdrop.alerts import Alert, count

logger = Logger()

_UNIT_CHARACTERS = 200  # an event of S3 is longer, and names a file


def each_message(
    event: dict[str, Any], context: LambdaContext, step: Callable[[SQSRecord], None]
) -> PartialItemFailureResponse:
    """Call the step with each message; the messages that failed, and only they, come again."""

    def handle(record: SQSRecord) -> None:
        try:
            step(record)
        except Exception:
            # The processor keeps it to itself: it would show in no log. A step's message names a unit, and no more.
            unit = record.body if len(record.body) <= _UNIT_CHARACTERS else None
            logger.exception("unit failed", unit=unit, message=record.message_id)
            count(Alert.UNIT_FAILED)
            raise

    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    return process_partial_response(event=event, record_handler=handle, processor=processor, context=context)

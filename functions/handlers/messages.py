"""What the handlers of queues share: one message at a time, each failing for itself."""

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools import Logger, single_metric
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()


def each_message(
    event: dict[str, Any], context: LambdaContext, step: Callable[[str], None]
) -> PartialItemFailureResponse:
    """Call the step with each message's body; the messages that failed, and only they, come again."""

    def handle(record: SQSRecord) -> None:
        try:
            step(record.body)
        except Exception:
            logger.exception("unit failed")  # the processor keeps it to itself: it would show in no log
            _count_failure()
            raise

    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    return process_partial_response(event=event, record_handler=handle, processor=processor, context=context)


def _count_failure() -> None:
    """For the alarm: a failed message is no failed invocation, and shows in none of Lambda's own metrics."""
    with single_metric(name="UnitsFailed", unit=MetricUnit.Count, value=1, namespace="batchdrop") as metric:
        metric.add_dimension(name="service", value="batchdrop")

"""A job's last safe moment came: call what is left of a batch at real time."""

from typing import Any

import msgspec
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from batchdrop.aws.queues import BatchMessage
from batchdrop.steps.finish import finish_batch

from handlers.messages import each_message, logger, services_of


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return each_message(event, context, _finish)


def _finish(record: SQSRecord) -> None:
    message = msgspec.json.decode(record.body, type=BatchMessage)
    finish_batch(message.job, message.batch, services_of(record))

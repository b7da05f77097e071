"""A job is over: publish it."""

from typing import Any

import msgspec
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from batchdrop.aws.queues import JobMessage
from batchdrop.steps.publish import publish_job

from handlers.messages import each_message, logger, services_of


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return each_message(event, context, _publish)


def _publish(record: SQSRecord) -> None:
    message = msgspec.json.decode(record.body, type=JobMessage)
    publish_job(message.job, services_of(record))

"""A split is to be planned."""

from typing import Any

import msgspec
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from batchdrop.aws.queues import SplitMessage
from batchdrop.steps.plan import plan_split

from handlers.messages import each_message, logger, services_of


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return each_message(event, context, _plan)


def _plan(record: SQSRecord) -> None:
    message = msgspec.json.decode(record.body, type=SplitMessage)
    plan_split(message.job, message.split, services_of(record))

"""An event is sent to one of the places that want it."""

import os
import time
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from batchdrop.aws.deliveries import Deliveries
from batchdrop.steps.notify import notify

from handlers.messages import each_message, logger

SECRET_VARIABLE = "BATCHDROP_NOTIFY_SECRET"  # noqa: S105 - the name of a variable


@cache
def _deliveries() -> Deliveries:
    return Deliveries(boto3.client("sns"), boto3.client("secretsmanager"), os.environ.get(SECRET_VARIABLE))


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return each_message(event, context, _notify)


def _notify(record: SQSRecord) -> None:
    notify(record.body, _deliveries(), now=int(time.time()))

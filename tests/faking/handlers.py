"""Messages as Lambda hands them to a step: through its handler, which logs, traces and counts what fails."""

import json
from types import SimpleNamespace
from typing import Any

from handlers.messages import each_message

from faking.cloud import Cloud

CONTEXT: Any = SimpleNamespace(
    function_name="f", memory_limit_in_mb=1, invoked_function_arn="arn", aws_request_id="1", tenant_id=None
)


def deliver(cloud: Cloud, step: str) -> None:
    """Hand ten of a step's messages to it, and delete them whatever comes of it."""
    url = cloud.queue_urls[step]
    found = cloud.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0).get("Messages", [])
    for message in found:
        cloud.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    records = [{"body": each["Body"], "messageId": each["MessageId"], "eventSource": "aws:sqs"} for each in found]
    if records:
        each_message({"Records": records}, CONTEXT, lambda record: cloud.call(step, json.loads(record.body)))

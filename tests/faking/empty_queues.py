"""Receives from empty queues are answered at once: most that a cloud in one process makes, and moto takes milliseconds.

Whatever there is in a queue, and every other call of SQS, is moto's.
"""

import json
from typing import Any, NamedTuple

from moto.sqs.models import sqs_backends

_ACCOUNT = "123456789012"  # moto's


class _Http(NamedTuple):
    status_code: int


def answer_if_empty(model: Any, params: dict[str, Any], context: dict[str, Any], **_: object) -> Any:
    """Stand before an SQS client's calls (`before-call.sqs`); None lets moto answer."""
    if model.name != "ReceiveMessage":
        return None
    name = json.loads(params["body"])["QueueUrl"].rpartition("/")[2]
    queue = sqs_backends[_ACCOUNT][context["client_region"]].queues.get(name)
    return (_Http(200), {}) if queue is not None and not queue.messages else None

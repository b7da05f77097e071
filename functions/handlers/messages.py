"""Shared code of the handlers: each message is taken and fails by itself, and no failure quotes its error."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from batchdrop.aws.exception_log import log_exception
from batchdrop.aws.metrics import Alert, count
from batchdrop.aws.queues import HOPS, job_of
from batchdrop.aws.row_versions import NewerRow
from batchdrop.aws.tracing import traced
from batchdrop.correlation import working_on
from batchdrop.errors import Transient
from batchdrop.services import Services, services

logger = Logger()

_UNIT_CHARACTERS = 200  # an event of S3 is longer, and names a file


class StepFailed(Exception):  # noqa: N818 - what Lambda shows of it
    """Work failed, and is tried again. It has no words of what was raised: Lambda logs what leaves a function."""


@contextmanager
def log_failure(**names: object) -> Iterator[None]:
    """Log whatever is raised, without its words, and raise `StepFailed` for it; `names` says which work it was.

    Work that is left to newer code is done: where that is deployed again, its sweep goes on with it.
    """
    try:
        yield
    except NewerRow:
        return
    except Transient as error:  # nothing failed: it is not its moment yet, and the message comes again
        logger.warning("unit deferred", extra={"reason": str(error), **names})
        raise StepFailed('Transient; the log line before it, "unit deferred", says why') from None
    except Exception as error:  # noqa: BLE001 - whatever it is, its words stay here
        log_exception(logger, "unit failed", error, **names)
        count(Alert.UNIT_FAILED)
        raise StepFailed(f'{type(error).__name__}; the log line before it, "unit failed", says where') from None


def each_message(
    event: dict[str, Any], context: LambdaContext, step: Callable[[SQSRecord], None]
) -> PartialItemFailureResponse:
    """Call the step with each message; the messages that failed, and only they, come again."""

    def handle(record: SQSRecord) -> None:
        unit = record.body if len(record.body) <= _UNIT_CHARACTERS else None  # a step's message names it, and no more
        with (
            working_on(job_of(record.body)),
            traced(logger.service),
            log_failure(unit=unit, sqs_message=record.message_id),
        ):
            step(record)

    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    return process_partial_response(event=event, record_handler=handle, processor=processor, context=context)


def services_of(record: SQSRecord) -> Services:
    """The services of a message's worker, whose messages continue its chain."""
    return services().after(hops_of(record.raw_event))


def hops_of(message: dict[str, Any]) -> int:
    """Return how far a message is in its chain; 0 where nothing says so, as in S3's events."""
    attribute = (message.get("messageAttributes") or {}).get(HOPS) or {}
    text = attribute.get("stringValue") or ""
    return int(text) if re.fullmatch("[0-9]{1,6}", text) else 0

"""It is time to ask a provider for its batches."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from batchdrop.services import services
from batchdrop.steps.poll import poll_provider

from handlers.messages import log_failure, logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:  # noqa: ARG001 - Lambda passes it
    with log_failure(unit=event["provider"]):
        poll_provider(event["provider"], services())

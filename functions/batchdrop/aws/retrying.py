"""Calls that are repeated at once, by stamina; its own log lines quote all arguments: rows, and bytes of files."""

import stamina
from aws_lambda_powertools import Logger
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

logger = Logger(child=True)

retry = stamina.retry


def _log_retry(details: RetryDetails) -> None:
    """Name the call and what it met, and nothing that it was called with or that was said."""
    kind, waits = type(details.caused_by).__name__, round(details.wait_for, 2)
    logger.info("call repeated", call=details.name, tries=details.retry_num, error=kind, waits=waits)


set_on_retry_hooks([_log_retry])

"""The metrics behind the alarms on what heals by itself, or does not: none of it shows in AWS's own metrics."""

from enum import StrEnum

from aws_lambda_powertools import single_metric
from aws_lambda_powertools.metrics import MetricUnit

NAMESPACE = "batchdrop"
DIMENSION = {"service": "batchdrop"}


class Alert(StrEnum):
    """The name of a metric, whose alarm says what happened."""

    UNIT_FAILED = "UnitsFailed"
    DEAD_LETTER = "DeadLetters"
    PROVIDER_PAUSED = "ProvidersPaused"
    DOUBT_LASTS = "DoubtsLast"
    LEDGER_OFF = "LedgersOff"
    BATCH_GIVEN_UP = "BatchesGivenUp"
    BATCH_DUPLICATE = "BatchesDuplicate"
    JOB_GIVEN_UP = "JobsGivenUp"


def count(alert: Alert, number: int = 1) -> None:
    """Raise an alarm's metric."""
    with single_metric(name=alert, unit=MetricUnit.Count, value=number, namespace=NAMESPACE) as metric:
        for name, value in DIMENSION.items():
            metric.add_dimension(name=name, value=value)

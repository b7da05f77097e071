"""The metrics behind the alarms and the dashboard that AWS's own metrics do not cover."""

from collections.abc import Mapping
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
    TABLE_HELD = "TablesHeld"
    JOB_HELD = "JobsHeld"


class Measure(StrEnum):
    """The name of a provider's metric, which has no alarm: how much waits there, is there, and was answered.

    Zeros are not sent: a metric is charged for the hours in which there is one.
    """

    BATCHES_WAITING = "BatchesWaiting"
    BATCHES_IN_FLIGHT = "BatchesInFlight"
    INPUT_TOKENS = "InputTokens"
    OUTPUT_TOKENS = "OutputTokens"


def measure(name: Measure, provider: str, number: int) -> None:
    """Send a provider's metric, unless there is nothing to send."""
    if number:
        _send(name, number, {**DIMENSION, "provider": provider})


def count(alert: Alert, number: int = 1) -> None:
    """Raise an alarm's metric."""
    _send(alert, number, DIMENSION)


def _send(name: str, number: int, dimensions: Mapping[str, str]) -> None:
    with single_metric(name=name, unit=MetricUnit.Count, value=number, namespace=NAMESPACE) as metric:
        for dimension, value in dimensions.items():
            metric.add_dimension(name=dimension, value=value)

"""The metrics behind the alarms and the dashboard that AWS's own metrics do not cover."""

from collections.abc import Mapping
from enum import StrEnum

from aws_lambda_powertools import single_metric
from aws_lambda_powertools.metrics import MetricUnit

from batchdrop.aws.keys import top_folder

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
    """The name of a provider's metric, which has no alarm: how much waits there, is there, was answered, and cost.

    What jobs cost, and saved against real time, is sent by folder, too.

    Zeros are not sent: a metric is charged for the hours in which there is one.
    """

    BATCHES_WAITING = "BatchesWaiting"
    BATCHES_IN_FLIGHT = "BatchesInFlight"
    INPUT_TOKENS = "InputTokens"
    OUTPUT_TOKENS = "OutputTokens"
    USD_SPENT = "UsdSpent"
    USD_SAVED = "UsdSaved"


_MONEY = frozenset({Measure.USD_SPENT, Measure.USD_SAVED})


def measure(name: Measure, provider: str, number: float) -> None:
    """Send a provider's metric, unless there is nothing to send."""
    if number:
        _send(name, number, {**DIMENSION, "provider": provider})


def measure_folder(name: Measure, key: str, number: float) -> None:
    """Send the metric of a file's first folder, unless there is nothing to send: each folder's metric is charged."""
    if number:
        # CloudWatch takes ASCII only, and 1,024 characters.
        _send(name, number, {**DIMENSION, "folder": top_folder(key).encode("ascii", "replace").decode()[:1_000]})


def count(alert: Alert, number: int = 1) -> None:
    """Raise an alarm's metric."""
    _send(alert, number, DIMENSION)


def _send(name: str, number: float, dimensions: Mapping[str, str]) -> None:
    unit = MetricUnit.NoUnit if name in _MONEY else MetricUnit.Count
    with single_metric(name=name, unit=unit, value=number, namespace=NAMESPACE) as metric:
        for dimension, value in dimensions.items():
            metric.add_dimension(name=dimension, value=value)

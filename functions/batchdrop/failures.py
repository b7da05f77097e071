"""The metric behind the alarm on work that failed and is tried again."""

from aws_lambda_powertools import single_metric
from aws_lambda_powertools.metrics import MetricUnit


def count_failure() -> None:
    """Count a unit that failed: it is no failed invocation, and shows in none of Lambda's own metrics."""
    with single_metric(name="UnitsFailed", unit=MetricUnit.Count, value=1, namespace="batchdrop") as metric:
        metric.add_dimension(name="service", value="batchdrop")

"""One page that answers in a minute: is it moving, what waits for what, what does it cost, what is in doubt?"""

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from batchdrop.aws.metrics import DIMENSION, NAMESPACE, Alert, Measure
from constructs import Construct

from infra.pipeline import Pipeline
from infra.storage import Storage

_PERIOD = cdk.Duration.minutes(5)
_HOUR = cdk.Duration.hours(1)
_WIDTH, _HEIGHT = 12, 6  # two beside each other
_DOUBTFUL = (
    Alert.TABLE_HELD,
    Alert.DOUBT_LASTS,
    Alert.BATCH_DUPLICATE,
    Alert.BATCH_GIVEN_UP,
    Alert.JOB_GIVEN_UP,
    Alert.LEDGER_OFF,
    Alert.JOB_HELD,
)
_REPEATED = (Alert.UNIT_FAILED, Alert.DEAD_LETTER, Alert.PROVIDER_PAUSED)


class Dashboard(Construct):
    """A CloudWatch dashboard whose widgets are questions; the first shows the alarms."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        pipeline: Pipeline,
        storage: Storage,
        alarms: Sequence[cloudwatch.IAlarm],
    ) -> None:
        super().__init__(scope, construct_id)
        page = cloudwatch.Dashboard(self, "Page", default_interval=cdk.Duration.hours(12))
        status = cloudwatch.AlarmStatusWidget(
            title="Is anything wrong? (What to do: docs/runbook.md)", alarms=list(alarms), width=2 * _WIDTH
        )
        page.add_widgets(status)
        page.add_widgets(_moving(pipeline), _queued(pipeline))
        page.add_widgets(_at_providers(pipeline.providers), _tokens(pipeline.providers))
        page.add_widgets(_money(pipeline.providers), _money_of_folders())
        page.add_widgets(_of_aws(pipeline, storage), _counted("What is in doubt, given up, or paid twice?", _DOUBTFUL))
        page.add_widgets(_counted("What failed, and comes again?", _REPEATED))


def _moving(pipeline: Pipeline) -> cloudwatch.GraphWidget:
    runs = [step.function.metric_invocations(period=_PERIOD, label=step.node.id) for step in pipeline.steps]
    return _graph("Is it moving? (Runs of each step)", runs)


def _queued(pipeline: Pipeline) -> cloudwatch.GraphWidget:
    queues = [each.queue for each in pipeline.queues]
    waiting = [each.metric_approximate_number_of_messages_visible(period=_PERIOD) for each in queues]
    ages = [each.metric_approximate_age_of_oldest_message(period=_PERIOD) for each in queues]
    return _graph("What waits for a step, and for how many seconds?", waiting, ages)


def _at_providers(providers: Sequence[str]) -> cloudwatch.GraphWidget:
    return _graph(
        "What waits for room at a provider, and what is there?",
        [_measured(Measure.BATCHES_WAITING, each, "Maximum", _PERIOD) for each in providers],
        [_measured(Measure.BATCHES_IN_FLIGHT, each, "Maximum", _PERIOD) for each in providers],
    )


def _tokens(providers: Sequence[str]) -> cloudwatch.GraphWidget:
    return _graph(
        "What does it cost at the providers? (Tokens of published jobs)",
        [_measured(Measure.INPUT_TOKENS, each, "Sum", _HOUR) for each in providers],
        [_measured(Measure.OUTPUT_TOKENS, each, "Sum", _HOUR) for each in providers],
    )


def _money(providers: Sequence[str]) -> cloudwatch.GraphWidget:
    return _graph(
        "What does it cost in US dollars, and what was saved against real time? (Published jobs)",
        [_measured(Measure.USD_SPENT, each, "Sum", _HOUR) for each in providers],
        [_measured(Measure.USD_SAVED, each, "Sum", _HOUR) for each in providers],
    )


def _money_of_folders() -> cloudwatch.GraphWidget:
    """Return a widget that searches for the folders' metrics, since the folders are not known at deployment."""
    found = [_of_each_folder(Measure.USD_SPENT), _of_each_folder(Measure.USD_SAVED)]
    return _graph("What does it cost by folder, in US dollars, and what was saved?", found[:1], found[1:])


def _of_each_folder(name: Measure) -> cloudwatch.MathExpression:
    search = f'{{{NAMESPACE},service,folder}} MetricName="{name}"'
    expression = f"SEARCH('{search}', 'Sum', {_HOUR.to_seconds():.0f})"
    return cloudwatch.MathExpression(expression=expression, using_metrics={}, label=str(name), period=_HOUR)


def _of_aws(pipeline: Pipeline, storage: Storage) -> cloudwatch.GraphWidget:
    return _graph(
        "What does it cost on AWS? (Milliseconds of functions, units of the table)",
        [each.function.metric_duration(period=_HOUR, statistic="Sum", label=each.node.id) for each in pipeline.steps],
        [
            storage.table.metric_consumed_read_capacity_units(statistic="Sum", period=_HOUR),
            storage.table.metric_consumed_write_capacity_units(statistic="Sum", period=_HOUR),
        ],
    )


def _counted(title: str, alerts: Sequence[Alert]) -> cloudwatch.GraphWidget:
    return _graph(title, [_own(alert, DIMENSION, "Sum", _PERIOD, alert) for alert in alerts])


def _measured(name: Measure, provider: str, statistic: str, period: cdk.Duration) -> cloudwatch.Metric:
    return _own(name, {**DIMENSION, "provider": provider}, statistic, period, f"{provider} {name}")


def _own(name: str, dimensions: dict[str, str], statistic: str, period: cdk.Duration, label: str) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace=NAMESPACE,
        metric_name=str(name),
        dimensions_map=dimensions,
        statistic=statistic,
        period=period,
        label=str(label),
    )


def _graph(
    title: str, left: Sequence[cloudwatch.IMetric], right: Sequence[cloudwatch.IMetric] = ()
) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(left), right=list(right), width=_WIDTH, height=_HEIGHT)

"""A stack's queues, log groups, rule and alarm in moto, and CloudFormation that lists them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
import pytest

from faking.stacks import a_stack

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_sqs import SQSClient

BUCKET, TABLE = "batchdrop-test", "batchdrop-jobs"
RULE, ALARM, GROUP = "batchdrop-ObjectCreated", "batchdrop-AlarmsUnitsFailed", "batchdrop-PipelinePlanLogs"


@dataclass(frozen=True, kw_only=True)
class Parts:
    sqs: "SQSClient"
    logs: "CloudWatchLogsClient"
    events: "EventBridgeClient"
    cloudwatch: "CloudWatchClient"
    queue: str
    dead_letters: str

    def alarm(self, state: str) -> None:
        self.cloudwatch.put_metric_alarm(
            AlarmName=ALARM,
            MetricName="UnitsFailed",
            Namespace="batchdrop",
            Period=300,
            EvaluationPeriods=1,
            Threshold=1,
            Statistic="Sum",
            ComparisonOperator="GreaterThanOrEqualToThreshold",
        )
        self.cloudwatch.set_alarm_state(AlarmName=ALARM, StateValue=state, StateReason="a test")


@contextmanager
def stack_with_parts(monkeypatch: pytest.MonkeyPatch, **changes: str) -> Iterator[Parts]:
    """What a deployed stack consists of; moto and the table must be there."""
    sqs: SQSClient = boto3.client("sqs")
    logs: CloudWatchLogsClient = boto3.client("logs")
    events: EventBridgeClient = boto3.client("events")
    cloudwatch: CloudWatchClient = boto3.client("cloudwatch")
    queue, dead_letters = (sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("plan", "plan-dead"))
    logs.create_log_group(logGroupName=GROUP)
    logs.create_log_stream(logGroupName=GROUP, logStreamName="one")
    events.put_rule(Name=RULE, EventPattern="{}", State="ENABLED")
    resources = {
        "PipelinePlanQueue237F802D": ("AWS::SQS::Queue", queue),
        "PipelinePlanQueueDeadLettersEA0F1366": ("AWS::SQS::Queue", dead_letters),
        "PipelinePlanLogs34CAD54E": ("AWS::Logs::LogGroup", GROUP),
        "PipelineObjectCreated23EE7B9B": ("AWS::Events::Rule", RULE),
        "AlarmsUnitsFailed36399E87": ("AWS::CloudWatch::Alarm", ALARM),
        "StorageBucket5CB7C8EA": ("AWS::S3::Bucket", BUCKET),
    }
    parts = Parts(sqs=sqs, logs=logs, events=events, cloudwatch=cloudwatch, queue=queue, dead_letters=dead_letters)
    parts.alarm("OK")
    with a_stack(bucket=BUCKET, table=TABLE, resources=resources, **changes) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", address)
        yield parts

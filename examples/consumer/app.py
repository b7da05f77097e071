# ruff: noqa: INP001 - a program of its own, not a package
"""A consumer of batchdrop's jobs, as a stack of its own: event → queue → function → one row a job.

Context: `bucket` (batchdrop's, needed), `consumer_stack_name`, `arch` (arm64 or x86_64).
"""

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as event_sources
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from constructs import Construct

FUNCTION = Path(__file__).resolve().parent / "function"
ARCHITECTURES = {"arm64": lambda_.Architecture.ARM_64, "x86_64": lambda_.Architecture.X86_64}


class Consumer(cdk.Stack):
    """Counts the labels of every completed job whose file was dropped under `input/`."""

    def __init__(
        self, scope: Construct, construct_id: str, *, bucket_name: str, architecture: lambda_.Architecture
    ) -> None:
        super().__init__(scope, construct_id)
        bucket = s3.Bucket.from_bucket_name(self, "Bucket", bucket_name)
        table = dynamodb.Table(
            self,
            "Table",
            partition_key=dynamodb.Attribute(name="job", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        undelivered = sqs.Queue(self, "Undelivered", enforce_ssl=True, retention_period=cdk.Duration.days(14))
        queue = sqs.Queue(
            self,
            "Jobs",
            enforce_ssl=True,
            visibility_timeout=cdk.Duration.minutes(6),
            dead_letter_queue=sqs.DeadLetterQueue(queue=undelivered, max_receive_count=5),
        )
        events.Rule(
            self,
            "JobCompleted",
            event_pattern=events.EventPattern(
                source=["batchdrop"],
                detail_type=["Job Completed"],
                # One bucket's jobs: a rule may also ask for a folder ({"key": [{"prefix": …}]}) or for counts.
                detail={"input": {"bucket": [bucket_name]}},
            ),
            targets=[targets.SqsQueue(queue, dead_letter_queue=undelivered)],
        )
        function = lambda_.Function(
            self,
            "Consume",
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=architecture,
            code=lambda_.Code.from_asset(str(FUNCTION), exclude=["__pycache__", "*.pyc"]),
            handler="consume.handler",
            timeout=cdk.Duration.minutes(5),
            memory_size=512,
            environment={"TABLE": table.table_name},
        )
        function.add_event_source(event_sources.SqsEventSource(queue, batch_size=1))
        bucket.grant_read(function, "output/*")
        table.grant(function, "dynamodb:GetItem", "dynamodb:PutItem")
        cdk.CfnOutput(self, "Summaries", value=table.table_name)
        cdk.CfnOutput(self, "Queue", value=queue.queue_url)


def main() -> None:
    app = cdk.App()
    bucket_name = app.node.try_get_context("bucket")
    if not bucket_name:
        raise SystemExit("The consumer needs batchdrop's bucket: cdk deploy -c bucket=NAME")
    Consumer(
        app,
        app.node.try_get_context("consumer_stack_name") or "batchdrop-consumer",
        bucket_name=bucket_name,
        architecture=ARCHITECTURES[app.node.try_get_context("arch") or "arm64"],
    )
    app.synth()


if __name__ == "__main__":
    main()

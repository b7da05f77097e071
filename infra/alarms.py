"""What a person is told: a message that no step could handle, and a function that failed."""

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.pipeline import Pipeline

PERIOD = cdk.Duration.minutes(5)


class Alarms(Construct):
    """One topic; an alarm on every dead-letter queue, on every function's errors and on messages that failed."""

    def __init__(self, scope: Construct, construct_id: str, *, pipeline: Pipeline, email: str | None) -> None:
        super().__init__(scope, construct_id)
        self._topic = sns.Topic(self, "Topic", enforce_ssl=True)
        # A policy of its own (for TLS) replaces the one that lets an account's alarms publish.
        self._topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self._topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": cdk.Stack.of(self).account}},
            )
        )
        if email is not None:
            self._topic.add_subscription(subscriptions.EmailSubscription(email))
        for queue in pipeline.queues:
            self._dead_letters(queue.step.capitalize(), queue.dead_letters)
        self._dead_letters("Events", pipeline.undelivered)
        for step in pipeline.steps:
            self._alarm(
                f"{step.node.id}Errors",
                step.function.metric_errors(period=PERIOD, statistic="sum"),
                f"The function of the step {step.node.id.lower()} failed; the work is tried again.",
            )
        self._alarm(
            "UnitsFailed",
            cloudwatch.Metric(
                namespace="batchdrop",
                metric_name="UnitsFailed",
                dimensions_map={"service": "batchdrop"},
                period=PERIOD,
                statistic="sum",
            ),
            'Steps failed on messages that come again; the functions\' logs say which, under "unit failed".',
        )

    def _dead_letters(self, name: str, queue: sqs.Queue) -> None:
        self._alarm(
            f"{name}DeadLetters",
            queue.metric_approximate_number_of_messages_visible(period=PERIOD, statistic="max"),
            f"{name}: messages that failed too often wait in the dead-letter queue.",
        )

    def _alarm(self, construct_id: str, metric: cloudwatch.Metric, description: str) -> None:
        cloudwatch.Alarm(
            self,
            construct_id,
            metric=metric,
            alarm_description=description,
            threshold=1,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        ).add_alarm_action(actions.SnsAction(self._topic))

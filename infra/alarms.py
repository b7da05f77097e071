"""Alarms for the operator: messages that no step could handle, functions that failed, runs that did not happen."""

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from batchdrop.aws.metrics import DIMENSION, NAMESPACE, Alert
from constructs import Construct

from infra.context import Context
from infra.pipeline import Pipeline, poll_rule
from infra.step import Step

PERIOD = cdk.Duration.minutes(5)
SILENT_PERIODS = 3  # with no run at all, before somebody is notified
TICKS_BETWEEN_TRIES = 5  # of a paused provider, whose alarm stays on meanwhile

ALERTS = {
    Alert.UNIT_FAILED: 'Units of work failed and are retried; the functions\' logs name them under "unit failed".',
    Alert.DEAD_LETTER: "Messages failed too often, or an event could not be delivered; they were sent again, or "
    "dropped after about four days.",
    Alert.PROVIDER_PAUSED: "A provider refuses the account (key, credit), does not answer, or does not expose a batch "
    "API: nothing is submitted to it; the event Provider Paused gives the reason.",
    Alert.DOUBT_LASTS: "A create stays in doubt: the provider does not list its batches, or its key was changed: "
    "restore the old key to resolve it.",
    Alert.LEDGER_OFF: "A ledger differed from what its batches hold, and was corrected; the log names it.",
    Alert.BATCH_GIVEN_UP: "A provider never ended a batch: its lines end with provider_stuck; it may still charge.",
    Alert.BATCH_DUPLICATE: "A create arrived after it had been given up: the event Duplicate Batch reports its cost.",
    Alert.JOB_GIVEN_UP: "A unit of a job failed every time, or a job was not assembled within its maximum age; its "
    "manifest's reason says where to look, and where its answers are.",
    Alert.JOB_HELD: "A job is over its budget, or nobody knows what it may cost: nothing of it is sent before somebody "
    "approves or rejects it, or the budget is raised; the event Job Held says which job.",
    Alert.TABLE_HELD: "The table was restored, or belongs to another deployment: nothing is sent before "
    "`batchdrop reconcile` has found the batches sent since.",
}


class Alarms(Construct):
    """One topic; an alarm on every function's errors, on runs that do not happen, and on what the steps count.

    Dead-letter queues have none of their own: sweep empties them each minute and counts what it found, a failure to do
    so too, and each alarm costs money every month.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, pipeline: Pipeline, context: Context, kms_key: kms.IKey | None
    ) -> None:
        super().__init__(scope, construct_id)
        self._topic = sns.Topic(self, "Topic", enforce_ssl=True, master_key=kms_key)
        # A policy of its own (for TLS) replaces the one that lets an account's alarms publish.
        self._topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self._topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": cdk.Stack.of(self).account}},
            )
        )
        if context.alarm_email is not None:
            self._topic.add_subscription(subscriptions.EmailSubscription(context.alarm_email))
        lasting = 2 * TICKS_BETWEEN_TRIES * context.tick_seconds // int(PERIOD.to_seconds()) + 1
        for step in pipeline.steps:
            self._alarm(
                f"{step.node.id}Errors",
                step.function.metric_errors(period=PERIOD, statistic="sum"),
                f"The function of the step {step.node.id.lower()} failed; the work is retried.",
            )
        for provider in pipeline.providers:
            self._rule_alarm(provider, pipeline.poll.rules[poll_rule(provider)], context)
        for step in (pipeline.sweep, pipeline.poll):
            self._silence_alarm(step, context)
            self._alarm(
                f"{step.node.id}Dropped",
                # Neither an error nor an invocation: an event that waited too long for room, or whose run failed.
                step.function.metric("AsyncEventsDropped", period=PERIOD, statistic="sum"),
                f"Scheduled runs of {step.node.id.lower()} were dropped: they failed, or the account ran, for five "
                "minutes, as many functions as it may. Ask for a higher quota of concurrent executions.",
            )
        for alert, description in ALERTS.items():
            self._alarm(
                alert.value,
                cloudwatch.Metric(
                    namespace=NAMESPACE,
                    metric_name=alert.value,
                    dimensions_map=DIMENSION,
                    period=PERIOD,
                    statistic="sum",
                ),
                description,
                periods=lasting,
            )

    def all_of_them(self) -> list[cloudwatch.IAlarm]:
        """Every alarm, for a page that shows them."""
        return [each for each in self.node.children if isinstance(each, cloudwatch.Alarm)]

    def _rule_alarm(self, provider: str, rule: events.IRule, context: Context) -> None:
        """Alarm when a provider is not polled any more, which the polls of the others would hide.

        EventBridge counts what a rule starts, and says nothing where that is nothing
        (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html).
        """
        metric = cloudwatch.Metric(
            namespace="AWS/Events",
            metric_name="Invocations",
            dimensions_map={"RuleName": rule.rule_name},
            period=PERIOD,
            statistic="sum",
        )
        self._alarm_when_missing(
            f"{rule.node.id}Silent",
            metric,
            f"The rule that has {provider} polled starts nothing: it is disabled or deleted. Until it does, no batch "
            f"of {provider} is collected; nothing is lost.",
            context,
            section="ProviderSilent",
        )

    def _silence_alarm(self, step: Step, context: Context) -> None:
        """Alarm when a step that runs by the clock does not: throttled runs are no `Invocations`, and no `Errors`.

        See https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html. A metric without data says the
        same as a zero.
        """
        self._alarm_when_missing(
            f"{step.node.id}Silent",
            step.function.metric_invocations(period=PERIOD, statistic="sum"),
            f"The function of {step.node.id.lower()} does not run: its rule is disabled or deleted, or the account "
            "runs as many functions as it may. Until it does, no batch is collected and no stalled work is re-queued; "
            "nothing is lost.",
            context,
        )

    def _alarm_when_missing(
        self,
        construct_id: str,
        metric: cloudwatch.Metric,
        description: str,
        context: Context,
        section: str | None = None,
    ) -> None:
        """Alarm when the metric was there in none of the last periods: 15 minutes, or three ticks if that is longer."""
        periods = max(SILENT_PERIODS, -(-SILENT_PERIODS * int(context.pace.to_seconds()) // int(PERIOD.to_seconds())))
        cloudwatch.Alarm(
            self,
            construct_id,
            metric=metric,
            alarm_description=_with_runbook(section or construct_id, description),
            threshold=1,
            evaluation_periods=periods,
            datapoints_to_alarm=periods,
            comparison_operator=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.BREACHING,
        ).add_alarm_action(actions.SnsAction(self._topic))

    def _alarm(self, construct_id: str, metric: cloudwatch.Metric, description: str, *, periods: int = 1) -> None:
        """Alarm when the metric was there in one of the last periods."""
        cloudwatch.Alarm(
            self,
            construct_id,
            metric=metric,
            alarm_description=_with_runbook(construct_id, description),
            threshold=1,
            evaluation_periods=periods,
            datapoints_to_alarm=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        ).add_alarm_action(actions.SnsAction(self._topic))


def _with_runbook(section: str, description: str) -> str:
    """An alarm's description, and where it is said what to do."""
    return f"{description} What to do: docs/runbook.md, {section}."
